"""Copies whose data arrive later than they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol
from weakref import ref

import torch

from scalesim.deployments.engine.emulation.device import RaceError

_POISON = 0xFF
"""Every byte of what has not arrived: not a number in every floating-point format."""


class Place(Protocol):
    """Memory that is copied from or to."""

    def read(self) -> torch.Tensor:
        """Return a copy of what is there."""
        ...

    def write(self, values: torch.Tensor) -> None:
        """Put something there."""
        ...


class WholeTensor(NamedTuple):
    """All of a tensor, or of a view."""

    tensor: torch.Tensor

    def read(self) -> torch.Tensor:
        """Return a copy of what is there."""
        return self.tensor.detach().clone()

    def write(self, values: torch.Tensor) -> None:
        """Put something there."""
        self.tensor.detach().copy_(values)


class Copy:
    """One copy under way: until it arrives its target holds poison.

    Args:
        name: For people.
        target: Where to.
        source: Where from; None where the target holds it already, as nothing else does.
    """

    def __init__(self, name: str, target: Place, source: Place | None = None) -> None:
        self._name = name
        self._source = source
        self._target = target
        self._data = (source if source is not None else target).read()
        target.write(poison(self._data))

    @property
    def size(self) -> int:
        """Bytes."""
        return int(self._data.nbytes)

    def arrive(self) -> None:
        """Put the data where they were going.

        Raises:
            RaceError: Source or target was written meanwhile.
        """
        if self._source is not None and not same(self._source.read(), self._data):
            raise RaceError(
                f"the source of {self._name} was written before it was done: expected it to be "
                "kept; free it only when the copy's event is done"
            )
        if not _is_poison(self._target.read()):
            raise RaceError(
                f"the target of {self._name} was written before it was done: expected no one else "
                "to have it; give it away only when the copy's event is done"
            )
        self._target.write(self._data)


class CopySource:
    """Host memory that a copy under way reads from.

    Args:
        name: For people.
        owner: Whose it is: it must live until the copy is done.
        tensors: What is read.
    """

    def __init__(self, name: str, owner: object, tensors: Iterable[torch.Tensor]) -> None:
        self._name = name
        self._owner = ref(owner)
        self._read = [(tensor, tensor.detach().clone()) for tensor in tensors]

    def check(self) -> None:
        """Return if it is as it was; call when the copy is done.

        Raises:
            RaceError: It was freed or written meanwhile.
        """
        gone = self._owner() is None
        if gone or not all(same(now, before) for now, before in self._read):
            raise RaceError(
                f"the source of {self._name} was {'freed' if gone else 'written'} before it was "
                "done: expected it to be kept; free it only when the copy's event is done"
            )


def poison(like: torch.Tensor) -> torch.Tensor:
    """Return poison of a tensor's shape and type."""
    made = torch.empty(like.shape, dtype=like.dtype)
    _bytes(made).fill_(_POISON)
    return made


def _is_poison(values: torch.Tensor) -> bool:
    return bool((_bytes(values) == _POISON).all())


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two tensors are equal to the last bit."""
    return bool(torch.equal(_bytes(one), _bytes(other)))


def _bytes(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous().view(-1).view(torch.uint8)
