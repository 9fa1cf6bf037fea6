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
OURS = ("scalesim", "benchmarks", "docs")
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


def test_what_benchmarks_import_of_ours_is_there() -> None:
    """Benchmarks run by hand: a name that moved would be missed by nothing else."""
    missing = [
        f"{file.relative_to(ROOT)}: {node.module}.{alias.name}"
        for file in sorted((ROOT / "benchmarks").rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS)
        for alias in node.names
        if not _defines(str(node.module), alias.name)
    ]
    assert missing == []


def _defines(module: str, name: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    if (place / f"{name}.py").exists() or (place / name / "__init__.py").exists():
        return True
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    return source.exists() and bool(re.search(rf"\b{name}\b", source.read_text()))
