"""Examples of frameworks: what each needs from the package index, and what a run is to tell."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Framework(NamedTuple):
    """A program of a framework, and what it is expected to tell.

    Attributes:
        program: Below `examples/`.
        arguments: Of the program.
        requirements: On the package index, with the pins that it needs and does not have.
        agents: Beginnings of the names of all who ask.
        device_tokens: Room for about half of its agents.
        foresees: What it knows of who asks next: who does in a step that begins, or also who does
            after that, so that there is time to fetch.
    """

    program: str
    arguments: tuple[str, ...]
    requirements: tuple[str, ...]
    agents: tuple[str, ...]
    device_tokens: int
    foresees: Literal["step", "ahead"] = "ahead"


FRAMEWORKS = {
    "mesa": Framework(
        "mesa/mesa_town.py", ("8", "3"), ("mesa==3.3.1", "openai"), ("Citizen ",), 1024
    ),
    "mesa-llm": Framework(
        "mesa/llm_town.py", ("4", "3"), ("mesa-llm==0.2.0", "mesa==3.3.1"), ("Citizen ",), 448
    ),
    "langgraph": Framework(
        "langgraph/review.py",
        ("3",),
        ("langgraph==1.2.24", "langchain-openai==1.7.4"),
        ("writer", "optimist", "pessimist", "editor"),
        768,
    ),
    "autogen": Framework(
        "autogen/team.py",
        ("3",),
        ("autogen-agentchat==0.7.5", "autogen-ext[openai]==0.7.5"),
        ("ann", "bob", "eve", "joe"),
        768,
    ),
    "camel": Framework(
        "camel/camel_debate.py",
        ("3",),
        ("camel-ai==0.2.90", "mcp<2"),
        tuple(f"System {name}" for name in ("Ann", "Bob", "Eve", "Joe")),
        640,
    ),
    "agentscope": Framework(
        "agentscope/goals.py",
        ("2",),
        ("agentscope==2.0.11",),
        ("ann", "bob", "eve", "joe", "kim", "lea"),
        1024,
    ),
    "concordia": Framework(
        "concordia/talk.py",
        ("6",),
        ("gdm-concordia==2.1.0", "openai"),
        ("Ann", "Bob", "Eve", "rules"),
        768,
    ),
    "crewai": Framework(
        "crewai/article.py",
        ("3",),
        ("crewai==1.15.30",),
        ("researcher", "writer", "editor"),
        448,
    ),
    "oasis": Framework(
        "oasis/network.py",
        ("8", "4"),
        ("camel-oasis==0.2.5", "mcp<2"),
        ("user ",),
        2048,
    ),
    "agentsociety": Framework(
        "agentsociety/agent_society.py",
        ("1",),
        ("agentsociety2==2.9.3",),
        ("agent 1", "agent 2", "agent 3", "router"),
        4096,
        foresees="step",
    ),
    "generative-agents": Framework(
        "generative_agents/small_ville.py",
        ("20",),
        ("openai",),
        ("Ann Li", "Bob Ray", "Eve Moe", "Joe Hill"),
        576,
    ),
}
"""By the name of its page in `docs/tutorials/frameworks`."""
