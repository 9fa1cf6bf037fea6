"""The same of frameworks for whole societies: OASIS, TinyTroupe, AgentSociety and others."""

import random
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from scalesim.integrations import agentsociety, generative_agents, oasis, tinytroupe
from tests.support.fake_transport import FakeTransport
from tests.support.framework_stand_ins import StandInPerson, module, steps, who


@pytest.mark.parametrize("shuffles", [True, False])
def test_tinytroupe_draws_the_order_ahead(reported: FakeTransport, shuffles: bool) -> None:
    class TinyPerson(StandInPerson):
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
    assert steps(reported) == {"agent 1": 0.0, "agent 7": 0.5}
    assert reported.changes == [(["router"], [], [])]


class User(StandInPerson):
    """Of OASIS: hashed, with a profile."""

    def __init__(self, number: int, about: dict[str, Any] | None) -> None:
        super().__init__(number)
        self.social_agent_id = number
        self.user_info = SimpleNamespace(profile=about)


async def test_users_of_oasis_act_in_the_order_of_their_actions_else_by_chance(
    reported: FakeTransport,
) -> None:
    class LLMAction:
        pass

    abouts: list[dict[str, Any] | None] = [
        {"other_info": {"active_threshold": [0.1, 0.3] * 12}},
        {"other_info": {"active_threshold": [0.25] * 24}},
        {"other_info": {"active_threshold": [0.0] * 24}},
        {"other_info": {}},
        None,
    ]
    users = [User(number, about) for number, about in enumerate(abouts)]

    class OasisEnv:
        agent_graph = SimpleNamespace(agent_mappings=dict(enumerate(users)))

        async def reset(self) -> None:
            pass

        async def step(self, actions: dict[Any, Any]) -> None:
            pass

    kinds = SimpleNamespace(INTERVIEW="interview")
    oasis.install(module(OasisEnv=OasisEnv, LLMAction=LLMAction, ActionType=kinds))
    env = OasisEnv()
    await env.reset()
    interview = [SimpleNamespace(action_type="interview")]
    post = SimpleNamespace(action_type="post")
    await env.step({users[4]: LLMAction(), users[3]: post, users[0]: interview})
    assert steps(reported) == pytest.approx({"user 4": 0.0, "user 0": 0.5, "user 1": 4.0})
    reported.reports.clear()
    await env.step({users[1]: LLMAction()})
    assert steps(reported) == pytest.approx({"user 1": 0.0, "user 0": 5.0})


def test_generative_agents_act_again_when_their_action_ends(reported: FakeTransport) -> None:
    class Persona(StandInPerson):
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
    generative_agents.install(module(Persona=StandInPerson))
    assert "not that of Generative Agents" in caplog.text
