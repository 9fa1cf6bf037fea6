"""Pages have the names that SGLang's compiled program gives them, without a compiler."""

from __future__ import annotations

import itertools
import shutil
import warnings
from array import array
from typing import Any

import numpy as np
import pytest

from scalesim.deployments.engine import boot  # noqa: F401 - before SGLang

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what SGLang imports
    from sglang.srt.mem_cache import utils
    from sglang.srt.mem_cache.cpp_utils.native_hash import get_native_hash
    from sglang.srt.mem_cache.radix_cache import RadixKey

    from scalesim.deployments.engine.sglang.page_names import page_names, use

PRIOR = bytes(range(32))
NUMBERS = np.random.default_rng(0).integers(0, 2**32, 37)
WIDE = np.where(np.arange(37) % 9 == 4, NUMBERS + 2**40, NUMBERS)
SEQUENCES: dict[str, Any] = {
    "none": [],
    "a list": NUMBERS.tolist(),
    "four bytes": array("I", NUMBERS.tolist()),
    "eight bytes": array("q", NUMBERS.tolist()),
    "some of them large": array("q", WIDE.tolist()),
    "pairs": [(first, second) for first, second in itertools.pairwise(WIDE.tolist())],
    "a key": RadixKey(array("q", NUMBERS.tolist()), "space"),
    "a key of bigrams": RadixKey(array("q", NUMBERS.tolist()), None, is_bigram=True),
    "a key of bigrams, some large": RadixKey(array("q", WIDE.tolist()), None, is_bigram=True),
}


@pytest.mark.slow
@pytest.mark.skipif(
    not (shutil.which("g++") and shutil.which("ninja")), reason="what they replace takes a compiler"
)
@pytest.mark.parametrize("prior", [None, PRIOR], ids=["first", "later"])
@pytest.mark.parametrize("page_size", [None, 1, 16, 64])
def test_they_are_those_that_others_give(prior: bytes | None, page_size: int | None) -> None:
    for name, tokens in SEQUENCES.items():
        expected = get_native_hash(tokens, prior, page_size)
        assert page_names(tokens, prior, page_size) == expected, name
    with pytest.raises(IndexError, match="non-negative"):
        page_names([1, -1], prior, page_size)
    with pytest.raises(IndexError, match="non-negative"):
        get_native_hash([1, -1], prior, page_size)


def test_an_engine_uses_them_and_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def compiles(*_: object) -> None:
        pytest.fail("it would compile")

    monkeypatch.setattr(utils, "get_native_hash", compiles)
    use()
    use()
    key = SEQUENCES["a key"]
    seed = bytes.fromhex(str(utils.storage_namespace_seed("space", None)))
    assert utils.get_storage_hash_str(key, page_size=16) == page_names(key, seed, 16)
