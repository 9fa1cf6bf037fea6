"""The catalog: packed rows in one Redis hash, written behind and read back after a restart."""

from __future__ import annotations

import json
from enum import Enum, auto
from typing import Any, NamedTuple

import numpy as np
import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from controller.catalog.rows import FIELD, ROW, SCHEMA, Batch, Names, Snapshot
from scalesim.errors import CatalogUnavailableError, ConfigurationError
from scalesim.settings import CatalogSettings

_SCANNED_ROWS = 10_000  # a round trip of 1 MB: well within the timeout

_SPREAD = f"""
for at = 1, #ARGV[1], {ROW.itemsize} do
  local row = string.sub(ARGV[1], at, at + {ROW.itemsize - 1})
  redis.call('HSET', KEYS[1], string.sub(row, {FIELD.start + 1}, {FIELD.stop}), row)
end
"""
"""Sets a field for each packed row. One argument, whatever the rows: splitting them here would take
this process, and the lock that the controller needs, ten times as long."""


class Outcome(Enum):
    """What became of a batch."""

    WRITTEN = auto()
    LOST = auto()
    """Nothing was written: the server does not hold what was written before. Write all anew."""
    SUPERSEDED = auto()
    """Nothing was written: a newer controller owns the catalog."""


class Head(NamedTuple):
    """Who wrote last, and how often: tells a server that lost rows from one that did not."""

    incarnation: int
    flush: int


class Catalog:
    """A controller's rows on a Redis or Valkey server; blocking, for one thread.

    Keys are `{namespace}:agents`, a hash of packed rows by kind and key, `{namespace}:names` and
    `{namespace}:head`. Every batch is one transaction, made only while the head is the one this
    catalog left.

    Args:
        settings: The URL must not be empty.

    Raises:
        ConfigurationError: The URL is not one of a Redis server.
    """

    def __init__(self, settings: CatalogSettings) -> None:
        retry = Retry(ExponentialBackoff(cap=settings.timeout_s, base=0.02), settings.retries)
        try:
            self._redis: redis.Redis = redis.Redis.from_url(
                settings.url.get_secret_value(),
                socket_timeout=settings.timeout_s,
                socket_connect_timeout=settings.timeout_s,
                retry=retry,
                retry_on_error=[redis.ConnectionError, redis.TimeoutError],
            )
        except ValueError as error:
            raise ConfigurationError(
                f"catalog.url is not a server's address: {error}. Use redis://, rediss:// or "
                "unix://, or leave it empty for an embedded server"
            ) from None
        prefix = f"{{{settings.namespace}}}"
        self._agents, self._names, self._head = (
            f"{prefix}:{name}" for name in ("agents", "names", "head")
        )
        self._left: set[Head | None] = set()

    def load(self) -> tuple[Snapshot | None, int]:
        """Return what the server holds, None where it is empty, and the newest incarnation.

        Raises:
            CatalogUnavailableError: The server did not answer, or holds another schema.
        """
        try:
            head = _read_head(self._redis.get(self._head))
            self._left = {head}
            names = self._redis.get(self._names)
            if head is None or names is None:
                return None, head.incarnation if head else 0
            pages = self._redis.hscan_iter(self._agents, count=_SCANNED_ROWS)
            values = [value for _, value in pages if len(value) == ROW.itemsize]
        except redis.RedisError as error:
            raise _unavailable(error) from error
        rows = np.frombuffer(b"".join(values), ROW)
        return Snapshot(rows[rows["schema"] == SCHEMA], _names(names)), head.incarnation

    def write(self, batch: Batch, incarnation: int) -> Outcome:
        """Write a batch, all of it or nothing.

        Raises:
            CatalogUnavailableError: The server did not answer; the batch may have been written.
        """
        try:
            with self._redis.pipeline(transaction=True) as pipe:
                pipe.watch(self._head)  # type: ignore[no-untyped-call]
                head = _read_head(pipe.get(self._head))
                if head is not None and head.incarnation > incarnation:
                    return Outcome.SUPERSEDED
                if head not in self._left and not batch.rewrite:
                    return Outcome.LOST
                written = Head(incarnation, head.flush + 1 if head else 1)
                self._left = {head, written}
                pipe.multi()
                self._queue(pipe, batch)
                pipe.set(self._head, f"{written.incarnation}:{written.flush}")
                pipe.execute()
        except redis.RedisError as error:
            raise _unavailable(error) from error
        self._left = {written}
        return Outcome.WRITTEN

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _queue(self, pipe: redis.client.Pipeline, batch: Batch) -> None:
        if batch.rewrite:
            pipe.delete(self._agents)
        if batch.removed.size:
            packed, size = batch.removed.tobytes(), ROW.itemsize
            rows = (packed[at : at + size] for at in range(0, len(packed), size))
            pipe.hdel(self._agents, *(row[FIELD] for row in rows))
        if batch.rows.size:
            pipe.eval(_SPREAD, 1, self._agents, batch.rows.tobytes())
        pipe.set(self._names, json.dumps(batch.names._asdict()))


def _read_head(value: Any) -> Head | None:
    if value is None:
        return None
    incarnation, flush = value.split(b":")
    return Head(int(incarnation), int(flush))


def _names(value: Any) -> Names:
    return Names(**{field: tuple(values) for field, values in json.loads(value).items()})


def _unavailable(error: redis.RedisError) -> CatalogUnavailableError:
    return CatalogUnavailableError(
        f"the catalog did not answer: {error or type(error).__name__}. Check that the server of "
        "catalog.url runs; the controller goes on without it"
    )
