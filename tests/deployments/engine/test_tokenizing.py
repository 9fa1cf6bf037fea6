"""Texts become tokens before an engine sees them, long ones beside the event loop."""

from __future__ import annotations

import importlib
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.engine import boot


class FakeTokenizerManager:
    """SGLang's tokenizer manager: a token a word."""

    async_dynamic_batch_tokenizer = None

    def __init__(self) -> None:
        self.threads: set[threading.Thread] = set()

    async def _tokenize_texts(self, texts: list[str]) -> tuple[list[list[int]], None]:
        self.threads.add(threading.current_thread())
        return [[len(word) for word in text.split()] for text in texts], None


@pytest.fixture(scope="module")
def limits() -> Any:
    assert boot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scalesim.deployments.engine.sglang.limits")


@pytest.mark.parametrize("words", [2, 20_000])
async def test_long_texts_do_not_hold_up_the_event_loop(limits: Any, words: int) -> None:
    manager = FakeTokenizerManager()
    asked = SimpleNamespace(text="ab " * words, input_ids=None)
    assert await limits.tokenized(manager, asked) == [[2] * words]
    assert (asked.text, asked.input_ids) == (None, [2] * words)
    here = manager.threads == {threading.current_thread()}
    assert here == (words == 2)


async def test_several_prompts_stay_several(limits: Any) -> None:
    asked = SimpleNamespace(text=["a " * 10_000, "b"], input_ids=None)
    assert list(map(len, await limits.tokenized(FakeTokenizerManager(), asked))) == [10_000, 1]
    ids = SimpleNamespace(text=None, input_ids=[[1], [2, 3]])
    assert await limits.tokenized(FakeTokenizerManager(), ids) == [[1], [2, 3]]
