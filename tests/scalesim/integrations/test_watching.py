"""What is watched stays what it is."""

import inspect
from typing import Any

from scalesim.integrations.watching import after, before


class WatchedEngine:
    def tick(self, by: int) -> int:
        return by + 1

    async def step(self, by: int) -> int:
        return by + 2


async def test_functions_and_coroutines() -> None:
    class Watched(WatchedEngine):
        tick, step = WatchedEngine.tick, WatchedEngine.step

    seen: list[tuple[Any, ...]] = []
    for name in ("tick", "step"):
        before(Watched, name, lambda self, by: seen.append(("before", by)))
        after(Watched, name, lambda result, self, by: seen.append(("after", result)))
    assert inspect.iscoroutinefunction(Watched.step)
    assert Watched().tick(1) == 2
    assert await Watched().step(by=1) == 3
    assert seen == [("before", 1), ("after", 2), ("before", 1), ("after", 3)]
