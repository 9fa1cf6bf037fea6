"""Sends a request to the replica that holds its agent's state, unless that one is swamped."""

from __future__ import annotations

from typing import Any

from ray.serve._private.request_router.common import PendingRequest
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

from deployments.calls import Call
from deployments.placement_view import VIEW

SPILL_REQUESTS = 64
"""How many more requests the home replica may hold than the idlest before state is given up:
recomputing one prompt costs less than waiting behind dozens."""


class ResidencyRouter(ConsistentHashRouter):  # type: ignore[misc]
    """Ray Serve router by placement.

    From its base comes the loop that keeps a request with its own routing task and never spins;
    the ring is not used.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return replicas to try in order, home first; called by Serve with these names."""
        if not candidate_replicas or pending_request is None:
            return [candidate_replicas] if candidate_replicas else []
        pending_request.routing_context.should_backoff = True
        by_load = sorted(candidate_replicas, key=self._load)
        key = _key(pending_request)
        if key is None:
            return [[replica] for replica in by_load]
        names = {replica.replica_id.unique_id: replica for replica in by_load}
        home = names[VIEW.home(key, tuple(names))]
        if self._load(home) > self._load(by_load[0]) + SPILL_REQUESTS:
            home = by_load[0]
        return [[home], *([replica] for replica in by_load if replica is not home)]

    def _load(self, replica: RunningReplica) -> int:
        known = self._replica_queue_len_cache.get(replica.replica_id)
        return known or 0


def _key(request: PendingRequest) -> int | None:
    call: Any = request.args[0] if request.args else None
    return call.key if isinstance(call, Call) else None
