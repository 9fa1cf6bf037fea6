"""What frameworks' own objects say of who acts and who comes next, by stand-ins for them.

The frameworks themselves are run by tests/frameworks.
"""

import gc
import weakref
from collections.abc import AsyncGenerator, Iterator, Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.integrations import (
    camel,
    concordia,
    current_run,
    mesa,
    mesa_llm,
)
from tests.support.fake_transport import FakeTransport
from tests.support.framework_stand_ins import StandInPerson, module, steps, who


def agent_set() -> type:
    class AgentSet(list[Any]):
        random = Random(7)

        def do(self, method: Any) -> None:
            for agent in self:
                getattr(agent, method)() if isinstance(method, str) else method(agent)

        def shuffle_do(self, method: Any) -> None:
            order = list(self)
            self.random.shuffle(order)
            AgentSet.acted = [agent.unique_id for agent in order]  # type: ignore[attr-defined]
            for agent in order:
                getattr(agent, method)() if isinstance(method, str) else method(agent)

        map = do

    return AgentSet


class Unhashable:
    __hash__ = None  # type: ignore[assignment]

    def __call__(self, agent: StandInPerson) -> None:
        agent.step()


def test_mesa_calls_with_any_callable_and_remembers_none_of_them(reported: FakeTransport) -> None:
    kind = agent_set()
    mesa.install(module(AgentSet=kind))
    agents, given = kind([StandInPerson(1)]), []
    for _ in range(3):
        for method in (lambda agent: agent.step(), Unhashable()):
            agents.do(method)
            given.append(weakref.ref(method))
    del method
    gc.collect()
    assert agents[0].acted == ["StandInPerson 1"] * 6
    assert [each() for each in given] == [None] * 6


def test_mesa_reports_a_shuffled_order_before_it_is_drawn(reported: FakeTransport) -> None:
    kind = agent_set()
    before = kind.random.getstate()  # type: ignore[attr-defined]
    mesa.install(module(AgentSet=kind))
    people = kind(StandInPerson(number) for number in range(5))
    people.shuffle_do("step")
    names = [f"StandInPerson {number}" for number in range(5)]
    assert list(steps(reported)) == [names[number] for number in kind.acted]  # type: ignore[attr-defined]
    assert [person.acted for person in people] == [[name] for name in names]
    drawn = Random()
    drawn.setstate(before)
    drawn.shuffle(list(range(5)))
    assert kind.random.getstate() == drawn.getstate()  # type: ignore[attr-defined]


def test_mesa_does_not_count_what_asks_no_model_as_a_step(reported: FakeTransport) -> None:
    kind = agent_set()
    mesa.install(module(AgentSet=kind))
    people = kind([StandInPerson()])
    for _ in range(3):
        people.do(lambda person: None)
    move = "acted_nothing"
    for person in people:
        setattr(person, move, lambda: None)
    for _ in range(3):
        people.do(move)
    assert current_run.simulation().epoch == 2  # once it is expected, of each new one


def test_mesa_llm_asks_for_the_owner_of_the_model(reported: FakeTransport) -> None:
    class ModuleLLM:
        def generate(self) -> str | None:
            return who()

        async def agenerate(self) -> str | None:
            return who()

    class LLMAgent(StandInPerson):
        def __init__(self) -> None:
            super().__init__(3)
            self.llm = ModuleLLM()

    class Memory:
        def __init__(self, agent: Any) -> None:
            self.agent, self.llm = agent, ModuleLLM()

    mesa_llm.install_models(module(ModuleLLM=ModuleLLM))
    mesa_llm.install_agents(module(LLMAgent=LLMAgent))
    mesa_llm.install_memories(module(Memory=Memory))
    agent = LLMAgent()
    assert agent.llm.generate() == "LLMAgent 3"
    assert Memory(agent).llm.generate() == "LLMAgent 3"
    assert Memory(None).llm.generate() is None


def test_mesa_llm_reports_the_order_of_who_acts_at_once(reported: FakeTransport) -> None:
    stand_in = module(step_agents_parallel_sync=lambda agents: None)
    mesa_llm.install_steps(stand_in)
    stand_in.step_agents_parallel_sync([StandInPerson(2), StandInPerson(1)])
    assert steps(reported) == {"StandInPerson 2": 0.0, "StandInPerson 1": 0.5}


async def test_camel_asks_for_the_agent_also_in_streams(reported: FakeTransport) -> None:
    class ChatAgent:
        def __init__(self, agent_id: str) -> None:
            self.agent_id, self.role_name = agent_id, "judge"

        def _step_impl(self) -> str | None:
            return who()

        async def _astep_non_streaming_task(self) -> str | None:
            return who()

        def _stream(self) -> Iterator[str | None]:
            yield who()

        async def _astream(self) -> AsyncGenerator[str | None, None]:
            yield who()

    camel.install(module(ChatAgent=ChatAgent))
    assert ChatAgent("7f")._step_impl() == "judge 7f"
    assert await ChatAgent("7f")._astep_non_streaming_task() == "judge 7f"
    assert list(ChatAgent("7f")._stream()) == ["judge 7f"]


async def test_camels_role_players_take_turns(reported: FakeTransport) -> None:
    class RolePlaying:
        user_agent = SimpleNamespace(role_name="mayor", agent_id="a")
        assistant_agent = SimpleNamespace(role_name="smith", agent_id="b")

        def step(self, assistant_msg: str) -> None:
            pass

        async def astep(self, assistant_msg: str) -> None:
            pass

    camel.install_role_playing(module(RolePlaying=RolePlaying))
    RolePlaying().step("begin")
    assert steps(reported) == {"mayor a": 0.0, "smith b": 0.5}
    await RolePlaying().astep("go on")
    assert current_run.simulation().epoch == 2


def test_concordias_entities_act_for_themselves(reported: FakeTransport) -> None:
    class EntityAgent(StandInPerson):
        def act(self) -> str | None:
            return who()

        def observe(self) -> str | None:
            return who()

    class Earlier(EntityAgent):
        def stateless_act(self) -> str | None:
            return who()

    concordia.install_entities(module(EntityAgent=Earlier))
    concordia.install_entities(module(EntityAgent=EntityAgent))
    asked = [Earlier().stateless_act(), EntityAgent().act(), EntityAgent().observe()]
    assert asked == ["ann"] * 3


def test_concordia_keeps_game_masters_where_nobody_knows_an_order(reported: FakeTransport) -> None:
    class Asynchronous:
        def run_loop(self, game_masters: Sequence[Any], entities: Sequence[Any]) -> None:
            pass

    concordia.install_asynchronous(module(Asynchronous=Asynchronous))
    Asynchronous().run_loop([StandInPerson(name="rules")], [])
    assert current_run.simulation().flush()
    assert reported.changes == [(["rules"], [], [])]


@pytest.mark.parametrize("fixed", [True, False])
def test_concordia_knows_the_turns_after_this_one(reported: FakeTransport, fixed: bool) -> None:
    people = [StandInPerson(name=name) for name in ("ann", "bob", "eve")]
    rules = SimpleNamespace(_sequence=["ann", "bob", "eve"]) if fixed else object()
    master = SimpleNamespace(name="rules", get_all_context_components=lambda: {"order": rules})

    class Sequential:
        def next_acting(self, game_master: Any, entities: Sequence[Any]) -> tuple[Any, str]:
            return entities[1], "speak"

        def run_loop(self, game_masters: Sequence[Any], entities: Sequence[Any]) -> None:
            self.next_acting(game_masters[0], entities)

    concordia.install_sequential(module(Sequential=Sequential))
    Sequential().run_loop([master], people)
    later = {"eve": 1.0, "ann": 2.0} if fixed else {}
    assert steps(reported) == {"bob": 0.0, **later}
    assert reported.changes == [(["rules"], [], [])]


def test_a_framework_with_other_insides_is_an_error_that_its_hook_catches() -> None:
    with pytest.raises(AttributeError):
        camel.install(module(ChatAgent=object))
