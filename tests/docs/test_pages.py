"""Pages of the documentation: written again they are the same, and what they name exists."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.generate.reference import FOLDER, PAGES
from docs.generate.text import ROOT
from tests.support.sources import modules, parsed

TEXTS = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")})
PARTS = ("cli", "controller", "deployments", "policies", "simulations", "scalesim")
FILE = re.compile(rf"`((?:{'|'.join((*PARTS, 'docs', 'tests', 'helm', 'dashboards'))})/[\w./-]*)`")
NAME = re.compile(r"`([A-Z]\w+)\.(\w+)`|`scalesim\.((?:\w+\.)*\w+)`")

each_text = pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))


@pytest.mark.parametrize("name", PAGES)
def test_written_anew_it_is_the_same(name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text() == PAGES[name](), "run make generated"


def test_no_page_without_a_maker() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == PAGES.keys()


@each_text
def test_files_it_names_exist(text: Path) -> None:
    named = set(FILE.findall(text.read_text()))
    assert {name for name in named if not (ROOT / name).exists()} == set()


@each_text
def test_names_are_in_the_files_beside_them(text: Path) -> None:
    named = re.findall(r"`(\w+)`\s\(`([\w/]+\.py)`\)", text.read_text())
    assert [(name, file) for name, file in named if name not in _words(ROOT / file)] == []


@each_text
def test_tests_it_names_exist(text: Path) -> None:
    named = re.findall(r"`(test_\w+\.py)(?:::(\w+))?", text.read_text())
    files = {file.name: file for file in (ROOT / "tests").rglob("test_*.py")}
    assert {file for file, _ in named} - files.keys() == set()
    assert [(file, test) for file, test in named if test and test not in _words(files[file])] == []


def test_files_the_design_names_without_their_folder_exist() -> None:
    known = {file.name for part in (*PARTS, "tests") for file in (ROOT / part).rglob("*.py")}
    text = (ROOT / "docs" / "design.md").read_text()
    assert set(re.findall(r"`(\w+\.py)`", text)) - known == set()


@each_text
def test_links_lead_somewhere(text: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text.read_text())
    assert {link for link in links if not (text.parent / link).exists()} == set()


@each_text
def test_members_it_names_exist(text: Path) -> None:
    known = _members()
    named = [(cls, member) for cls, member, _ in NAME.findall(text.read_text()) if cls in known]
    assert {f"{cls}.{member}" for cls, member in named if member not in known[cls]} == set()


@each_text
def test_modules_it_names_exist(text: Path) -> None:
    named = {path for *_, path in NAME.findall(text.read_text()) if path}
    assert {path for path in named if not _is_there(path.split("."))} == set()


def _is_there(names: list[str]) -> bool:
    """Return whether `scalesim.` and these names lead to a module, or to a name in one."""
    if names[0] in {"step", *_words(ROOT / "scalesim" / "__init__.py")}:
        return True
    for at in range(len(names), 0, -1):
        place = ROOT.joinpath("scalesim", *names[:at])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.exists():
            return at == len(names) or names[at] in _words(module)
    return False


def _words(module: Path) -> set[str]:
    return set(re.findall(r"\w+", module.read_text()))


@functools.cache
def _members() -> dict[str, set[str]]:
    """Return methods, fields and attributes of every class, by its name."""
    known: dict[str, set[str]] = {}
    for part in PARTS:
        for file in modules(part):
            for node in ast.walk(parsed(file)):
                if isinstance(node, ast.ClassDef):
                    known.setdefault(node.name, set()).update(_of(node))
    return known


def _of(cls: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(cls):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Name(id=name):
                yield name
            case ast.Attribute(attr=name):
                yield name
