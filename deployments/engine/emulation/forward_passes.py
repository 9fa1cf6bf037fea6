"""Forward passes: they occupy their stream, layer by layer, and read what is there then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scalesim.deployments.engine.emulation import times
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork, Timeline
from scalesim.deployments.engine.emulation.places import DEVICE_KV, WEIGHTS, pages, slot
from scalesim.deployments.engine.emulation.streams import current_stream


class Pass:
    """One forward pass: a layer begins when the one before it is done and what it waits for is.

    Args:
        stream: It runs on.
        seconds: It takes without waiting.
        layers: It has.
        now: When it is started.
    """

    def __init__(self, stream: Timeline, seconds: float, layers: int, now: float) -> None:
        self._stream = stream
        self._layer_s = seconds / layers
        self._layers = layers
        self._layer = 0
        stream.done_at = max(stream.done_at, now)

    def reach(self, layer: int) -> None:
        """Run up to a layer."""
        self._stream.done_at += max(0, layer - self._layer) * self._layer_s
        self._layer = max(layer, self._layer)

    def end(self) -> None:
        """Run the rest."""
        self.reach(self._layers)


def watch_passes(device: Device) -> None:
    """Let forward passes take time."""
    from sglang.srt.managers.cache_controller import LayerDoneCounter
    from sglang.srt.managers.tp_worker import TpModelWorker
    from sglang.srt.model_executor.model_runner import ModelRunner

    running: list[Pass] = []
    wait_until = LayerDoneCounter.wait_until
    forward: Callable[..., Any] = TpModelWorker.forward_batch_generation
    compute: Callable[..., Any] = ModelRunner.forward

    def wait(counter: Any, layer: int) -> None:
        for one in running:
            one.reach(layer)
        wait_until(counter, layer)

    def run(worker: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        if batch is None or not batch.reqs:
            return forward(worker, batch, *args, **kwargs)
        seconds, work = _work(device, worker.model_runner, batch)
        stream = current_stream()
        layers = worker.model_runner.token_to_kv_pool.layer_num
        running.append(Pass(stream, seconds, layers, device.clock.now()))
        try:
            result = forward(worker, batch, *args, **kwargs)
        finally:
            running.pop().end()
        reads = [*work.reads, *_slots(worker.model_runner, batch)]  # it filled slots that it needs
        device.put(stream, work._replace(reads=reads), 0.0)
        return result

    def computed(runner: Any, *args: Any, **kwargs: Any) -> Any:
        device.arrive(current_stream().seen)  # what the pass itself put there before
        return compute(runner, *args, **kwargs)

    LayerDoneCounter.wait_until = wait
    TpModelWorker.forward_batch_generation = run
    ModelRunner.forward = computed


def _work(device: Device, runner: Any, batch: Any) -> tuple[float, StreamWork]:
    """Return how long a batch takes, and what it touches."""
    table, lengths = runner.req_to_token_pool.req_to_token, batch.seq_lens.tolist()
    read = [table[row, :n] for row, n in zip(batch.req_pool_indices.tolist(), lengths, strict=True)]
    size = runner.page_size
    reads = [Access(WEIGHTS), Access(DEVICE_KV, pages(torch.cat(read), size))]
    writes = [Access(DEVICE_KV, pages(batch.out_cache_loc, size))]
    extends = batch.forward_mode.is_extend()
    batch_work = times.PassWork(
        prefill_tokens=batch.extend_num_tokens if extends else 0,
        decode_requests=0 if extends else len(batch.reqs),
        context_tokens=sum(lengths),
    )
    return device.times.forward_s(batch_work), StreamWork("a forward pass", reads, writes)


def _slots(runner: Any, batch: Any) -> list[Access]:
    """Return the adapters that a batch reads."""
    if runner.lora_manager is None:
        return []
    slots = runner.lora_manager.memory_pool.uid_to_buffer_id
    return [Access(slot(slots[uid])) for uid in {req.lora_id for req in batch.reqs}]
