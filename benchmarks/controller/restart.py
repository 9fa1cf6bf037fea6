"""A controller of a million agents is killed: seconds until it plans again from its catalog.

All agents have a distance and state in host memory on one of 64 made-up replicas, of which one
attaches again; the first plan is what brings its nearest agents to the device.

Run: python -m benchmarks.controller.restart [AGENTS]
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Any

import numpy as np
import ray
import redis
from ray.actor import ActorHandle
from rich.console import Console

from benchmarks.results import write
from scalesim.controller import actor
from scalesim.controller.catalog.embedded import serving
from scalesim.errors import StaleControllerError, UnavailableError
from scalesim.identity import agent_keys
from scalesim.policies.placement import rendezvous
from scalesim.settings import CatalogSettings, ControllerSettings, EngineSettings, StackSettings
from scalesim.vocabulary import PREFIX, Budgets, Keys, ReplicaInfo, Residency

REPLICAS, BATCH = 64, 10_000
BYTES = 128 * 2**20
DEVICE_SHARE = 0.02
CALL_S = 120.0
SIMULATION = "restart"
NAMES = [f"replica-{number:03}" for number in range(REPLICAS)]


def answer(call: Any) -> Any:
    """Return what a call of the controller answers, in time."""
    return ray.get(call, timeout=CALL_S)


def attach(controller: ActorHandle, name: str, keys: Keys) -> int:
    """Attach a replica that holds its agents in host memory."""
    held = keys.size * BYTES
    info = ReplicaInfo(name, Budgets(int(held * DEVICE_SHARE), 2 * held, 0), (PREFIX,))
    incarnation: int = answer(controller.attach.remote(info))
    size, none = np.full(keys.size, BYTES, np.int64), np.zeros(keys.size, np.int64)
    rows = Residency(PREFIX, keys, none, size, none, size, np.zeros(keys.size, np.bool_))
    answer(controller.update.remote(name, incarnation, (rows,)))
    return incarnation


def fill(controller: ActorHandle, keys: Keys, home: np.ndarray[Any, Any]) -> None:
    """Report every agent, attach every replica, and wait until the catalog has it all."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(NAMES):
        attach(controller, name, keys[home == number])
    for first in range(0, keys.size, BATCH):
        part = keys[first : first + BATCH]
        near = rng.exponential(50.0, part.size).astype(np.float32)
        answer(controller.report.remote(SIMULATION, 1, part, near))
    deadline = time.monotonic() + CALL_S
    while answer(controller.status.remote())["dirty_rows"]:
        if time.monotonic() > deadline:
            raise UnavailableError(f"the catalog does not hold all agents in {CALL_S:.0f} s")
        time.sleep(0.5)


def planned_again(controller: ActorHandle, keys: Keys) -> tuple[float, float]:
    """Kill the controller; return seconds until it answers, and until its first plan is here."""
    ray.kill(controller, no_restart=False)
    began = time.monotonic()
    incarnation = 0
    while not incarnation and time.monotonic() < began + CALL_S:
        # Either the one that was killed answered a last time, or none does yet.
        with suppress(ray.exceptions.RayActorError, StaleControllerError):
            incarnation = attach(controller, NAMES[0], keys)
    back_s = time.monotonic() - began
    acked, directives = 0, None
    while directives is None or not directives.moves:
        if time.monotonic() > began + CALL_S:
            raise UnavailableError(f"the controller does not plan again in {CALL_S:.0f} s")
        directives = answer(controller.poll.remote(NAMES[0], incarnation, acked))
        acked = directives.sequence if directives is not None else acked
    return back_s, time.monotonic() - began


def main(agents: int) -> None:
    """Print what was measured and write JSON."""
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    keys = agent_keys(SIMULATION, [str(agent) for agent in range(agents)])
    home = rendezvous(keys, NAMES)
    with serving(CatalogSettings()) as catalog:
        settings = StackSettings(
            engine=EngineSettings(model_path="none"),
            catalog=catalog,
            controller=ControllerSettings(max_agents=2 * agents, replica_lease_s=3600),
        )
        with redis.Redis.from_url(catalog.url.get_secret_value()) as client:
            before = client.info("memory")["used_memory"]
            controller = actor.start(settings)
            fill(controller, keys, home)
            bytes_per_agent = (client.info("memory")["used_memory"] - before) / agents
        back_s, first_s = planned_again(controller, keys[home == 0])
        actor.stop(settings.controller)
    ray.shutdown()
    Console().print(
        f"{agents} agents: {bytes_per_agent:.0f} bytes an agent in Redis; the controller answers "
        f"{back_s:.2f} s after it was killed, its first plan is there after {first_s:.2f} s"
    )
    row = {"bytes_per_agent": bytes_per_agent, "back_s": back_s, "first_plan_s": first_s}
    write("controller/restart", row, agents=agents)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
