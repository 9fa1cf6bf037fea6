"""Fields of the answers that are ours alone: what the controller and the trace tell."""

from __future__ import annotations

AGENT = {
    "key": "the agent's number: an int64 hash of simulation and agent id",
    "simulation": "its simulation",
    "replica": "replica that it lives on; `null` where there is none yet",
    "residency": "hottest tier with some of its prefix: `device`, `host`, `storage` or `absent`",
    "distance": "steps to its next request; `null` where none is foreseen",
    "reported_in": "step in which the distance was reported; `null` where none was",
    "total_bytes": "of its prefix, wherever it is; 0 where that is not known yet",
    "device_bytes": "of its prefix on the device",
    "host_bytes": "of its prefix in host memory",
    "storage_bytes": "of its prefix in storage",
    "in_use": "whether a queued or running request needs it",
    "pinned": "whether it is kept on the device",
}
STATUS = {
    "incarnation": "number of this controller; one that is started later has a higher one",
    "uptime_s": "seconds since it started",
    "agents": "how many there are, by their hottest tier, in use, pinned and with a distance",
    "replicas": "by name: bytes and agents by tier and kind, budgets, links and transfers",
    "simulations": "by name: epoch, agents, seconds of a step, and of silence",
    "learned": "by simulation with requests not reported ahead: agents, how good each learner is",
    "uses": "payloads that came into use, by the distance reported for them",
    "found": "the same by kind and by the hottest tier that held them",
    "hints": "steps by which hints were early or late, and old, summed",
    "hits": "share of repeated requests served from the device, by LRU and by an oracle",
    "leveled": "agents moved to another replica to level them",
    "counters": "reports, plans, refusals and losses since the start",
    "directives": "moves sent to replicas, by verb",
    "tick_s": "seconds of a tick: median and 99th percentile",
    "plan_s": "seconds of a plan: median and 99th percentile",
    "directive_s": "seconds from a plan to its acknowledgement: the same",
    "update_interval_s": "seconds that replicas leave between two updates",
    "table_bytes": "memory of the payload table",
    "dirty_rows": "rows that the catalog does not have yet",
    "catalog": "whether the last write succeeded, its error, how far behind it is, who owns it",
    "loops": "by name: crashes of each background loop, and seconds without progress",
    "metrics": "address that the controller is scraped at; empty where that is `/metrics` here",
}
EVENT = {
    "step": "the simulation's step when the request was answered",
    "agent": "its id",
    "prompt_tokens": "tokens of the prompt; as all that follow, left out where it is 0",
    "output_tokens": "tokens generated",
    "device": "tokens of the prompt found on the device; `host` and `storage` alike",
    "host": "tokens found in host memory",
    "storage": "tokens found in storage",
    "seconds": "what the answer took",
    "t": "when it was answered, in seconds since 1970",
}
ANSWERS = {"agent": AGENT, "status": STATUS, "trace": EVENT}
"""Fields of the answer of each handler of `Ingress`."""
