"""Processes that are forked from one that has imported SGLang; the real engines here all are."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import psutil
import pytest
import setproctitle

from scalesim.deployments.engine.sglang import fork_server
from scalesim.deployments.engine.sglang.fork_server import InThisEnvironment


def _write_own(names: tuple[str, ...], path: Path) -> None:
    setproctitle.setproctitle("a title")
    title = psutil.Process().cmdline()[0]
    path.write_text("\n".join([title, *(str(os.environ.get(name)) for name in names)]))


def test_each_has_the_environment_of_its_own_start_and_a_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEFORE", "1")
    fork_server.start()
    monkeypatch.setenv("AFTER", "2")
    monkeypatch.delenv("BEFORE")
    context = multiprocessing.get_context("forkserver")
    run = InThisEnvironment(_write_own)
    process = context.Process(target=run, args=(("BEFORE", "AFTER"), tmp_path / "seen"))
    process.start()
    process.join(120)
    assert (tmp_path / "seen").read_text().split("\n") == ["a title", "None", "2"]


def test_beside_a_gpu_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "HAS_GPU", True)
    monkeypatch.setattr(fork_server.forkserver, "ensure_running", lambda: pytest.fail("started"))
    fork_server.start()
    assert fork_server.forked(_write_own) is _write_own


def test_one_serves_all_engines_of_a_process() -> None:
    def servers() -> list[psutil.Process]:
        ours = psutil.Process().children()
        return [each for each in ours if "forkserver import main" in " ".join(each.cmdline())]

    fork_server.start()
    first = servers()
    fork_server.start()
    assert len(first) == 1
    assert servers() == first
