"""The arms: the same workload on stacks that differ only in who decides what stays."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from scalesim.errors import ConfigurationError
from scalesim.settings import (
    AdapterSettings,
    Arm,
    ClientSettings,
    ControllerSettings,
    EmulationSettings,
    EngineSettings,
    ModelSettings,
    StackSettings,
)
from scalesim.simulations.agent_nodes import Ports, listening_of_arm
from scalesim.simulations.arm_run import Drive, Run, RunOptions, WatchStep
from scalesim.simulations.call_table import CallTable
from scalesim.simulations.checkpoint import Ending, read_ending, write_ending
from scalesim.simulations.target import Target, adapter_name, tune_name
from scalesim.simulations.workload import Workload
from scalesim.vocabulary import ADAPTER, MODEL

_TEMPLATE_TOKENS = 64
"""Room for the chat template's own words."""


class ArmMachine(NamedTuple):
    """What every arm gets.

    Attributes:
        model_path: Folder of the model.
        device: `auto`, `cuda` or `cpu`.
        device_share: Device tier as a share of all agents' tokens.
        host_share: Host tier likewise; `stock` has none.
        replicas: Engines, which divide both tiers among them.
        page_size: Tokens a page.
        storage: Folder of the storage tier, one below it for each arm; None leaves the tier out.
        adapters: Distinct LoRA adapters, dealt to the agents in turn; 0 serves the bare model. The
            device has slots for `device_share` of them.
        models: Distinct fine-tunes, dealt likewise; 0 serves the model alone. One is on the device,
            `host_share` of them are in host memory. Arm `scalesim` only.
        emulate: GPU whose times are put in the place of this machine's, `h100:llama-3.1-8b`.
        dilate: Seconds that one of its seconds takes here; all figures are in its own.
        ports: Where its stacks listen, and are scraped.
    """

    model_path: Path
    device: str = "auto"
    device_share: float = 0.25
    host_share: float = 1.5
    replicas: int = 1
    page_size: int = 16
    storage: Path | None = None
    adapters: int = 0
    models: int = 0
    emulate: str | None = None
    dilate: float = 1.0
    ports: Ports = Ports()


class ArmOutcome(NamedTuple):
    """What one arm did, and the stack's own view of it (empty in arms without a controller).

    `status["late"]` counts, by kind, calls after the warm-up whose adapter or model was not on the
    device when they came.
    """

    run: Run
    status: dict[str, Any]


def run_arm(
    arm: Arm,
    drive: Drive,
    machine: ArmMachine,
    run_options: RunOptions,
    watch: WatchStep,
    folder: Path,
) -> ArmOutcome:
    """Start a stack for one arm, run a simulation on it and stop the stack.

    An arm that has ended, by what its folder says, is not run again.

    Raises:
        ConfigurationError: The device tier is too small for the workload.
        ScaleSimError: The stack did not start.
    """
    from scalesim.deployments.stack import Stack
    from scalesim.transports.http import HttpTransport

    if (ended := read_ending(folder)) is not None:
        return ArmOutcome(ended.run.faster(machine.dilate), ended.status)
    settings = stack_settings(arm, drive.workload, machine)
    with Stack(settings) as stack:
        key = settings.ingress.api_key
        client = ClientSettings(base_url=stack.base_url, api_key=key)
        hints = client if arm == "scalesim" else None
        name = settings.engine.served_model_name
        target = Target(stack.base_url, name, hints, machine.adapters, machine.models, key)
        with closing(HttpTransport(client)) as transport:
            before: dict[str, int] = {}

            def watched(step: int, calls: CallTable) -> None:
                if step == 0 and hints:
                    before.update(_late(transport.status()))
                watch(step, calls)

            run = drive(target, run_options, watched, folder)
            status = transport.status() if hints else {}
        if hints:
            status["late"] = {kind: late - before[kind] for kind, late in _late(status).items()}
    write_ending(folder, Ending(run, status))
    return ArmOutcome(run.faster(machine.dilate), status)


def _late(status: dict[str, Any]) -> dict[str, int]:
    """Return late requests by kind, of the kinds that requests name."""
    transfers = [replica["transfers"] for replica in status["replicas"].values()]
    return {
        kind: sum(transfer[kind]["late"] for transfer in transfers if kind in transfer)
        for kind in (ADAPTER, MODEL)
        if any(kind in transfer for transfer in transfers)
    }


def stack_settings(arm: Arm, workload: Workload, machine: ArmMachine) -> StackSettings:
    """Return the stack of an arm: same device and host bytes, whole pages.

    Raises:
        ConfigurationError: The device tier is too small for one agent's call, or the arm cannot
            serve the adapters and models.
    """
    if machine.models and arm != "scalesim":
        raise ConfigurationError(f"arm {arm} serves one model: use --arms scalesim with --models")
    if machine.models and machine.adapters:
        raise ConfigurationError("--adapters and --models: an engine serves either; give one")
    tokens = int(machine.device_share * workload.total_tokens / machine.replicas)
    tokens -= tokens % machine.page_size
    needed = workload.size.total + _TEMPLATE_TOKENS
    if tokens < needed:
        raise ConfigurationError(
            f"a device share of {machine.device_share:g} leaves {tokens} tokens to each of "
            f"{machine.replicas} replicas, but one call needs {needed}: use a larger share, more "
            "agents or fewer replicas"
        )
    emulation = EmulationSettings.of(machine.emulate, machine.dilate) if machine.emulate else None
    listening = listening_of_arm(machine.ports)
    return StackSettings(
        engine=EngineSettings(
            model_path=str(machine.model_path),
            arm=arm,
            device=machine.device,
            page_size=machine.page_size,
            device_tokens=tokens,
            host_ratio=machine.host_share / machine.device_share,
            context_length=needed,
            storage_dir=str(machine.storage / arm) if machine.storage else None,
            adapters=_adapters(machine) if machine.adapters else None,
            models=_models(machine) if machine.models else None,
            emulation=emulation,
        ),
        replicas=machine.replicas,
        controller=ControllerSettings(tick_s=machine.dilate * ControllerSettings().tick_s),
        ingress=listening.ingress,
        metrics=listening.metrics,
    )


def _adapters(machine: ArmMachine) -> AdapterSettings:
    """Write seeded adapters beside the model and return how they are served."""
    from scalesim.deployments.random_adapter import MODULES, build

    root = machine.model_path.parent / "adapters"
    for number in range(machine.adapters):
        build(root / adapter_name(number), machine.model_path, seed=number)
    return AdapterSettings(
        roots=(str(root),),
        slots=max(1, int(machine.device_share * machine.adapters)),
        loaded=machine.adapters,
        max_rank=8,
        modules=MODULES,
    )


def _models(machine: ArmMachine) -> ModelSettings:
    """Write seeded fine-tunes beside the model and return how they are served."""
    from scalesim.deployments.engine.models.model_registry import ModelRegistry
    from scalesim.deployments.random_tune import build

    root = machine.model_path.parent / "tunes"
    for number in range(machine.models):
        build(root / tune_name(number), machine.model_path, seed=number)
    settings = ModelSettings(roots=(str(root),))
    size = ModelRegistry(settings).find(tune_name(0)).size_bytes
    places = max(1, int(machine.host_share * machine.models))
    return settings.model_copy(update={"host_bytes": places * size})
