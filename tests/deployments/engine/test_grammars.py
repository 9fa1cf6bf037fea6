"""Grammars that clients name: SGLang's own backend over a real tokenizer, its memory bounded."""

from __future__ import annotations

import importlib
import json
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer

from scalesim.deployments.engine import boot

pytestmark = pytest.mark.filterwarnings("ignore:max_rollback_tokens is deprecated")  # SGLang's

MOST_BYTES = 200_000


@pytest.fixture(scope="module")
def grammars() -> Any:
    assert boot
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scalesim.deployments.engine.sglang.grammars")


@pytest.fixture
def backend(grammars: Any, tiny_model: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sglang.srt.constrained.xgrammar_backend import XGrammarGrammarBackend

        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        made = XGrammarGrammarBackend(tokenizer, vocab_size=len(tokenizer))
    grammars.bound(made, MOST_BYTES)
    yield made
    made.executor.shutdown()


def ask(backend: Any, name: str) -> bool:
    """Have a grammar made as SGLang's manager does; return whether it was ready."""
    schema = {"type": "object", "properties": {name: {"type": "string"}}}
    key = ("json", json.dumps(schema))
    found, ready = backend.get_cached_or_future_value(key, False)
    if not ready:
        backend.set_cache(key, found.result(60).copy())
    return bool(ready)


def test_however_many_schemas_are_named_what_is_kept_is_bounded(backend: Any) -> None:
    sizes = []
    for number in range(100):
        ask(backend, f"name{number}")
        sizes.append((backend.cache.currsize, backend.grammar_compiler.get_cache_size_bytes()))
    kept, parts = sizes[-1]
    assert 0 < kept <= MOST_BYTES
    assert 0 < parts <= MOST_BYTES
    assert len(backend.cache) < 100


def test_what_is_asked_again_stays_ready(backend: Any) -> None:
    assert not ask(backend, "same")
    for number in range(100):
        ask(backend, f"name{number}")
        assert ask(backend, "same")
    assert not ask(backend, "name0")


def test_one_that_is_larger_than_all_there_is_room_for_is_served(
    grammars: Any, backend: Any
) -> None:
    grammars.bound(backend, 10)
    for _ in range(2):
        ask(backend, "large")
    assert len(backend.cache) == 1


def test_other_backends_and_invalid_grammars_count_too(grammars: Any) -> None:
    backend = SimpleNamespace()
    grammars.bound(backend, 10 * 2**20)
    for number in range(100):
        backend.cache[number] = object()
    assert len(backend.cache) == 10
    grammars.bound(None)
