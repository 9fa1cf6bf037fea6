"""Recording and alert rules, by Prometheus' own tests."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dashboards.grafana_files import FOLDER

RULES = FOLDER.parent / "prometheus" / "rules.yaml"
TESTS = Path(__file__).parent / "rules_test.yaml"


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    return found


def test_rules_are_valid(promtool: str) -> None:
    subprocess.run([promtool, "check", "rules", str(RULES)], check=True, capture_output=True)


def test_rules_record_and_alert_as_written(promtool: str) -> None:
    done = subprocess.run([promtool, "test", "rules", str(TESTS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested() -> None:
    alerts = [
        line.split(":")[1].strip()
        for line in RULES.read_text().splitlines()
        if line.strip().startswith("- alert:")
    ]
    assert alerts
    for alert in alerts:
        assert alert in TESTS.read_text()
