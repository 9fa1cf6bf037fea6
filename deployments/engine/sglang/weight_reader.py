"""A model's weights, read from its files and written into an SGLang engine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from scalesim.deployments.engine.boot import HAS_GPU
from scalesim.deployments.engine.models.model_registry import ModelRegistry, weight_files
from scalesim.deployments.engine.models.shared_memory import Ranks, copies, shared_file
from scalesim.deployments.engine.models.tensors import Header, header, read_into
from scalesim.deployments.engine.sglang.pinned import pinned
from scalesim.deployments.engine.sglang.timed_copy import TimedCopy
from scalesim.errors import InvalidRequestError
from scalesim.settings import ModelSettings

Weights = list[tuple[str, torch.Tensor]]

BASE = ""
"""Identity of the model the engine was started with."""

BUCKET_BYTES = 2**28
"""Bytes copied to the device at a time: SGLang puts them beside the weights before it writes
them."""

_DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
    **{"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2},
}


class WeightReader:
    """Reads models into host memory, pinned where there is a GPU, and once for all ranks.

    Args:
        base: Folder of the engine's own model.
        settings: Where the others are.
        ranks: Who reads the same.

    Attributes:
        size_bytes: Bytes of one model.
        held_bytes: Bytes of host memory that one takes, of all ranks together.
    """

    def __init__(self, base: Path, settings: ModelSettings, ranks: Ranks) -> None:
        self._base = base
        self._ranks = ranks
        self._gpu = torch.cuda.current_device() if HAS_GPU else None
        self._registry = ModelRegistry(settings)
        self.size_bytes = sum(header(file).data_bytes for file in weight_files(base))
        self.held_bytes = self.size_bytes * copies(ranks)

    def begin(self, model: str) -> Callable[[], Weights]:
        """Prepare reading a model by its identity; called on all ranks.

        Returns:
            What reads it, on any thread. It raises `InvalidRequestError` where the model is not
            there any more, broken, or not what was asked for, and `OSError` where it cannot be
            read.
        """
        if self._ranks.count == 1:
            return partial(self._read, model, None)
        size = 0
        with suppress(OSError, InvalidRequestError):  # reading it will say so
            size = sum(_aligned(file.stat().st_size) for file in weight_files(self._where(model)))
        return partial(self._read, model, shared_file(self._ranks, size))

    def _read(self, model: str, shared: int | None) -> Weights:
        if self._gpu is not None:
            torch.cuda.set_device(self._gpu)
        try:
            files = [(file, header(file)) for file in weight_files(self._where(model))]
            size = sum(_aligned(known.data_bytes) for _, known in files)
            if shared is not None and size > os.fstat(shared).st_size:
                raise InvalidRequestError(
                    f"model {model!r} has changed on disk: ask again", "model"
                )
            memory = pinned(size, -1 if shared is None else shared)
        finally:
            if shared is not None:
                os.close(shared)
        weights, start = [], 0
        for file, known in files:
            data = memory[start : start + known.data_bytes]
            if shared is None or self._ranks.first:
                read_into(memoryview(data.numpy()), file, known)
            weights += _views(data, known)
            start += _aligned(known.data_bytes)
        self._where(model)  # still what it was before
        return weights

    def _where(self, model: str) -> Path:
        return self._base if model == BASE else self._folder(model)

    def _folder(self, model: str) -> Path:
        found = self._registry.find(model.partition("@")[0])
        if found.identity != model:
            raise InvalidRequestError(
                f"model {found.name!r} has changed on disk since it was asked for: ask again",
                "model",
            )
        return found.folder


def write(weights: Weights, updater: Any) -> float:
    """Write weights into an engine, in place, through SGLang's own calls.

    Args:
        weights: Values of every parameter of its model.
        updater: `weight_updater` of its model runner.

    Returns:
        Seconds that it took the device.

    Raises:
        Exception: Whatever went wrong. The engine's weights are then no model's.
    """
    device = torch.get_device_module()
    device.synchronize()  # a pass under way reads them
    copy = TimedCopy(device)
    with copy.on(device.current_stream()):
        updater.begin_weight_update()
        for bucket in _buckets(weights):
            written, fault = updater.update_weights_from_tensor(bucket)
            if not written:
                raise RuntimeError(fault)
        updater.end_weight_update(run_post_load=False)
    device.synchronize()
    return copy.seconds


def _views(data: torch.Tensor, known: Header) -> Weights:
    return [
        (name, data[entry.begin : entry.end].view(_DTYPES[entry.dtype]).view(entry.shape))
        for name, entry in known.entries.items()
    ]


def _aligned(size: int) -> int:
    """Return where in memory the next file begins: tensors of any type may begin there."""
    return -(-size // 64) * 64


def _buckets(weights: Weights) -> Iterator[Weights]:
    bucket: Weights = []
    size = 0
    for name, tensor in weights:
        if bucket and size + tensor.nbytes > BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append((name, tensor))
        size += tensor.nbytes
    yield bucket
