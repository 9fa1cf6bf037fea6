"""Every setting: its type, default and meaning, from the classes that check them."""

from __future__ import annotations

import ast
import inspect
import typing
from typing import Any, Literal

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from docs.generate.text import below, first_paragraph, one_line
from scalesim import settings
from scalesim.settings import ClientSettings, StackSettings

_HEAD = """# Settings
Written by `make generated` from `scalesim/settings/`. `scalesim up --config FILE` takes a YAML file
with the names of the first table; a name that is not known, or a value out of bounds, is refused at
start-up by its full name. Units are in the names: `_s` are seconds, `_bytes` bytes, `_tokens`
tokens; a share is a number from 0 to 1.
"""
_BOUNDS = {"ge": "at least {}", "gt": "over {}", "le": "at most {}", "lt": "below {}"}
_BOUNDS |= {"min_length": "at least {} of them"}


def page() -> str:
    """Return the page."""
    parts = [_HEAD, _tables("", StackSettings), "\n# Settings of the client library\n"]
    parts.append(
        "\nGiven to `scalesim.Simulation(settings=scalesim.ClientSettings(...))`; without them, "
        "[the environment](environment.md) says where the stack is.\n"
    )
    parts.append(_table("", ClientSettings, "`scalesim.ClientSettings`"))
    return "".join(parts)


def _tables(path: str, model: type[BaseModel]) -> str:
    """Return the table of a class, and those of the classes that its fields hold."""
    parts = [_table(path, model)]
    for name, field in model.model_fields.items():
        if (section := _section(field)) is not None:
            parts.append(_tables(f"{path}{name}.", section))
    return "".join(parts)


def _table(path: str, model: type[BaseModel], title: str = "The file") -> str:
    (node,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(node, ast.ClassDef)
    texts = below(node.body)
    title = f"`{path.rstrip('.')}`" if path else title
    home = model.__module__.replace(".", "/")
    rows = [
        f"\n## {title}\n{first_paragraph(model)} `{model.__name__}` in `{home}.py`.\n",
        "\n| name | type | default | meaning |\n|---|---|---|---|\n",
    ]
    for name, field in model.model_fields.items():
        meaning = texts.get(name, "")
        if (section := _section(field)) is not None and not meaning:
            meaning = first_paragraph(section)
        cells = (f"`{path}{name}`", _type(field), _default(field), meaning)
        rows.append("| " + " | ".join(cells) + " |\n")
    return "".join(rows)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    """Return the class of settings that a field holds, where it holds one."""
    kinds = getattr(field.annotation, "__args__", (field.annotation,))
    found = [
        kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, settings.Settings)
    ]
    return found[0] if found else None


def _type(field: FieldInfo) -> str:
    annotation: Any = field.annotation
    if _section(field) is not None:
        text = "section"
    elif annotation is SecretStr:
        text = "secret"
    elif typing.get_origin(annotation) is Literal:
        text = " or ".join(f"`{value}`" for value in typing.get_args(annotation))
    else:
        plain = annotation
        if typing.get_origin(plain) is dict:  # what bounds its values is in the meaning
            plain = dict[tuple(getattr(k, "__origin__", k) for k in typing.get_args(plain))]  # type: ignore[misc]
        text = inspect.formatannotation(plain).replace("typing.", "")
    bounds = []
    for bound in field.metadata:
        for name, words in _BOUNDS.items():
            if hasattr(bound, name):
                bounds.append(words.format(getattr(bound, name)))
    return one_line(", ".join([text, *bounds]))


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "empty"
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, settings.Settings):
        return ""
    value = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return "none" if value in (None, "") else f"`{value}`"
