"""`scalesim replay`, whole, over small traces."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from scalesim.cli.replay import app, parse_capacity
from scalesim.errors import InvalidRequestError


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    lines = [json.dumps({"step": s, "agent": f"a{i}"}) for s in range(10) for i in range(5)]
    path.write_text("\n".join(lines))
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
def test_json_report(trace: Path) -> None:
    done = invoke(trace, "--capacity", "0.4", "--no-prefetch", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert {key: report[key] for key in ("requests", "agents", "capacity")} == {
        "requests": 50,
        "agents": 5,
        "capacity": 2,
    }
    names = ["lru", "lfu", "s3fifo", "gdsf", "kvflow", "distance", "belady", "oracle"]
    assert list(report["policies"]) == names
    assert report["policies"]["lru"]["hits"] == 0, "round robin is the worst case of recency"
    assert report["policies"]["oracle"]["hits"] > 0
    columns = {"hits", "hit_ratio", "byte_hit_ratio", "stall_s", "prefetch", "requests_per_s"}
    assert report["policies"]["lru"].keys() == columns


def test_prefetch_is_the_default_and_bytes_are_a_capacity(trace: Path) -> None:
    done = invoke(trace, "--capacity", "0.25GiB", "--policy", "distance,lru", "--json")
    report = json.loads(done.output)
    assert report["capacity"] == 2**28
    assert report["policies"]["distance"]["prefetch"]["used"] > 0
    assert report["policies"]["lru"]["prefetch"]["issued"] == 0


def test_people_get_a_table(trace: Path) -> None:
    done = invoke(trace, "--policy", "lru,oracle")
    assert done.exit_code == 0
    assert "oracle" in done.output


def test_plot_is_one_self_contained_file(trace: Path, tmp_path: Path) -> None:
    plot = tmp_path / "curves.svg"
    done = invoke(trace, "--policy", "lru,belady", "--no-prefetch", "--plot", plot)
    assert done.exit_code == 0
    svg = plot.read_text()
    assert svg.count("<polyline") == 2
    assert svg.endswith("</svg>")
    assert "href" not in svg


@pytest.mark.parametrize(
    "arguments",
    [
        ("--capacity", "0"),
        ("--capacity", "1.5"),
        ("--capacity", "lots"),
        ("--capacity", "-3GiB"),
        ("--capacity", "1e30GiB"),
        ("--capacity", "nan"),
        ("--policy", ","),
        ("--policy", "mru"),
        ("--hints", "psychic"),
        ("--hints", "noisy:101"),
        ("--plot", "/nowhere/curves.svg"),
    ],
)
def test_what_cannot_be_asked_is_refused(trace: Path, arguments: tuple[str, str]) -> None:
    done = invoke(trace, *arguments)
    assert isinstance(done.exception, InvalidRequestError)
    assert done.exception.field == arguments[0].removeprefix("--")


def test_a_file_that_is_no_trace_is_named(tmp_path: Path) -> None:
    assert "nowhere" in str(invoke(tmp_path / "nowhere").exception)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert isinstance(invoke(binary).exception, InvalidRequestError)


@pytest.mark.parametrize(
    ("text", "capacity"), [("0.4", 0.4), ("1", 1.0), ("8GiB", 8 * 2**30), ("512 b", 512)]
)
def test_capacities(text: str, capacity: float) -> None:
    assert parse_capacity(text) == capacity
    assert type(parse_capacity(text)) is type(capacity)
