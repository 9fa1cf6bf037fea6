"""An engine on a virtual clock and, where the arm has one, its controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scalesim.deployments import random_model
from scalesim.deployments.engine.emulation.device_clock import VirtualClock
from scalesim.deployments.engine.emulation.gpu_times import (
    calibration_of,
    processor_times,
    times_of,
)
from scalesim.deployments.engine.emulation.inline import InlineEngine
from scalesim.deployments.random_adapter import MODULES
from scalesim.deployments.random_adapter import build as build_adapter
from scalesim.settings import AdapterSettings, EmulationSettings, EngineSettings
from scalesim.simulations.emulated.emulated_case import PAGE, ArmOptions, EmulatedCase
from scalesim.simulations.emulated.emulated_controller import ControlPlane
from scalesim.simulations.emulated.step_timeline import StepTimeline

_ADAPTER_RANK = 2
_MODEL = "micro"


class EmulatedStack:
    """One arm's engine and controller; one a process.

    Args:
        case: Says how much memory there is, and how long prompts are.
        options: Options of the arm.
        emulation: Names the GPU and the model.
        simulation: Namespace of the agents.
        folder: For the engine's files.

    Attributes:
        clock: The clock of engine and controller.
        engine: Stands still until it runs a script.
        plane: The controller; None in arms without one.
        timeline: What the device did.
        call_s: What a request takes of a processor before the engine.
    """

    def __init__(
        self,
        case: EmulatedCase,
        options: ArmOptions,
        emulation: EmulationSettings,
        simulation: str,
        folder: Path,
    ) -> None:
        self.clock = VirtualClock()
        self.plane: ControlPlane | None = None
        self._early: list[Any] = []
        self.engine = InlineEngine(
            engine_settings(case, options, folder),
            times_of(emulation.model_copy(update={"dilate": 1.0})),
            self.clock,
            processor_times(emulation),
            checked=False,
            heard=self._heard,
        )
        self.call_s = calibration_of(emulation).call_s
        self.timeline = self.engine.device.watch = StepTimeline()
        if options.arm == "scalesim":
            self.plane = ControlPlane(
                self.clock.now,
                options,
                lambda _, directives: self.engine.obey(directives),
                simulation,
            )
            for message in self._early:
                self.plane.hear(message)

    def go_on(self) -> None:
        """Let the controller do what is due; called once a pass."""
        if self.plane is not None:
            self.plane.go_on()

    def _heard(self, message: Any) -> None:
        if self.plane is not None:
            self.plane.hear(message)
        else:
            self._early.append(message)


def engine_settings(case: EmulatedCase, options: ArmOptions, folder: Path) -> EngineSettings:
    """Return the engine of a case's machine; writes its model and adapters into a folder."""
    model = random_model.build(folder / "model", size=_MODEL)
    tokens = case.device_tokens
    if options.everything_fits:
        tokens = int(1.25 * case.agents * case.size.total) // PAGE * PAGE
    adapters = None
    if case.adapters:
        root = folder / "adapters"
        for number in range(case.adapters):
            build_adapter(root / f"adapter-{number}", model, seed=number, rank=_ADAPTER_RANK)
        adapters = AdapterSettings(
            roots=(str(root),),
            slots=case.adapters if options.everything_fits else case.slots,
            loaded=case.adapters,
            max_rank=_ADAPTER_RANK,
            modules=MODULES,
        )
    state_tokens = case.agents * case.size.total
    host_tokens = case.host_share * state_tokens
    shape = random_model.SHAPES[_MODEL]
    token_bytes = 2 * shape.layers * shape.kv_heads * shape.head_dim * 4
    stored = bool(case.stored) and options.arm != "stock"
    return EngineSettings(
        model_path=str(model),
        arm=options.arm,
        device="cpu",
        dtype="float32",
        page_size=PAGE,
        device_tokens=tokens,
        host_ratio=None if options.arm == "stock" else host_tokens / tokens,
        context_length=case.size.total + 64,
        max_running_requests=case.concurrency,
        storage_dir=str(folder / "pages") if stored else None,
        storage_bytes=2 * state_tokens * token_bytes if stored else None,
        adapters=adapters,
        # As an 80 GB GPU has it; the rest is SGLang's own.
        extra_args={"skip_tokenizer_init": True, "chunked_prefill_size": 8192, "random_seed": 0},
    )
