"""The report: complete, and readable without a network."""

import json
import re
from pathlib import Path

import pytest

from scalesim.headers import CachedTokens
from simulations.arms import Machine
from simulations.comparison import document
from simulations.coordinator import Pace
from simulations.report import print_table, write_report
from tests.simulations.runs import outcome, small_society


@pytest.fixture
def written(tmp_path: Path) -> Path:
    workload = small_society()
    outcomes = {
        "stock": outcome(workload, CachedTokens(76), busy_s=3.0, text="w1"),
        "hicache": outcome(workload, CachedTokens(76, 16, 48), busy_s=2.5, text="w1"),
        "scalesim": outcome(workload, CachedTokens(76, 64), busy_s=2.0, text="<b>"),
    }
    result = document(outcomes, workload)
    folder = tmp_path / "made" / "here"
    write_report(folder, result, outcomes, workload, Machine(Path("/models/m")), Pace())
    return folder


def test_the_json_says_what_was_run(written: Path) -> None:
    report = json.loads((written / "report.json").read_text())
    assert {"arms", "speedup", "run", "details"} == set(report)
    assert report["run"]["machine"]["model_path"] == "m"
    assert report["run"]["versions"]["ray"] == "2.60.0"
    steps = report["details"]["hicache"]["steps"]
    assert [step["step"] for step in steps] == [1, 2]
    assert steps[0]["host_tokens"] == 96


def test_the_page_loads_nothing(written: Path) -> None:
    page = (written / "report.html").read_text()
    assert page.count("<svg") == 4
    loads = re.findall(r'(?:src|href)="([^"#]+)', page) + re.findall(r"url\(([^)#]+)\)", page)
    assert [target for target in loads if not target.startswith("#")] == []
    assert ">1.50" in page
    assert "the arms returned different text" in page


def test_the_table_fits_a_narrow_terminal(
    written: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(json.loads((written / "report.json").read_text()), Path("out"))
    shown = capsys.readouterr().out
    assert "1.50x" in shown
    assert "out/report.html" in shown
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert "storage" not in shown
