"""What a request and a load cost in the timeline, where the trace does not say."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalesim.policies.replay.activation_trace import Trace


class Costs(NamedTuple):
    """Constants of one engine and its link; defaults are Llama 3.1 8B in bf16 on one GPU.

    Attributes:
        kv_bytes_per_token: 2 (key, value) x 32 layers x 8 heads x 128 x 2 bytes.
        state_tokens: Prompt tokens of an agent whose trace names none.
        link_bytes_per_s: Host to device; PCIe 4.0 x16 moves 32 GB/s at best, about 25 in practice.
        request_s: Engine time of a request whose trace names no output tokens.
        prefill_s: Engine time before the first output token, where the trace names output tokens.
        output_token_s: Engine time per output token, batching included.
        pass_s: Of a pass that gives each request of a batch a token, what it takes for none; 0
            where that is not known apart.
        pass_request_s: What each request adds to it.
        output_tokens: Output tokens of a request whose trace names none.
    """

    kv_bytes_per_token: int = 131_072
    state_tokens: int = 1024
    link_bytes_per_s: float = 25e9
    request_s: float = 0.02
    prefill_s: float = 0.0
    output_token_s: float = 2e-4
    pass_s: float = 0.0
    pass_request_s: float = 0.0
    output_tokens: int = 0

    def state_bytes(self, trace: Trace) -> NDArray[np.int64]:
        """Return each agent's bytes, int64[agents]: as traced, by its longest prompt, or usual."""
        tokens = np.zeros(len(trace.names), np.int64)
        np.maximum.at(tokens, trace.agent, trace.prompt_tokens)
        tokens[tokens == 0] = self.state_tokens
        return np.where(trace.size_bytes > 0, trace.size_bytes, tokens * self.kv_bytes_per_token)

    def load_s(self, state_bytes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return seconds on the link for each agent."""
        return state_bytes / self.link_bytes_per_s

    def service_s(self, trace: Trace) -> NDArray[np.float64]:
        """Return engine seconds of each request."""
        known_s = self.prefill_s + trace.output_tokens * self.output_token_s
        return np.where(trace.output_tokens > 0, known_s, self.request_s)

    def together_s(self, trace: Trace, begins: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return engine seconds of batches, given where each begins: float64[batches]."""
        if not self.pass_s:
            return np.add.reduceat(self.service_s(trace), begins)
        named = trace.output_tokens
        tokens = np.where(named > 0, named, self.output_tokens)
        own_s = self.prefill_s + tokens * self.pass_request_s
        passes = np.maximum.reduceat(tokens, begins)
        seconds: NDArray[np.float64] = passes * self.pass_s + np.add.reduceat(own_s, begins)
        return seconds
