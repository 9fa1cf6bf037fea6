"""One name, one meaning: no two modules and no two classes share a name, and none is too long."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

from tests.support.sources import PRODUCT, ROOT, modules, parsed, text

PARTS = (*PRODUCT, "benchmarks", "dashboards", "docs", "helm", "tests")
NAMED_BY_TOOLS = {"__init__", "__main__", "conftest"}


MODULES = modules(*PARTS)
ORDER = ("scalesim", "policies", "controller", "deployments", "simulations", "cli")
"""Imports go to the left."""
FACADES = {ROOT / "scalesim" / name for name in ("distances.py", "payloads.py")}
"""What users import of ours from other parts, by a name of its own."""


def part_of(module: str) -> str:
    """Return the folder of the top level that `scalesim.x.y` is in."""
    part = module.split(".")[1] if "." in module else ""
    return part if part in ORDER else "scalesim"


def named(file: Path) -> str:
    names = list(file.relative_to(ROOT).with_suffix("").parts)
    names = names if names[0] == "scalesim" else ["scalesim", *names]
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imports(body: list[ast.stmt], known: Collection[str]) -> Iterator[str]:
    """Yield modules of ours that are imported with this one, those for type checking too."""
    for node in body:
        match node:
            case ast.ImportFrom(module=str(module), names=names, level=0):
                for each in names:
                    inner = f"{module}.{each.name}"
                    yield inner if inner in known else module
            case ast.If(body=inside) | ast.Try(body=inside) | ast.With(body=inside):
                yield from imports(inside, known)


def types(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    """Yield names of classes, and of types with what they stand for: equal ones are one."""
    for node in body:
        match node:
            case ast.ClassDef(name=name):
                yield name, ""
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if is_type(name):
                yield name, ast.unparse(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if is_type(name):
                yield name, ast.unparse(value) if value else ""


def is_type(name: str) -> bool:
    return name[0].isupper() and not name.isupper() and not name.startswith("Test")


def repeated(names: Counter[str]) -> list[str]:
    return [name for name, times in names.items() if times > 1]


def test_no_two_modules_share_a_name() -> None:
    names = Counter(file.stem for file in (*MODULES, *modules("examples")))
    assert set(repeated(names)) <= NAMED_BY_TOOLS


def test_one_name_is_one_class_or_type() -> None:
    """Examples are programs of their own: several towns have citizens."""
    meanings: dict[str, set[str]] = {}
    for file in MODULES:
        for name, meaning in types(parsed(file).body):
            meanings.setdefault(name, set()).add(meaning or str(file))
    assert {name: those for name, those in meanings.items() if len(those) > 1} == {}


def test_files_are_small() -> None:
    lines = {file: len(text(file).splitlines()) for file in MODULES}
    assert [file for file, count in lines.items() if count > 400] == []
    assert median(lines[file] for file in modules(*PRODUCT)) < 90


def test_docstrings_name_classes_where_they_are() -> None:
    """Names like `moves.MoveOutcome`, of our modules; those of others are theirs."""
    homes: dict[str, list[Path]] = {}
    for file in modules(*PRODUCT):
        homes.setdefault(named(file).rpartition(".")[2], []).append(file)
    wrong = {
        f"{file.relative_to(ROOT)}: {module}.{name}"
        for file in modules(*PRODUCT)
        for module, name in re.findall(r"`(?:\w+\.)*([a-z_]+)\.([A-Z]\w+)[`.]", text(file))
        if module in homes and not any(re.search(rf"\b{name}\b", text(at)) for at in homes[module])
    }
    assert wrong == {"scalesim/mesa_world.py: mesa.Model"}  # Mesa's own


def test_nothing_but_tests_imports_tests() -> None:
    assert [
        file
        for file in MODULES
        if file.relative_to(ROOT).parts[0] != "tests"
        and re.search(r"^ *(from|import) tests", text(file), re.M)
    ] == []


def test_imports_go_down() -> None:
    """Those inside functions too."""
    up = {
        f"{file.relative_to(ROOT)}: {module}"
        for file in modules(*PRODUCT)
        for module in re.findall(r"^ *from (scalesim\.[\w.]+) import", text(file), re.M)
        if ORDER.index(part_of(module)) > ORDER.index(part_of(named(file))) and file not in FACADES
    }
    assert up == set()


def test_no_modules_import_each_other() -> None:
    files = {named(file): file for file in modules(*PRODUCT)}
    graph = {
        name: {each for each in imports(parsed(file).body, files) if each in files} - {name}
        for name, file in files.items()
    }
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names them


def test_the_engine_names_what_touches_sglang() -> None:
    """Outside of the adapter layer: `deployments/engine/__init__.py` lists it all."""
    engine = ROOT / "deployments" / "engine"
    listed = text(engine / "__init__.py")
    touching = {
        "/".join(file.relative_to(engine).parts[:1])
        for file in modules("deployments/engine")
        if re.search(r"^ *(from|import) sglang\b", text(file), re.M)
    }
    assert {name for name in touching if not re.search(rf"`{re.escape(name)}\b", listed)} == set()
    others = [part for part in PRODUCT if part != "deployments"]
    outside = [*modules(*others), *set(modules("deployments")) - set(modules("deployments/engine"))]
    assert [
        file for file in outside if re.search(r"^ *(from|import) sglang\b", text(file), re.M)
    ] == []


def test_one_module_reads_the_environment() -> None:
    """Others write variables, put back what these were, or pass all of them on."""
    read = re.compile(
        r"os\.getenv\(|os\.environ\.get\((?!name\))|os\.environ\[(?!name\])[^]]+\](?! = )"
    )
    assert [file for file in modules(*PRODUCT) if read.search(text(file))] == [
        ROOT / "scalesim" / "environment.py"
    ]
