"""Check of `scalesim doctor` on what fits: an engine's tiers, and agents in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from scalesim.cli.finding import Check
from scalesim.errors import ConfigurationError
from scalesim.settings import EngineSettings, StackSettings

if TYPE_CHECKING:
    from scalesim.policies.capacity.hardware import Llm


def fit_checks(settings: StackSettings, tokens: int) -> Iterator[Check]:
    """Check what fits on this machine, by the rules that engines are started with.

    Args:
        settings: Settings of the stack; its model is a folder, a name in the hub's cache, or one
            that `scalesim plan` knows.
        tokens: Tokens of an agent's state.
    """
    from scalesim.deployments.engine.sizing import dtype_of, fitted, gb, room
    from scalesim.deployments.preflight import site_here
    from scalesim.policies.capacity.hardware import LLMS

    engine, site = settings.engine, site_here(settings)
    llm = named_llm(engine, dtype_of(engine, on_cpu=site.on_cpu))
    site = site._replace(llm=llm)
    if llm is None:
        advice = f"give --model a folder with config.json and *.safetensors, or {', '.join(LLMS)}"
        yield Check("fit", False, f"the dimensions of {engine.model_path} are not known", advice)
        return
    if not (site.on_cpu or site.machine.gpus):
        advice = "look where engines run: this machine may be another one"
        yield Check("fit", False, "engine.device is 'cuda', and no GPU is seen here", advice)
        return
    try:
        engine = fitted(engine, site)
    except ConfigurationError as error:
        found, _, advice = str(error).rpartition(": ")
        yield Check("fit", False, found, advice)
        return
    tier = room(engine, site, llm)
    device, host = tier.agents(tokens, engine.page_size)
    figures = {
        "engines": site.engines,
        "device_tokens": tier.device_tokens,
        "host_tokens": tier.host_tokens,
        "host_bytes": int(tier.host_bytes),
        "agents_on_device": device,
        "agents_in_host": host,
    }
    found = (
        f"{_place(engine, site.engines, on_cpu=site.on_cpu)}: {tier.device_tokens:,} device tokens "
        f"({gb(tier.device_bytes)}), {tier.host_tokens:,} in the host tier ({gb(tier.host_bytes)})"
    )
    yield Check("fit", True, found, figures=figures)
    found = f"{device:,} on the device and {host:,} in host memory of each engine"
    yield Check(f"agents of {tokens:,} tokens", device > 0, found, "use fewer tokens, or more GPUs")


def _place(engine: EngineSettings, engines: int, *, on_cpu: bool) -> str:
    gpus = "the CPU" if on_cpu else f"{engine.tp_size} GPU{'s' * (engine.tp_size > 1)}"
    return f"{engine.model_path} on {gpus}, {engines} engine{'s' * (engines > 1)} here"


def named_llm(engine: EngineSettings, dtype: str = "auto") -> Llm | None:
    """Return the model of these settings: one of `LLMS`, or as its files describe it, or None."""
    from scalesim.deployments.engine.models.dimensions import llm_at
    from scalesim.policies.capacity.hardware import LLMS

    if (llm := LLMS.get(engine.model_path)) is None:
        return llm_at(engine, dtype)
    return llm if dtype != "float32" else replace(llm, parameter_bytes=4, kv_number_bytes=4)
