"""Forward passes: they occupy their stream, layer by layer, and read what is there then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from scalesim.deployments.engine.emulation import times
from scalesim.deployments.engine.emulation.device import Access, Device, StreamWork, Timeline
from scalesim.deployments.engine.emulation.places import DEVICE_KV, WEIGHTS, pages, slot
from scalesim.deployments.engine.emulation.streams import Event, current_stream


class Pass:
    """One forward pass: a layer begins when the one before it is done and what it waits for is.

    Args:
        stream: It runs on.
        seconds: It takes without waiting.
        layers: It has.
        now: When it is started.
        finer: Layers of the model whose times these are, for each of them.
        launch_s: The processor takes to launch all layers, one after the other from `now` on.
    """

    def __init__(
        self,
        stream: Timeline,
        seconds: float,
        layers: int,
        now: float,
        finer: float = 1.0,
        launch_s: float = 0.0,
    ) -> None:
        self._stream = stream
        self._layer_s = seconds / layers
        self._layers = layers
        self._layer = 0
        self._finer = finer
        self._earliest = 0.0
        self._launched_s, self._launch_s = now, launch_s
        self.begin = stream.done_at = max(stream.done_at, now)

    def reach(self, layer: int) -> None:
        """Run up to a layer."""
        if layer > self._layer:
            self._stream.done_at += (layer - self._layer) * self._layer_s
            launched_s = self._launched_s + self._launch_s * layer / self._layers
            self._stream.done_at = max(self._stream.done_at, self._earliest, launched_s)
            self._layer = layer

    def load(self, event: Event) -> None:
        """Wait for what a layer reads, which arrives as evenly as the layer is computed.

        Where a layer stands for several, the first of those begins when its part is there, and the
        last is computed when all is.
        """
        first_part_at = event.done_at - event.latest_s * (1.0 - 1.0 / self._finer)
        self._stream.follow(event.seen, first_part_at)
        self._earliest = event.done_at + self._layer_s / self._finer

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
        if running and device.times.layers and counter.consumer_index >= 0:
            running[-1].load(counter.events[counter.consumer_index].load_events[layer])
        else:
            wait_until(counter, layer)

    def run(worker: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        if batch is None or not batch.reqs:
            return forward(worker, batch, *args, **kwargs)
        runner = worker.model_runner
        computes = _computed(batch)
        seconds, launch_s = device.times.forward_s(computes), device.times.launch_s(computes)
        began_s = device.clock.now()
        work = _work(runner, batch) if device.checked else StreamWork("a forward pass")
        stream = current_stream()
        layers = runner.token_to_kv_pool.layer_num
        finer = device.times.layers / layers if device.times.layers else 1.0
        one = Pass(stream, seconds, layers, began_s, finer, launch_s)
        running.append(one)
        try:
            result = forward(worker, batch, *args, **kwargs)
        finally:
            running.pop().end()
        if launch_s:
            device.clock.wait_until(began_s + launch_s)
        if device.checked:
            reads = [*work.reads, *_slots(runner, batch)]  # it filled slots that it needs
            device.put(stream, work._replace(reads=reads), 0.0)
        elif device.watch is not None:
            device.watch(_name(batch), stream.number, one.begin, stream.done_at)
        return result

    def computed(runner: Any, *args: Any, **kwargs: Any) -> Any:
        device.arrive(current_stream().seen)  # what the pass itself put there before
        return compute(runner, *args, **kwargs)

    LayerDoneCounter.wait_until = wait
    TpModelWorker.forward_batch_generation = run
    ModelRunner.forward = computed


def _computed(batch: Any) -> times.PassWork:
    """Return what a batch computes."""
    lengths = batch.seq_lens.tolist()
    if not batch.forward_mode.is_extend():
        return times.PassWork(0, len(lengths), sum(lengths), sum(lengths))
    new = batch.extend_lens
    attended = sum(n * (total - n // 2) for n, total in zip(new, lengths, strict=True))
    return times.PassWork(batch.extend_num_tokens, 0, sum(lengths), attended)


def _name(batch: Any) -> str:
    if batch.forward_mode.is_extend():
        return f"prefill of {len(batch.reqs)}"
    return f"decode of {len(batch.reqs)}"


def _work(runner: Any, batch: Any) -> StreamWork:
    """Return what a batch touches."""
    table, lengths = runner.req_to_token_pool.req_to_token, batch.seq_lens.tolist()
    read = [table[row, :n] for row, n in zip(batch.req_pool_indices.tolist(), lengths, strict=True)]
    size = runner.page_size
    reads = [Access(WEIGHTS), Access(DEVICE_KV, pages(torch.cat(read), size))]
    writes = [Access(DEVICE_KV, pages(batch.out_cache_loc, size))]
    return StreamWork("a forward pass", reads, writes)


def _slots(runner: Any, batch: Any) -> list[Access]:
    """Return the adapters that a batch reads."""
    if runner.lora_manager is None:
        return []
    slots = runner.lora_manager.memory_pool.uid_to_buffer_id
    return [Access(slot(slots[uid])) for uid in {req.lora_id for req in batch.reqs}]
