"""What an engine said within a while, in as few rows as say the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from scalesim.deployments.engine.messages import Message
from scalesim.vocabulary import ReplicaUpdate, Residency, TransferStats


def merged(messages: Iterable[Message]) -> ReplicaUpdate:
    """Return one update that has the same effect on the controller as these messages.

    Of each payload the last row stays, and the rows on both sides of each change of its use: the
    controller counts uses, and where payloads were as they began.

    Args:
        messages: In the order in which they came; others than these two are left out.
    """
    rows: dict[str, list[Residency]] = {}
    transfers: dict[str, TransferStats] = {}
    for message in messages:
        if isinstance(message, Residency):
            rows.setdefault(message.kind, []).append(message)
        elif isinstance(message, TransferStats):
            transfers[message.kind] = message
    return (*(one for of_kind in rows.values() for one in _merged(of_kind)), *transfers.values())


def _merged(messages: list[Residency]) -> Iterator[Residency]:
    """Yield messages of one kind in which each payload has one row."""
    if len(messages) == 1:
        yield messages[0]
        return
    kind, *_ = messages[0]
    columns = [np.concatenate(column) for column in zip(*(m[1:] for m in messages), strict=True)]
    keys, in_use = columns[0], columns[-1]
    order = np.argsort(keys, kind="stable")
    key, used = keys[order], in_use[order]
    goes_on = key[1:] == key[:-1]
    turns = goes_on & (used[1:] != used[:-1])
    stays = np.append(~goes_on, True)
    stays[1:] |= turns
    stays[:-1] |= turns
    order, key = order[stays], key[stays]

    first = np.append(True, key[1:] != key[:-1])
    place = np.arange(key.size)
    turn = place - np.maximum.accumulate(np.where(first, place, 0))
    for number in range(int(turn.max(initial=-1)) + 1):
        chosen = np.sort(order[turn == number])
        yield Residency(kind, *(column[chosen] for column in columns))
