"""Sends a request to the replica that holds its agent's state, unless that one is swamped."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ray.serve._private.common import ReplicaID, RunningReplicaInfo
from ray.serve._private.replica_result import ReplicaResult
from ray.serve._private.request_router.common import PendingRequest
from ray.serve._private.request_router.replica_wrapper import RunningReplica
from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter

# Of what this process shares, modules only: Serve copies this one into it with all that it names.
from scalesim.deployments import placement_view, rotation
from scalesim.deployments.calls import Call

SPILL_REQUESTS = 64
"""How many more requests the home replica may hold than the idlest before state is given up:
recomputing one prompt costs less than waiting behind dozens."""


class ResidencyRouter(ConsistentHashRouter):  # type: ignore[misc]
    """Ray Serve router by placement.

    From its base comes the loop that keeps a request with its own routing task and never spins;
    the ring is not used. Load is what this process has sent and not got back: what Serve knows of
    a replica it learns over gRPC with whole answers, too late to go by.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_flight: Counter[ReplicaID] = Counter()
        self._spill_requests = SPILL_REQUESTS

    def initialize_state(self, *, processes: int = 1, **kwargs: Any) -> None:
        """Set how many ingress processes share the load; called by Serve."""
        super().initialize_state(**kwargs)
        self._spill_requests = SPILL_REQUESTS // processes

    def on_send_request(self, replica_id: ReplicaID) -> None:
        """Count a request; called by Serve."""
        super().on_send_request(replica_id)
        self._in_flight[replica_id] += 1

    def on_request_completed(self, replica_id: ReplicaID, internal_request_id: str) -> None:
        """Count a request's end, however it ended; called by Serve with these names."""
        super().on_request_completed(replica_id, internal_request_id)
        self._in_flight[replica_id] -= 1

    def create_replica_wrapper(self, replica_info: RunningReplicaInfo) -> RunningReplica:
        """Return a replica that notes what is sent to it; called by Serve."""
        return _NotedReplica(replica_info)

    def update_replicas(self, replicas: list[RunningReplica]) -> None:
        """Take over which replicas run; called by Serve."""
        super().update_replicas(replicas)
        rotation.ROTATION.running({key.unique_id: each for key, each in self.curr_replicas.items()})
        gone = self._in_flight.keys() - self.curr_replicas.keys()
        for replica_id in gone:
            del self._in_flight[replica_id]

    def on_replica_actor_died(self, replica_id: ReplicaID) -> None:
        """Leave out a replica that is gone for good; called by Serve."""
        rotation.ROTATION.lose(replica_id.unique_id)
        super().on_replica_actor_died(replica_id)

    def on_replica_actor_unavailable(self, replica_id: ReplicaID) -> None:
        """Leave out a replica that cannot be reached until it answers; called by Serve."""
        super().on_replica_actor_unavailable(replica_id)
        rotation.ROTATION.doubt(replica_id.unique_id)

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """Return replicas to try in order, home first; called by Serve with these names."""
        if not candidate_replicas or pending_request is None:
            return [candidate_replicas] if candidate_replicas else []
        pending_request.routing_context.should_backoff = True
        running = {each.replica_id.unique_id: each for each in candidate_replicas}
        usable = [running[name] for name in rotation.ROTATION.usable(running)]
        by_load = sorted(usable, key=self._load)
        if not by_load:
            return []  # all are out: backs off until one is back or replaced
        call = _call(pending_request)
        if call is None:
            return [[replica] for replica in by_load]
        names = {replica.replica_id.unique_id: replica for replica in by_load}
        if call.under_suspicion:
            return [[names[min(names)]]]  # whichever ingress it comes by
        home = names[placement_view.VIEW.home(call.key, tuple(names))]
        if self._load(home) > self._load(by_load[0]) + self._spill_requests:
            home = by_load[0]
        return [[home], *([replica] for replica in by_load if replica is not home)]

    def _load(self, replica: RunningReplica) -> int:
        return self._in_flight[replica.replica_id]


class _NotedReplica(RunningReplica):  # type: ignore[misc]
    def try_send_request(self, pr: PendingRequest, with_rejection: bool) -> ReplicaResult:
        result = super().try_send_request(pr, with_rejection)
        if (call := _call(pr)) is not None:
            rotation.ROTATION.sent(call, self.replica_id.unique_id, result)
        return result


def _call(request: PendingRequest) -> Call | None:
    call: Any = request.args[0] if request.args else None
    return call if isinstance(call, Call) else None
