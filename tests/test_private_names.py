"""Tests and benchmarks see of the product what others see: none of its private names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.sources import PRODUCT, ROOT, modules, parsed

OWNERS = modules(*PRODUCT, "benchmarks", "dashboards", "docs", "helm")
READERS = modules("tests", "benchmarks", "examples")
BY_NAME = {"setattr", "getattr", "delattr", "object"}
"""Calls that are given an attribute by its name."""

OTHERS = {
    "_is_device_leaf": "SGLang",
    "_normalize_weights": "SGLang",
    "_prepare_options": "OpenAI's client",
}
"""Private names of others that we override, and tests look at."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def defined(file: Path) -> Iterator[str]:
    """Yield the private names of a module, its classes and their instances."""
    for node in ast.walk(parsed(file)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name


def stand_ins(file: Path) -> set[str]:
    """Return the functions that a test has of its own, some under names of what it stands for."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(parsed(file)) if isinstance(node, kinds)}


def used(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the attributes that a module takes of anything but itself, with their lines."""
    for node in ast.walk(parsed(file)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name, lineno=line):
                yield line, name
            case ast.ImportFrom(names=names, lineno=line):
                yield from ((line, each.name) for each in names)
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in BY_NAME:
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                        yield node.lineno, argument.value.rpartition(".")[2]


def inherited(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the attributes that a test's class takes of the class of ours that it is derived from.

    Those that it makes itself are its own.
    """
    nodes = list(ast.walk(parsed(file)))
    of_ours = {
        each.asname or each.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("scalesim")
        for each in node.names
    }
    own = set(defined(file))
    for node in nodes:
        if isinstance(node, ast.ClassDef) and of_ours & {ast.unparse(base) for base in node.bases}:
            for each in ast.walk(node):
                match each:
                    case ast.Attribute(value=ast.Name(id="self"), attr=name) if name not in own:
                        yield each.lineno, name


def test_nobody_else_uses_what_is_private() -> None:
    ours = {name for file in OWNERS for name in defined(file) if is_private(name)}
    found = {
        f"{file.relative_to(ROOT)}:{line}: {name}"
        for file in READERS
        for line, name in (*used(file), *inherited(file))
        if name in ours - OTHERS.keys() - stand_ins(file)
    }
    assert found == set()
