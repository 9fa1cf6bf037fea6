"""Writes the dashboards: `python -m dashboards.grafana_files`."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import control_board, memory_board, simulation_board
from dashboards.board import Board

FOLDER = Path(__file__).parent / "grafana"
BOARDS = (memory_board.BOARD, simulation_board.BOARD, control_board.BOARD)


def written(board: Board) -> str:
    """Return a dashboard's file."""
    return JSONEncoder(sort_keys=True, indent=2).encode(board.json()) + "\n"


if __name__ == "__main__":
    for each in BOARDS:
        (FOLDER / f"{each.uid}.json").write_text(written(each))
