"""Small dense numbers for names, so that arrays can refer to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Names:
    """Names numbered from 0 in order of appearance; a number is never given to another name.

    Args:
        names: Names that already have their numbers, for instance from the catalog.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = list(names)
        self._numbers = {name: number for number, name in enumerate(self._names)}

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
        """Return the number of `name`, giving it the next one if it is new."""
        number = self._numbers.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        return number
