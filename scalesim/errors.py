"""What can go wrong, as one tree.

::

    ScaleSimError                 retryable
    ├── InvalidRequestError       no   a value the caller sent is wrong; `field` names it
    │   ├── StaleEpochError       no   a report older than the simulation's epoch
    │   ├── UnknownModelError     no   the model asked for is not served
    │   └── SuspectRequestError   no   an engine was lost because of this request
    ├── NotServedError            no   the stack was not set up to serve this
    ├── AuthenticationError       no   no key or a wrong key
    ├── PermissionDeniedError     no   the key is not for that simulation
    ├── ConfigurationError        no   settings that cannot work; found at start-up
    ├── EngineMismatchError       no   the engine is not the one our hooks were written for
    ├── StaleControllerError      no   directives of an older controller (fencing)
    ├── WorldError                no   a World did what it must not; names agent and step
    │   └── OutOfReachError       no   it looked at, or told, an agent that is out of its reach
    ├── CallFailedError           yes  the model did not answer an agent of a World
    └── UnavailableError          yes  a part is down or busy; the same call may work later
        ├── QuotaExceededError      the key has as much as it may have
        ├── CatalogUnavailableError
        ├── ControllerUnavailableError
        └── ReplicaUnavailableError
            ├── AnswerAbortedError  the engine gave up half way
            └── EngineLostError     (`scalesim.deployments.suspects`)

Every message says what happened, what was expected and what to do.
"""

from __future__ import annotations

from typing import ClassVar


class ScaleSimError(Exception):
    """Root of all errors raised by ScaleSim."""

    retryable: ClassVar[bool] = False
    status: ClassVar[int] = 500  # HTTP status the ingress answers with
    code: ClassVar[str] = "internal_error"


class InvalidRequestError(ScaleSimError):
    """A value the caller sent is wrong.

    Args:
        message: What was wrong, what was expected, what to do.
        field: Name of the offending field, as the caller wrote it.
    """

    status = 400
    code = "invalid_request"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    def __reduce__(self) -> tuple[type, tuple[str, str | None]]:
        """Keep `field` when Ray carries the error between processes."""
        return type(self), (str(self), self.field)


class StaleEpochError(InvalidRequestError):
    """A report carried an epoch older than the newest seen from its simulation."""

    status = 409
    code = "stale_epoch"


class UnknownModelError(InvalidRequestError):
    """The model asked for is not served here."""

    status = 404
    code = "model_not_found"


class SuspectRequestError(InvalidRequestError):
    """An engine was lost because of this request; it is not tried on another one."""

    status = 422
    code = "request_suspected"


class NotServedError(ScaleSimError):
    """The stack was not set up to serve this."""

    status = 501
    code = "not_served"


class AuthenticationError(ScaleSimError):
    """No API key, or a wrong one."""

    status = 401
    code = "invalid_api_key"


class PermissionDeniedError(ScaleSimError):
    """The key is not for that simulation, or not for all of them."""

    status = 403
    code = "permission_denied"


class ConfigurationError(ScaleSimError):
    """Settings that cannot work; raised at start-up, never later."""

    code = "configuration_error"


class EngineMismatchError(ScaleSimError):
    """The engine is not the one the hooks were written for; refuse to start."""

    code = "engine_mismatch"


class StaleControllerError(ScaleSimError):
    """Directives came from a controller older than one already obeyed."""

    status = 409
    code = "stale_controller"


class WorldError(ScaleSimError):
    """A World did what it must not; the message names the agent and the step."""

    code = "world_error"


class CallFailedError(ScaleSimError):
    """The model did not answer a call of an agent; the turn fails unless the World catches it."""

    retryable = True
    code = "call_failed"


class OutOfReachError(WorldError):
    """An agent looked at, or told, another one that is out of its reach."""

    code = "out_of_reach"


class UnavailableError(ScaleSimError):
    """A part is down or busy; the same call may work later."""

    retryable = True
    status = 503
    code = "unavailable"


class QuotaExceededError(UnavailableError):
    """The key's quota is used up for now; trying again later may work."""

    status = 429
    code = "rate_limit_exceeded"


class CatalogUnavailableError(UnavailableError):
    """Redis did not answer within its timeouts."""

    code = "catalog_unavailable"


class ControllerUnavailableError(UnavailableError):
    """The controller actor did not answer; it restarts by itself."""

    code = "controller_unavailable"


class ReplicaUnavailableError(UnavailableError):
    """No replica could take the request."""

    code = "replica_unavailable"


class AnswerAbortedError(ReplicaUnavailableError):
    """The engine gave a request up half way; the part it had is not an answer."""

    code = "answer_aborted"
