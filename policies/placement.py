"""Which replica an agent lives on: a hash everyone can compute, and exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from scalesim.vocabulary import Keys

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_MIX_1 = 0xBF58_476D_1CE4_E5B9
_MIX_2 = 0x94D0_49BB_1331_11EB


def rendezvous(keys: Keys, replicas: Sequence[str]) -> NDArray[np.int32]:
    """Return each key's replica by highest random weight.

    Every process computes the same answer from the names alone; when a replica comes or goes only
    the keys it wins or loses move. Weights are the splitmix64 finaliser of key xor replica hash.
    Source: Thaler and Ravishankar, Using name-based mappings to increase hit rates, 1998.

    Args:
        keys: int64[n].
        replicas: Names, in any order; an answer is an index into this sequence.

    Returns:
        int32[n], or all -1 where there is no replica.
    """
    if len(replicas) < 2 or not len(keys):
        return np.full(len(keys), len(replicas) - 1, dtype=np.int32)
    if len(keys) == 1:
        return np.array([rendezvous_one(int(keys[0]), replicas)], dtype=np.int32)
    unsigned = keys.astype(np.uint64)
    best = np.zeros(len(keys), dtype=np.int32)
    highest = _mixed(unsigned ^ np.uint64(_seed(replicas[0])))
    for index in range(1, len(replicas)):
        weight = _mixed(unsigned ^ np.uint64(_seed(replicas[index])))
        better = weight > highest
        best[better] = index
        np.maximum(highest, weight, out=highest)
    return best


def rendezvous_one(key: int, replicas: Sequence[str]) -> int:
    """Return what `rendezvous` answers for one key, without arrays (a few microseconds)."""
    best, highest = -1, -1
    for index, name in enumerate(replicas):
        bits = (key & _MASK) ^ _seed(name)
        bits = ((bits ^ (bits >> 30)) * _MIX_1) & _MASK
        bits = ((bits ^ (bits >> 27)) * _MIX_2) & _MASK
        bits ^= bits >> 31
        if bits > highest:
            best, highest = index, bits
    return best


@lru_cache(maxsize=4096)
def _seed(replica: str) -> int:
    return int.from_bytes(blake2b(replica.encode(), digest_size=8).digest(), "little")


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    bits ^= bits >> np.uint64(30)
    bits *= np.uint64(_MIX_1)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(_MIX_2)
    bits ^= bits >> np.uint64(31)
    return bits
