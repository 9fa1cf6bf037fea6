"""A driver that is killed, however hard, goes on from the disk with the same text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.support.fake_stack import FakeStack

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

AGENTS, STEPS = 16, 60
WAIT_S = 120.0


@contextmanager
def driver(stack: FakeStack, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the reference town on a stack, in a process of its own with a Ray of its own."""
    command = [sys.executable, "-m", "scalesim.simulations", "town", "--agents", str(AGENTS)]
    command += ["--steps", str(STEPS), "--seed", "3", "--base-url", stack.base_url]
    command += ["--out", str(folder), "--transcript", str(folder / "said.txt")]
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT_S)


def test_a_killed_driver_goes_on_and_the_text_is_the_same(tmp_path: Path) -> None:
    with FakeStack() as stack:
        stack.status = {"data": [{"id": "small"}], "simulations": {}, "replicas": {}}
        with driver(stack, tmp_path / "whole") as process:
            assert process.wait(WAIT_S) == 0
        whole, calls = (tmp_path / "whole/said.txt").read_text(), len(stack.calls)
        stack.calls.clear()
        for enough in (calls / 4, calls / 2):
            with driver(stack, tmp_path / "killed"), stack.called:
                has_called = partial(lambda least: len(stack.calls) > least, enough)
                assert stack.called.wait_for(has_called, WAIT_S)
        assert list((tmp_path / "killed/checkpoint").rglob("agents-*.msgpack"))
        assert not (tmp_path / "killed/said.txt").exists()
        with driver(stack, tmp_path / "killed") as process:
            assert process.wait(WAIT_S) == 0
    assert (tmp_path / "killed/said.txt").read_text() == whole
    # What was under way as it was killed is asked again, and nothing that had ended before.
    assert calls <= len(stack.calls) <= calls + 2 * AGENTS
