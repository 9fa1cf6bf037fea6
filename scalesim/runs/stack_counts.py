"""What a stack counts of all its requests; a run's are the difference of two readings."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, NamedTuple

import httpx

from scalesim.errors import UnavailableError
from scalesim.proxies import may_be_proxied
from scalesim.settings import ClientSettings


class StackCounts(NamedTuple):
    """One reading of a stack's counters.

    Attributes:
        errors: Requests refused, by error code; None where the key is not told.
        uses: Agents' states that came into use, by the distance reported for them; `none`: none.
        hits: Share of repeated requests on the device: `stack`, and what `lru` or an `oracle` had.
    """

    errors: dict[str, int] | None
    uses: dict[str, int]
    hits: dict[str, float]

    def since(self, before: StackCounts) -> StackCounts:
        """Return what was counted since an earlier reading; shares are of the whole time."""

        def grown(now: dict[str, int], then: dict[str, int]) -> dict[str, int]:
            counts = {name: count - then.get(name, 0) for name, count in now.items()}
            return {name: count for name, count in counts.items() if count > 0}

        known = self.errors is not None and before.errors is not None
        errors = grown(self.errors or {}, before.errors or {}) if known else None
        return StackCounts(errors, grown(self.uses, before.uses), self.hits)

    @property
    def coverage(self) -> float | None:
        """Share of uses that a distance was reported for; None where there were no uses."""
        total = sum(self.uses.values())
        return 1.0 - self.uses.get("none", 0) / total if total else None


def read(settings: ClientSettings) -> StackCounts:
    """Return what the stack has counted until now.

    Raises:
        UnavailableError: The stack does not answer.
    """
    key = settings.api_key.get_secret_value()
    with httpx.Client(
        base_url=settings.base_url,
        headers={"Authorization": f"Bearer {key}"} if key else None,
        timeout=settings.timeout_s,
        trust_env=may_be_proxied(settings.base_url),
    ) as client:
        try:
            metrics = client.get("/metrics")
            if metrics.status_code != HTTPStatus.FORBIDDEN:  # what a key for some simulations gets
                metrics.raise_for_status()
            answer = client.get("/v1/status")
        except httpx.HTTPError as error:
            raise UnavailableError(
                f"{settings.base_url} does not tell its metrics ({error}): is it a stack of "
                "ScaleSim, and SCALESIM_API_KEY its key?"
            ) from None
    status: dict[str, Any] = answer.json() if answer.is_success else {}  # an arm without controller
    errors = _errors(metrics.text) if metrics.is_success else None
    return StackCounts(errors, status.get("uses", {}), status.get("hits", {}))


def _errors(metrics: str) -> dict[str, int]:
    """Return counts by code out of lines `scalesim_refused_total{code="..."} 3.0`."""
    found: dict[str, int] = {}
    for line in metrics.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("scalesim_refused_total{"):
            found[name.split('"')[1]] = int(float(value))
    return found
