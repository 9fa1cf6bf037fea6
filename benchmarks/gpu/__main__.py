"""All parts, one after the other, each in a process of its own: python -m benchmarks.gpu."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.gpu.options import parser

PARTS = ("races", "calibrate", "arms", "sweep")


def main() -> None:
    """Run the parts wanted with the other arguments passed on; exit with 1 where one failed."""
    arguments = parser()
    arguments.add_argument("--part", choices=PARTS, action="append", help="all, unless given")
    options, rest = arguments.parse_known_args()
    if rest:
        arguments.error(f"unknown arguments: {' '.join(rest)}")
    passed = ["--minutes", str(options.minutes), "--out", str(options.out), "--only", options.only]
    passed += ["--small"] * options.small
    failed = [part for part in options.part or PARTS if _ended_badly(part, passed)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def _ended_badly(part: str, arguments: list[str]) -> bool:
    command = [sys.executable, "-m", f"{__package__}.{part}", *arguments]
    return subprocess.run(command, check=False).returncode != 0  # noqa: S603


if __name__ == "__main__":
    main()
