"""Keeps what an engine's processes share with each other inside its folder, and off the network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SEVERAL = {"dist_init_addr": None, "nnodes": 1, "dp_size": 1, "nccl_port": None}
"""Arguments by which ranks of several groups or machines meet, and what they are where none do."""


def environment(folder: Path, arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what has the ranks of an engine meet over a file in a folder.

    torch's own way is a port, on all addresses whatever address is set.

    Args:
        folder: Folder of the engine.
        arguments: `EngineSettings.extra_args`; ranks on several machines need the port.
    """
    if any(arguments.get(name, usual) != usual for name, usual in _SEVERAL.items()):
        return {}
    return {"SGLANG_DISTRIBUTED_INIT_METHOD_OVERRIDE": f"file://{folder}/rendezvous"}


def keep_in_tmpdir() -> None:
    """Have this process look for the load figures of an engine in its TMPDIR.

    SGLang puts them into shared memory that it never removes.
    """
    from sglang.srt.managers import load_snapshot

    load_snapshot.shm_path_for = _path_for


@contextmanager
def leaving_no_files() -> Iterator[None]:
    """Remove what an engine that this process alone has would leave, after the block that makes it.

    Nobody else reads its load figures, and its sockets' files are for other processes to find.
    """
    keep_in_tmpdir()
    former = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="scalesim-") as folder:
        tempfile.tempdir = folder
        try:
            yield
        finally:
            tempfile.tempdir = former


def _path_for(name: str) -> str:
    return os.path.join(tempfile.gettempdir(), f"loads-{name.rpartition('/')[2]}")
