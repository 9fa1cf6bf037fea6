"""PEFT's `adapter_config.json`: every field is honoured, without effect on answers, or refused."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import regex

from scalesim.errors import InvalidRequestError

HONOURED = frozenset(
    {"peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "bias"}
    | {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"}
    | {"init_lora_weights"}
)
"""Fields that this module reads."""

WITHOUT_EFFECT = frozenset(
    {"task_type", "inference_mode", "auto_mapping", "peft_version", "runtime_config"}
    | {"base_model_name_or_path", "revision"}  # which model it goes with is seen by its shapes
    | {"lora_dropout", "loftq_config", "eva_config", "corda_config", "lora_ga_config"}  # training
    | {"qalora_group_size", "megatron_core"}  # of what is refused itself
    | {"fan_in_fan_out"}  # how the base model's weights are laid out: an engine knows
)
"""Fields that change no answer. All others, ones of a later PEFT too, must be empty."""

_MATCH_S = 0.1
"""Longest an expression may take for one name: some take hours, and engines read adapters too."""

_KEEP_THE_BASE = (None, True, False, "gaussian", "orthogonal", "eva")
"""Ways to begin a training that leave the base model's weights as they are."""


class LoraConfig(NamedTuple):
    """An adapter's `adapter_config.json`, checked.

    Attributes:
        rank: Rank of modules that `rank_pattern` does not name.
        alpha: Alpha of modules that `alpha_pattern` does not name.
        by_root: Scale by the root of the rank (`use_rslora`).
        ranks: By pattern of a module's name.
        alphas: By pattern of a module's name.
        targets: Ends of module names, or one expression for whole names.
        excluded: Likewise, of modules that are left out.
        layers: Layers that it changes; None for all.
    """

    rank: int
    alpha: float
    by_root: bool
    ranks: Mapping[str, int]
    alphas: Mapping[str, float]
    targets: tuple[str, ...] | str
    excluded: tuple[str, ...] | str
    layers: frozenset[int] | None

    def rank_of(self, module: str) -> int:
        """Return the rank of a module by its full name."""
        return self.ranks.get(_pattern("rank_pattern", self.ranks, module), self.rank)

    def scale_of(self, module: str) -> float:
        """Return what PEFT multiplies a module's change with."""
        alpha = self.alphas.get(_pattern("alpha_pattern", self.alphas, module), self.alpha)
        rank = self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.by_root else rank)

    def fault_of(self, module: str, layer: int) -> tuple[str, str] | None:
        """Return the field that keeps PEFT from changing a module, and how; None if none does."""
        if not _matches("target_modules", self.targets, module):
            return "target_modules", f"does not name {module}, which has weights"
        if self.excluded and _matches("exclude_modules", self.excluded, module):
            return "exclude_modules", f"names {module}, which has weights"
        if self.layers is not None and layer not in self.layers:
            return "layers_to_transform", f"leaves out layer {layer}, which has weights"
        return None


def read(file: Path) -> LoraConfig:
    """Return a configuration, checked.

    Raises:
        InvalidRequestError: A field is wrong, or says what cannot be served; names it.
        OSError: It cannot be read.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(values, dict):
            raise ValueError
    except ValueError:
        raise InvalidRequestError(
            f"{file.name} is not a JSON object: save it with PEFT", "model"
        ) from None
    for field in sorted(values.keys() - HONOURED - WITHOUT_EFFECT):
        if values[field] not in (None, False, "", [], {}):
            raise refused(field, values[field], "this is not served: train or convert it without")
    return _checked(values)


def _checked(values: dict[str, Any]) -> LoraConfig:
    if str(values.get("peft_type")).upper() != "LORA":
        raise refused("peft_type", values.get("peft_type"), "only LORA is served")
    if values.get("init_lora_weights") not in _KEEP_THE_BASE:
        raise refused(
            "init_lora_weights",
            values["init_lora_weights"],
            "its base model has other weights; save it with PEFT's "
            "path_initial_model_for_weight_conversion",
        )
    if values.get("bias") not in (None, "none"):
        raise refused("bias", values["bias"], "biases are not served: train it with 'none'")
    pattern = values.get("layers_pattern") or "layers"
    if "layers" not in ([pattern] if isinstance(pattern, str) else pattern):
        raise refused("layers_pattern", pattern, "only 'layers' is served")
    layers = values.get("layers_to_transform")
    if layers is not None:
        layers = _many("layers_to_transform", [layers] if isinstance(layers, int) else layers, int)
    targets = _names("target_modules", values.get("target_modules"))
    if not targets:
        raise refused("target_modules", values.get("target_modules"), "name the modules it changes")
    ranks = _patterns("rank_pattern", values.get("rank_pattern"))
    return LoraConfig(
        rank=_rank("r", values.get("r")),
        alpha=_alpha("lora_alpha", values.get("lora_alpha")),
        by_root=_flag("use_rslora", values.get("use_rslora")),
        ranks={key: _rank("rank_pattern", value) for key, value in ranks.items()},
        alphas={
            key: _alpha("alpha_pattern", value)
            for key, value in _patterns("alpha_pattern", values.get("alpha_pattern")).items()
        },
        targets=targets,
        excluded=_names("exclude_modules", values.get("exclude_modules")),
        layers=frozenset(layers) if layers is not None else None,
    )


def refused(field: str, value: Any, why: str) -> InvalidRequestError:
    """Return the refusal of a field's value."""
    return InvalidRequestError(
        f"{field} is {str(value)[:200]!r} in its configuration: {why}", field
    )


def _rank(field: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise refused(field, value, "a rank is a whole number from 1; save it with PEFT")
    return value


def _alpha(field: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise refused(field, value, "a number is expected; save it with PEFT")
    return float(value)


def _flag(field: str, value: Any) -> bool:
    if value not in (None, True, False):
        raise refused(field, value, "true or false is expected")
    return bool(value)


def _many(field: str, value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list) or any(type(each) is not kind for each in value):
        raise refused(field, value, f"a list of {kind.__name__} is expected")
    return tuple(value)


def _names(field: str, value: Any) -> tuple[str, ...] | str:
    names = value if isinstance(value, str) else _many(field, value or [], str)
    if isinstance(names, str):
        _compiled(field, names)
    return names


def _patterns(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value or {}, dict):
        raise refused(field, value, "an object of patterns is expected")
    for pattern in value or {}:
        _compiled(field, pattern)
    return value or {}


def _compiled(field: str, expression: str) -> None:
    try:
        regex.compile(expression)
    except regex.error as error:
        raise refused(field, expression, f"it is not a regular expression ({error})") from None


def _pattern(field: str, patterns: Mapping[str, Any], module: str) -> str:
    """Return the first pattern that PEFT finds in a module's name, or the name."""
    found = (p for p in patterns if _is_match(field, rf"(.*\.)?({p})", module))
    return next(found, module)


def _matches(field: str, names: tuple[str, ...] | str, module: str) -> bool:
    if names == "all-linear":
        return True
    if isinstance(names, str):
        return _is_match(field, names, module)
    return any(module == name or module.endswith(f".{name}") for name in names)


def _is_match(field: str, expression: str, module: str) -> bool:
    try:
        return regex.fullmatch(expression, module, timeout=_MATCH_S) is not None
    except TimeoutError:
        raise refused(field, expression, "it takes too long to match: use a simpler one") from None
