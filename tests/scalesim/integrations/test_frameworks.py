"""What frameworks' own objects say of who acts and who comes next, by stand-ins for them.

The frameworks themselves are run by tests/frameworks.
"""

import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import pytest

from scalesim.caller import current
from scalesim.integrations import (
    agentscope,
    agentsociety,
    autogen,
    camel,
    concordia,
    crewai,
    current_run,
    generative_agents,
    langgraph,
    mesa,
    mesa_llm,
    oasis,
    tinytroupe,
)
from scalesim.integrations.requests_of_http import named_requests
from scalesim.settings import ClientSettings
from scalesim.simulation import Simulation
from tests.support.fake_transport import FakeTransport


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTransport]:
    transport = FakeTransport()
    run = Simulation("town", settings=ClientSettings(), transport=transport)
    monkeypatch.setattr(current_run, "_simulation", run)
    yield transport
    run.close()


def module(**names: Any) -> ModuleType:
    made = ModuleType("stand_in")
    vars(made).update(names)
    return made


def who() -> str | None:
    identity = current()
    return identity.agent if identity else None


def steps(transport: FakeTransport) -> dict[str, float]:
    """Return the distances reported last, once all is sent."""
    assert current_run.simulation().flush()
    return dict(sorted(transport.distances.items(), key=lambda pair: pair[1]))


class Person:
    def __init__(self, number: int = 0, name: str = "ann") -> None:
        self.unique_id, self.name = number, name
        self.acted: list[str | None] = []

    def step(self) -> None:
        self.acted.append(who())
        named_requests.total += 1


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

    def __call__(self, agent: Person) -> None:
        agent.step()


def test_mesa_calls_with_any_callable_and_remembers_none_of_them(reported: FakeTransport) -> None:
    kind = agent_set()
    mesa.install(module(AgentSet=kind))
    agents, known = kind([Person(1)]), len(mesa._asks)
    for _ in range(3):
        agents.do(lambda agent: agent.step())
        agents.do(Unhashable())
    assert agents[0].acted == ["Person 1"] * 6
    assert len(mesa._asks) <= known + 2


def test_mesa_reports_a_shuffled_order_before_it_is_drawn(reported: FakeTransport) -> None:
    kind = agent_set()
    before = kind.random.getstate()  # type: ignore[attr-defined]
    mesa.install(module(AgentSet=kind))
    people = kind(Person(number) for number in range(5))
    people.shuffle_do("step")
    assert list(steps(reported)) == [f"Person {number}" for number in kind.acted]  # type: ignore[attr-defined]
    assert [person.acted for person in people] == [[f"Person {number}"] for number in range(5)]
    drawn = Random()
    drawn.setstate(before)
    drawn.shuffle(list(range(5)))
    assert kind.random.getstate() == drawn.getstate()  # type: ignore[attr-defined]


def test_mesa_does_not_count_what_asks_no_model_as_a_step(reported: FakeTransport) -> None:
    kind = agent_set()
    mesa.install(module(AgentSet=kind))
    people = kind([Person()])
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

    class LLMAgent(Person):
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


async def test_camel_and_oasis(reported: FakeTransport) -> None:
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

    class LLMAction:
        pass

    class OasisEnv:
        async def step(self, actions: dict[Any, Any]) -> None:
            pass

    kinds = SimpleNamespace(INTERVIEW="interview")
    oasis.install(module(OasisEnv=OasisEnv, LLMAction=LLMAction, ActionType=kinds))
    users = [SimpleNamespace(social_agent_id=number) for number in range(4)]
    actions: list[Any] = [
        LLMAction(),
        SimpleNamespace(action_type="post"),
        [SimpleNamespace(action_type="interview")],
        LLMAction(),
    ]
    by_user = {_Hashed(user): action for user, action in zip(users, actions, strict=True)}
    await OasisEnv().step(by_user)
    assert list(steps(reported)) == ["user 0", "user 2", "user 3"]


class _Hashed:
    def __init__(self, user: Any) -> None:
        self.social_agent_id = user.social_agent_id


def test_langgraph_looks_along_the_edges(reported: FakeTransport) -> None:
    def write(*channels: str) -> Any:
        return SimpleNamespace(writes=[SimpleNamespace(channel=name) for name in channels])

    nodes = {
        "writer": SimpleNamespace(writers=[write("to:critic", "to:fan")], triggers=["start"]),
        "critic": SimpleNamespace(writers=[write("join")], triggers=["to:critic"]),
        "fan": SimpleNamespace(writers=[write("join"), object()], triggers=["to:fan"]),
        "editor": SimpleNamespace(writers=[], triggers=["join"]),
    }
    config = {"configurable": {"thread_id": "t1"}}

    class PregelLoop:
        tasks, nodes, config = {}, {}, {}  # type: ignore[var-annotated]

        def tick(self) -> bool:
            return bool(self.tasks)

    def run_with_retry(task: Any) -> str | None:
        return who()

    runner = module(run_with_retry=run_with_retry, arun_with_retry=run_with_retry)
    langgraph.install_runner(runner)
    langgraph.install_loop(module(PregelLoop=PregelLoop))
    task = SimpleNamespace(name="writer", config=config)
    assert runner.run_with_retry(task) == "t1 writer"
    loop = PregelLoop()
    assert not loop.tick()
    loop.tasks, loop.nodes, loop.config = {"1": task}, nodes, config
    assert loop.tick()
    expected = {"t1 writer": 0.0, "t1 critic": 1.0, "t1 fan": 1.0, "t1 editor": 2.0}
    assert steps(reported) == expected


async def test_autogen_goes_round(reported: FakeTransport) -> None:
    class RoundRobinGroupChatManager:
        _participant_names, _next_speaker_index = ["ann", "bob", "eve"], 1

        async def select_speaker(self, thread: Any) -> str:
            return "bob"

    class ChatAgentContainer:
        _agent = SimpleNamespace(name="bob")

        async def handle_request(self, message: Any) -> str | None:
            return who()

    autogen.install_round_robin(module(RoundRobinGroupChatManager=RoundRobinGroupChatManager))
    autogen.install_participants(module(ChatAgentContainer=ChatAgentContainer))
    assert await RoundRobinGroupChatManager().select_speaker([]) == "bob"
    assert await ChatAgentContainer().handle_request("now") == "bob"
    assert steps(reported) == {"bob": 0.0, "eve": 1.0, "ann": 2.0}


async def test_agentscope_agents_ask_for_themselves(reported: FakeTransport) -> None:
    class Agent(Person):
        async def _reply(self) -> AsyncGenerator[str | None, None]:
            yield who()

        async def compress_context(self) -> str | None:
            return who()

        observe = compress_context

    agentscope.install(module(Agent=Agent))
    assert [piece async for piece in Agent()._reply()] == ["ann"]
    assert await Agent().compress_context() == "ann"


@pytest.mark.parametrize("fixed", [True, False])
def test_concordia_knows_the_turns_after_this_one(reported: FakeTransport, fixed: bool) -> None:
    people = [Person(name=name) for name in ("ann", "bob", "eve")]
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


def test_crewai_reports_the_order_of_its_tasks(reported: FakeTransport) -> None:
    class Agent:
        role = "writer \n"

        def execute_task(self) -> str | None:
            return who()

        async def aexecute_task(self) -> str | None:
            return who()

    class Crew:
        def _execute_tasks(self, tasks: Sequence[Any]) -> None:
            pass

    crewai.install_agents(module(Agent=Agent))
    crewai.install_crews(module(Crew=Crew))
    assert Agent().execute_task() == "writer"
    roles = ("researcher", "writer")
    Crew()._execute_tasks([SimpleNamespace(agent=SimpleNamespace(role=role)) for role in roles])
    assert steps(reported) == {"researcher": 0.0, "writer": 1.0}


@pytest.mark.parametrize("shuffles", [True, False])
def test_tinytroupe_draws_the_order_ahead(reported: FakeTransport, shuffles: bool) -> None:
    class TinyPerson(Person):
        def act(self) -> str | None:
            return who()

        consolidate_episode_memories = act

    class TinyWorld:
        def __init__(self) -> None:
            self.agents = [TinyPerson(name=f"person {number}") for number in range(9)]

        def _step_sequentially(self, time: Any, randomize_agents_order: bool) -> list[str]:
            order = list(self.agents)
            if randomize_agents_order:
                random.shuffle(order)
            return [str(person.act()) for person in order]

        def _step_in_parallel(self, timedelta_per_step: Any = None) -> None:
            pass

    tinytroupe.install_persons(module(TinyPerson=TinyPerson))
    tinytroupe.install_worlds(module(TinyWorld=TinyWorld))
    world = TinyWorld()
    acted = world._step_sequentially(None, randomize_agents_order=shuffles)
    foreseen = steps(reported)
    assert sorted(foreseen, key=foreseen.__getitem__) == acted
    assert (acted == sorted(acted)) != shuffles
    world._step_in_parallel(timedelta_per_step=None)
    assert set(steps(reported).values()) == {0.0}


async def test_agentsociety_tells_agents_from_its_router(reported: FakeTransport) -> None:
    class AgentBase:
        id = 7

        async def acompletion(self) -> str | None:
            return who()

        run_react_loop = acompletion

    class PersonAgent(AgentBase):
        async def step(self) -> str | None:
            return who()

        ask = step

    class RouterBase:
        async def init(self) -> None:
            pass

        async def acompletion(self) -> str | None:
            return who()

    class AgentSocietyHelper:
        async def _run(self) -> str | None:
            return who()

    class AgentSociety:
        agent_ids: ClassVar = [1, 7]

        async def step(self, tick: int) -> None:
            pass

    agentsociety.install_agents(module(AgentBase=AgentBase))
    agentsociety.install_persons(module(PersonAgent=PersonAgent))
    agentsociety.install_routers(module(RouterBase=RouterBase))
    agentsociety.install_helpers(module(AgentSocietyHelper=AgentSocietyHelper))
    agentsociety.install_societies(module(AgentSociety=AgentSociety))
    person = PersonAgent()
    assert {await person.step(), await person.ask(), await person.acompletion()} == {"agent 7"}
    assert await person.run_react_loop() == "agent 7"
    router = RouterBase()
    await router.init()
    assert await router.acompletion() == "router"
    assert await AgentSocietyHelper()._run() == "helper"
    await AgentSociety().step(60)
    assert steps(reported) == {"agent 1": 0.0, "agent 7": 0.0}
    assert reported.changes == [(["router"], [], [])]


def test_generative_agents_act_again_when_their_action_ends(reported: FakeTransport) -> None:
    class Persona(Person):
        def move(self, maze: Any, personas: Any, tile: Any, now: datetime) -> str | None:
            return who()

        perceive = retrieve = plan = open_convo_session = move

    generative_agents.install(module(Persona=Persona))
    begin = datetime(2023, 2, 13)
    personas = {name: Persona(name=name) for name in ("Ann Li", "Bob Ray", "Eve Moe")}
    for person in personas.values():
        vars(person)["scratch"] = SimpleNamespace(act_start_time=None)
    ann, bob, _ = personas.values()
    for person in personas.values():
        assert person.move(None, personas, None, begin) == person.name
    assert steps(reported) == pytest.approx({"Ann Li": 0, "Bob Ray": 1 / 3, "Eve Moe": 2 / 3})
    vars(ann)["scratch"] = SimpleNamespace(act_start_time=begin, act_duration=2)
    later = begin + timedelta(seconds=20)
    vars(bob)["scratch"] = SimpleNamespace(chatting_with="x", chatting_end_time=later)
    reported.reports.clear()
    for person in personas.values():
        person.move(None, personas, None, later)
    assert steps(reported) == {"Ann Li": 5.0, "Bob Ray": 0.0, "Eve Moe": 0.5}


def test_a_persona_of_somebody_else_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    generative_agents.install(module(Persona=Person))
    assert "not that of Generative Agents" in caplog.text


def test_a_framework_with_other_insides_is_an_error_that_its_hook_catches() -> None:
    with pytest.raises(AttributeError):
        camel.install(module(ChatAgent=object))
