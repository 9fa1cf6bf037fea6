"""The page that starts with nothing: its commands against the chart, the recipe and the API."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, pods, rendered_files, settings, values_file, values_of
from tests.support.sources import ROOT

PAGE = (ROOT / "docs" / "operations" / "kind.md").read_text()
BLOCKS = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ")
COMMANDS = [shlex.split(line.rstrip(" &")) for line in BLOCKS.splitlines()]


def _one(*start: str) -> list[str]:
    (found,) = (words for words in COMMANDS if tuple(words[: len(start)]) == start)
    return found


def _after(words: list[str], flag: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == flag]


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    install = _one("helm", "install", "town")
    assert ROOT / install[3] == CHART
    nothing_else = {
        "apiKey": {"secretName": ""},
        "redis": {"password": {"secretName": ""}},
        "stack": {"engine": {"model_path": ""}},
        "volumes": {"models": {"existingClaim": ""}},
    }
    files = rendered_files(nothing_else, values_of(install))
    found = (
        each for text in files.values() if "kind:" in text for each in yaml.safe_load_all(text)
    )
    return {(each["kind"], each["metadata"]["name"]): each for each in found if each}


def test_the_image_that_is_built_is_loaded_and_asked_for(objects: dict[Any, Any]) -> None:
    (built,) = _after(_one("docker", "build"), "-t")
    assert _one("kind", "load")[3] == built
    for pod in pods(objects).values():
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]
        assert {each["image"] for each in containers} == {built}
        assert {each["imagePullPolicy"] for each in containers} == {"IfNotPresent"}
    (option,) = _after(_one("docker", "build"), "--build-arg")
    assert f"ARG {option.partition('=')[0]}" in (ROOT / "Dockerfile").read_text()


def test_the_model_is_on_a_claim_that_kind_can_make(
    objects: dict[Any, Any],
) -> None:
    assert settings(objects).engine.model_path == "/models/smollm2"
    claim = objects["PersistentVolumeClaim", "town-scalesim-models"]["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"]
    assert settings(objects).engine.device == "cpu"


def test_what_kubectl_names_is_there(objects: dict[Any, Any]) -> None:
    kind, name = _one("kubectl", "wait")[3].split("/")
    assert (kind, name) == ("rayservice", "town-scalesim")
    assert objects["RayService", name]
    keys = _one("kubectl", "create", "secret")
    given = {each.split("=")[1] for each in keys if each.startswith("--from-literal")}
    container = pods(objects)["head"]["spec"]["containers"][0]
    references = [
        each["valueFrom"]["secretKeyRef"] for each in container["env"] if "valueFrom" in each
    ]
    volumes = pods(objects)["head"]["spec"]["volumes"]
    (password,) = (each["secret"] for each in volumes if "secret" in each)
    assert {each["name"] for each in references} | {password["secretName"]} == {keys[4]}
    assert {each["key"] for each in references} | {password["items"][0]["key"]} == given
    forward = _one("kubectl", "port-forward")
    service = objects["RayService", "town-scalesim"]["spec"]["serveService"]
    assert forward[2] == f"svc/{service['metadata']['name']}"
    assert forward[3].split(":")[1] == str(service["spec"]["ports"][0]["port"])
    read = next(line for line in BLOCKS.splitlines() if line.startswith("export"))
    assert f"get secret {keys[4]} " in read
    assert ".data.api-key" in read


def test_the_operator_is_one_that_knows_what_is_asked() -> None:
    (version,) = _after(_one("helm", "install", "kuberay-operator"), "--version")
    assert tuple(map(int, version.split("."))) >= (1, 5, 1)


def test_the_question_is_one_the_api_takes() -> None:
    ask = _one("curl")
    port = _one("kubectl", "port-forward")[3].split(":")[0]
    url = next(word for word in ask if word.startswith("http"))
    path = url.removeprefix(f"http://127.0.0.1:{port}")
    assert f"POST {path}`" in (ROOT / "docs" / "reference" / "http.md").read_text()
    body = json.loads(_after(ask, "-d")[0])
    assert body["model"] == "scalesim"
    assert body["max_tokens"]


def test_what_fits_a_laptop_is_what_the_values_ask_for() -> None:
    groups = [values_file("values-cpu.yaml")[name]["resources"] for name in ("head", "workers")]
    assert sum(int(each["requests"]["memory"].removesuffix("Gi")) for each in groups) <= 8
