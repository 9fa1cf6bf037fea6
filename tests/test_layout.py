"""One name, one meaning: no two modules and no two classes share a name, and none is too long."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
PRODUCT = ("cli", "controller", "deployments", "policies", "scalesim", "simulations")
PARTS = (*PRODUCT, "benchmarks", "dashboards", "docs", "helm", "tests")
NAMED_BY_TOOLS = {"__init__", "__main__", "conftest"}


def modules(*parts: str) -> list[Path]:
    """Return the modules below folders of the top level, each once."""
    return sorted(
        file
        for part in parts
        for file in (ROOT / part).rglob("*.py")
        if not any(parent.is_symlink() for parent in file.parents)
    )


MODULES = modules(*PARTS)


def repeated(names: Counter[str]) -> list[str]:
    return [name for name, times in names.items() if times > 1]


def test_no_two_modules_share_a_name() -> None:
    names = Counter(file.stem for file in (*MODULES, *modules("examples")))
    assert set(repeated(names)) <= NAMED_BY_TOOLS


def test_no_two_classes_share_a_name() -> None:
    """Examples are programs of their own: several towns have citizens."""
    names = Counter(
        node.name
        for file in MODULES
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert repeated(names) == []


def test_files_are_small() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in MODULES}
    assert [file for file, count in lines.items() if count > 400] == []
    assert median(lines[file] for file in modules(*PRODUCT)) < 90


def test_nothing_but_tests_imports_tests() -> None:
    assert [
        file
        for file in MODULES
        if file.relative_to(ROOT).parts[0] != "tests"
        and re.search(r"^ *(from|import) tests", file.read_text(), re.M)
    ] == []
