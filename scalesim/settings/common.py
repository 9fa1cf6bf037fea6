"""What all settings have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from scalesim.errors import ConfigurationError


class Settings(BaseModel):
    """Base of all settings: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def load(model: type[Settings], values: Mapping[str, Any]) -> Any:
    """Return `model` built from plain values.

    Raises:
        ConfigurationError: A name is unknown or a value is out of range; names every field.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        lines = "; ".join(
            f"{'.'.join(str(part) for part in e['loc']) or model.__name__}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(
            f"settings are not valid: {lines}. See scalesim/settings/ for names and units"
        ) from None
