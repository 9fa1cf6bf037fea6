from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scalesim.cli.main import app
from scalesim.errors import InvalidRequestError, UnknownModelError
from tests.support.adapter_files import write_adapter
from tests.support.model_files import write_model


@pytest.mark.slow
def test_adapters_come_are_listed_and_go(tmp_path: Path) -> None:
    source, root = write_adapter(tmp_path / "saved" / "farmer", 1), str(tmp_path / "root")
    runner = CliRunner()
    agents = ["--agent", "town/bob", "--agent", "town/ann"]
    added = runner.invoke(app, ["adapter", "add", "farmer", str(source), "--root", root, *agents])
    assert "farmer: rank 8" in added.output
    listed = runner.invoke(app, ["adapter", "list", "--root", root, "--json"])
    (row,) = json.loads(listed.output)["adapters"]
    assert (row["name"], row["rank"], row["agents"]) == ("farmer", 8, 2)
    assert "farmer" in runner.invoke(app, ["adapter", "list", "--root", root]).output
    runner.invoke(app, ["adapter", "unassign", "town/bob", "--root", root])
    listed = runner.invoke(app, ["adapter", "list", "--root", root, "--json"])
    assert json.loads(listed.output)["adapters"][0]["agents"] == 1
    assert runner.invoke(app, ["adapter", "remove", "farmer", "--root", root]).exit_code == 0
    again = runner.invoke(app, ["adapter", "remove", "farmer", "--root", root])
    assert isinstance(again.exception, UnknownModelError)


@pytest.mark.slow
def test_every_verb_prints_one_document_for_programs(tmp_path: Path) -> None:
    source, root = write_adapter(tmp_path / "saved" / "farmer", 1), str(tmp_path / "root")

    def run(*words: str) -> Any:
        more = ["--root", root, "--json"]
        return json.loads(CliRunner().invoke(app, ["adapter", *words, *more]).output)

    added = run("add", "farmer", str(source), "--agent", "town/bob")["adapter"]
    assert [added] == run("list")["adapters"]
    assert run("unassign", "town/bob") == {"unassigned": ["town/bob"]}
    assert run("remove", "farmer") == {"removed": "farmer"}


@pytest.mark.parametrize("name", ["../up", "a/b", ""])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    source, root = write_adapter(tmp_path / "saved" / "farmer", 1), tmp_path / "root"
    result = CliRunner().invoke(app, ["adapter", "add", name, str(source), "--root", str(root)])
    assert isinstance(result.exception, InvalidRequestError)
    assert not root.exists()


@pytest.mark.slow
def test_one_for_another_model_is_refused_where_the_model_is_named(tmp_path: Path) -> None:
    source, root = write_adapter(tmp_path / "saved" / "farmer", 1), tmp_path / "root"
    model = write_model(tmp_path / "base", vocab_size=5)
    words = ["adapter", "add", "farmer", str(source), "--root", str(root)]
    result = CliRunner().invoke(app, [*words, "--base", str(model)])
    assert "the engine's model" in str(result.exception)
    assert CliRunner().invoke(app, words).exit_code == 0
