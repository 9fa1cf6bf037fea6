"""Where models and adapters come from: fetched once, by the container that the chart writes."""

from __future__ import annotations

import os
import subprocess
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helm_python.errors import HelmError

from tests.support.chart import pods, render, settings, values_file

NO_PATH: dict[str, Any] = {"stack": {"engine": {"model_path": ""}}}
HUB: dict[str, Any] = NO_PATH | {
    "model": {
        "source": "hf://org/m",
        "revision": "0a1b2c",
        "hfToken": {"secretName": "hub"},
    },
    "volumes": {"models": {"existingClaim": "", "size": "50Gi"}},
}


def _init(objects: dict[Any, Any]) -> list[dict[str, Any]]:
    return list(pods(objects)["worker"]["spec"].get("initContainers", ()))


def test_a_model_of_the_hub_is_fetched_by_its_commit_onto_a_claim_that_stays() -> None:
    objects = render(HUB)
    (fetch,) = _init(objects)
    env = {each["name"]: each.get("value") for each in fetch["env"]}
    assert env["TARGET"] == settings(objects).engine.model_path == "/models/hf/org/m@0a1b2c"
    assert (env["SOURCE"], env["REVISION"]) == ("org/m", "0a1b2c")
    (token,) = (each for each in fetch["env"] if each["name"] == "HF_TOKEN")
    assert token["valueFrom"]["secretKeyRef"] == {"name": "hub", "key": "token"}
    claim = objects["PersistentVolumeClaim", "town-scalesim-models"]
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "initContainers" not in pods(objects)["head"]["spec"]
    rules = objects["NetworkPolicy", "town-scalesim-ray"]["spec"]["egress"]
    assert any({"port": 443} in rule.get("ports", ()) for rule in rules)


def test_what_fetches_may_write_and_engines_may_not() -> None:
    spec = pods(render(HUB))["worker"]["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "models")
    assert "readOnly" not in volume["persistentVolumeClaim"]
    for container, read_only in ((spec["initContainers"][0], None), (spec["containers"][0], True)):
        (mount,) = (each for each in container["volumeMounts"] if each["name"] == "models")
        assert mount.get("readOnly") is read_only


def test_the_small_model_to_try_is_fetched_by_the_image_itself(tmp_path: Path) -> None:
    values = HUB | {"model": {"source": "smollm2"}}
    objects = render(values_file("values-cpu.yaml"), values)
    (fetch,) = _init(objects)
    assert fetch["image"] == pods(objects)["worker"]["spec"]["containers"][0]["image"]
    assert settings(objects).engine.model_path == "/models/smollm2"
    target, calls = tmp_path / "models" / "smollm2", tmp_path / "calls"
    command = tmp_path / "python"
    command.write_text('#!/bin/sh\necho "$@" >> "$CALLS"\n')
    command.chmod(0o755)
    environment = os.environ | {"SOURCE": "smollm2", "REVISION": "", "TARGET": str(target)}
    environment |= {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(calls)}
    for _ in range(2):
        subprocess.run([*fetch["command"], *fetch["args"]], env=environment, timeout=60, check=True)
    assert calls.read_text() == f"-m scalesim.deployments.smollm2 {target}\n"


def test_a_claim_is_used_as_it_is() -> None:
    objects = render(NO_PATH, {"model": {"source": "pvc://weights/llama/8b"}})
    assert _init(objects) == []
    assert settings(objects).engine.model_path == "/models/llama/8b"
    (volume,) = (
        each for each in pods(objects)["worker"]["spec"]["volumes"] if each["name"] == "models"
    )
    assert volume["persistentVolumeClaim"]["claimName"] == "weights"


def test_adapters_come_the_same_way_and_containers_of_ones_own_come_after() -> None:
    own = {"name": "own", "image": "own:1"}
    adapters = {
        "existingClaim": "adapters",
        "sources": [
            {"name": "a", "source": "hf://org/a", "revision": "1"},
            {"name": "b", "source": "s3://bucket/b"},
        ],
    }
    values = {
        "volumes": {"adapters": adapters},
        "model": {"s3SecretName": "aws"},
        "workers": {"initContainers": [own]},
    }
    first, second, last = _init(render(values))
    assert [each["name"] for each in (first, second)] == ["fetch-adapter-0", "fetch-adapter-1"]
    assert {"name": "TARGET", "value": "/adapters/a"} in first["env"]
    assert second["envFrom"] == [{"secretRef": {"name": "aws"}}]
    assert second["image"].startswith("amazon/aws-cli:")
    assert last == own


@pytest.mark.parametrize("source", ["hf://org/m", "s3://bucket/a model"])
def test_the_container_fetches_once_and_what_broke_off_again(source: str, tmp_path: Path) -> None:
    values = HUB | {"model": {"source": source, "revision": "0a1b2c"}}
    (fetch,) = _init(render(values))
    calls = tmp_path / "calls"
    for name in ("hf", "aws"):
        command = tmp_path / name
        command.write_text('#!/bin/sh\nprintf "%s|" "$@" >> "$CALLS"; exit "$FAILS"\n')
        command.chmod(0o755)
    given = {each["name"]: each["value"] for each in fetch["env"] if "value" in each}
    given["TARGET"] = str(tmp_path / "models" / "m")
    environment = os.environ | given | {"CALLS": str(calls)}
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    codes = []
    for fails in ("1", "0", "0"):
        done = subprocess.run(
            [*fetch["command"], *fetch["args"]], env=environment | {"FAILS": fails}, timeout=60
        )
        codes.append(done.returncode)
    assert codes == [1, 0, 0]
    arguments = calls.read_text().split("|")[:-1]
    once = arguments[: len(arguments) // 2]
    assert arguments == once * 2
    assert given["SOURCE"] in once
    assert given["TARGET"] in once


def test_an_archive_is_fetched_over_http_and_unpacked(tmp_path: Path) -> None:
    served, target = tmp_path / "served", tmp_path / "models" / "m"
    served.mkdir()
    (served / "config.json").write_text("{}")
    with tarfile.open(served / "m.tar.gz", "w:gz") as archive:
        archive.add(served / "config.json", "config.json")
    handler = partial(SimpleHTTPRequestHandler, directory=str(served))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/m.tar.gz"
        objects = render(HUB | {"model": {"source": f"{url}?token=secret"}})
        assert settings(objects).engine.model_path == f"/models/{url.replace('://', '/')}"
        (fetch,) = _init(objects)
        assert fetch["image"] == pods(objects)["worker"]["spec"]["containers"][0]["image"]
        for wanted, code in ((f"{url}x", 8), (url, 0), (url, 0)):
            given = {"SOURCE": wanted, "REVISION": "", "TARGET": str(target)}
            done = subprocess.run(
                [*fetch["command"], *fetch["args"]], env=os.environ | given, timeout=60
            )
            assert done.returncode == code
        server.shutdown()
    assert {each.name for each in target.iterdir()} == {"config.json", ".fetched"}


def test_another_revision_of_an_adapter_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    adapter = {"name": "Rank_64", "source": "hf://org/a"}
    command, target = tmp_path / "hf", tmp_path / "adapters" / "Rank_64"
    command.write_text('#!/bin/sh\n: > "$TARGET/$REVISION"\n')
    command.chmod(0o755)
    for revision in ("1", "2", "2"):
        sources = [adapter | {"revision": revision}]
        values = {"volumes": {"adapters": {"existingClaim": "a", "sources": sources}}}
        (fetch,) = _init(render(values))
        assert fetch["name"] == "fetch-adapter-0"  # whatever Kubernetes thinks of its own name
        environment = {each["name"]: each["value"] for each in fetch["env"] if "value" in each}
        environment |= {"TARGET": str(target), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
        subprocess.run([*fetch["command"], *fetch["args"]], env=environment, timeout=60, check=True)
        assert {each.name for each in target.iterdir()} == {revision, ".fetched"}


def _adapters(*sources: dict[str, Any]) -> dict[str, Any]:
    return {"volumes": {"adapters": {"existingClaim": "a", "sources": sources}}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "two names": (HUB | {"stack": {"engine": {"model_path": "/models/m"}}}, "give one"),
    "no commit": (HUB | {"model": {"source": "hf://org/m"}}, "no revision"),
    "no volume": (
        HUB | {"volumes": {"models": {"existingClaim": "", "size": ""}}},
        "set its size or existingClaim",
    ),
    "no source": (HUB | {"model": {"source": "ftp://x/y"}}, "is not one"),
    "an adapter of that name": (_adapters({"name": "a", "source": "smollm2"}), "is not one"),
    "no name": (_adapters({"source": "s3://b/a"}), "missing property 'name'"),
    "a way out": (_adapters({"name": "..", "source": "s3://b/a"}), "has the name"),
    "a number": (_adapters({"name": "a", "source": "hf://o/a", "revision": 7}), "quote it"),
    "twice": (_adapters(*[{"name": "a", "source": "s3://b/a"}] * 2), "twice"),
    "onto what nobody may write": (
        HUB
        | {
            "volumes": {
                "models": {"existingClaim": "", "size": "9Gi", "accessModes": ["ReadOnlyMany"]}
            }
        },
        "let nobody write",
    ),
    "a revision of a folder": (
        NO_PATH | {"model": {"source": "pvc://weights/m", "revision": "1"}},
        "model.revision is 1",
    ),
    "no folder": (NO_PATH | {"model": {"source": "pvc://weights"}}, "names no folder"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    values, words = REFUSED[case]
    with pytest.raises(HelmError, match=words):
        render(values)
