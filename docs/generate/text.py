"""Docstrings, as tables of a page show them."""

from __future__ import annotations

import ast
import inspect
import itertools
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):$", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+): ", re.MULTILINE)


def first_paragraph(what: object) -> str:
    """Return the first paragraph of an object's docstring on one line; "" where there is none."""
    return one_line((inspect.getdoc(what) or "").partition("\n\n")[0])


def raised(what: object) -> list[str]:
    """Return the names in the "Raises" section of a docstring."""
    parts = _SECTION.split(inspect.getdoc(what) or "")
    return _ENTRY.findall(dict(zip(parts[1::2], parts[2::2], strict=True)).get("Raises", ""))


def one_line(text: str) -> str:
    """Return a text on one line, for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def below(body: list[ast.stmt]) -> dict[str, str]:
    """Return the docstring that stands under each assignment, on one line, by name."""
    texts = {}
    for statement, next_one in itertools.pairwise(body):
        match statement, next_one:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                texts[name] = one_line(text)
    return texts
