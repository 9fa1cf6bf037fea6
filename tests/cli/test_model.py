from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from scalesim.cli.main import app
from scalesim.errors import InvalidRequestError, UnknownModelError
from tests.support.model_files import write_model


def test_models_come_are_listed_and_go(tmp_path: Path) -> None:
    source, root = write_model(tmp_path / "saved"), str(tmp_path / "root")
    runner = CliRunner()
    added = runner.invoke(app, ["model", "add", "farmer", str(source), "--root", root])
    size = (source / "model.safetensors").stat().st_size
    assert f"farmer: size bytes {size}" in added.output
    listed = runner.invoke(app, ["model", "list", "--root", root, "--json"])
    (row,) = json.loads(listed.output)["models"]
    assert (row["name"], row["size_bytes"]) == ("farmer", size)
    assert "farmer" in runner.invoke(app, ["model", "list", "--root", root]).output
    assert runner.invoke(app, ["model", "remove", "farmer", "--root", root]).exit_code == 0
    again = runner.invoke(app, ["model", "remove", "farmer", "--root", root])
    assert isinstance(again.exception, UnknownModelError)


def test_what_is_no_model_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    arguments = ["model", "add", "farmer", str(tmp_path / "saved"), "--root", str(tmp_path / "r")]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, InvalidRequestError)
    assert not (tmp_path / "r").exists()


def test_one_of_another_shape_is_refused_where_the_model_is_named(tmp_path: Path) -> None:
    source, base = write_model(tmp_path / "saved", rows=5), write_model(tmp_path / "base")
    words = ["model", "add", "farmer", str(source), "--root", str(tmp_path / "r")]
    result = CliRunner().invoke(app, [*words, "--base", str(base)])
    assert "tensor head.weight" in str(result.exception)
    assert not (tmp_path / "r").exists()
    assert CliRunner().invoke(app, words).exit_code == 0
