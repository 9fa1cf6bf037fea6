"""Calls to the controller, in batches small enough that it serves others between two."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalesim.controller.core import Controller
from scalesim.deployments.remote import RemoteController
from scalesim.settings import ControllerSettings
from scalesim.transports.transport import MAX_ROWS
from tests.support.controller_world import keys, make_controller

NONE = keys()


class Handle:
    """A controller as Ray hands it out; notes its calls."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        handle = self

        class Method:
            async def remote(self, *args: Any) -> Any:
                handle.calls.append((name, args))
                return getattr(handle.controller, name)(*args)

        return Method()


def remote() -> tuple[RemoteController, Handle]:
    handle = Handle(make_controller(simulations_per_key=1))
    return RemoteController(lambda: handle, ControllerSettings()), handle


async def test_many_rows_go_in_batches_and_are_counted_together() -> None:
    controller, handle = remote()
    many = np.arange(2 * MAX_ROWS + 5)
    distances = np.ones(many.size, np.float32)
    distances[[0, -1]] = np.nan
    ack = await controller.report("town", 3, many, distances, None)
    assert ack == (3, many.size - 2, 2)
    assert [args[2].size for _, args in handle.calls] == [MAX_ROWS, MAX_ROWS, 5]
    ack = await controller.report("town", 4, NONE, np.empty(0, np.float32), None)
    assert ack == (4, 0, 0)


async def test_changes_keep_their_order() -> None:
    controller, handle = remote()
    await controller.lifecycle("town", keys(1), keys(2), NONE)
    assert len(handle.calls) == 1
    many = np.arange(MAX_ROWS + 1)
    await controller.lifecycle("town", many, many[-1:], many[:1])
    assert handle.controller.status()["agents"]["pinned"] == MAX_ROWS - 1


async def test_the_end_gives_a_key_s_place_to_another() -> None:
    controller, handle = remote()
    await controller.report("town", 3, keys(1), np.ones(1, np.float32), None)
    await controller.end("town")
    await controller.report("village", 3, keys(1), np.ones(1, np.float32), None)
    assert list(handle.controller.status()["simulations"]) == ["village"]
