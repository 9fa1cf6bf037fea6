"""Why a stack did not start, in words."""

import pytest

from scalesim.deployments.replica import start_engine
from scalesim.deployments.stack import reason
from scalesim.errors import ReplicaUnavailableError


class BrokenEngine:
    async def start(self) -> None:
        raise OSError("no model\nhere: " + 1000 * "x")


async def test_an_engine_says_why_in_one_short_line() -> None:
    with pytest.raises(ReplicaUnavailableError, match=r"\(OSError: no model here: x+\)") as error:
        await start_engine(BrokenEngine())  # type: ignore[arg-type]
    assert len(str(error.value)) < 600
    assert error.value.__suppress_context__


def test_serve_tells_it_last() -> None:
    failed = "The deployment failed 3 times.\nTraceback:\n  File\nReplicaError: no model\n\n"
    assert reason(["", failed]) == "ReplicaError: no model"
