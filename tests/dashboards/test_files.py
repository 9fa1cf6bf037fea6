"""The dashboards that are checked in: fresh, and as Grafana's conventions want them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from dashboards.board import Board
from dashboards.grafana_files import BOARDS, FOLDER, written
from tests.helm.test_schemas import ALL_MONITORING
from tests.support.chart import render

each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def _file(board: Board) -> dict[str, Any]:
    return dict(json.loads((FOLDER / f"{board.uid}.json").read_text()))


@each_board
def test_written_anew_it_is_the_same(board: Board) -> None:
    file = FOLDER / f"{board.uid}.json"
    assert file.read_text() == written(board), "run python -m dashboards.grafana_files"


def test_no_file_without_a_board() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {board.uid for board in BOARDS}


@each_board
def test_conventions(board: Board) -> None:
    file = _file(board)
    assert file["uid"] == board.uid
    assert file.get("id") is None
    variables = {each["name"]: each for each in file["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    for variable in variables.values():
        if variable["type"] == "query":
            assert variable["query"].startswith("label_values(")
            assert variable["datasource"]["uid"] == "${datasource}"
    panels = file["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            for window in re.findall(r"\[(.*?)\]", target["expr"]):
                assert window in {"$__rate_interval", "$__range"}
            for used in re.findall(r"\$(\w+)", target["expr"]):
                assert used in variables or used.startswith("__")
            assert not re.search(r"\w:\w", target["expr"])


@each_board
def test_every_metric_of_ours_is_of_the_namespaces_and_releases_chosen(board: Board) -> None:
    variables = {each["name"]: each for each in _file(board)["templating"]["list"]}
    assert list(variables)[:3] == ["datasource", "namespace", "release"]
    assert "namespace=~" in variables["release"]["query"]
    queries = [
        each["expr"] for panel in _file(board)["panels"] for each in panel.get("targets", ())
    ]
    queries += [each["query"] for each in variables.values() if "," in str(each["query"])][2:]
    chosen = r'\{namespace=~"\$namespace",app_kubernetes_io_instance=~"\$release"[,}]'
    for query in queries:
        assert len(re.findall(rf"scalesim_\w+{chosen}", query)) == query.count("scalesim_"), query


def test_the_labels_chosen_by_are_those_that_the_monitors_give() -> None:
    objects = render(ALL_MONITORING)
    wanted = "app.kubernetes.io/instance"
    assert wanted in objects["ServiceMonitor", "town-scalesim"]["spec"]["targetLabels"]
    assert wanted in objects["PodMonitor", "town-scalesim-ray"]["spec"]["podTargetLabels"]
    assert wanted in objects["Service", "town-scalesim-metrics"]["metadata"]["labels"]


@each_board
def test_panels_fill_rows_without_overlap(board: Board) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in _file(board)["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not cells & taken
        taken |= cells
