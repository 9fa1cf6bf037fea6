"""Words that a newcomer understands at once, in code, tests and pages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from tests.support.sources import PRODUCT, ROOT, modules, parsed, text

PHRASES = re.compile(
    r"\b(?:anew|lest|nobody's|for ever|in vain|comes? to rest|came to rest|whose turn it is)\b"
    r"|\"Its own\.",
    re.IGNORECASE,
)
"""Phrases of another age, or of nothing in particular."""

FRAGMENT = re.compile(r"(?:Of|Between|By|In which|That|Until|Below|Above|Beside|After which)\b")
"""Beginnings of what only goes on from the name above it."""


def constants(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the docstrings below assignments, those in classes too."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from constants(node.body)
    for node, below in pairwise(body):
        match node, below:
            case (
                ast.Assign() | ast.AnnAssign(),
                ast.Expr(value=ast.Constant(value=str(docstring))),
            ):
                yield docstring


def pages() -> Iterator[Path]:
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").rglob("*.md")


def test_phrases_that_went_do_not_come_back() -> None:
    files = {*modules(*PRODUCT, "benchmarks", "dashboards", "docs", "helm", "tests"), *pages()}
    found = {
        f"{file.relative_to(ROOT)}: {phrase}"
        for file in files - {Path(__file__)}
        for phrase in PHRASES.findall(text(file))
    }
    assert found == set()


def test_what_is_said_of_a_constant_says_what_it_is() -> None:
    found = {
        f"{file.relative_to(ROOT)}: {docstring}"
        for file in modules(*PRODUCT, "benchmarks", "dashboards", "docs", "helm")
        for docstring in constants(parsed(file).body)
        if FRAGMENT.match(docstring)
    }
    assert found == set()
