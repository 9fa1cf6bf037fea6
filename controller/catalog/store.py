"""The catalog: packed rows in one Redis hash, written behind and read back after a restart."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from scalesim.controller.catalog.decoding import (
    CatalogHeader,
    DamagedError,
    read_head,
    read_names,
    read_rows,
)
from scalesim.controller.catalog.diagnosis import code_of, unavailable
from scalesim.controller.catalog.password_file import without_password
from scalesim.controller.catalog.rows import FIELD, ROW, SCHEMA, CatalogBatch, CatalogSnapshot
from scalesim.controller.catalog.url import checked
from scalesim.errors import CatalogUnavailableError, ConfigurationError
from scalesim.settings import CatalogSettings

_logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_ASIDE_S = 7 * 24 * 3600
"""What was damaged is kept for so long: time to look at it, and no memory lost to it."""

_READ_ROWS = 10_000  # a round trip of 1 MB: well within the timeout

_GATHER = f"""
local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', {_READ_ROWS})
local found, rows, others = page[2], {{}}, 0
for at = 1, #found, 2 do
  local row = found[at + 1]
  if #row == {ROW.itemsize} and string.byte(row) == {SCHEMA}
      and string.sub(row, {FIELD.start + 1}, {FIELD.stop}) == found[at] then
    rows[#rows + 1] = row
  else
    others = others + 1
  end
end
return {{page[1], table.concat(rows), others}}
"""
"""Returns where to go on, rows in one piece, and how many values are of another version: a
million by themselves take the client's parser three times as long."""

_SPREAD = f"""
for at = 1, #ARGV[1], {ROW.itemsize} do
  local row = string.sub(ARGV[1], at, at + {ROW.itemsize - 1})
  redis.call('HSET', KEYS[1], string.sub(row, {FIELD.start + 1}, {FIELD.stop}), row)
end
"""
"""Sets a field for each packed row. One argument, whatever the rows: splitting them here would take
this process, and the lock that the controller needs, ten times as long."""


class WriteOutcome(Enum):
    """Whether a batch was written."""

    WRITTEN = auto()
    LOST = auto()
    """Nothing was written: the server does not hold what was written before. Write all again."""
    SUPERSEDED = auto()
    """Nothing was written: a newer controller owns the catalog."""


class Catalog:
    """A controller's rows on a Redis or Valkey server; blocking, for one thread.

    Keys are `{namespace}:agents`, a hash of packed rows by kind and key, `{namespace}:names` and
    `{namespace}:head`. Every batch is one transaction, made only while the head is the one this
    catalog left. What is damaged is moved to `{namespace}:damaged:*` and written again.

    Args:
        settings: The URL must not be empty.
        part: Between the namespace and the names of keys, for one that is not the controller's.

    Raises:
        ConfigurationError: The URL is not one of a Redis server.
    """

    def __init__(self, settings: CatalogSettings, part: str = "") -> None:
        retry = Retry(ExponentialBackoff(cap=settings.timeout_s, base=0.02), settings.retries)
        url = checked(settings.url.get_secret_value())
        provider = None
        try:
            if settings.password_file is not None:
                url, provider = without_password(url, settings.password_file)
            self._redis: redis.Redis = redis.Redis.from_url(
                url,
                socket_timeout=settings.timeout_s,
                socket_connect_timeout=settings.timeout_s,
                retry=retry,
                retry_on_error=[redis.ConnectionError, redis.TimeoutError],
                credential_provider=provider,
            )
            pool = self._redis.connection_pool
            pool.connection_class(**pool.connection_kwargs)
        except (TypeError, ValueError):  # its message shows parts of the address, or of a password
            raise ConfigurationError(
                "catalog.url is not a server's address: its port, database or an option of it is "
                "not a number or unknown, or its password is not percent-encoded. Use redis://, "
                "rediss:// or unix://, or leave it empty for an embedded server"
            ) from None
        self._namespace = settings.namespace
        self._prefix = prefix = f"{{{settings.namespace}}}{part}"
        self._agents, self._names, self._head = (
            f"{prefix}:{name}" for name in ("agents", "names", "head")
        )
        self._left: set[CatalogHeader | None] = set()

    def load(self) -> tuple[CatalogSnapshot | None, int]:
        """Return what the server holds, None where that is nothing, and the newest incarnation.

        What cannot be believed is set aside.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        head = self._or_set_aside(lambda: read_head(self._redis.get(self._head)))
        self._left = {head}
        if head is None:
            return None, 0
        return self._or_set_aside(self._snapshot), head.incarnation

    def write(self, batch: CatalogBatch, incarnation: int) -> WriteOutcome:
        """Write a batch, all of it or nothing.

        Raises:
            CatalogUnavailableError: The server did not answer; the batch may have been written.
        """
        return self._written(batch, incarnation)

    def beat(self, incarnation: int) -> WriteOutcome:
        """Count up the head and write nothing else: by this others see that its owner lives.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        return self._written(None, incarnation)

    def head(self) -> CatalogHeader | None:
        """Return who wrote last, and how often; None where that is nobody, or is damaged.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        try:
            return read_head(self._redis.get(self._head))
        except DamagedError:
            return None
        except redis.RedisError as error:
            if code_of(error) != "WRONGTYPE":
                raise self._unavailable(error) from error
            return None

    def set_aside(self, why: str) -> None:
        """Log that the catalog is damaged and `move_aside` what it holds.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        aside = f"{self._prefix}:damaged:*"
        _logger.error("The catalog is damaged: %s. What it held is in %s", why, aside)
        self.move_aside()

    def move_aside(self) -> None:
        """Move what the catalog holds out of the way, to be looked at for some days.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        aside = f"{self._prefix}:damaged:"
        for key in (self._agents, self._names, self._head):
            kept = aside + key.rpartition(":")[2]
            try:
                if self._redis.exists(key):
                    self._redis.rename(key, kept)
                    self._redis.expire(kept, _ASIDE_S)
            except redis.ResponseError:  # a user that may not do this may delete it all the same
                self._delete(key)
            except redis.RedisError as error:
                raise self._unavailable(error) from error
        self._left = {None}

    def forget(self) -> None:
        """Delete all keys, those set aside too.

        Raises:
            CatalogUnavailableError: The server did not answer.
        """
        for name in ("agents", "names", "head"):
            self._delete(f"{self._prefix}:{name}")
            self._delete(f"{self._prefix}:damaged:{name}")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    def _written(self, batch: CatalogBatch | None, incarnation: int) -> WriteOutcome:
        write = partial(self._write, batch, incarnation)
        return self._or_set_aside(write) or WriteOutcome.LOST

    def _snapshot(self) -> CatalogSnapshot | None:
        saved = self._redis.get(self._names)
        if saved is None:
            return None
        names = read_names(saved)
        pieces: list[bytes] = []
        cursor, dropped = b"0", 0
        while cursor != b"0" or not pieces:
            cursor, piece, others = self._redis.eval(_GATHER, 1, self._agents, cursor)
            pieces.append(piece)
            dropped += others
        rows, senseless = read_rows(b"".join(pieces), names)
        dropped += senseless
        if dropped:
            self.set_aside(f"{dropped} rows are of another version or make no sense")
        return CatalogSnapshot(rows, names, whole=not dropped)

    def _or_set_aside(self, call: Callable[[], Result]) -> Result | None:
        """Return what a call gives; None where what it reads is damaged, which is set aside."""
        try:
            return call()
        except DamagedError as error:
            self.set_aside(str(error))
        except redis.RedisError as error:
            if code_of(error) != "WRONGTYPE":
                raise self._unavailable(error) from error
            self.set_aside("a key is not of its type")
        return None

    def _write(self, batch: CatalogBatch | None, incarnation: int) -> WriteOutcome:
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.watch(self._head)  # type: ignore[no-untyped-call]
            head = read_head(pipe.get(self._head))
            if head is not None and head.incarnation > incarnation:
                return WriteOutcome.SUPERSEDED
            if head not in self._left and not (batch and batch.rewrite):
                return WriteOutcome.LOST
            written = CatalogHeader(incarnation, head.flush + 1 if head else 1)
            self._left = {head, written}
            pipe.multi()
            if batch is not None:
                self._queue(pipe, batch)
            pipe.set(self._head, f"{written.incarnation}:{written.flush}")
            pipe.execute()
        self._left = {written}
        return WriteOutcome.WRITTEN

    def _unavailable(self, error: redis.RedisError) -> CatalogUnavailableError:
        """Return our error; the next command looks the server's address up again.

        An address that follows a primary, as a Service before Redis with Sentinel does, is for new
        connections only: those that are open stay with one that is a replica by now.
        """
        self._redis.connection_pool.disconnect()
        return unavailable(error, self._namespace)

    def _delete(self, key: str) -> None:
        try:
            self._redis.delete(key)
        except redis.RedisError as error:
            raise self._unavailable(error) from error

    def _queue(self, pipe: redis.client.Pipeline, batch: CatalogBatch) -> None:
        if batch.rewrite:
            pipe.delete(self._agents)
        if batch.removed.size:
            packed, size = batch.removed.tobytes(), ROW.itemsize
            rows = (packed[at : at + size] for at in range(0, len(packed), size))
            pipe.hdel(self._agents, *(row[FIELD] for row in rows))
        if batch.rows.size:
            pipe.eval(_SPREAD, 1, self._agents, batch.rows.tobytes())
        pipe.set(self._names, json.dumps(batch.names._asdict()))
