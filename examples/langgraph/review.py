"""LangGraph: a writer, two reviewers side by side and an editor, in a graph that goes round.

scalesim run -- python review.py
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Annotated, TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

ROLES = {
    "writer": "You write one short sentence about a bridge.",
    "optimist": "You say in one short sentence what is good about the text.",
    "pessimist": "You say in one short sentence what is bad about the text.",
    "editor": "You say in one short sentence what to change.",
}


class State(TypedDict):
    """What was said so far."""

    said: Annotated[list[str], operator.add]


def main(rounds: int) -> None:
    """Go round the graph."""
    model = ChatOpenAI(model="scalesim", temperature=0, max_tokens=12)

    def node(role: str) -> Callable[[State], State]:
        def speak(state: State) -> State:
            prompt = [("system", f"{ROLES[role]} " * 10), ("user", " ".join(state["said"]))]
            return {"said": [f"{role}: {model.invoke(prompt).content}"]}

        return speak

    graph = StateGraph(State)
    for role in ROLES:
        graph.add_node(role, node(role))
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
