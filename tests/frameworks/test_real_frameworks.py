"""Real frameworks against a real stack with a small real model: `make integrations`.

Each example is run twice: with its clients pointed to the stack and nothing else, and under
`scalesim run`. Not a part of `make test`: gigabytes of packages, and minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from typer.testing import CliRunner

from scalesim.cli import run
from scalesim.cli.stack_process import StackProcess
from scalesim.integrations.client_variables import client_variables
from scalesim.runs import report, stack_counts
from scalesim.runs.recorder import Recorder
from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation
from tests.frameworks.environments import ROOT, python_with
from tests.frameworks.framework_programs import FRAMEWORKS

_PROGRAM_S = 800

MOOD = {
    "type": "json_schema",
    "json_schema": {
        "name": "mood",
        "schema": {
            "type": "object",
            "properties": {"mood": {"type": "string", "enum": ["calm", "angry"]}},
            "required": ["mood"],
        },
    },
}

pytestmark = pytest.mark.timeout(1800)


@contextmanager
def stack(folder: Path, device_tokens: int) -> Iterator[ClientSettings]:
    """Start a stack whose device has room for some of a framework's agents, and not for all."""
    config = {
        "engine": {"model_path": "smollm2", "device_tokens": device_tokens, "host_ratio": 8.0},
        "ingress": {"model_aliases": {"*": "scalesim"}, "default_max_tokens": 24},
    }
    file = folder / "stack.yaml"
    file.write_text(json.dumps(config))
    with StackProcess(None, file) as process:
        yield ClientSettings(base_url=process.base_url, timeout_s=10.0)


def test_the_small_model_answers_in_sentences_and_by_schema(tmp_path: Path) -> None:
    def asked(**more: Any) -> str:
        question = {"role": "user", "content": "What is the capital of France?"}
        answer = client.chat.completions.create(
            model="scalesim", messages=[question], temperature=0, **more
        )
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content or ""

    with stack(tmp_path, 1024) as settings:
        client = openai.OpenAI(base_url=f"{settings.base_url}/v1", api_key="-")
        assert asked() == "The capital of France is Paris."
        answer = asked(response_format=MOOD)
        client.close()
    assert json.loads(answer)["mood"] in ("calm", "angry")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_call_is_told_apart_and_more_is_foreseen_than_by_the_base_url(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write logs where they are run
    framework = FRAMEWORKS[name]
    command = [str(python_with(*framework.requirements))]
    command += [str(ROOT / "examples" / framework.program), *framework.arguments]
    out = tmp_path / "out"
    with stack(tmp_path, framework.device_tokens) as settings:
        bare = _bare(command, settings, tmp_path)
        where = ["--base-url", settings.base_url, "--out", str(out)]
        outcome = CliRunner().invoke(run.app, [*where, "--", *command])
    assert outcome.exit_code == 0, outcome.output
    ran = json.loads((out / "report.json").read_text())
    print(name, "bare", _figures(bare), "run", _figures(ran))
    assert ran["errors"] == {}
    assert ran["calls_named"] == ran["calls"] >= len(framework.agents)
    assert all(agent.startswith(framework.agents) for agent in ran["agents"]), ran["agents"]
    assert ran["hint_coverage"] > (bare["hint_coverage"] or 0.0)
    if framework.foresees == "ahead":
        assert _share(ran, "device") > _share(bare, "device")


def _bare(command: list[str], settings: ClientSettings, folder: Path) -> dict[str, Any]:
    """Run a program with its clients pointed to the stack; return the report of that."""
    environment = {**os.environ, **client_variables(settings.base_url, "", os.environ)}
    before = stack_counts.read(settings)
    with (
        Simulation("default", settings=settings) as nobody,
        Recorder(settings, nobody.name, folder / "bare.jsonl") as recorder,
    ):
        subprocess.run(command, env=environment, check=True, timeout=_PROGRAM_S)
        nobody.end()
    counts = stack_counts.read(settings).since(before)
    return report.document(recorder.tally, counts)


def _share(document: dict[str, Any], tier: str) -> float:
    """Return the share of prompt tokens that a tier held."""
    return float(document["prompt_tokens_found"][tier] / max(document["tokens"]["prompt"], 1))


def _figures(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "calls": document["calls"],
        "agents": len(document["agents"]),
        "prompt": document["tokens"]["prompt"],
        "coverage": document["hint_coverage"],
        **{tier: round(_share(document, tier), 3) for tier in document["prompt_tokens_found"]},
    }
