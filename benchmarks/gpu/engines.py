"""One engine in this process, set up alike in every arm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu import portable
from benchmarks.gpu.shapes import adapters_for, folder_of
from scalesim.deployments.engine.engine_host import EngineHost
from scalesim.deployments.random_adapter import MODULES
from scalesim.errors import ConfigurationError
from scalesim.settings import AdapterSettings, Arm, EmulationSettings, EngineSettings
from scalesim.simulations.workload import PromptSize

PAGE = 16
_SLACK_TOKENS = 64
"""Tokens left between a prompt with its answer and the context's end."""


class Setup(NamedTuple):
    """What every arm of a comparison gets.

    Attributes:
        model: A name of `shapes.SHAPES` or of `scalesim.deployments.random_model`.
        agents: How many.
        size: Tokens of one call.
        device_share: Device tier as a share of all agents' tokens, and slots of all adapters.
        host_share: Host tier likewise; `stock` has none.
        adapters: How many LoRA adapters are dealt to the agents in turn.
        rank: Of the adapters.
        distinct: Adapters differ in their values, which takes long to write for large models.
        dtype: Of the engine.
        concurrency: Most requests in the engine at once.
        ranks: Tensor-parallel, each on a GPU of its own.
    """

    model: str
    agents: int
    size: PromptSize
    device_share: float = 0.25
    host_share: float = 1.25
    adapters: int = 0
    rank: int = 8
    distinct: bool = False
    dtype: str = "auto"
    concurrency: int = 64
    ranks: int = 1

    @property
    def device_tokens(self) -> int:
        """KV tokens on the device, whole pages."""
        return int(self.device_share * self.agents * self.size.total) // PAGE * PAGE

    @property
    def slots(self) -> int:
        """Adapters on the device at once."""
        return max(1, int(self.device_share * self.adapters))


def settings_of(setup: Setup, arm: Arm, folder: Path) -> EngineSettings:
    """Return an arm's engine settings; writes model and adapters below `folder`.

    Raises:
        ConfigurationError: The device tier is too small for one call.
    """
    if setup.device_tokens < setup.size.total:
        raise ConfigurationError(
            f"a device share of {setup.device_share:g} leaves {setup.device_tokens} tokens, one "
            f"call needs {setup.size.total}: use more agents or a larger share"
        )
    model, args = folder_of(setup.model, folder, weights=bool(setup.adapters))
    adapters = None
    if setup.adapters:
        root = adapters_for(model, setup.adapters, setup.rank, distinct=setup.distinct)[0].parent
        adapters = AdapterSettings(
            roots=(str(root),),
            slots=setup.slots,
            loaded=setup.adapters,
            max_rank=setup.rank,
            modules=MODULES,
        )
    return EngineSettings(
        model_path=str(model),
        arm=arm,
        dtype=setup.dtype,
        page_size=PAGE,
        device_tokens=setup.device_tokens,
        host_ratio=setup.host_share / setup.device_share,
        context_length=setup.size.total + _SLACK_TOKENS,
        max_running_requests=setup.concurrency,
        tp_size=setup.ranks,
        adapters=adapters,
        extra_args={"skip_tokenizer_init": True, **args, **portable.install()},
    )


@asynccontextmanager
async def engine(
    setup: Setup, arm: Arm, folder: Path, emulation: EmulationSettings | None = None
) -> AsyncIterator[EngineHost]:
    """Start an engine with its adapters loaded; end it afterwards.

    Args:
        setup: What it gets.
        arm: Which engine.
        folder: For model and adapters.
        emulation: Of a device that takes time, on a machine without a GPU.

    Raises:
        ScaleSimError: It did not start.
    """
    settings = settings_of(setup, arm, folder).model_copy(update={"emulation": emulation})
    host = EngineHost(settings)
    try:
        await host.start()
        await _load_adapters(host, settings)
        yield host
    finally:
        host.stop()


async def _load_adapters(host: EngineHost, settings: EngineSettings) -> None:
    if settings.adapters is None:
        return
    from sglang.srt.managers.io_struct import LoadLoRAAdapterReqInput

    for path in sorted(Path(settings.adapters.roots[0]).iterdir())[: settings.adapters.loaded]:
        asked = LoadLoRAAdapterReqInput(lora_name=path.name, lora_path=str(path))
        answer = await host.engine.tokenizer_manager.load_lora_adapter(asked)
        if not answer.success:
            raise ConfigurationError(f"{path} cannot be loaded: {answer.error_message}")
