"""What is compared: workloads, machines and arms, as data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from scalesim.policies import workloads
from scalesim.settings import Arm
from scalesim.simulations.emulated.learned_transitions import LearnedTransitions
from scalesim.simulations.emulated.predicted_invocations import PredictedInvocations
from scalesim.simulations.schedule import Schedule
from scalesim.simulations.society import society
from scalesim.simulations.trace import recorded
from scalesim.simulations.workload import PromptSize, Workload

PAGE = 16

_FORESEEN_STEPS = 16
"""Steps drawn past the end of the run: what is reported ahead does not end where it does."""


class EmulatedCase(NamedTuple):
    """One workload on one machine.

    Attributes:
        workload: `society`, `trace`, or a class of `scalesim.policies.workloads`.
        agents: How many.
        prefix: Private tokens of each.
        observation: Tokens of a call besides those.
        output: Tokens of an answer.
        active: Share that acts in a step, of `society`.
        steps: After the warm-up.
        device_share: Device tier as a share of all agents' tokens, and slots of all adapters.
        host_share: Host tier likewise.
        think_s: Pause after each step.
        adapters: Distinct LoRA adapters.
        concurrency: Most calls at once.
        stored: 1 with a storage tier that holds all agents.
        noise: Share of hints that are wrong, see `HintNoise`.
        trace: Of workload `trace`, the file: JSON lines with `step` and `agent`.
        seed: Seed of everything drawn.
    """

    workload: str = "society"
    agents: int = 100
    prefix: int = 2048
    observation: int = 24
    output: int = 16
    active: float = 0.2
    steps: int = 10
    device_share: float = 0.25
    host_share: float = 1.5
    think_s: float = 0.3
    adapters: int = 0
    concurrency: int = 64
    stored: int = 0
    noise: float = 0.0
    trace: str = ""
    seed: int = 0

    @property
    def title(self) -> str:
        """A title for people."""
        title = f"{self.workload} {self.agents} x {self.prefix}, {self.output} out"
        if self.think_s != EmulatedCase().think_s:
            title += f", pause {self.think_s:g} s"
        if self.device_share != EmulatedCase().device_share:
            title += f", device {self.device_share:.0%}"
        if self.stored:
            title += f", host {self.host_share:.0%}, storage"
        if self.noise:
            title += f", {self.noise:.0%} of hints wrong"
        return title + (f", {self.adapters} adapters" if self.adapters else "")

    @property
    def size(self) -> PromptSize:
        """Tokens of a call."""
        return PromptSize(self.prefix, self.observation, self.output)

    @property
    def device_tokens(self) -> int:
        """KV tokens on the device, whole pages."""
        return int(self.device_share * self.agents * self.size.total) // PAGE * PAGE

    @property
    def slots(self) -> int:
        """Adapters on the device at a time."""
        return max(1, int(self.device_share * self.adapters))

    def made(self) -> Workload:
        """Return who calls when."""
        if self.workload == "society":
            return society(
                agents=self.agents,
                steps=self.steps,
                active=self.active,
                size=self.size,
                seed=self.seed,
            )
        if self.workload == "trace":
            return recorded(Path(self.trace), steps=self.steps, size=self.size, seed=self.seed)
        steps = range(self.steps + _FORESEEN_STEPS)
        trace = workloads.generate(self.workload, self.agents, len(steps), self.seed).trace
        calls = [trace.agent[trace.step == step].astype(np.int32) for step in steps]
        names = tuple(str(row) for row in range(self.agents))
        ordered = self.workload == "round-robin"
        schedule = Schedule(self.agents, calls, ordered=ordered)
        return Workload(self.workload, names, schedule, self.steps, self.size, self.seed)


class Peer(Protocol):
    """Predicts from requests alone who asks next; its distances are reported in place of ours."""

    def asked(self, step: int, row: int) -> None:
        """Note a request."""
        ...

    def distances(self) -> NDArray[np.float64]:
        """Return float64[agents], in steps, all finite."""
        ...


class ArmOptions(NamedTuple):
    """What decides which state an engine keeps.

    Attributes:
        arm: The engine's arm.
        everything_fits: The device holds all agents, whatever the case says.
        foreseen: Steps reported ahead, besides each agent's next use; None reports nothing.
        pushes: Distances reach the engine's own evictions.
        moves: What the planner wants moved is moved.
        priced: The planner asks what a move costs.
        reserve_share: Share of the device that the planner leaves to running requests' new tokens.
        whole_steps: Distances are reported as such.
        known_steps: All that are farther count as one step more.
        fetch_steps: Nothing farther is fetched.
        peer: Says distances, of as many agents as it is called with, where nothing is reported.
    """

    arm: Arm
    everything_fits: bool = False
    foreseen: int | None = 2
    pushes: bool = True
    moves: bool = True
    priced: bool = True
    reserve_share: float = 0.1
    whole_steps: bool = False
    known_steps: float = np.inf
    fetch_steps: float = np.inf
    peer: Callable[[int], Peer] | None = None

    def reported(self, steps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return float64[n] distances as they are reported."""
        return np.minimum(np.floor(steps) if self.whole_steps else steps, self.known_steps + 1)


ARMS = {
    "stock": ArmOptions("stock"),
    "hicache": ArmOptions("hicache"),
    "scalesim": ArmOptions("scalesim"),
    "perfect": ArmOptions("hicache", everything_fits=True),
    "eviction only": ArmOptions("scalesim", moves=False),
    "prefetch only": ArmOptions("scalesim", pushes=False),
    "no prices": ArmOptions("scalesim", priced=False),
    "one step reported": ArmOptions("scalesim", foreseen=1),
    "ten steps reported": ArmOptions("scalesim", foreseen=10),
    "small reserve": ArmOptions("scalesim", reserve_share=0.02),
    "nothing reported": ArmOptions("scalesim", foreseen=None),
    # Peers: their order, and what they fetch when, on our mechanism.
    # Steps to execution, the next step's agents fetched (arXiv 2507.07400).
    "kvflow": ArmOptions("scalesim", priced=False, whole_steps=True, fetch_steps=1),
    # `evict_pri_level` and `load_ahead_step` of its code (github.com/PanZaifeng/KVFlow).
    "official scalesim": ArmOptions(
        "scalesim", priced=False, whole_steps=True, known_steps=4, fetch_steps=2
    ),
    # Fetched is what is worth one chance in two in the next step, or more.
    "pbkv": ArmOptions(
        "scalesim", foreseen=None, priced=False, fetch_steps=2, peer=PredictedInvocations
    ),
    "cachesage": ArmOptions(
        "scalesim", foreseen=None, priced=False, fetch_steps=1, peer=LearnedTransitions
    ),
}


MAIN_ARMS = ("stock", "hicache", "scalesim", "perfect")

_SHORT = EmulatedCase(output=8, steps=8)

DEFAULT_CASES = (
    _SHORT,
    _SHORT._replace(think_s=0.0),
    EmulatedCase(output=16),
    EmulatedCase(output=128, steps=4),
    _SHORT._replace(agents=40, prefix=8192, steps=5),
    _SHORT._replace(agents=8, prefix=32768, active=0.25, device_share=0.3, steps=4),
    _SHORT._replace(agents=40, adapters=40),
    _SHORT._replace(agents=60, active=0.05, device_share=0.1, host_share=0.3, stored=1),
    *(
        _SHORT._replace(workload=name)
        for name in ("event-queue", "activity", "spatial", "workflow", "diffusion", "zipf")
    ),
    # All of their agents act in every step.
    *(
        _SHORT._replace(workload=name, agents=40, steps=3, concurrency=8)
        for name in ("round-robin", "shuffled")
    ),
)
"""Ten minutes of a processor, with `MAIN_ARMS`: a third of them for 32,768 tokens."""
