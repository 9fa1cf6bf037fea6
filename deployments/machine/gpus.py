"""GPUs that this process may use, seen through the driver: no CUDA context is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any, NamedTuple

from scalesim.environment import visible_gpus_from_env


class Gpu(NamedTuple):
    """One GPU, or a part of one (MIG).

    Attributes:
        name: The maker's.
        total_bytes: Its memory.
        free_bytes: What no process has of it now.
    """

    name: str
    total_bytes: int
    free_bytes: int


def visible_gpus(library: Any = None, visible: str | None = None) -> tuple[Gpu, ...]:
    """Return the GPUs that CUDA shows this process, in its order; none where the driver fails.

    Args:
        library: In place of `pynvml`.
        visible: In place of CUDA_VISIBLE_DEVICES: numbers or UUIDs, with commas.
    """
    if library is None:
        try:
            library = import_module("pynvml")
        except ImportError:
            return ()
    try:
        library.nvmlInit()
    except library.NVMLError:
        return ()
    try:
        handles = _handles(library, visible_gpus_from_env() if visible is None else visible)
        return tuple(_gpu(library, part) for handle in handles for part in _parts(library, handle))
    except library.NVMLError:  # one that fell off the bus, or has no memory of its own
        return ()
    finally:
        library.nvmlShutdown()


def _handles(library: Any, visible: str | None) -> Iterator[Any]:
    """Yield devices as CUDA does: those after one that is not there are not seen."""
    every = [library.nvmlDeviceGetHandleByIndex(n) for n in range(library.nvmlDeviceGetCount())]
    if visible is None:
        yield from every
        return
    for name in map(str.strip, visible.split(",")):
        if name.isdecimal() and int(name) < len(every):
            yield every[int(name)]
        elif name.startswith("GPU-"):  # CUDA takes the first letters of a UUID
            same = [each for each in every if _uuid(library, each).startswith(name)]
            if len(same) != 1:
                return
            yield same[0]
        elif name.startswith("MIG-"):
            with suppress(library.NVMLError):
                yield library.nvmlDeviceGetHandleByUUID(name)
                continue
            return
        else:
            return


def _parts(library: Any, handle: Any) -> Iterator[Any]:
    """Yield a GPU; of one that is cut into parts the first: CUDA uses no more than one of them."""
    try:
        is_cut = bool(library.nvmlDeviceGetMigMode(handle)[0])
    except library.NVMLError:  # it cannot be, or is a part
        is_cut = False
    if not is_cut:
        yield handle
        return
    for number in range(library.nvmlDeviceGetMaxMigDeviceCount(handle)):
        with suppress(library.NVMLError):
            yield library.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            return


def _uuid(library: Any, handle: Any) -> str:
    return str(library.nvmlDeviceGetUUID(handle))


def _gpu(library: Any, handle: Any) -> Gpu:
    memory = library.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(str(library.nvmlDeviceGetName(handle)), int(memory.total), int(memory.free))
