"""CrewAI: a researcher, a writer and an editor, one after the other.

scalesim run -- python article.py
"""

from __future__ import annotations

import sys

from crewai import LLM, Agent, Crew, Task

ROLES = {
    "researcher": "collect facts about bridges",
    "writer": "write one short sentence about bridges",
    "editor": "make one sentence shorter",
}


def main(rounds: int) -> None:
    """Let the crew do its tasks a few times."""
    model = LLM(model="hosted_vllm/scalesim", temperature=0, max_tokens=24)
    agents = {
        role: Agent(
            role=role,
            goal=goal,
            backstory=f"You are a {role} of a small newspaper. " * 8,
            llm=model,
            max_iter=1,
        )
        for role, goal in ROLES.items()
    }
    tasks = [
        Task(description=goal.capitalize(), expected_output="One sentence", agent=agents[role])
        for role, goal in ROLES.items()
    ]
    crew = Crew(agents=list(agents.values()), tasks=tasks)
    for _ in range(rounds):
        print(crew.kickoff().raw)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
