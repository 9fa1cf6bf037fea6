"""An adapter as it was saved: its configuration and weights, checked against each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.engine.lora.peft_config import LoraConfig, read
from scalesim.deployments.engine.models.tensors import TensorEntry, header
from scalesim.errors import InvalidRequestError

CONFIG, WEIGHTS, WORDS = "adapter_config.json", "adapter_model.safetensors", "added_tokens.json"

_TENSOR = re.compile(r"base_model\.model\.((?:.+\.)?layers\.(\d+)\..+)\.lora_(A|B)\.weight")
_DTYPES = frozenset({"F32", "F16", "BF16"})


class AdaptedModule(NamedTuple):
    """What it changes of one module.

    Attributes:
        a: Tensor of shape (rank, inputs).
        b: Tensor of shape (outputs, rank).
        scale: The change is scale * b @ a.
    """

    a: TensorEntry
    b: TensorEntry
    scale: float

    @property
    def rank(self) -> int:
        """Return its own rank."""
        return self.a.shape[0]


class SavedAdapter(NamedTuple):
    """A whole adapter.

    Attributes:
        config: What its configuration says.
        modules: By their names in the base model.
        added_tokens: Largest id of a token that came with it; -1 for none.
    """

    config: LoraConfig
    modules: dict[str, AdaptedModule]
    added_tokens: int

    @property
    def rank(self) -> int:
        """Return the largest rank of its modules."""
        return max(module.rank for module in self.modules.values())

    @property
    def is_plain(self) -> bool:
        """Whether engines take it unchanged: one rank, one scale, modules by the ends of names."""
        config, ends = self.config, {name.rpartition(".")[2] for name in self.modules}
        return (
            not isinstance(config.targets, str)
            and ends <= {target.rpartition(".")[2] for target in config.targets}
            and not config.by_root
            and all(
                (module.rank, module.scale) == (config.rank, config.alpha / config.rank)
                for module in self.modules.values()
            )
        )


def load(folder: Path) -> SavedAdapter:
    """Return an adapter; its weights' values are not read.

    Raises:
        InvalidRequestError: It is broken, or does what cannot be served; names the field or tensor.
        OSError: A file cannot be read.
    """
    config = read(folder / CONFIG)
    parts: dict[str, dict[str, TensorEntry]] = {}
    for tensor, entry in header(folder / WEIGHTS).entries.items():
        found = _TENSOR.fullmatch(tensor)
        if found is None:
            raise _wrong(tensor, "is not served", "only lora_A and lora_B of layers are")
        module, layer, part = found[1], int(found[2]), found[3]
        if ".experts." in module or len(entry.shape) != 2 or entry.dtype not in _DTYPES:
            shape = f"is {entry.dtype} {list(entry.shape)}"
            raise _wrong(tensor, shape, "matrices of dense layers in F32, F16 or BF16 are served")
        if fault := config.fault_of(module, layer):
            raise InvalidRequestError(" ".join(fault) + ": PEFT would not use them", fault[0])
        parts.setdefault(module, {})[part] = entry
    if not parts:
        raise InvalidRequestError(f"{WEIGHTS} holds no weights: save it with PEFT", "model")
    return SavedAdapter(
        config,
        {name: _module(config, name, found) for name, found in sorted(parts.items())},
        _added(folder / WORDS),
    )


def _module(config: LoraConfig, name: str, parts: dict[str, TensorEntry]) -> AdaptedModule:
    if len(parts) != 2:
        raise _wrong(name, f"has lora_{min(parts)} alone", "save it with PEFT")
    a, b, rank = parts["A"], parts["B"], config.rank_of(name)
    if not a.shape[0] == b.shape[1] == rank:
        field = "r" if rank == config.rank else "rank_pattern"
        raise InvalidRequestError(
            f"{field} says rank {rank} of {name}, its weights are {list(a.shape)} and "
            f"{list(b.shape)}: save it with PEFT",
            field,
        )
    return AdaptedModule(a, b, config.scale_of(name))


def _added(file: Path) -> int:
    """Return the largest id of added tokens."""
    if not file.is_file():
        return -1
    try:
        return max(map(int, json.loads(file.read_bytes()).values()), default=-1)
    except (ValueError, AttributeError, TypeError):
        raise InvalidRequestError(
            f"{WORDS} is not an object of token ids: save it with its tokenizer, or leave it out",
            WORDS,
        ) from None


def _wrong(tensor: str, what: str, cure: str) -> InvalidRequestError:
    return InvalidRequestError(f"tensor {tensor[:200]} {what}: {cure}", "model")
