"""A library's functions act for an agent, whatever kind of function they are."""

import logging
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from scalesim.caller import current
from scalesim.integrations.acting import act_for
from scalesim.integrations.faults import harmless


def who() -> str | None:
    identity = current()
    return identity.agent if identity else None


class ActingPerson:
    name: Any = "ann"

    def call(self) -> str | None:
        return who()

    async def call_async(self) -> str | None:
        return who()

    def pieces(self) -> Generator[str | None, str | None, str]:
        sent = yield who()
        yield f"{sent} to {who()}"
        return "end"

    async def pieces_async(self) -> AsyncGenerator[str | None, str | None]:
        sent = yield who()
        yield f"{sent} to {who()}"

    def minds(self) -> Generator[str, None, None]:
        try:
            yield "begun"
        except ValueError as error:
            yield f"{error} of {who()}"

    async def minds_async(self) -> AsyncGenerator[str, None]:
        try:
            yield "begun"
        except ValueError as error:
            yield f"{error} of {who()}"

    def fails(self) -> None:
        raise ValueError("the program's own")


@pytest.fixture
def person() -> ActingPerson:
    class Instrumented(ActingPerson):
        pass

    methods = ("call", "call_async", "pieces", "pieces_async", "minds", "minds_async", "fails")
    for name in methods:
        act_for(Instrumented, name, lambda self: self.name)
    return Instrumented()


async def test_functions_and_coroutines(person: ActingPerson) -> None:
    assert person.call() == "ann"
    assert await person.call_async() == "ann"
    assert who() is None


def test_generators_act_between_and_not_around_their_pieces(person: ActingPerson) -> None:
    pieces = person.pieces()
    assert next(pieces) == "ann"
    assert who() is None
    assert pieces.send("hello") == "hello to ann"
    with pytest.raises(StopIteration, match="end"):
        next(pieces)


async def test_asynchronous_generators_too(person: ActingPerson) -> None:
    pieces = person.pieces_async()
    assert await anext(pieces) == "ann"
    assert who() is None
    assert await pieces.asend("hello") == "hello to ann"
    with pytest.raises(StopAsyncIteration):
        await anext(pieces)


async def test_what_is_thrown_into_a_generator_is_its_own_to_handle(person: ActingPerson) -> None:
    minds, minds_async = person.minds(), person.minds_async()
    assert [next(minds), await anext(minds_async)] == ["begun", "begun"]
    assert minds.throw(ValueError("fault")) == "fault of ann"
    assert await minds_async.athrow(ValueError("fault")) == "fault of ann"
    with pytest.raises(KeyError):
        minds.throw(KeyError())
    with pytest.raises(KeyError):
        await minds_async.athrow(KeyError())


def test_an_error_of_the_program_stays_its_own(person: ActingPerson) -> None:
    with pytest.raises(ValueError, match="own"):
        person.fails()
    assert who() is None


def test_who_has_no_name_acts_for_who_acts_already(person: ActingPerson) -> None:
    outer = type(person)()
    person.name = None
    type(person).meets = lambda self, other: other.call()  # type: ignore[attr-defined]
    act_for(type(person), "meets", lambda self, other: self.name)
    assert outer.meets(person) == "ann"  # type: ignore[attr-defined]


def test_one_with_an_odd_name_leaves_the_others_theirs(person: ActingPerson) -> None:
    named = type(person)()
    for odd in ("", "x" * 999, "Senior\nWriter"):
        person.name = odd
        person.call()
        assert named.call() == "ann"
    assert person.call() == "Senior Writer"


def test_a_fault_of_ours_is_logged_once_and_switched_off(
    person: ActingPerson, caplog: pytest.LogCaptureFixture
) -> None:
    person.name = object()
    with caplog.at_level(logging.WARNING):
        assert [person.call() for _ in range(3)] == [None] * 3
    (record,) = caplog.records
    assert "is off from now on" in record.getMessage()


def test_wrapped_twice_it_is_wrapped_once(person: ActingPerson) -> None:
    wrapped = type(person).call
    act_for(type(person), "call", lambda self: "eve")
    assert type(person).call is wrapped


def test_a_method_that_is_not_there_is_an_error_of_the_integration() -> None:
    with pytest.raises(AttributeError):
        act_for(ActingPerson, "no_such_method", lambda self: "ann")


def test_harmless_answers_nothing_after_a_fault() -> None:
    calls: list[int] = []

    @harmless
    def fails(number: int) -> int:
        calls.append(number)
        return 1 // number

    assert [fails(number) for number in (1, 0, 1)] == [1, None, None]
    assert calls == [1, 0]
