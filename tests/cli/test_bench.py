"""`scalesim bench control-plane`, small."""

import json

from typer.testing import CliRunner

from scalesim.cli.bench import app


def test_json_report() -> None:
    arguments = ["control-plane", "--agents", "5000", "--replicas", "4", "--rounds", "2"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert report["updates_per_s"] > 0
    assert 0 < report["plan_s"]["p50"] <= report["plan_s"]["p99"]
    ratio = report["plan_s"]["p50"] / report["argpartition_s"]
    assert abs(report["plan_over_argpartition"] - ratio) < 1e-9
    assert report["bytes_per_agent"] > 50
    assert "replicas" in CliRunner().invoke(app, arguments).output
