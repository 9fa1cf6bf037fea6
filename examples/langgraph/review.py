"""LangGraph: a writer, two reviewers side by side and an editor, who decides by a tool.

scalesim run -- python review.py
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Annotated, Literal, TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

ROLES = {
    "writer": "You write one short sentence about a bridge.",
    "optimist": "You say in one short sentence what is good about the text.",
    "pessimist": "You say in one short sentence what is bad about the text.",
    "editor": "You decide what becomes of the text.",
}


class Decide(BaseModel):
    """Decide what becomes of the text."""

    decision: Literal["keep", "shorten", "rewrite"]


class State(TypedDict):
    """What was said so far."""

    said: Annotated[list[str], operator.add]


def main(rounds: int) -> None:
    """Go round the graph."""
    model = ChatOpenAI(model="scalesim", temperature=0, max_tokens=12)
    decides = ChatOpenAI(model="scalesim", temperature=0, max_tokens=128).bind_tools(
        [Decide], tool_choice="required", parallel_tool_calls=False
    )

    def asked(role: str, state: State) -> list[tuple[str, str]]:
        return [("system", f"{ROLES[role]} " * 10), ("user", " ".join(state["said"]))]

    def speaker(role: str) -> Callable[[State], State]:
        return lambda state: {"said": [f"{role}: {model.invoke(asked(role, state)).content}"]}

    def editor(state: State) -> State:
        (call, *_) = decides.invoke(asked("editor", state)).tool_calls
        return {"said": [f"editor: {call['args']['decision']}"]}

    graph = StateGraph(State)
    for role in ROLES:
        graph.add_node(role, editor if role == "editor" else speaker(role))
    graph.add_edge(START, "writer")
    graph.add_edge("writer", "optimist")
    graph.add_edge("writer", "pessimist")
    graph.add_edge(["optimist", "pessimist"], "editor")
    graph.add_conditional_edges(
        "editor", lambda state: END if len(state["said"]) >= 1 + 4 * rounds else "writer"
    )
    for line in graph.compile().invoke({"said": ["Begin."]}, {"recursion_limit": 200})["said"]:
        print(line)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
