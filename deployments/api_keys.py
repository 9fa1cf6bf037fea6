"""Who may call, for which simulations, and how much at a time."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from starlette.requests import Request

from scalesim.errors import (
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
    QuotaExceededError,
)
from scalesim.headers import bearer
from scalesim.identity import DEFAULT_SIMULATION, is_simulation
from scalesim.settings import ApiKeySettings, IngressSettings

OPERATOR = "ingress"
"""Who holds the stack's own key, or calls where no key is needed."""

_ANTHROPIC = "x-api-key"

_BY_SIMULATION = ("simulations", "learned")
"""Parts of the controller's status that tell of each simulation by its name."""


class KeyHolder:
    """Whoever shows one key.

    Args:
        name: Name of the key.
        settings: What it may do; None everything.

    Attributes:
        name: Name of the key.
    """

    def __init__(self, name: str, settings: ApiKeySettings | None = None) -> None:
        self.name = name
        self._settings = settings
        self._in_flight: Counter[str] = Counter()

    @property
    def is_operator(self) -> bool:
        """Whether it may see the whole stack."""
        return self._settings is None

    @property
    def default_simulation(self) -> str:
        """Simulation of requests that name none: the first of its own, unless that is a pattern."""
        first = self._settings.simulations[0] if self._settings is not None else ""
        return first if is_simulation(first) else DEFAULT_SIMULATION

    def may_use(self, simulation: str) -> bool:
        """Return whether this key may use a simulation."""
        if self._settings is None:
            return True
        return any(fnmatchcase(simulation, pattern) for pattern in self._settings.simulations)

    def require(self, simulation: str) -> str:
        """Return the simulation if this key may use it.

        Raises:
            PermissionDeniedError: It is not; whether it exists is not said.
        """
        if not self.may_use(simulation):
            raise PermissionDeniedError(
                f"this key is not for simulation {simulation!r}: use one that ingress.api_keys "
                "names for it"
            )
        return simulation

    def what_it_may_see(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """Return the controller's status without the simulations that are not its own."""
        return dict(status) | {
            part: {name: row for name, row in status[part].items() if self.may_use(name)}
            for part in _BY_SIMULATION
        }

    def require_operator(self) -> None:
        """Let pass what concerns all simulations.

        Raises:
            PermissionDeniedError: It may not see others'.
        """
        if not self.is_operator:
            raise PermissionDeniedError(
                "this tells of all simulations: use the stack's own key, ingress.api_key"
            )

    @contextmanager
    def one_request(self, kind: str = "requests") -> Iterator[None]:
        """Count a request from here to the end of its answer.

        Args:
            kind: It counts with those of its kind: a trace lasts as long as a whole run, and would
                take the place of a request.

        Raises:
            QuotaExceededError: It has as many as it may have.
        """
        most = self._settings.max_requests if self._settings is not None else None
        if most is not None and self._in_flight[kind] >= most:
            raise QuotaExceededError(
                f"{most} {kind} of this key are in flight, as many as it may have: wait for one"
            )
        self._in_flight[kind] += 1
        try:
            yield
        finally:
            self._in_flight[kind] -= 1


class ApiKeys:
    """Every key of a stack.

    Args:
        settings: Settings of the ingress; without any key everybody is the operator.
    """

    def __init__(self, settings: IngressSettings) -> None:
        self._operator = KeyHolder(OPERATOR)
        own = settings.api_key.get_secret_value()
        self._holders = {own.encode(): self._operator} if own else {}
        for name, each in settings.api_keys.items():
            self._holders[each.key.get_secret_value().encode()] = KeyHolder(name, each)

    def holder(self, request: Request) -> KeyHolder:
        """Return who calls.

        Raises:
            AuthenticationError: No key or a wrong one.
        """
        if not self._holders:
            return self._operator
        given = bearer(request.headers.get("authorization", ""))
        given = given or request.headers.get(_ANTHROPIC, "")
        shown = given.encode()
        found = None
        for key, holder in self._holders.items():  # all of them: how long it takes says nothing
            if hmac.compare_digest(shown, key):
                found = holder
        if found is None:
            raise AuthenticationError(
                "the API key is missing or wrong: send 'Authorization: Bearer KEY' with the key "
                "the stack was started with"
            )
        return found


def check_keys(keys: Mapping[str, ApiKeySettings], own: str) -> None:
    """Check that every key can be distinguished.

    Raises:
        ConfigurationError: One is empty, two are the same, or one has the operator's name.
    """
    seen: dict[Any, str] = {own: "ingress.api_key"} if own else {}
    for name, each in keys.items():
        if name == OPERATOR:
            raise ConfigurationError(
                f"ingress.api_keys.{name} has the name of whoever holds the stack's own key, and "
                "would share its quota: give it another"
            )
        secret = each.key.get_secret_value()
        if not secret:
            raise ConfigurationError(
                f"ingress.api_keys.{name} has no key: set its `key`, or {name!r} in "
                "SCALESIM_API_KEYS"
            )
        if secret in seen:
            raise ConfigurationError(
                f"ingress.api_keys.{name} has the key of {seen[secret]}: give each its own"
            )
        seen[secret] = f"ingress.api_keys.{name}"
