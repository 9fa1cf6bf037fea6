"""Small dense numbers for names, so that arrays can refer to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

FREE = ""
"""Stands in the place of a number that no name has."""


class Interner:
    """Names and their numbers from 0; the number of a name that was freed goes to a later one.

    Args:
        names: Names in the order of their numbers, `FREE` where a number is free.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = list(names)
        self._numbers = {name: at for at, name in enumerate(self._names) if name != FREE}
        self._free = [at for at, name in enumerate(self._names) if name == FREE]

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, number: int) -> str:
        return self._names[number]

    def find(self, name: str) -> int | None:
        """Return the number of `name`, None where it has none."""
        return self._numbers.get(name)

    def number(self, name: str) -> int:
        """Return the number of `name`, giving it one if it is new."""
        if name not in self._numbers:
            if not self._free:
                self._free.append(len(self._names))
                self._names.append(FREE)
            self._numbers[name] = self._free.pop()
            self._names[self._numbers[name]] = name
        return self._numbers[name]

    def free(self, number: int) -> None:
        """Take the name of `number` out; nothing may refer to the number any more."""
        del self._numbers[self._names[number]]
        self._names[number] = FREE
        self._free.append(number)
