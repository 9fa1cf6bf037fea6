"""The report: complete, and readable without a network."""

import json
import re
from pathlib import Path

import pytest

from scalesim.headers import CachedTokens
from scalesim.pins import pinned
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine, ArmOutcome
from scalesim.simulations.call_table import calls_of
from scalesim.simulations.comparison import document
from scalesim.simulations.report import print_table, write_report
from scalesim.simulations.report.details import roles
from scalesim.simulations.report.provenance import provenance
from tests.support.simulation_runs import STATUS, outcome, small_society

pytestmark = pytest.mark.slow  # every one draws plots


@pytest.fixture
def written(tmp_path: Path) -> Path:
    workload = small_society()
    outcomes = {
        "stock": outcome(workload, CachedTokens(76), busy_s=3.0, text="w1"),
        "hicache": outcome(workload, CachedTokens(76, 16, 48), busy_s=2.5, text="w1"),
        "scalesim": outcome(workload, CachedTokens(76, 64), busy_s=2.0, text="<b>", status=STATUS),
    }
    result = document(outcomes, workload)
    folder = tmp_path / "made" / "here"
    write_report(folder, result, outcomes, workload, ArmMachine(Path("/models/m")), RunOptions())
    return folder


def test_the_json_says_what_was_run(written: Path) -> None:
    report = json.loads((written / "report.json").read_text())
    assert {"arms", "speedup", "emulated", "run", "details"} == set(report)
    assert report["run"]["machine"]["model_path"] == "m"
    assert report["run"]["versions"]["ray"] == pinned("ray")
    steps = report["details"]["hicache"]["steps"]
    assert [step["step"] for step in steps] == [1, 2]
    assert steps[0]["tokens"] == {
        "prompt": 152,
        "output": 8,
        "device": 32,
        "host": 96,
        "storage": 0,
    }
    assert steps[1]["latency_s"] == {"p50": 0.2, "p95": 0.2, "p99": 0.2}


def test_the_json_says_how_good_the_run_was(written: Path) -> None:
    details = json.loads((written / "report.json").read_text())["details"]
    assert details["hicache"]["roles"]["villager"]["agents"] == 5
    assert details["hicache"]["roles"]["villager"]["calls"] == 4
    assert details["hicache"]["on_device"]["run"] == 0.25
    assert 0 <= details["hicache"]["on_device"]["lru"] <= details["hicache"]["on_device"]["oracle"]
    assert details["stock"]["stall_s"] == pytest.approx(0.2)  # calls of step 2 wait 0.1 s longer
    assert details["stock"]["prefetches"] == details["stock"]["hint_quality"] == {}
    assert details["scalesim"]["prefetches"]["prefix"]["used"] == 6
    quality = details["scalesim"]["hint_quality"]
    assert (quality["coverage"], quality["exact"]) == (7 / 8, 6 / 8)
    assert quality["age_steps"] == 2


def test_a_run_that_was_resumed_and_failed_says_so(tmp_path: Path) -> None:
    workload = small_society()
    good = outcome(workload, CachedTokens(76), busy_s=3.0, text="", error="HTTP 503: <none>")
    outcomes = {"stock": good._replace(run=good.run._replace(resumed_after=1))}
    machine = ArmMachine(Path("/models/m"), storage=tmp_path)
    write_report(tmp_path, document(outcomes, workload), outcomes, workload, machine, RunOptions())
    page = (tmp_path / "report.html").read_text()
    assert "went on after step 1" in page
    assert "4 of 4 calls failed" in page
    assert "HTTP 503: &lt;none&gt;" in page


def test_a_run_without_a_call_says_so(tmp_path: Path) -> None:
    """A World whose agents never met."""
    workload = small_society()
    run = outcome(workload, CachedTokens(0), busy_s=3.0, text="").run
    silent = run._replace(warmup=calls_of([]), calls=calls_of([]))
    outcomes = {"scalesim": ArmOutcome(silent, {})}
    machine, result = ArmMachine(Path("/models/m")), document(outcomes, workload)
    write_report(tmp_path, result, outcomes, workload, machine, RunOptions())
    print_table(result, tmp_path)
    assert "no call" in (tmp_path / "report.html").read_text()
    details = json.loads((tmp_path / "report.json").read_text())["details"]["scalesim"]
    assert (details["calls"], details["steps"], details["on_device"]["run"]) == (0, [], 0.0)


def test_equal_configurations_have_equal_hashes() -> None:
    workload, run_options = small_society(), RunOptions()

    def config_hash(model: str, run_options: RunOptions) -> str:
        return str(provenance(workload, ArmMachine(Path(model)), run_options)["config_hash"])

    assert config_hash("/a/m", run_options) == config_hash("/b/m", run_options)
    assert config_hash("/a/m", run_options) != config_hash("/a/m", RunOptions(workers=3))


def test_roles_are_names_without_numbers() -> None:
    assert roles(["villager-01", "villager-2", "mayor"]) == ["villager", "villager", "mayor"]
    assert roles(["7"]) == ["agent"]
    assert set(roles([f"{chr(97 + n)} Smith" for n in range(20)])) == {"agent"}


def test_the_page_loads_nothing(written: Path) -> None:
    page = (written / "report.html").read_text()
    assert page.count("<svg") == 7
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
