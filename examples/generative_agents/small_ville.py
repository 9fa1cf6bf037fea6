"""Generative Agents: people who plan an action, and ask again when it has ended.

scalesim run -- python small_ville.py

The repository's own `reverie.py` is run the same way: what is hooked is `persona/persona.py`, of
which there is a small one beside this file.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

from persona.persona import Persona

TRADES = {"Ann Li": "baker", "Bob Ray": "smith", "Eve Moe": "teacher", "Joe Hill": "nurse"}
STEP = timedelta(seconds=10)


def main(steps: int) -> None:
    """Let all take their steps, one after the other."""
    personas = {name: Persona(name, trade) for name, trade in TRADES.items()}
    now = datetime(2026, 3, 2, 8)
    for _ in range(steps):
        for persona in personas.values():
            planned = persona.move(None, personas, None, now)
            if planned:
                print(f"{now:%H:%M:%S} {persona.name}: {planned[0]}, {planned[1]} minutes")
        now += STEP


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
