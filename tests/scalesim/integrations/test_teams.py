"""The same of frameworks whose agents work together: LangGraph, AutoGen, AgentScope, CrewAI."""

from collections.abc import AsyncGenerator, Sequence
from types import SimpleNamespace
from typing import Any

from scalesim.integrations import agentscope, autogen, crewai, current_run, langgraph
from tests.support.fake_transport import FakeTransport
from tests.support.framework_stand_ins import StandInPerson, module, steps, who


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

    class AssistantAgent:
        name = "eve"

        async def on_messages(self, messages: Any) -> str | None:
            return who()

        async def on_messages_stream(self, messages: Any) -> AsyncGenerator[str | None, None]:
            yield who()

    autogen.install_assistants(module(AssistantAgent=AssistantAgent))
    assert await AssistantAgent().on_messages([]) == "eve"
    assert [piece async for piece in AssistantAgent().on_messages_stream([])] == ["eve"]
    autogen.install_round_robin(module(RoundRobinGroupChatManager=RoundRobinGroupChatManager))
    autogen.install_participants(module(ChatAgentContainer=ChatAgentContainer))
    assert await RoundRobinGroupChatManager().select_speaker([]) == "bob"
    assert await ChatAgentContainer().handle_request("now") == "bob"
    assert steps(reported) == {"bob": 0.0, "eve": 1.0, "ann": 2.0}


async def test_autogens_orchestrator_asks_for_itself_and_stays(reported: FakeTransport) -> None:
    class MagenticOneOrchestrator:
        _name = "orchestrator"

        async def handle_start(self, message: str) -> str | None:
            return who()

        async def handle_agent_response(self, message: str) -> str | None:
            return who()

    autogen.install_orchestrator(module(MagenticOneOrchestrator=MagenticOneOrchestrator))
    assert await MagenticOneOrchestrator().handle_start("begin") == "orchestrator"
    assert await MagenticOneOrchestrator().handle_agent_response("done") == "orchestrator"
    assert current_run.simulation().flush()
    assert reported.changes[-1] == (["orchestrator"], [], [])


async def test_agentscope_agents_ask_for_themselves(reported: FakeTransport) -> None:
    class Agent(StandInPerson):
        async def _reply(self) -> AsyncGenerator[str | None, None]:
            yield who()

        async def compress_context(self) -> str | None:
            return who()

        def reply_stream(self) -> AsyncGenerator[str | None, None]:
            return self._reply()

        observe = compress_context

    agentscope.install(module(Agent=Agent))
    assert [piece async for piece in Agent()._reply()] == ["ann"]
    assert await Agent().compress_context() == "ann"


async def test_agentscopes_pipelines_say_who_comes_next(reported: FakeTransport) -> None:
    class TeamPipeline:
        leader = StandInPerson(name="leader")

        def _parse(self, call: Any) -> dict[str, str]:
            return {"member": call.input}

        async def _run_assignments(
            self, tool_calls: Sequence[Any], results: list[Any]
        ) -> AsyncGenerator[str, None]:
            yield "done"

    class Agent(StandInPerson):
        async def _reply(self) -> AsyncGenerator[str | None, None]:
            yield who()

        async def reply_stream(self) -> AsyncGenerator[Any, None]:
            async for piece in self._reply():
                yield piece, steps(reported)
            reported.reports.clear()

        async def compress_context(self) -> None:
            pass

        observe = compress_context

    class GoalPipeline:
        executor, verifier = Agent(name="smith"), Agent(name="judge")

        async def reply_stream(self, inputs: str) -> AsyncGenerator[Any, None]:
            for agent in (self.executor, self.verifier, self.executor):
                async for piece in agent.reply_stream():
                    yield piece

    agentscope.install(module(Agent=Agent))
    agentscope.install_teams(module(TeamPipeline=TeamPipeline))
    agentscope.install_goals(module(GoalPipeline=GoalPipeline))
    calls = [SimpleNamespace(input=name) for name in ("ann", "bob", "ann")]
    assert [piece async for piece in TeamPipeline()._run_assignments(calls, [])] == ["done"]
    assert steps(reported) == {"ann": 0.0, "bob": 0.0, "leader": 1.0}
    assert reported.changes == [(["leader"], [], [])]
    reported.reports.clear()
    smiths = "smith", {"smith": 0.0, "judge": 1.0}
    judges = "judge", {"judge": 0.0, "smith": 1.0}
    turns = [piece async for piece in GoalPipeline().reply_stream("go")]
    assert turns == [smiths, judges, smiths]
    assert [piece async for piece in Agent(name="ann").reply_stream()] == [("ann", {})]


class CrewAgent:
    """As of CrewAI, whose first versions have no more than this."""

    def __init__(self, role: str) -> None:
        self.role = role

    def execute_task(self) -> str | None:
        return who()


class CrewTask:
    def __init__(self, agent: CrewAgent | None) -> None:
        self.agent = agent

    def _execute_core(self, agent: CrewAgent | None, context: str) -> str | None:
        return who()


class Crew:
    manager: CrewAgent | None = None

    def _get_agent_to_use(self, task: CrewTask) -> CrewAgent | None:
        return self.manager or task.agent

    def _execute_tasks(self, tasks: Sequence[CrewTask]) -> None:
        for task in tasks:
            task._execute_core(task.agent, "")


async def test_crewai_asks_for_the_agent_with_a_task_and_without(
    reported: FakeTransport,
) -> None:
    class Later(CrewAgent):
        def kickoff(self, messages: str) -> str | None:
            return who()

        async def aexecute_task(self) -> str | None:
            return who()

        akickoff = kickoff_async = aexecute_task

    crewai.install_agents(module(Agent=Later))
    writer = Later("writer \n")
    asked = [writer.execute_task(), writer.kickoff("hi"), await writer.aexecute_task()]
    asked += [await writer.kickoff_async(), await writer.akickoff()]
    assert asked == ["writer"] * 5

    class First(CrewAgent):
        pass

    class Task(CrewTask):
        pass

    crewai.install_agents(module(Agent=First))
    crewai.install_tasks(module(Task=Task))
    assert First("editor").execute_task() == "editor"
    assert Task(None)._execute_core(writer, "") == "writer"
    assert Task(writer)._execute_core(None, "") == "writer"
    assert Task(None)._execute_core(None, "") is None


async def test_crewai_reports_each_task_and_those_after_it(reported: FakeTransport) -> None:
    told = []

    class Later(Crew):
        async def _aexecute_tasks(self, tasks: Sequence[CrewTask]) -> None:
            self._execute_tasks(tasks)

    class Told(CrewTask):
        def _execute_core(self, agent: CrewAgent | None, context: str) -> str | None:
            told.append(steps(reported))
            return who()

    crewai.install_crews(module(Crew=Later))
    crewai.install_tasks(module(Task=Told))
    tasks = [Told(CrewAgent(role)) for role in ("researcher", "writer")]
    crew = Later()
    crew._execute_tasks(tasks)
    assert told.pop(0) == {"researcher": 0.0, "writer": 1.0}
    assert told.pop(0)["writer"] == 0.0
    await crew._aexecute_tasks(tasks[::-1])
    assert told.pop(0) == {"writer": 0.0, "researcher": 1.0}
    assert told.pop(0)["researcher"] == 0.0
    crew.manager = CrewAgent("manager")
    crew._execute_tasks(tasks)
    assert told.pop()["manager"] == 0.0
    Told(None)._execute_core(None, "")
    assert current_run.simulation().epoch == 6, "a task without a crew has no order"
