"""What of an engine's requests are its clients'."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from scalesim.deployments.engine import boot

DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def probing() -> Any:
    """Our module, imported as in a replica: SGLang's own imports warn of what is theirs."""
    assert boot  # prepares a machine without a GPU for them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("scalesim.deployments.engine.probe")


class ProbedEngine:
    """An engine with requests of clients; notes what counts when it is asked for a token."""

    def __init__(self, unended: Any, *rids: str) -> None:
        self.rid_to_state: dict[str, object] = dict.fromkeys(rids)
        self.last_receive_tstamp = 0.0
        self.counted: list[int] = []
        self.tokenizer_manager = self
        self._unended = unended

    async def generate_request(self, request: Any, raw: Any) -> AsyncIterator[Any]:
        self.rid_to_state[request.rid] = None
        self.counted.append(self._unended(self))
        yield {}


async def test_a_probe_is_no_request_of_a_client(probing: Any) -> None:
    engine = ProbedEngine(probing.unended, "a", "b")
    assert await probing.probe(engine, DEADLINE_S)
    assert engine.counted == [2]
    assert probing.unended(engine) == len(engine.rid_to_state) == 2
