"""What the values files and the pages ask for fits the machines that they name."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import helm_python
import pytest
from helm_python.errors import HelmError

from scalesim.deployments.engine.sizing import GIB, PROCESS_BYTES, Site, fitted
from scalesim.deployments.machine import Machine
from scalesim.deployments.machine.gpus import Gpu
from scalesim.deployments.machine.memory import Memory
from scalesim.errors import ConfigurationError
from scalesim.policies.capacity.hardware import GPUS, LLMS, Llm
from scalesim.settings import EngineSettings
from scalesim.simulations import arms
from scalesim.simulations.society import society
from scalesim.simulations.workload import PromptSize
from tests.support.chart import CHART, merged, pods, render, settings, values_file
from tests.support.sources import ROOT

LLM = LLMS["llama-3.1-8b"]
SMOLLM2 = Llm(134_515_008, 30, 3, 64, parameter_bytes=4, kv_number_bytes=4)
"""SmolLM2-135M as the page for laptops runs it, in float32."""
CARD = int(GPUS["h100"].memory_bytes)
UNITS = {"Gi": GIB, "Mi": 2**20, "Ti": 2**40}


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * int(UNITS[quantity[-2:]])


def _site(memory: int, gpus: int, shared: int, engines: int, llm: Llm = LLM) -> Site:
    cards = tuple(Gpu("H100", CARD, CARD) for _ in range(gpus))
    return Site(Machine(Memory(memory, memory), cards, shared), not gpus, engines, llm)


def _worker_bytes(objects: dict[Any, Any]) -> tuple[int, int]:
    """Return a worker's limit of memory, and how much of it may be in /dev/shm."""
    worker = pods(objects)["worker"]["spec"]
    (shm,) = (each["emptyDir"] for each in worker["volumes"] if each["name"] == "shm")
    limit = worker["containers"][0]["resources"]["limits"]["memory"]
    return _bytes(limit), _bytes(shm["sizeLimit"])


@pytest.mark.parametrize("name", ["values-gpu.yaml", "values-gpu-multinode.yaml"])
def test_every_engine_of_a_values_file_has_its_tiers_in_its_pod(name: str) -> None:
    objects = render(values_file(name))
    stack, (limit, shm) = settings(objects), _worker_bytes(objects)
    engines = stack.engines_per_machine
    assert engines is not None
    site = _site(limit, 8, shm, engines)
    engine = fitted(stack.engine.model_copy(update={"storage_bytes": GIB}), site)
    assert engine.host_bytes is not None
    # What the tiers and all that is written to /dev/shm take is within the pod's limit.
    assert engines * engine.host_bytes + shm < limit
    assert engine.host_bytes > 16 * GIB


def test_a_laptops_engine_has_a_host_tier_beside_all_else_in_its_pod() -> None:
    objects = render(values_file("values-cpu.yaml"))
    limit, shm = _worker_bytes(objects)
    asked = settings(objects).engine
    engine = fitted(asked, _site(limit, 0, shm, 1, SMOLLM2))
    assert engine.host_bytes is not None
    assert asked.device_tokens is not None
    device = asked.device_tokens * SMOLLM2.kv_bytes_per_token
    assert engine.host_bytes > device
    assert engine.host_bytes + device + SMOLLM2.weight_bytes + PROCESS_BYTES <= limit


FOR_IT: dict[str, dict[str, Any]] = {
    "apiKey": {"apiKey": {"secretName": "keys"}},
    "redis.password": {"redis": {"password": {"secretName": "keys"}}},
    "ray.gcs.passwordSecretName": {"ray": {"gcs": {"passwordSecretName": "store"}}},
    "volumes.models.existingClaim": {"volumes": {"models": {"existingClaim": "models"}}},
    "stack.engine.model_path": {"stack": {"engine": {"model_path": "/models/m"}}},
    "volumes.storage.storageClassName": {"volumes": {"storage": {"storageClassName": "nvme"}}},
}
"""What a values file may leave open, with an answer to it."""
HAS_A_DEFAULT = {"volumes.storage.storageClassName"}


@pytest.mark.parametrize("file", sorted(CHART.glob("values-*.yaml")), ids=lambda file: file.stem)
def test_a_values_file_names_what_is_still_needed_and_no_more(file: Path) -> None:
    (names,) = re.findall(r"Still needed:\n((?:#   .*\n)+)", file.read_text())
    needed = re.findall(r"[\w.]+", names)
    with helm_python.Chart.load(str(CHART)) as chart:

        def renders(given: list[str]) -> bool:
            layers = (values_file(file.name), *(FOR_IT[name] for name in given))
            return bool(chart.render(merged(*layers), name="town", namespace="sim"))

        assert renders(needed)
        for name in set(needed) - HAS_A_DEFAULT:
            with pytest.raises(HelmError, match=re.escape(name.rpartition(".")[2])):
                renders([each for each in needed if each != name])


def _example(page: Path) -> dict[str, Any]:
    (command,) = re.findall(r"scalesim sim submit (.*?)\n```", page.read_text(), re.DOTALL)
    words = shlex.split(command.replace("\\\n", " "))
    return {words[at].removeprefix("--"): words[at + 1] for at in range(1, len(words), 2)}


def _engine(agents: int, replicas: int) -> EngineSettings:
    workload = society(agents=agents, steps=2, size=PromptSize(private=768, output=8))
    machine = arms.ArmMachine(Path("m"), device="cuda", replicas=replicas)
    return arms.stack_settings("scalesim", workload, machine).engine


def test_the_example_of_a_large_simulation_fits_the_machine_that_it_names() -> None:
    example = _example(ROOT / "docs" / "operations" / "jobs.md")
    agents, replicas = int(example["agents"]), int(example["replicas"])
    site = _site(512 * GIB, 8, 64 * GIB, replicas)
    assert fitted(_engine(agents, replicas), site)
    with pytest.raises(ConfigurationError, match="is there"):
        fitted(_engine(10 * agents, replicas), site)
