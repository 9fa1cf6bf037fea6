"""Checks client libraries, each in an environment of its own: `python -m tests.clients [NAME ...]`.

Their environments are kept in the user's cache and made from the package index; one that cannot be
made is reported and left out. Prints a table, and exits 1 where a check failed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

from scalesim.deployments.random_model import build
from scalesim.deployments.stack import Stack
from scalesim.environment import cache_folder_from_env
from scalesim.settings import StackSettings, load
from tests.clients import client_stack as setup

_MAKE_S = 600
_CHECK_S = 300


class Library(NamedTuple):
    """A library: what pip is asked for, and the checks that drive it."""

    requirements: tuple[str, ...]
    checks: str


LIBRARIES = {
    "openai-1": Library(("openai>=1.66,<2",), "openai_checks.py"),
    "openai-2": Library(("openai>=2,<3",), "openai_checks.py"),
    "openai-3": Library(("openai>=3,<4",), "openai_checks.py"),
    "litellm": Library(("litellm>=1.60",), "litellm_checks.py"),
    "anthropic": Library(("anthropic>=0.40",), "anthropic_checks.py"),
}


def environment(name: str, library: Library) -> Path:
    """Return the interpreter of a library's environment; make it where there is none yet."""
    folder = cache_folder_from_env() / "clients" / name
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        venv.create(folder, clear=True, with_pip=True, system_site_packages=False)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*command, *library.requirements], check=True, timeout=_MAKE_S)
        (folder / "made").touch()
    return python


def run(python: Path, library: Library, base_url: str) -> dict[str, str]:
    """Return the fault of each check of a library, empty where it found what it expects."""
    script = Path(__file__).parent / library.checks
    done = subprocess.run(
        [str(python), str(script), base_url, setup.KEY],
        capture_output=True,
        text=True,
        timeout=_CHECK_S,
        cwd=script.parent,
    )
    if done.returncode:
        return {"start": done.stderr.strip().splitlines()[-1]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*LIBRARIES, []], help="all by default")
    names = parser.parse_args().names or list(LIBRARIES)
    failed = 0
    with tempfile.TemporaryDirectory(prefix="scalesim-") as folder:
        model = str(build(Path(folder) / "model", size="tiny"))
        with Stack(load(StackSettings, setup.values(model))) as stack:
            for name in names:
                try:
                    python = environment(name, LIBRARIES[name])
                except (subprocess.SubprocessError, OSError) as error:
                    print(f"{name:12} left out, its environment cannot be made: {error}")
                    continue
                faults = run(python, LIBRARIES[name], stack.base_url)
                found = {check: fault for check, fault in faults.items() if fault}
                failed += len(found)
                print(f"{name:12} {len(faults) - len(found):3} of {len(faults)} hold", flush=True)
                for check, fault in found.items():
                    print(f"             {check}: {fault}", flush=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
