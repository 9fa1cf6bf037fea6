"""Bounds what an engine remembers of grammars, of which every client can name new ones."""

from __future__ import annotations

from typing import Any

from cachetools import LRUCache

MOST_BYTES = 256 * 2**20
"""Most bytes of grammars kept ready, and as much again of their parts in xgrammar: a schema of the
kind that people write takes 0.3 MB at a vocabulary of 128k, the largest of some that are served 15
MB."""

_UNKNOWN_BYTES = 2**20
"""Size assumed of a grammar that does not tell its own: other backends', and those that are
invalid."""


def bound(backend: Any, most_bytes: int = MOST_BYTES) -> None:
    """Have SGLang's grammar backend forget what was used longest ago; None has nothing to forget.

    SGLang has its ranks agree on requests whose grammars are not ready, so what leaves must be the
    same on all: it is, by the order of requests and the sizes of grammars.
    """
    if backend is None:
        return
    backend.cache = LRUCache(most_bytes, lambda grammar: min(_bytes(grammar), most_bytes))
    inner = getattr(backend, "grammar_backend", backend)  # of a model that reasons
    if hasattr(inner, "grammar_compiler"):
        from xgrammar import GrammarCompiler

        vocabulary = inner._tokenizer_info
        inner.grammar_compiler = GrammarCompiler(vocabulary, cache_limit_bytes=most_bytes)


def _bytes(grammar: Any) -> int:
    compiled = getattr(getattr(grammar, "grammar", grammar), "ctx", None)
    return int(getattr(compiled, "memory_size_bytes", _UNKNOWN_BYTES))
