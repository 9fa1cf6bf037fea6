"""Concordia: two people talk, and a game master tells each what the other said.

scalesim run -- python talk.py
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from concordia.environment.engines.sequential import Sequential
from concordia.language_model.gpt_model import GptLanguageModel
from concordia.prefabs.entity import minimal
from concordia.prefabs.game_master import dialogic
from concordia.prefabs.simulation import generic
from concordia.typing import prefab

GOALS = {"Ann": "have a bridge built", "Bob": "keep the ferry", "Eve": "go home early"}


class ChoosingModel(GptLanguageModel):
    """Lets the engine choose among the answers allowed, instead of asking again until one fits.

    Its texts are short: Concordia asks for 2,200 tokens, and a small model uses them. They are the
    same whenever it is run.
    """

    def sample_text(self, prompt: str, *, max_tokens: int = 12, **more: Any) -> str:
        """Return what follows a prompt."""
        more["temperature"] = 0.0
        return super().sample_text(prompt, max_tokens=min(max_tokens, 12), **more)

    def sample_choice(
        self, prompt: str, responses: Sequence[str], *, seed: int | None = None
    ) -> tuple[int, str, dict[str, Any]]:
        """Return the place of the answer among those allowed, and the answer."""
        choice = {"properties": {"answer": {"enum": list(responses)}}, "required": ["answer"]}
        schema = {"name": "choice", "schema": {"type": "object", **choice}}
        answer = self._client.chat.completions.create(
            model=self._model_name,
            messages=[{"role": "user", "content": prompt}],
            response_format={"type": "json_schema", "json_schema": schema},
            max_tokens=128,
            temperature=0,
            seed=seed,
        )
        chosen = json.loads(answer.choices[0].message.content)["answer"]
        return list(responses).index(chosen), chosen, {}


class UntilTheLastStep(Sequential):
    """Goes on until the last step: this game master would ask the model whether to end before."""

    def terminate(self, *args: Any, **kwargs: Any) -> bool:
        """Return False."""
        return False


def embed(text: str) -> np.ndarray:
    """Return a vector that is the same for the same text, and means nothing."""
    return np.random.default_rng(zlib.crc32(text.encode())).normal(size=16)


def main(steps: int) -> None:
    """Let them speak one after the other."""
    people = [
        prefab.InstanceConfig("person", prefab.Role.ENTITY, {"name": name, "goal": goal})
        for name, goal in GOALS.items()
    ]
    rules = {"name": "rules", "acting_order": "fixed"}
    master = prefab.InstanceConfig("talk", prefab.Role.GAME_MASTER, rules)
    config = prefab.Config(
        default_premise="Ann, Bob and Eve meet at the river.",
        default_max_steps=steps,
        prefabs={"person": minimal.Entity(), "talk": dialogic.GameMaster()},
        instances=[*people, master],
    )
    model = ChoosingModel("scalesim")
    talk = generic.Simulation(config=config, model=model, embedder=embed, engine=UntilTheLastStep())
    talk.play(max_steps=steps)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
