"""The report as a browser lays it out: nothing is cut off, nothing is asked of a network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from scalesim.headers import CachedTokens
from scalesim.simulations.arm_run import RunOptions
from scalesim.simulations.arms import ArmMachine
from scalesim.simulations.comparison import document
from scalesim.simulations.report import write_report
from tests.support.simulation_runs import STATUS, outcome, small_society

_MEASURE = """<script>
const wide = [...document.querySelectorAll("main *:not(svg *)")].filter(
  (e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"));
const flat = [...document.querySelectorAll("svg")].filter((e) => e.clientHeight < 20);
const loaded = performance.getEntriesByType("resource").map((e) => e.name);
document.title = JSON.stringify(
  {page: document.documentElement.scrollWidth, window: innerWidth,
   wide: wide.map((e) => e.tagName), flat: flat.length, loaded});
</script>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [1200, 600])
def test_it_fits_and_loads_nothing(width: int, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    workload = small_society()
    outcomes = {
        "stock": outcome(workload, CachedTokens(76), busy_s=3.0, text="w", error="HTTP 503"),
        "scalesim": outcome(workload, CachedTokens(76, 64), busy_s=2.0, text="w", status=STATUS),
    }
    result = document(outcomes, workload)
    write_report(tmp_path, result, outcomes, workload, ArmMachine(Path("m")), RunOptions())
    page = tmp_path / "report.html"
    page.write_text(page.read_text().replace("</body>", _MEASURE + "</body>"))
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    assert found is not None
    seen = json.loads(found[1])
    assert seen["page"] <= seen["window"]
    assert (seen["wide"], seen["flat"], seen["loaded"]) == ([], 0, [])
