"""Values that are free in form, bounded: JSON of any shape, token ids, one or many."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field
from pydantic_core import PydanticCustomError

MOST_DEPTH = 32
MOST_VALUES = 20_000
_LARGEST = 2**63

TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]
"""Whether it is of the vocabulary is known where the model is."""


def listed(value: Any) -> Any:
    """Return a string as a list of it, anything else unchanged."""
    return [value] if isinstance(value, str) else value


def together(field: str, message: str) -> PydanticCustomError:
    """Return what to raise where fields do not go together: `field` is the one to change."""
    return PydanticCustomError("together", "{message}", {"field": field, "message": message})


def branch(kind: str) -> str:
    """Return the tag of a branch of a union, which is not part of a field's name."""
    return f"[{kind}]"


def by_type(*kinds: str, absent: str = "") -> Discriminator:
    """Return what chooses the branch of a union by the `type` of an object.

    Args:
        kinds: Those there are, the tag of each a `branch`.
        absent: Where there is no `type`.
    """

    def tag(value: Any) -> str | None:
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return branch(str(kind or absent))

    return Discriminator(
        tag,
        custom_error_type="kind",
        custom_error_message=f"must be an object whose type is one of {', '.join(kinds)}",
    )


def plain_json(value: Any) -> Any:
    """Return `value` if it is JSON of bounded depth and size.

    Raises:
        PydanticCustomError: It is deeper than `MOST_DEPTH`, has more than `MOST_VALUES` values, or
            one that JSON does not know (integers beyond 64 bits, NaN, bytes).
    """
    level, values = [value], 0
    for _ in range(MOST_DEPTH):
        values += len(level)
        if values > MOST_VALUES:
            raise PydanticCustomError("size", f"has more than {MOST_VALUES} values")
        level = [below for value in level for below in _below(value)]
        if not level:
            return value
    raise PydanticCustomError("depth", f"is nested deeper than {MOST_DEPTH} levels")


def _below(value: Any) -> Any:
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise PydanticCustomError("json", "has names that are not strings")
        return value.values()
    if isinstance(value, list):
        return value
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise PydanticCustomError("json", "has a number that is not finite")
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise PydanticCustomError("json", "has an integer of more than 64 bits")
    if value is not None and not isinstance(value, str | int | float):
        raise PydanticCustomError("json", f"has a {type(value).__name__}, which JSON does not know")
    return ()


JsonObject = Annotated[dict[str, Any], Field(max_length=1024), AfterValidator(plain_json)]
