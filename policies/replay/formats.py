"""Traces that others publish: their columns, and who asked where they say it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scalesim.errors import InvalidRequestError

Record = dict[str, Any]


class Format(NamedTuple):
    """How one publisher names things; the columns may be in any order, with others among them.

    Attributes:
        name: The publisher's.
        time: Column of a request's time.
        seconds: Turns a value of it into seconds since any moment.
        prompt: Column of prompt tokens.
        output: Column of generated tokens.
        agent: Column of who asked; may be absent or empty.
        blocks: Column of the prompt's blocks, each named with all before it; None for none.
    """

    name: str
    time: str
    seconds: Callable[[Any], float]
    prompt: str
    output: str
    agent: str
    blocks: str | None = None


class Request(NamedTuple):
    """One request of a trace of others.

    Attributes:
        time_s: When, in seconds since any moment.
        agent: Who asked; empty where the trace does not say.
        prompt_tokens: Tokens of its prompt.
        output_tokens: Tokens of its answer; 0 where it failed.
        blocks: Names of its prompt's blocks in order; empty where the trace has none.
    """

    time_s: float
    agent: str
    prompt_tokens: int
    output_tokens: int
    blocks: tuple[Any, ...]


def _clock(value: Any) -> float:
    moment = datetime.fromisoformat(str(value).strip())
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


FORMATS = (
    # FAST25-release/traces of kvcache-ai/Mooncake: JSON lines, milliseconds, blocks of 512 tokens.
    Format(
        "Mooncake",
        "timestamp",
        lambda value: float(value) / 1000,
        "input_length",
        "output_length",
        "session_id",
        "hash_ids",
    ),
    # HPMLL/BurstGPT: CSV, seconds; releases before 2.0 have no sessions.
    Format("BurstGPT", "Timestamp", float, "Request tokens", "Response tokens", "Session ID"),
    # AzureLLMInferenceTrace of Azure/AzurePublicDataset, 2023 to 2025: CSV, UTC, no sessions.
    Format("Azure", "TIMESTAMP", _clock, "ContextTokens", "GeneratedTokens", "SessionId"),
)


def format_of(columns: Collection[str]) -> Format | None:
    """Return the format that has these columns."""
    for known in FORMATS:
        if {known.time, known.prompt, known.output} <= set(columns):
            return known
    return None


def format_of_line(line: str) -> Format | None:
    """Return the format of a file by its first line."""
    try:
        return format_of([name for _, record in _records([line, line]) for name in record])
    except InvalidRequestError:
        return None


def requests(lines: Iterable[str]) -> Iterator[Request]:
    """Yield the requests of a trace in one of `FORMATS`, as CSV or as JSON lines.

    Raises:
        InvalidRequestError: The columns are not those of a known format, or a line, which is named,
            has a bad value.
    """
    known: Format | None = None
    for place, record in _records(lines):
        known = known or format_of(record)
        if known is None:
            choices = "; ".join(f"{f.name}: {f.time}, {f.prompt}, {f.output}" for f in FORMATS)
            raise InvalidRequestError(
                f"line {place} of the trace has {', '.join(map(str, record))}, which are the "
                f"columns of no format that is known ({choices})",
                "trace",
            )
        yield _request(record, known, place)


def _request(record: Record, known: Format, place: int) -> Request:
    blocks = record.get(known.blocks) if known.blocks else None
    agent = record.get(known.agent)
    if not isinstance(blocks, list | None):
        raise _bad(place, str(known.blocks), blocks)
    return Request(
        _value(record, known.time, known.seconds, place),
        "" if agent is None else str(agent),
        _value(record, known.prompt, _whole, place),
        _value(record, known.output, _whole, place),
        tuple(map(str, blocks or ())),
    )


def _value(record: Record, column: str, read: Callable[[Any], Any], place: int) -> Any:
    try:
        value = read(record[column])
    except (ValueError, TypeError, KeyError, OverflowError):
        raise _bad(place, column, record.get(column)) from None
    if not abs(value) < 2**44:
        raise _bad(place, column, value)
    return value


def _whole(value: Any) -> int:
    number = float(value)
    if number != int(number) or number < 0:
        raise ValueError(value)
    return int(number)


def _bad(place: int, column: str, value: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"line {place} of the trace has {column} {value!r}: expected a value as its publisher "
        "writes them",
        column,
    )


def _records(lines: Iterable[str]) -> Iterator[tuple[int, Record]]:
    """Yield line numbers and what their columns hold."""
    numbered = ((place, line) for place, line in enumerate(lines, 1) if line.strip())
    first = next(numbered, None)
    if first is None:
        raise InvalidRequestError("the trace is empty", "trace")
    if first[1].lstrip().startswith("{"):
        yield from map(_json_record, _with(first, numbered))
        return
    yield from _csv_records(first, numbered)


def _with(first: tuple[int, str], rest: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    yield first
    yield from rest


def _json_record(numbered: tuple[int, str]) -> tuple[int, Record]:
    place, line = numbered
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InvalidRequestError(f"line {place} of the trace is not a JSON object", "trace")
    return place, record


def _csv_records(
    header: tuple[int, str], rest: Iterator[tuple[int, str]]
) -> Iterator[tuple[int, Record]]:
    names = [name.strip() for name in next(csv.reader([header[1]]))]
    for place, line in rest:
        try:
            values = next(csv.reader([line]))
        except csv.Error as error:
            raise InvalidRequestError(f"line {place} of the trace: {error}", "trace") from None
        if len(values) != len(names):
            raise InvalidRequestError(
                f"line {place} of the trace has {len(values)} columns, its first line {len(names)}",
                "trace",
            )
        yield place, dict(zip(names, values, strict=True))
