"""What fits: tokens and agents of one engine on the device and in host memory."""

from __future__ import annotations

from dataclasses import dataclass

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.hardware import Llm


@dataclass(frozen=True, slots=True)
class EngineRoom:
    """Memory for one engine's state.

    Attributes:
        llm: Its language model.
        ranks: Tensor-parallel ranks, a GPU each.
        rank_device_bytes: Device memory of one rank, for its weights and KV.
        host_bytes: Host memory of all its ranks, for KV.
    """

    llm: Llm
    ranks: int
    rank_device_bytes: float
    host_bytes: float

    @property
    def rank_weight_bytes(self) -> float:
        """Weights of one rank: an equal part of all."""
        return self.llm.weight_bytes / self.ranks

    @property
    def token_bytes(self) -> int:
        """KV of one token on all ranks together."""
        return self.ranks * self.llm.rank_kv_bytes_per_token(self.ranks)

    @property
    def device_bytes(self) -> float:
        """Device memory that the weights leave to KV, of all ranks; below 0 they do not fit."""
        return self.ranks * (self.rank_device_bytes - self.rank_weight_bytes)

    @property
    def device_tokens(self) -> int:
        """KV tokens on the device."""
        return max(int(self.device_bytes // self.token_bytes), 0)

    @property
    def host_tokens(self) -> int:
        """KV tokens in host memory."""
        return max(int(self.host_bytes // self.token_bytes), 0)

    @property
    def fewest_ranks(self) -> int:
        """Return the smallest power of two of ranks whose parts of the weights fit."""
        ranks = 1
        while self.llm.weight_bytes / ranks >= self.rank_device_bytes > 0:
            ranks *= 2
        return ranks

    def agents(self, tokens: int, page_size: int = 1) -> tuple[int, int]:
        """Return how many agents of `tokens` tokens fit on the device, and in host memory.

        Raises:
            InvalidRequestError: There are no tokens.
        """
        if tokens < 1:
            raise InvalidRequestError(f"an agent has {tokens} tokens: give 1 or more", "tokens")
        whole = -(-tokens // page_size) * page_size
        return self.device_tokens // whole, self.host_tokens // whole
