"""The controller and its catalog."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr

from scalesim.settings.common import Settings


class CatalogSettings(Settings):
    """Where the catalog is kept; an empty URL starts a private embedded server."""

    url: SecretStr = SecretStr("")
    """`redis://`, `rediss://` or `unix://`; may carry an ACL user and password."""
    password_file: str | None = None
    """Has the server's password, read at every connection: one that changes is taken up by the
    running controller. While it is not there the one of `url` is taken."""
    data_dir: str | None = None
    """Folder of the embedded server's data; None keeps it for the life of the stack only."""
    timeout_s: float = Field(0.25, gt=0)
    """Per command: the controller must never wait on Redis longer than a plan takes."""
    retries: int = Field(2, ge=0)
    """Retries of a command that was not answered, before the batch is given back."""
    flush_interval_s: float = Field(0.25, gt=0)
    """Write-behind period: at most this much residency is a hint after a crash."""
    flush_rows: int = Field(10_000, ge=1)
    """Rows in one flush, 1 MB: fits the timeout. Others wait in the payload table; newest wins."""
    namespace: str = "scalesim"
    """Prefix of every key."""


class KeyQuota(Settings):
    """What the simulations of one key may have together."""

    max_agents: int | None = Field(None, ge=1)
    """Agents known at a time; reports of further ones are ignored and counted."""
    max_share: float = Field(1.0, gt=0, le=1)
    """Share of each tier of each replica that they may fill ahead of their requests; those that
    are alive have equal parts of it."""


class ControllerSettings(Settings):
    """The central actor."""

    name: str = "scalesim-controller"
    """Name of the actor; two stacks in one Ray cluster need two."""
    namespace: str = "scalesim"
    """Ray namespace of the detached actor."""
    tick_s: float = Field(0.05, gt=0)
    """Longest time between a change and the plan that sees it."""
    distance_ttl_steps: float = Field(16.0, gt=0)
    """A use that did not come is forgotten this many steps after the one it was foreseen for."""
    quotas: dict[str, Annotated[float, Field(gt=0, le=1)]] = Field(default_factory=dict)
    """Largest share of each tier of each replica a simulation may fill ahead of its requests, by
    its name; those not named share what there is."""
    key_quotas: dict[str, KeyQuota] = Field(default_factory=dict)
    """Quotas of keys, by their names in `ingress.api_keys`."""
    leveling_moves: int = Field(256, ge=0)
    """Agents moved at most, four times a second, so that no replica makes a step wait; 0 leaves
    all where hashing puts them."""
    simulations_per_key: int = Field(1024, ge=1)
    """Simulations alive at a time that report over HTTP with one API key. Of the 4,096 in all it
    leaves most to others, those inside the Ray cluster among them."""
    max_agents: int = Field(4_000_000, ge=1)
    """Reports of further agents are ignored and counted: about 700 MB of tables."""
    simulation_lease_s: float = Field(300.0, gt=0)
    """A simulation silent for this long loses its distances and pins."""
    replica_lease_s: float = Field(10.0, gt=0)
    """A replica that has not polled for this long is planned around."""
    poll_timeout_s: float = Field(5.0, gt=0)
    """Longest a long poll is held open."""
