"""Arms on the real stack: real engines, real Ray, real catalog."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from scalesim.deployments.engine.models.architecture import require_same
from scalesim.deployments.engine.models.model_registry import ModelRegistry
from scalesim.deployments.random_model import build
from scalesim.errors import ConfigurationError
from scalesim.settings import Arm
from scalesim.simulations.arm_run import Run, RunOptions
from scalesim.simulations.arms import ArmMachine, ArmOutcome, run_arm, stack_settings
from scalesim.simulations.call_table import joined
from scalesim.simulations.comparison import document, require_equal_tokens
from scalesim.simulations.run_command import dealt_out
from scalesim.simulations.scheduled_world import scheduled
from scalesim.simulations.society import society
from scalesim.simulations.target import Target
from scalesim.simulations.workload import PromptSize

WORKLOAD = society(
    agents=8, steps=3, active=0.25, size=PromptSize(private=128, observation=16, output=4), seed=0
)


def test_arms_differ_in_nothing_but_the_arm() -> None:
    machine = ArmMachine(Path("/models/m"), device="cpu", device_share=0.5, replicas=2)
    stock, ours = (stack_settings(arm, WORKLOAD, machine) for arm in ("stock", "scalesim"))
    assert stock.engine.model_copy(update={"arm": "scalesim"}) == ours.engine
    assert stock.engine.device_tokens == 288  # whole pages of half of 8 * 148 over two replicas
    assert stock.engine.host_ratio == 3.0
    assert stock.engine.dtype == "auto"  # decided where the engine runs


def test_each_arm_has_its_own_storage() -> None:
    machine = ArmMachine(Path("/models/m"), device="cpu", device_share=0.5, storage=Path("/disk"))
    folders = [
        stack_settings(arm, WORKLOAD, machine).engine.storage_dir for arm in ("hicache", "scalesim")
    ]
    assert folders == ["/disk/hicache", "/disk/scalesim"]


@pytest.mark.slow
def test_agents_are_dealt_adapters_in_turn(tmp_path: Path) -> None:
    model = build(tmp_path / "model", size="tiny")
    machine = ArmMachine(model, device="cpu", device_share=0.5, adapters=6)
    adapters = stack_settings("scalesim", WORKLOAD, machine).engine.adapters
    assert adapters is not None
    assert (adapters.slots, adapters.loaded) == (3, 6)
    (root,) = adapters.roots
    assert {path.name for path in Path(root).iterdir()} == {f"adapter-{n}" for n in range(6)}
    target = Target("http://h", "m", None, adapters=6)
    assert [target.model_of(row) for row in (0, 5, 6)] == [
        "m:adapter-0",
        "m:adapter-5",
        "m:adapter-0",
    ]
    assert Target("http://h", "m", None).model_of(3) == "m"


@pytest.mark.slow
def test_agents_are_dealt_fine_tunes_in_turn(tmp_path: Path) -> None:
    model = build(tmp_path / "model", size="tiny")
    machine = ArmMachine(model, device="cpu", device_share=0.5, host_share=0.5, models=4)
    models = stack_settings("scalesim", WORKLOAD, machine).engine.models
    assert models is not None
    shelved = ModelRegistry(models).all()
    assert [one.name for one in shelved] == [f"tune-{n}" for n in range(4)]
    assert models.host_bytes == 2 * shelved[0].size_bytes
    for one in shelved:
        require_same(one.name, one.folder, model)
    assert len({(one.folder / "model.safetensors").read_bytes() for one in shelved}) == 4
    assert Target("http://h", "m", None, models=4).model_of(5) == "tune-1"
    with pytest.raises(ConfigurationError, match="--arms scalesim"):
        stack_settings("stock", WORKLOAD, machine)
    with pytest.raises(ConfigurationError, match="either"):
        stack_settings("scalesim", WORKLOAD, machine._replace(adapters=2))


@pytest.mark.parametrize(("text", "count"), [(None, 0), ("distinct", 8), ("shared:3", 3)])
def test_what_adapters_means(text: str | None, count: int) -> None:
    assert dealt_out("adapters", text, agents=8) == count


@pytest.mark.parametrize("text", ["", "shared", "shared:0", "shared:9", "shared:-1", "all"])
def test_what_adapters_cannot_mean(text: str) -> None:
    with pytest.raises(ConfigurationError, match="use `distinct`"):
        dealt_out("models", text, agents=8)


def test_a_device_tier_too_small_is_refused() -> None:
    machine = ArmMachine(Path("/models/m"), device="cpu", device_share=0.1)
    with pytest.raises(ConfigurationError, match="use a larger share"):
        stack_settings("stock", WORKLOAD, machine)


def moves(run: Run) -> int:
    """Return how often a call was answered by another replica than its agent's call before."""
    rows = joined((run.warmup, run.calls)).rows
    places: dict[int, list[str]] = {}
    for row in np.sort(rows, order=("step", "call")):
        places.setdefault(int(row["agent"]), []).append(str(row["replica"]))
    return sum(a != b for each in places.values() for a, b in pairwise(each))


@pytest.mark.ray
@pytest.mark.engine
@pytest.mark.timeout(600)
def test_two_routed_replicas_return_what_stock_returns(ray_local: None, tmp_path: Path) -> None:
    model = build(tmp_path / "model", size="tiny")

    def run(arm: Arm, replicas: int) -> ArmOutcome:
        machine = ArmMachine(model, device="cpu", device_share=0.8, replicas=replicas)
        run_options = RunOptions(workers=2, concurrency=4, think_s=0.1)
        drive = scheduled(WORKLOAD)
        return run_arm(arm, drive, machine, run_options, lambda *_: None, tmp_path / arm)

    outcomes: dict[Arm, ArmOutcome] = {"stock": run("stock", 1), "scalesim": run("scalesim", 2)}
    require_equal_tokens(outcomes, WORKLOAD)
    ours = document(outcomes, WORKLOAD)["arms"]["scalesim"]
    assert ours["errors"] == 0
    # Leveling may move an agent to the other replica, which then computes its prefix: nothing else.
    private = WORKLOAD.size.private
    assert ours["prefix_tokens"]["recomputed"] <= private * moves(outcomes["scalesim"].run)
    assert len(set(outcomes["scalesim"].run.calls.rows["replica"])) == 2
    assert outcomes["scalesim"].run.hints.dropped == 0
    assert outcomes["scalesim"].status["simulations"]["society"]["epoch"] == 4  # past the last step
