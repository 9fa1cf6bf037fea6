"""Engines that turns are played on: each tries another part of the product."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.gpu.engines import Setup, settings_of
from benchmarks.gpu.prompts import Prompts
from scalesim.deployments import random_model
from scalesim.deployments.engine.emulation.times import CopiedState, LinkSpeed, OnLink, PassWork
from scalesim.settings import EngineSettings, ModelSettings
from scalesim.simulations.workload import PromptSize

VIEWS = 3

_TRANSFER_S = (0.0001, 0.001, 0.004, 0.02)
"""Seconds of one layer of a load, a backup, an adapter: from within a pass to many passes."""

_FORWARD_S = (0.001, 0.004)


class DrawnTimes:
    """Times drawn for each piece of work, so that anything may overtake anything."""

    layers = 0

    def __init__(self) -> None:
        self.reseed(0)

    def reseed(self, seed: int) -> None:
        """Draw from here on what this seed says."""
        self._rng = random.Random(seed)

    def transfer_s(self, link: LinkSpeed, moved: CopiedState) -> float:
        """See `Times`; storage takes longer."""
        return self._rng.choice(_TRANSFER_S) * (2.0 if link is LinkSpeed.STORAGE else 1.0)

    def on_link(self, link: LinkSpeed, moved: CopiedState) -> OnLink | None:
        """Return none: each stream has a link of its own."""
        return None

    def forward_s(self, work: PassWork) -> float:
        """See `Times`."""
        return self._rng.choice(_FORWARD_S)

    def launch_s(self, work: PassWork) -> float:
        """See `Times`; a launched pass is never waited for here."""
        return 0.0


class Rig(NamedTuple):
    """One kind of engine.

    Attributes:
        setup: Agents, prompts and tiers; the host tier is too small for all.
        args: Further arguments of SGLang.
        stored: It has a storage tier.
        models: How many it serves besides its own; host memory holds two.
    """

    setup: Setup
    args: dict[str, Any]
    stored: bool = False
    models: int = 0

    def settings(self, folder: Path) -> EngineSettings:
        """Return the engine's settings; writes model and adapters below `folder`."""
        settings = settings_of(self.setup, "scalesim", folder)
        update: dict[str, Any] = {"extra_args": settings.extra_args | _CHUNKED | self.args}
        if self.stored:
            update |= {"storage_dir": str(folder / "pages"), "storage_bytes": 2**26}
        if self.models:
            update["models"] = self._models(Path(settings.model_path), folder / "models")
        return settings.model_copy(update=update)

    def _models(self, base: Path, root: Path) -> ModelSettings:
        for number in range(self.models):
            random_model.build(root / model_name(number), seed=number + 1, size=self.setup.model)
        size = sum(file.stat().st_size for file in base.glob("*.safetensors"))
        return ModelSettings(roots=(str(root),), host_bytes=2 * size, turn_requests=4)

    def prompts(self) -> Prompts:
        """Return what its agents ask."""
        families = self.setup.adapters or self.models
        return Prompts(self.setup._replace(adapters=families), VIEWS, related=True)


def model_name(number: int) -> str:
    """Return the id of a model that is not the engine's own."""
    return f"model-{number}"


_CHUNKED = {"chunked_prefill_size": 128, "random_seed": 0}
"""Prompts are longer: they are computed in pieces."""

_SETUP = Setup(
    "tiny",
    12,
    PromptSize(192, 16, 4),
    device_share=0.4,
    host_share=0.7,
    dtype="float32",
    concurrency=6,
)

_DIRECT = {"hicache_io_backend": "direct"}
"""Copies by layer without a kernel; SGLang's default is `kernel`, with pages of all layers."""

RIGS = {
    "prefixes": Rig(_SETUP, {}),
    "small-host": Rig(_SETUP._replace(device_share=0.5, host_share=0.25), {}),
    "layer-first": Rig(_SETUP, _DIRECT | {"hicache_mem_layout": "layer_first"}),
    "page-first-direct": Rig(_SETUP, _DIRECT | {"hicache_mem_layout": "page_first_direct"}),
    "adapters": Rig(_SETUP._replace(adapters=6, distinct=True), {}),
    "storage": Rig(_SETUP, {}, stored=True),
    "models": Rig(_SETUP, {}, models=3),
}
