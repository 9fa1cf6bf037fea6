"""What users import: exported names with their signatures and what they say of themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from types import ModuleType

import scalesim
from docs.generate.text import first_paragraph
from scalesim import distances, me, payloads
from scalesim.settings import Settings

_HEAD = """# The Python interface
Written by `make generated`. Docstrings in the code say more: units, shapes, what is raised.
"""


_TURN = ["Me", "ModelReply", "InboxMessage", "Other"]
"""What the turn of a World's agent is given."""


def page() -> str:
    """Return the page."""
    parts = [_HEAD]
    modules = (
        (scalesim, dir(scalesim)),
        (me, _TURN),
        (distances, distances.__all__),
        (payloads, payloads.__all__),
    )
    for module, names in modules:
        parts.append(f"\n## `{module.__name__}`\n{first_paragraph(module)}\n")
        parts += [_entry(module, name) for name in names]
    return "".join(parts)


def _entry(module: ModuleType, name: str) -> str:
    what = getattr(module, name)
    lines = [f"\n### `{module.__name__}.{name}`\n{_signature(name, what)}{first_paragraph(what)}\n"]
    if inspect.isclass(what) and not issubclass(what, Exception):
        lines += _attributes(what)
        lines += [_method(*member) for member in vars(what).items() if _is_public(*member)]
    return "".join(lines)


def _attributes(cls: type) -> Iterator[str]:
    """Yield what a class says of its attributes, not its properties."""
    _, _, listed = (inspect.getdoc(cls) or "").partition("\nAttributes:\n")
    listed = listed.partition("\n\n")[0]
    for name, meaning in re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", listed, re.M):
        yield f"- `.{name}`: {' '.join(meaning.split())}\n"


def _is_public(name: str, member: object) -> bool:
    member = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    return not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))


def _method(name: str, member: object) -> str:
    if isinstance(member, property):
        return f"- `.{name}`: {first_paragraph(member)}\n"
    function = getattr(member, "__func__", member)
    assert callable(function)
    parameters = list(inspect.signature(function).parameters.values())
    if not isinstance(member, staticmethod):
        parameters = parameters[1:]
    shown = inspect.signature(function).replace(parameters=parameters)
    return f"- `.{name}{_plain(shown)}`: {first_paragraph(function)}\n"


def _signature(name: str, what: object) -> str:
    if inspect.isclass(what) and issubclass(what, Settings):
        return "Its fields are on the page of [settings](settings.md).\n\n"
    if inspect.isclass(what) and (
        issubclass(what, Exception) or getattr(what, "_is_protocol", False)
    ):
        return ""
    if inspect.isclass(what) and issubclass(what, Enum):
        return ", ".join(f"`{member.name}`" for member in what) + ".\n\n"
    assert callable(what)
    return f"```python\n{name}{_plain(inspect.signature(what))}\n```\n"


def _plain(signature: inspect.Signature) -> str:
    """Return a signature without the quotes around annotations that are not evaluated."""
    text = re.sub(r"ForwardRef\('(.*?)'\)", r"\1", str(signature))
    return re.sub(r"(: |-> )'(.*?)'", r"\1\2", text).removesuffix(" -> None")
