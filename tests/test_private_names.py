"""Tests and benchmarks see of the product what others see: none of its private names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import PRODUCT, ROOT, modules, parsed, text

OWNERS = modules(*PRODUCT, "benchmarks", "dashboards", "docs", "helm")
READERS = modules("tests", "benchmarks", "examples")

OTHERS = {
    "_asdict": "NamedTuple",
    "_fields": "NamedTuple",
    "_replace": "NamedTuple",
    "_is_device_leaf": "SGLang",
    "_normalize_weights": "SGLang",
    "_prepare_options": "OpenAI's client",
}
"""Names that only look private, or are of others and overridden here."""

BY_NAME = {"setattr", "getattr", "delattr", "object"}
"""Calls that are given an attribute by its name."""

PRIVATE = r"(_[a-zA-Z]\w*)"
DEFINED = re.compile(rf"self\.{PRIVATE}|(?:def|class) {PRIVATE}|^(?:\w+, )?{PRIVATE}", re.M)
"""In what owns them: attributes, functions, classes, variables of a module."""

TAKEN = re.compile(rf"(?<!self)(?<!cls)\.{PRIVATE}|[\"']{PRIVATE}[\"']|import {PRIVATE}")
INHERITED = re.compile(rf"self\.{PRIVATE}")
OWN = re.compile(rf"self\.{PRIVATE}[^=\n(]*=|(?:def|class) {PRIVATE}|^{PRIVATE}", re.M)


def names(pattern: re.Pattern[str], file: Path) -> set[str]:
    found = (each if isinstance(each, tuple) else (each,) for each in pattern.findall(text(file)))
    return {name for each in found for name in each if name}


def stand_ins(file: Path) -> set[str]:
    """Return the functions that a test has of its own, some under names of what it stands for."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(parsed(file)) if isinstance(node, kinds)}


def taken(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the attributes that a module takes of anything but itself, with their lines."""
    for node in ast.walk(parsed(file)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name, lineno=line):
                yield line, name
            case ast.ImportFrom(names=imported, lineno=line):
                yield from ((line, each.name) for each in imported)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in BY_NAME:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value.rpartition(".")[2]


def inherited(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the attributes that a class takes of the class of ours that it is derived from."""
    nodes = list(ast.walk(parsed(file)))
    of_ours = {
        each.asname or each.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scalesim")
        for each in node.names
    }
    for node in nodes:
        if isinstance(node, ast.ClassDef) and of_ours & {ast.unparse(base) for base in node.bases}:
            for each in ast.walk(node):
                match each:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name):
                        yield each.lineno, name


def test_nobody_else_uses_what_is_private() -> None:
    ours = {name for file in OWNERS for name in names(DEFINED, file)} - OTHERS.keys()
    found = set()
    for file in READERS:  # most of which need not be parsed
        not_its_own = names(INHERITED, file) - names(OWN, file)
        uses = [*taken(file)] if ours & names(TAKEN, file) else []
        uses += inherited(file) if ours & not_its_own else []
        private = ours - stand_ins(file) if uses else ours
        found |= {f"{file.relative_to(ROOT)}:{at}: {name}" for at, name in uses if name in private}
    assert found == set()
