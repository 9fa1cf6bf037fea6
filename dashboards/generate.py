"""Writes the dashboards: `python -m dashboards.generate`."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import control, memory, simulation
from dashboards.board import Board

FOLDER = Path(__file__).parent / "grafana"
BOARDS = (memory.BOARD, simulation.BOARD, control.BOARD)


def written(board: Board) -> str:
    """Return a dashboard's file."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.json()) + "\n"


if __name__ == "__main__":
    for each in BOARDS:
        (FOLDER / f"{each.uid}.json").write_text(written(each))
