"""Real frameworks against a real stack with a small real model: `make integrations`.

Each example is run twice: with its clients pointed to the stack and nothing else, and under
`scalesim run`. Not a part of `make test`: gigabytes of packages, and minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
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

_PROGRAM_S = 400

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

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientSettings]:
    config = {
        "engine": {"model_path": "smollm2", "device_tokens": 1536, "host_ratio": 8.0},
        "ingress": {"model_aliases": {"*": "scalesim"}, "default_max_tokens": 24},
    }
    file = tmp_path_factory.mktemp("stack") / "stack.yaml"
    file.write_text(json.dumps(config))
    with StackProcess(None, file) as process:
        yield ClientSettings(base_url=process.base_url, timeout_s=10.0)


def test_the_small_model_answers_in_sentences_and_by_schema(stack: ClientSettings) -> None:
    def asked(**more: Any) -> str:
        question = {"role": "user", "content": "What is the capital of France?"}
        answer = client.chat.completions.create(
            model="scalesim", messages=[question], temperature=0, **more
        )
        assert answer.choices[0].finish_reason == "stop"
        return answer.choices[0].message.content or ""

    with openai.OpenAI(base_url=f"{stack.base_url}/v1", api_key="-") as client:
        assert asked() == "The capital of France is Paris."
        answer = asked(response_format=MOOD)
    assert json.loads(answer)["mood"] in ("calm", "angry")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_every_call_is_told_apart_and_more_is_foreseen_than_by_the_base_url(
    name: str, stack: ClientSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write logs where they are run
    framework = FRAMEWORKS[name]
    command = [str(python_with(*framework.requirements))]
    command += [str(ROOT / "examples" / framework.program), *framework.arguments]
    bare = _bare(command, stack, tmp_path)
    out = tmp_path / "out"
    outcome = CliRunner().invoke(
        run.app, ["--base-url", stack.base_url, "--out", str(out), "--", *command]
    )
    assert outcome.exit_code == 0, outcome.output
    ran = json.loads((out / "report.json").read_text())
    print(name, "bare", _figures(bare), "run", _figures(ran))
    assert ran["errors"] == {}
    assert ran["calls_named"] == ran["calls"] >= len(framework.agents)
    assert all(agent.startswith(framework.agents) for agent in ran["agents"]), ran["agents"]
    if framework.foresees:
        assert ran["hint_coverage"] > (bare["hint_coverage"] or 0.0)
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
