"""TinyTroupe: neighbours talk about a bridge, in an order that is drawn for each step.

scalesim run -- python street_talk.py
"""

from __future__ import annotations

import sys

from tinytroupe import config_manager
from tinytroupe.agent import TinyPerson
from tinytroupe.environment import TinyWorld

TRADES = {"Ann": "baker", "Bob": "smith", "Eve": "teacher"}
SETTINGS = {
    "model": "scalesim",
    "max_completion_tokens": 200,
    "waiting_time": 0,  # seconds, before every call
    "enable_continuous_contextual_semantic_memory_retrieval": False,  # asks for embeddings
}


def main(steps: int) -> None:
    """Let all hear the question, and act once a step."""
    config_manager.update_multiple(SETTINGS)
    people = []
    for name, trade in TRADES.items():
        person = TinyPerson(name)
        person.define("age", 40)
        person.define("occupation", {"title": trade, "description": f"You are a {trade}."})
        people.append(person)
    street = TinyWorld("street", people)
    street.make_everyone_accessible()
    street.broadcast("Shall we build a bridge?")
    street.run(steps, parallelize=False)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
