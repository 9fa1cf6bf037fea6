"""SGLang's own choice of slots, on a device where only events and waits make an order."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from scalesim.deployments.engine import boot
from scalesim.deployments.engine.identity_envelope import HINT_TYPE
from scalesim.deployments.engine.payloads.adapter_payload import AdapterPayload
from scalesim.deployments.engine.payloads.moves import MoveOutcome
from scalesim.vocabulary import Tier
from tests.support.ordered_device import OrderedDevice, OrderedEvent

pytestmark = pytest.mark.engine

ADAPTERS = "abcde"
SLOTS = 2


class SlotRequest(SimpleNamespace):
    __hash__ = object.__hash__


def request(key: int | None, adapter: str | None) -> Any:
    action = SimpleNamespace(action_type=HINT_TYPE, payload={"key": key})
    return SlotRequest(
        rid=f"{key}-{adapter}-{id(action)}",
        lora_id=adapter,
        kv_hints=SimpleNamespace(actions=[action]) if key is not None else None,
        finished=lambda: False,
    )


class SlotRanks:
    """This rank and another, whose copies end when it says so."""

    first, count = True, 2

    def __init__(self) -> None:
        self.other_has_it = True

    def agreed(self, yes: bool) -> bool:
        return yes and self.other_has_it

    def broadcast(self, values: tuple[int, int]) -> tuple[int, int]:
        return values


class SlotScheduler:
    """SGLang's bookkeeping of slots and passes over `OrderedDevice`: it copies nothing."""

    def __init__(self) -> None:
        assert boot
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SGLang's own, on its first import
            from sglang.srt.lora.lora_manager import LoRAManager
            from sglang.srt.lora.mem_pool import EMPTY_SLOT, LoRAMemoryPool

            from scalesim.deployments.engine.sglang.lora_slots import LoRASlots
            from scalesim.deployments.engine.sglang.requests_in_use import LiveRequests

        self.device_module = OrderedDevice()
        self.forward_stream = self.device_module.Stream()
        pool: Any = LoRAMemoryPool.__new__(LoRAMemoryPool)
        pool.max_loras_per_batch = SLOTS + 1
        pool.A_buffer = pool.B_buffer = {}
        pool.uid_to_buffer_id = {}
        pool.buffer_id_to_uid = [EMPTY_SLOT] * (SLOTS + 1)
        pool.eviction_policy = SimpleNamespace(mark_used=print)
        pool.load_lora_weight_to_buffer = lambda uid, slot, *rest: self.device_module.write(slot)
        pool._clear_buffer_slot_for_base = self.device_module.write
        manager: Any = LoRAManager.__new__(LoRAManager)
        manager.memory_pool = self.pool = pool
        manager.max_loras_per_batch = SLOTS + 1
        manager.loras = dict.fromkeys(ADAPTERS)
        manager.lora_modules, manager.lora_refs, manager.configs = [], {}, {}
        manager.embed_tokens_module = manager.lm_head_module = None
        manager.pending_lora_load_events = {}
        runner = SimpleNamespace(lora_manager=manager)
        self.tp_worker = SimpleNamespace(model_runner=runner)
        self.server_args = SimpleNamespace(max_loaded_loras=8)
        self.waiting_queue: list[Any] = []
        self.running_batch = SimpleNamespace(reqs=[])
        self.last_batch = self.chunked_req = None
        self.manager = manager
        self.requests = LiveRequests(self)
        self.ranks = SlotRanks()
        with self.device_module.stream(self.device_module.Stream()):  # of the start-up
            manager.fetch_new_loras({None})
            self.slots = LoRASlots(self, self.requests, self.ranks)
            self.slots.attach()
        self.payload = AdapterPayload(self.slots)

    def queue(self, key: int | None, adapter: str | None) -> None:
        self._add_request_to_queue(request(key, adapter))

    def _add_request_to_queue(self, waiting: Any) -> None:
        self.waiting_queue.append(waiting)

    def _release_aborted_request(self, waiting: Any) -> None:
        """SGLang's drops what its cache holds of it."""

    def abort_waiting(self) -> None:
        while self.waiting_queue:
            self._release_aborted_request(self.waiting_queue.pop())

    def forward(self) -> None:
        """A pass: what waits joins the batch as far as there are slots, then all are decoded."""
        device = self.device_module
        running = {request.lora_id for request in self.running_batch.reqs}
        new = []
        for waiting in list(self.waiting_queue):
            if len(running | {waiting.lora_id}) <= self.pool.max_loras_per_batch:
                running.add(waiting.lora_id)
                new.append(waiting)
                self.waiting_queue.remove(waiting)
        self.last_batch = SimpleNamespace(reqs=new or self.running_batch.reqs)
        self.forward_stream.wait_stream(device.host)
        with device.stream(self.forward_stream):
            batch = {request.lora_id for request in self.last_batch.reqs}
            before = set(self.pool.uid_to_buffer_id)
            self.manager.fetch_new_loras(batch)
            gone = before - set(self.pool.uid_to_buffer_id)
            assert not gone & running, "an adapter of a running request was put out"
            for uid in batch:
                device.read(self.pool.uid_to_buffer_id[uid])
        self.running_batch.reqs = self.running_batch.reqs + new

    def finish(self, count: int) -> None:
        for finished in self.running_batch.reqs[:count]:
            self.requests.left(finished)
        self.running_batch.reqs = self.running_batch.reqs[count:]
        self.last_batch = None


def crowded() -> SlotScheduler:
    """Return one whose batch has one adapter more than there are slots."""
    scheduler = SlotScheduler()
    for key, adapter in enumerate("abc"):
        scheduler.queue(key, adapter)
    scheduler.forward()
    scheduler.queue(3, "d")
    scheduler.payload.settle()
    scheduler.payload.push(range(4), (9.0, 9.0, 50.0, 0.0))
    return scheduler


def test_slots_say_what_came_and_went_once() -> None:
    scheduler = SlotScheduler()
    scheduler.slots.moved()
    scheduler.queue(0, "a")
    scheduler.forward()
    scheduler.slots.enter("b")
    assert list(scheduler.slots.moved()) == ["a", "b"]
    scheduler.slots.leave("b")
    del scheduler.manager.loras["c"]
    assert list(scheduler.slots.moved()) == ["b", "c"]
    assert not scheduler.slots.moved()


def test_a_batch_may_fill_one_slot_more_and_none_of_it_gives_way() -> None:
    scheduler = crowded()
    slots, payload = scheduler.slots, scheduler.payload
    assert (set(slots.resident()), slots.free()) == (set("abc"), 0)
    assert payload.prefetch(3, Tier.DEVICE) is MoveOutcome.BUSY
    assert payload.demote(2, Tier.HOST) is MoveOutcome.REFUSED
    assert set(slots.resident()) == set("abc")


def test_the_slot_of_the_bare_model_is_given_back() -> None:
    scheduler = crowded()
    scheduler.finish(3)
    scheduler.abort_waiting()
    scheduler.payload.settle()
    assert scheduler.payload.prefetch(3, Tier.DEVICE) is MoveOutcome.STARTED
    assert len(scheduler.slots.resident()) == SLOTS
    assert "c" not in scheduler.slots.resident()


def test_adapters_of_requests_without_identity_are_in_use() -> None:
    scheduler = SlotScheduler()
    for key, adapter in ((None, "a"), (1, "b"), (None, None)):
        scheduler.queue(key, adapter)
    scheduler.forward()
    scheduler.queue(2, "c")
    scheduler.payload.settle()
    scheduler.payload.push((1, 2), (9.0, 0.0))
    assert scheduler.payload.prefetch(2, Tier.DEVICE) is MoveOutcome.BUSY
    assert set(scheduler.slots.resident()) == {"a", "b"}


def known_to_two_agents() -> SlotScheduler:
    """Agent 0 has adapter `a` and agent 1 `b`, neither of them in a slot or asked for."""
    scheduler = SlotScheduler()
    for key, adapter in enumerate("ab"):
        scheduler.queue(key, adapter)
    scheduler.payload.settle()
    scheduler.abort_waiting()
    return scheduler


def test_one_copy_at_a_time_is_on_its_way() -> None:
    scheduler = known_to_two_agents()
    assert scheduler.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    assert scheduler.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY
    assert scheduler.payload.settle() is True
    scheduler.device_module.arrive()
    assert scheduler.payload.settle() is False
    assert scheduler.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED


def test_a_copy_has_ended_once_it_has_on_every_rank() -> None:
    """Another move would begin on one rank and wait on the other: both must do the same."""
    scheduler = known_to_two_agents()
    assert scheduler.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    scheduler.device_module.arrive()
    scheduler.ranks.other_has_it = False
    assert scheduler.payload.settle() is True
    assert scheduler.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.BUSY
    scheduler.ranks.other_has_it = True
    assert scheduler.payload.settle() is False
    assert scheduler.payload.prefetch(1, Tier.DEVICE) is MoveOutcome.STARTED


def test_the_link_is_timed_by_the_device_and_without_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class TimedEvent(OrderedEvent):
        """Every piece of work takes a quarter of a second."""

        def __init__(self, *, enable_timing: bool = False) -> None:
            super().__init__(scheduler.device_module)

        def elapsed_time(self, end: OrderedEvent) -> float:
            return 250.0 * len(end.before - self.before)

    scheduler = SlotScheduler()
    turn(scheduler, 0, "a")  # its pass is under way, and there is a slot left
    scheduler.queue(2, "c")
    scheduler.payload.settle()
    monkeypatch.setattr(OrderedDevice, "Event", TimedEvent)
    assert scheduler.payload.prefetch(2, Tier.DEVICE) is MoveOutcome.STARTED
    scheduler.device_module.arrive()
    scheduler.payload.settle()
    assert scheduler.payload.transfer().loaded_s == 0.25


def turn(scheduler: SlotScheduler, key: int | None, adapter: str | None) -> None:
    """A request that comes, is served in one pass and leaves; its result is not read yet."""
    scheduler.queue(key, adapter)
    scheduler.payload.settle()
    scheduler.forward()
    scheduler.finish(len(scheduler.running_batch.reqs))
    scheduler.payload.settle()


def test_a_pass_waits_for_the_copy_that_brings_its_adapter() -> None:
    scheduler = SlotScheduler()
    turn(scheduler, 0, "a")
    scheduler.payload.demote(0, Tier.HOST)
    assert scheduler.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    turn(scheduler, 0, "a")  # the device says where it is read too early


def test_a_pass_needs_no_wait_for_a_copy_that_was_seen_to_end() -> None:
    scheduler = SlotScheduler()
    scheduler.queue(0, "a")
    scheduler.payload.settle()
    assert scheduler.payload.prefetch(0, Tier.DEVICE) is MoveOutcome.STARTED
    scheduler.device_module.arrive()
    assert scheduler.payload.settle() is False
    scheduler.forward()


def test_a_copy_waits_for_the_pass_that_reads_its_slot() -> None:
    scheduler = SlotScheduler()
    for key, adapter in enumerate("ab"):
        turn(scheduler, key, adapter)
    scheduler.queue(2, "c")
    scheduler.payload.settle()
    scheduler.payload.push(range(3), (5.0, 9.0, 1.0))
    assert scheduler.payload.prefetch(2, Tier.DEVICE) is MoveOutcome.STARTED
    assert set(scheduler.slots.resident()) == {"a", "c"}


def test_a_request_s_own_copy_waits_for_what_leaves_its_slot() -> None:
    scheduler = SlotScheduler()
    turn(scheduler, 0, "a")
    scheduler.payload.demote(0, Tier.HOST)
    turn(scheduler, 1, "b")


def test_a_prefill_puts_out_none_that_is_being_decoded() -> None:
    scheduler = SlotScheduler()
    for adapter in "abc":
        scheduler.queue(None, adapter)
        scheduler.forward()  # each joins those before, whose batch is not this one's
    assert set(scheduler.slots.resident()) == set("abc")


class SlotMachine(RuleBasedStateMachine):
    """Requests, passes and directives in any order; the device notices every race."""

    keys = st.integers(0, 4)

    def __init__(self) -> None:
        super().__init__()
        self.engine = SlotScheduler()

    @rule(key=st.none() | keys, adapter=st.none() | st.sampled_from(ADAPTERS))
    def queue(self, key: int | None, adapter: str | None) -> None:
        self.engine.queue(key, adapter)

    @precondition(lambda self: self.engine.waiting_queue or self.engine.running_batch.reqs)
    @rule()
    def forward(self) -> None:
        self.engine.forward()

    @rule(count=st.integers(1, 4))
    def finish(self, count: int) -> None:
        self.engine.finish(count)

    @rule()
    def arrive(self) -> None:
        self.engine.device_module.arrive()

    @rule(key=keys, distance=st.floats(0, 20))
    def push(self, key: int, distance: float) -> None:
        self.engine.payload.push((key,), (distance,))

    @rule(key=keys, verb=st.sampled_from(("prefetch", "demote", "drop")))
    def direct(self, key: int, verb: str) -> None:
        payload = self.engine.payload
        payload.settle()
        in_use = set(self.engine.slots.needed()) & set(self.engine.slots.resident())
        if verb == "drop":
            payload.drop(key)
        else:
            getattr(payload, verb)(key, Tier.DEVICE if verb == "prefetch" else Tier.HOST)
        assert in_use <= set(self.engine.slots.resident())

    @rule(adapter=st.sampled_from(ADAPTERS))
    def unload(self, adapter: str) -> None:
        """SGLang takes an adapter out of the engine once no request needs it."""
        needed = set(self.engine.slots.needed())
        if adapter in self.engine.manager.loras and adapter not in needed:
            self.engine.manager._unload_lora_adapter(
                SimpleNamespace(lora_id=adapter, lora_name=adapter, lora_path="", pinned=False)
            )
            self.engine.manager.loras[adapter] = None

    @invariant()
    def check_integrity(self) -> None:
        pool = self.engine.pool
        assert {
            u: s for s, u in enumerate(pool.buffer_id_to_uid) if not hasattr(u, "__slots__")
        } == (pool.uid_to_buffer_id)
        assert 0 <= self.engine.slots.free() <= SLOTS


TestAnything = SlotMachine.TestCase
TestAnything.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
