"""The direct path: arrays handed to the controller actor of this Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RaySystemError, RayTaskError

from scalesim.errors import ControllerUnavailableError, ScaleSimError
from scalesim.identity import agent_keys
from scalesim.settings import ClientSettings
from scalesim.transports.transport import Report
from scalesim.vocabulary import ReportAck


class RayTransport:
    """Calls a controller actor.

    Args:
        controller: Actor handle.
        timeout_s: Longest wait for one answer.
    """

    def __init__(self, controller: Any, timeout_s: float) -> None:
        self._controller = controller
        self._timeout_s = timeout_s

    @classmethod
    def find(cls, settings: ClientSettings) -> RayTransport | None:
        """Return a transport to the named controller, or None where the cluster has none."""
        try:
            actor = ray.get_actor(settings.controller.name, settings.controller.namespace)
        except ValueError:
            return None
        return cls(actor, settings.timeout_s)

    def report(self, simulation: str, report: Report) -> ReportAck:
        """See `Transport.report`."""
        keys = agent_keys(simulation, report.ids)
        with controller_errors(self._timeout_s):
            ack: ReportAck = self._get(
                self._controller.report.remote(simulation, report.epoch, keys, report.distances)
            )
        return ack

    def lifecycle(
        self, simulation: str, pin: Sequence[str], unpin: Sequence[str], done: Sequence[str]
    ) -> None:
        """See `Transport.lifecycle`."""
        keys = [agent_keys(simulation, agents) for agents in (pin, unpin, done)]
        with controller_errors(self._timeout_s):
            self._get(self._controller.lifecycle.remote(simulation, *keys))

    def end(self, simulation: str) -> None:
        """See `Transport.end`."""
        with controller_errors(self._timeout_s):
            self._get(self._controller.end.remote(simulation))

    def epoch(self, simulation: str) -> int:
        """See `Transport.epoch`."""
        with controller_errors(self._timeout_s):
            status = self._get(self._controller.status.remote())
        return int(status["simulations"].get(simulation, {}).get("epoch", 0))

    def close(self) -> None:
        """See `Transport.close`; a handle holds nothing."""

    def _get(self, reference: Any) -> Any:
        return ray.get(reference, timeout=self._timeout_s)


@contextmanager
def controller_errors(timeout_s: float) -> Iterator[None]:
    """Raise what a call to the controller failed with as one of our own errors.

    Raises:
        ScaleSimError: The controller refused; its own error.
        ControllerUnavailableError: It did not answer.
    """
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, ScaleSimError):
            raise error.cause from None
        raise
    except (RayActorError, RaySystemError, GetTimeoutError, TimeoutError) as error:
        raise ControllerUnavailableError(
            f"the controller did not answer within {timeout_s:g} s ({type(error).__name__}): it "
            "restarts by itself, try again"
        ) from error
