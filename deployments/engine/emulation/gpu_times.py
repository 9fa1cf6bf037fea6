"""What a named GPU would take for a named model: the roofline of `scalesim plan`, pass by pass."""

from __future__ import annotations

from dataclasses import asdict

from scalesim.deployments.engine.emulation.processor_times import ProcessorTimes
from scalesim.deployments.engine.emulation.times import (
    CopiedState,
    LinkSpeed,
    OnLink,
    PassWork,
    SetTimes,
    Times,
)
from scalesim.errors import ConfigurationError
from scalesim.policies.capacity.hardware import GPUS, LLMS, Calibration, GpuModel, Llm
from scalesim.settings import EmulationSettings
from scalesim.vocabulary import ADAPTER, MODEL, PREFIX

COPY_S = 1e-5
"""Time to start one copy on a GPU: a launch and its latency, about 10 us (the CUDA programming
guide names no figure; NVIDIA's "CUDA graphs" developer posts measure 2 to 10 us a launch)."""

ADAPTER_COPIES_A_LAYER = 14
"""Two matrices for each of seven projections."""


class GpuTimes:
    """Times of one GPU with one language model; every second of it takes `dilate` here.

    A pass computes for as long as its arithmetic (two operations per parameter and token, four per
    layer, query head and number of a head for each pair of attention) or its reading (all weights
    and the KV of its context) takes at the reached share of the peaks, whichever is longer. Source:
    Pope et al., Efficiently scaling transformer inference, MLSys 2023. No prefill pass takes less
    than launching its kernels. Not in it: sampling, and copies that take memory bandwidth from
    passes.

    Args:
        settings: Name the GPU and the model.

    Raises:
        ConfigurationError: There is no such GPU or model, or no such value of a calibration.
    """

    def __init__(self, settings: EmulationSettings) -> None:
        gpu, llm = _named(settings)
        of = calibration_of(settings)
        self._dilate = settings.dilate
        self._flops = gpu.flops * of.prefill_share
        self._read_per_s = gpu.memory_bytes_per_s * of.decode_share
        self._launch_s = of.launch_s
        self._llm = llm
        link = gpu.link_bytes_per_s * of.link_share
        self._bytes_per_s = {
            LinkSpeed.TO_DEVICE: link,
            LinkSpeed.TO_HOST: link,
            LinkSpeed.STORAGE: of.storage_bytes_per_s,
        }
        self._size = {
            PREFIX: float(llm.kv_bytes_per_token),
            ADAPTER: settings.adapter_bytes,
            MODEL: llm.weight_bytes,
        }

    @property
    def layers(self) -> int:
        """See `Times`."""
        return self._llm.layers

    def transfer_s(self, link: LinkSpeed, moved: CopiedState) -> float:
        """Return the time of the named model's bytes on a link, and that of starting copies."""
        copies = 1.0
        if moved.kind == ADAPTER:
            copies = ADAPTER_COPIES_A_LAYER * self._llm.layers
        elif link is LinkSpeed.TO_DEVICE:
            copies = moved.layers * self._llm.layers
        return self._dilate * copies * COPY_S + self.on_link(link, moved).seconds

    def on_link(self, link: LinkSpeed, moved: CopiedState) -> OnLink:
        """Return the time of the named model's bytes: others' copies go while one is started."""
        size = self._size[moved.kind] * moved.amount * moved.layers
        return OnLink(link, self._dilate * size / self._bytes_per_s[link])

    def forward_s(self, work: PassWork) -> float:
        """Return what a pass takes."""
        llm, tokens = self._llm, work.prefill_tokens + work.decode_requests
        attention = 4.0 * llm.layers * llm.query_heads * llm.head_dim * work.attended
        compute_s = (2.0 * llm.parameters * tokens + attention) / self._flops
        read = llm.weight_bytes + llm.kv_bytes_per_token * work.context_tokens
        return self._dilate * max(compute_s, read / self._read_per_s)

    def launch_s(self, work: PassWork) -> float:
        """Return what launching a prefill pass's kernels takes; a decode pass is one graph."""
        return self._dilate * self._launch_s if work.prefill_tokens else 0.0


def processor_times(settings: EmulationSettings) -> ProcessorTimes:
    """Return what a scheduler's processor takes by the calibration of a named GPU."""
    of = calibration_of(settings)
    return ProcessorTimes(admission_s=of.admission_s, insertion_s=of.insertion_s)


def times_of(settings: EmulationSettings) -> Times:
    """Return the times that settings describe."""
    return SetTimes(settings) if settings.gpu is None else GpuTimes(settings)


def _named(settings: EmulationSettings) -> tuple[GpuModel, Llm]:
    for field, names in (("gpu", GPUS), ("model", LLMS)):
        name = getattr(settings, field)
        if name not in names:
            raise ConfigurationError(
                f"there is no {field} {name!r} to emulate: choose one of {', '.join(names)}"
            )
    return GPUS[settings.gpu or ""], LLMS[settings.model]


def calibration_of(settings: EmulationSettings) -> Calibration:
    """Return the calibration that settings emulate with.

    Raises:
        ConfigurationError: It has another value.
    """
    try:
        return Calibration(**{**asdict(Calibration()), **settings.calibration})
    except TypeError:
        raise ConfigurationError(
            f"the calibration to emulate with has {', '.join(settings.calibration)}: use some of "
            f"{', '.join(Calibration.__slots__)}"
        ) from None
