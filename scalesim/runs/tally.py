"""Counts of a program's calls, from the lines of its trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from scalesim.vocabulary import TIERS

ANONYMOUS = "anonymous-"
"""How the ingress names a caller whom nothing names, from the opening of its prompt."""


@dataclass(slots=True)
class Tally:
    """Counts of answered calls.

    Attributes:
        calls: Answered.
        named: Of them those that named their agent.
        prompt_tokens: Tokens of all prompts.
        output_tokens: Generated.
        found: Prompt tokens by the tier that held them; `miss`: computed.
        hits: Calls by the coldest tier that had to be read; `miss`: nothing was found.
        step: Newest step.
        seconds: Seconds of all answers together.
        agents: Calls by agent; anonymous ones are counted by their prompt's opening.
    """

    calls: int = 0
    named: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*TIERS, "miss"), 0))
    hits: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*TIERS, "miss"), 0))
    step: int = 0
    seconds: float = 0.0
    agents: dict[str, int] = field(default_factory=dict)

    def add(self, event: dict[str, Any]) -> None:
        """Count one line of the trace."""
        prompt, agent = int(event.get("prompt_tokens", 0)), str(event["agent"])
        found = {tier: int(event.get(tier, 0)) for tier in TIERS}
        found["miss"] = max(prompt - sum(found.values()), 0)
        self.calls += 1
        self.named += not agent.startswith(ANONYMOUS)
        self.prompt_tokens += prompt
        self.output_tokens += int(event.get("output_tokens", 0))
        for tier, tokens in found.items():
            self.found[tier] += tokens
        read = [tier for tier in TIERS if found[tier]]
        self.hits[read[-1] if read else "miss"] += 1
        self.step = max(self.step, int(event["step"]))
        self.seconds += float(event.get("seconds", 0.0))
        self.agents[agent] = self.agents.get(agent, 0) + 1

    def line(self) -> str:
        """Return the counts so far, as one line of text."""
        total = max(self.prompt_tokens, 1)
        shares = ", ".join(f"{self.found[tier] / total:.0%} {tier}" for tier in self.found)
        return (
            f"step {self.step}, {self.calls} calls of {len(self.agents)} agents, "
            f"{self.prompt_tokens + self.output_tokens:,} tokens; prompts: {shares}"
        )
