"""A roofline of one GPU: what a request costs, and how much state fits."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import Calibration, GpuModel, Llm
from scalesim.policies.replay.costs import Costs


@dataclass(frozen=True, slots=True)
class RooflineEngine:
    """One GPU serving one language model.

    Prefill is bound by arithmetic (2 operations per parameter and token), decode by memory
    bandwidth (all weights and the batch's KV are read for each token). Source: Pope et al.,
    Efficiently scaling transformer inference, MLSys 2023.

    Args:
        gpu: Accelerator.
        llm: Language model.
        calibration: How much of the peaks is reached.

    Raises:
        InvalidRequestError: The weights do not fit on the GPU.
    """

    gpu: GpuModel
    llm: Llm
    calibration: Calibration

    def __post_init__(self) -> None:
        if self.kv_bytes <= 0:
            raise InvalidRequestError(
                f"the weights take {self.llm.weight_bytes / 1e9:.0f} GB and the engine has "
                f"{self._usable_bytes / 1e9:.0f} GB of the GPU: choose a larger GPU or a smaller "
                "model",
                "gpu",
            )

    @property
    def kv_bytes(self) -> float:
        """Device memory left for agents' state."""
        return self._usable_bytes - self.llm.weight_bytes

    @property
    def _usable_bytes(self) -> float:
        return self.gpu.memory_bytes * self.calibration.memory_share

    @property
    def prefill_tokens_per_s(self) -> float:
        """Tokens of prompt computed per second."""
        return self.gpu.flops * self.calibration.prefill_share / (2 * self.llm.parameters)

    @property
    def _read_per_s(self) -> float:
        return self.gpu.memory_bytes_per_s * self.calibration.decode_share

    def slots(self, state_bytes: float) -> int:
        """Return requests decoded together, with `state_bytes` each."""
        return max(min(int(self.kv_bytes / max(state_bytes, 1.0)), self.calibration.slots), 1)

    def output_token_s(self, state_bytes: float, at_once: float = inf) -> float:
        """Return engine time per output token, shared by the whole batch.

        Args:
            state_bytes: State bytes of each request.
            at_once: Requests there are at a time: no batch is larger.
        """
        slots = max(min(self.slots(state_bytes), at_once), 1)
        bytes_read = self.llm.weight_bytes + slots * state_bytes
        return bytes_read / self._read_per_s / slots

    def costs(self, state_bytes: float, gpus: float, at_once: float = inf) -> Costs:
        """Return what requests and loads cost a fleet of `gpus` that share the work equally.

        `at_once` requests are there at a time, for all of them together.
        """
        own = self.calibration
        fresh_s = own.fresh_tokens / self.prefill_tokens_per_s
        token_s = self.output_token_s(state_bytes, at_once / gpus)
        return Costs(
            kv_bytes_per_token=self.llm.kv_bytes_per_token,
            state_tokens=own.state_tokens,
            link_bytes_per_s=self.gpu.link_bytes_per_s * own.link_share * gpus,
            request_s=(fresh_s + own.output_tokens * token_s) / gpus,
            prefill_s=fresh_s / gpus,
            output_token_s=token_s / gpus,
            pass_s=self.llm.weight_bytes / self._read_per_s,
            pass_request_s=state_bytes / self._read_per_s / gpus,
            output_tokens=own.output_tokens,
        )
