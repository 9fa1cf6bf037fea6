"""Adapters on their way into SGLang's host memory: whole, of the right shapes, and pinned once.

SGLang finds out about a wrong shape in the middle of a pass, and dies; here the load fails alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import torch
from sglang.srt.lora.lora import LoRAAdapter
from sglang.srt.lora.utils import get_stacked_multiply, get_target_module_name

from scalesim.deployments.engine.models.shared_memory import Ranks
from scalesim.deployments.engine.sglang.pinned import exactly_pinned

_GROUPS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Projections that SGLang computes as one: an adapter of some changes the others by nothing."""


class _Size(NamedTuple):
    inputs: int
    outputs: int


class AdapterLoads:
    """Loads the adapters of one LoRA manager.

    Args:
        manager: SGLang's; its loads are checked from now on.
        ranks: All of its engine; what one of them cannot load, none has.
    """

    def __init__(self, manager: Any, ranks: Ranks) -> None:
        self._manager = manager
        self._ranks = ranks
        self._pool = manager.memory_pool
        self._load = manager.load_lora_weights
        self._load_adapter = manager._load_lora_adapter
        manager.load_lora_weights = self._checked
        manager._load_lora_adapter = self._on_all_ranks
        normalize = LoRAAdapter._normalize_weights

        def completed(adapter: Any) -> None:
            for layer, weights in enumerate(adapter.layers):
                self._complete(layer, weights.weights)
            normalize(adapter)

        LoRAAdapter._normalize_weights = completed

    def _on_all_ranks(self, reference: Any) -> Any:
        """SGLang asks rank 0 alone whether it went well; the others would die of a request."""
        result, manager = self._load_adapter(reference), self._manager
        if self._ranks.agreed(result.success) or not result.success:
            return result
        for known in (manager.loras, manager.configs, manager.lora_refs):
            known.pop(reference.lora_id, None)
        manager.num_pinned_loras -= int(reference.pinned)
        return manager.create_lora_update_result(
            success=False, error_message="another tensor-parallel rank could not load it"
        )

    def _checked(self, reference: Any) -> None:
        try:
            self._load(reference)
            adapter = self._manager.loras[reference.lora_id]
            for layer, weights in enumerate(adapter.layers):
                self._require_shapes(layer, weights.weights, adapter.config.r)
            self._pin(adapter)
        except BaseException:
            self._manager.loras.pop(reference.lora_id, None)
            self._manager.configs.pop(reference.lora_id, None)
            raise

    def _complete(self, layer: int, weights: dict[str, torch.Tensor]) -> None:
        """Add what some projections of a group lack: zeros."""
        for group in _GROUPS:
            for name, weight in list(weights.items()):
                here = next((member for member in group if f".{member}.lora_" in name), None)
                for other in group if here is not None else ():
                    missing = name.replace(f".{here}.", f".{other}.")
                    if missing not in weights:
                        outputs = self._outputs(layer, other, weight)
                        rows = outputs if ".lora_B." in name else len(weight)
                        weights[missing] = weight.new_zeros(rows, weight.shape[1])

    def _outputs(self, layer: int, projection: str, sibling: torch.Tensor) -> int:
        if projection not in _GROUPS[0]:
            return len(sibling)
        for base in self._base_layers(layer).values():
            if hasattr(base, "total_num_kv_heads"):
                return _heads(base)[projection]
        return len(sibling)

    def _require_shapes(self, layer: int, weights: dict[str, torch.Tensor], rank: int) -> None:
        bases = self._base_layers(layer)
        for name, weight in weights.items():
            target = get_target_module_name(name, self._pool.target_modules)
            if target not in bases:
                raise ValueError(f"layer {layer} of the model has no {target}")
            size, is_a = _size(bases[target]), "lora_A" in name
            stacked = rank * get_stacked_multiply(target, self._pool.base_model)
            expected = (stacked, size.inputs) if is_a else (size.outputs, rank)
            if tuple(weight.shape) != expected:
                raise ValueError(f"{name} is {list(weight.shape)}, expected {list(expected)}")
            if not bool(weight.isfinite().all()):
                raise ValueError(f"{name} has NaN or infinity")

    def _base_layers(self, layer: int) -> dict[str, Any]:
        """Return the model's layers that can be changed, by what SGLang calls them."""
        found: dict[str, Any] = {}
        for name, module in self._manager.lora_modules[layer].items():
            if hasattr(module, "base_layer"):
                found[get_target_module_name(name, self._pool.target_modules)] = module.base_layer
        return found

    def _pin(self, adapter: Any) -> None:
        """Keep its weights in the engine's own type and in one block of pinned memory."""
        places = list(_places(adapter))
        tensors = [holder[name].to(self._manager.dtype) for holder, name in places]
        for (holder, name), pinned in zip(places, exactly_pinned(tensors), strict=True):
            holder[name] = pinned
        self._pool.enable_lora_overlap_loading = True  # shares of them are pinned once, too


def _places(adapter: Any) -> Iterator[tuple[dict[str, torch.Tensor], str]]:
    holders = (layer.weights for layer in adapter.layers)
    for holder in chain(holders, (adapter.embedding_layers,)):
        for name in holder:
            yield holder, name


def _size(base: Any) -> _Size:
    if hasattr(base, "total_num_kv_heads"):
        return _Size(base.input_size, sum(_heads(base).values()))
    return _Size(base.input_size, base.output_size)


def _heads(base: Any) -> dict[str, int]:
    """Return the outputs of each projection of SGLang's joint one, on all ranks together."""
    return {
        "q_proj": base.total_num_heads * base.head_size,
        "k_proj": base.total_num_kv_heads * base.head_size,
        "v_proj": base.total_num_kv_heads * base.v_head_size,
    }
