"""A model's weights, read from its files and written into an SGLang engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from deployments.engine.boot import HAS_GPU
from deployments.engine.models.files import ModelShelf, weight_files
from deployments.engine.models.tensors import header, read_into
from scalesim.errors import InvalidRequestError
from scalesim.settings import ModelSettings

Weights = list[tuple[str, torch.Tensor]]

BASE = ""
"""Identity of the model the engine was started with."""

_BUCKET_BYTES = 2**28
"""Copied to the device at a time: SGLang puts it beside the weights before it writes them."""

_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}


class WeightReader:
    """Reads models into host memory, pinned where there is a GPU.

    Args:
        base: Folder of the engine's own model.
        settings: Where the others are.
    """

    def __init__(self, base: Path, settings: ModelSettings) -> None:
        self._base = base
        self._shelf = ModelShelf(settings)
        self.size_bytes = sum(header(file).data_bytes for file in weight_files(base))

    def read(self, model: str) -> Weights:
        """Return the weights of a model by its identity.

        Raises:
            InvalidRequestError: It is not there any more, broken, or not what was asked for.
            OSError: It cannot be read.
        """
        folder = self._base if model == BASE else self._folder(model)
        weights = [weight for file in weight_files(folder) for weight in _read(file)]
        if model != BASE:
            self._folder(model)  # still what it was before
        return weights

    def _folder(self, model: str) -> Path:
        found = self._shelf.find(model.partition("@")[0])
        if found.identity != model:
            raise InvalidRequestError(
                f"model {found.name!r} has changed on disk since it was asked for: ask again",
                "model",
            )
        return found.folder


def write(weights: Weights, updater: Any) -> None:
    """Write weights into an engine, in place, through SGLang's own calls.

    Args:
        weights: Of every parameter of its model.
        updater: `weight_updater` of its model runner.

    Raises:
        Exception: Whatever went wrong. The engine's weights are then no model's.
    """
    device = torch.get_device_module()
    device.synchronize()  # a pass under way reads them
    updater.begin_weight_update()
    for bucket in _buckets(weights):
        written, fault = updater.update_weights_from_tensor(bucket)
        if not written:
            raise RuntimeError(fault)
    updater.end_weight_update(run_post_load=False)
    device.synchronize()


def _read(file: Path) -> Weights:
    known = header(file)
    data = torch.empty(known.data_bytes, dtype=torch.uint8, pin_memory=HAS_GPU)
    read_into(memoryview(data.numpy()), file, known)
    return [
        (name, data[entry.begin : entry.end].view(_DTYPES[entry.dtype]).view(entry.shape))
        for name, entry in known.entries.items()
    ]


def _buckets(weights: Weights) -> Iterator[Weights]:
    bucket: Weights = []
    size = 0
    for name, tensor in weights:
        if bucket and size + tensor.nbytes > _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append((name, tensor))
        size += tensor.nbytes
    yield bucket
