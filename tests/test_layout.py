"""One name, one meaning: no two modules and no two classes share a name."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("benchmarks", "cli", "controller", "dashboards", "deployments", "docs", "helm", "policies")
MODULES = sorted(
    file
    for part in (*PARTS, "scalesim", "simulations")
    for file in (ROOT / part).rglob("*.py")
    if not any(parent.is_symlink() for parent in file.parents) and file.stem[:2] != "__"
)
NAMED_BY_A_RULE = {ROOT / "cli", ROOT / "scalesim" / "settings"}
"""Folders with a file for each verb, and for each part that has settings."""


def test_no_two_modules_share_a_name() -> None:
    names = Counter(file.stem for file in MODULES if file.parent not in NAMED_BY_A_RULE)
    assert [name for name, files in names.items() if files > 1] == []


def test_no_two_classes_share_a_name() -> None:
    names = Counter(
        node.name
        for file in MODULES
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert [name for name, classes in names.items() if classes > 1 and name[0] != "_"] == []


def test_nothing_but_tests_imports_tests() -> None:
    assert [
        file for file in MODULES if re.search(r"^ *(from|import) tests", file.read_text(), re.M)
    ] == []
