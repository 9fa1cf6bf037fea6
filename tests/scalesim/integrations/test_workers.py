"""What is handed to a pool acts for who handed it over; a pool's own threads act for nobody."""

import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from scalesim.caller import CallerIdentity, current
from scalesim.integrations import workers
from scalesim.integrations.acting import acting


class NamedArgumentsPool:
    """As that of `multiprocessing`: its arguments can be given by name."""

    def apply_async(self, func: Callable[..., Any], args: tuple[Any, ...] = ()) -> Any:
        return func(*args)

    imap = imap_unordered = _map_async = apply_async


def test_a_pool_is_called_by_place_or_by_name() -> None:
    module = ModuleType("pools")
    module.Pool = NamedArgumentsPool  # type: ignore[attr-defined]
    workers.install_pools(module)
    ann = CallerIdentity("town", "ann")

    def asks(word: str) -> tuple[str, CallerIdentity | None]:
        with acting(None):
            return word, current()

    with acting(ann):
        assert NamedArgumentsPool().apply_async(asks, ("hi",)) == ("hi", ann)
        assert NamedArgumentsPool().apply_async(func=asks, args=("hi",)) == ("hi", ann)
    assert NamedArgumentsPool().apply_async(func=asks, args=("hi",)) == ("hi", None)


def test_threads_of_pools_serve_all() -> None:
    class Manager(threading.Thread):
        __module__ = "concurrent.futures.process"

    class Own(threading.Thread):
        pass

    assert workers.serves_all(Manager())
    assert not workers.serves_all(Own())
    assert not workers.serves_all(threading.Thread(target=lambda: None))
