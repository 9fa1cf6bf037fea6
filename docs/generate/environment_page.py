"""Every environment variable: what it means and where it is read."""

from __future__ import annotations

import ast
import inspect

from docs.generate.text import ROOT, below
from scalesim import environment

_HEAD = """# Environment variables
Written by `make generated`. `scalesim/environment.py` is the only module that reads variables of
ours; nothing else in a stack depends on the shell that started it but what the last table names.

| variable | meaning | read by | for |
|---|---|---|---|
"""
_OTHERS = """
Read by libraries, and honoured where noted:

| variable | meaning | file |
|---|---|---|
| `TMPDIR` | where a stack's folder is made | `deployments/run_folder.py` |
| `http_proxy`, `https_proxy`, `no_proxy` | for calls to the outside alone | `scalesim/proxies.py` |
| `RAY_AUTH_MODE`, `RAY_AUTH_TOKEN` | for a Ray cluster that asks for a token | Ray |
"""
_PARTS = ("cli", "controller", "deployments", "policies", "simulations", "scalesim")


def page() -> str:
    """Return the page."""
    tree = ast.parse(inspect.getsource(environment))
    texts = below(tree.body)
    readers = _readers(tree)
    rows = []
    for constant, text in texts.items():
        names = sorted(name for name, read in readers.items() if constant in read)
        callers = sorted({file for name in names for file in _callers(name)})
        cells = (
            f"`{getattr(environment, constant)}`",
            text,
            ", ".join(f"`{name}`" for name in names),
            ", ".join(f"`{file}`" for file in callers),
        )
        rows.append("| " + " | ".join(cells) + " |\n")
    return _HEAD + "".join(rows) + _OTHERS


def _readers(tree: ast.Module) -> dict[str, set[str]]:
    """Return which names each public function of the module mentions."""
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {
        function.name: {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        for function in functions
        if not function.name.startswith("_")
    }


def _callers(function: str) -> list[str]:
    """Return the files that call a function of the module."""
    return [
        str(file.relative_to(ROOT))
        for part in _PARTS
        for file in (ROOT / part).rglob("*.py")
        if f"{function}(" in file.read_text() and file.name != "environment.py"
    ]
