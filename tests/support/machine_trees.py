"""Machines and containers as files: what `/proc` and `/sys` say there."""

from __future__ import annotations

from pathlib import Path

GIB = 2**30


def write(root: Path, name: str, text: object) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def write_machine(root: Path, total: int, available: int) -> None:
    write(
        root, "proc/meminfo", f"MemTotal: {total // 1024} kB\nMemAvailable: {available // 1024} kB"
    )


def write_group(
    root: Path, folder: str, limit: object, used: int, cached: int = 0, *, version: int = 2
) -> None:
    names = ("memory.max", "memory.current", "active_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_active_file")
    write(root, f"{folder}/{names[0]}", limit)
    write(root, f"{folder}/{names[1]}", used)
    write(root, f"{folder}/memory.stat", f"anon 1\n{names[2]} {cached}")
