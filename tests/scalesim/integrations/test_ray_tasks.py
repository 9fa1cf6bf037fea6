"""A Ray task acts for whom it is called by; a program that is not carried runs as before."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import pytest
from ray import cloudpickle

from scalesim.caller import CallerIdentity, current
from scalesim.integrations import ray_tasks
from scalesim.integrations.acting import acting

ANN = CallerIdentity("town", "ann", "farmer")


class RemoteFunction:
    """As Ray's: a function goes to another process by value, its call is checked before."""

    def __init__(self, language: str, function: Callable[..., Any]) -> None:
        self._function = function

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        with suppress(ValueError):  # what is built in has none
            inspect.signature(self._function).bind(*(args or ()), **(kwargs or {}))
        function = cloudpickle.loads(cloudpickle.dumps(self._function))
        return function(*(args or ()), **(kwargs or {}))


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> type[RemoteFunction]:
    class Carried(RemoteFunction):
        pass

    module = ModuleType("remote_function")
    module.RemoteFunction = Carried  # type: ignore[attr-defined]
    monkeypatch.setattr("scalesim.integrations.registry.install_all", lambda: None)
    ray_tasks.install(module)
    ray_tasks.install(module)
    return Carried


def test_a_task_acts_for_whom_it_is_called_by(kind: type[RemoteFunction]) -> None:
    def asks(word: str, *, loud: bool = False, **more: int) -> Any:
        return word, loud, more, current()

    task = kind("python", asks)
    with acting(ANN):
        assert task._remote(("hi",), {"loud": True, "x": 1}) == ("hi", True, {"x": 1}, ANN)
        with pytest.raises(TypeError):
            task._remote(())
    assert task._remote(("hi",)) == ("hi", False, {}, None)


def test_generators_and_what_cannot_be_carried_run_as_before(kind: type[RemoteFunction]) -> None:
    def pieces() -> Iterator[Any]:
        yield current()

    with acting(ANN):
        assert list(kind("python", pieces)._remote()) == [ANN]  # with no argument more
        assert kind("python", dict)._remote((), {"x": 1}) == {"x": 1}


@pytest.mark.ray
@pytest.mark.usefixtures("ray_local")
def test_in_a_real_task() -> None:
    import ray
    from ray import remote_function

    kept = remote_function.RemoteFunction.__init__, remote_function.RemoteFunction._remote
    ray_tasks.install(remote_function)
    try:

        @ray.remote(num_cpus=0)
        def inner() -> str:
            who = current()
            return who.agent if who else ""

        @ray.remote(num_cpus=0)
        def outer(word: str) -> tuple[str, str]:
            return word, ray.get(inner.remote(), timeout=60)

        with acting(ANN):
            asked = outer.options(name="asked").remote("hi")
        assert ray.get(asked, timeout=60) == ("hi", "ann")
        assert ray.get(inner.remote(), timeout=60) == ""
    finally:
        remote_function.RemoteFunction.__init__, remote_function.RemoteFunction._remote = kept
