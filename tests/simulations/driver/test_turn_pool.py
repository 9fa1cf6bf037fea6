"""A turn that ends badly is not waited for without end."""

from typing import cast

import pytest

from scalesim.simulations.driver.agent_turns import AgentTurn, TakenTurn
from scalesim.simulations.driver.runner import TurnRunner
from scalesim.simulations.driver.turn_pool import LocalPool


class BrokenRunner:
    async def take(self, turn: AgentTurn) -> TakenTurn:
        raise KeyError("a fault of the World's `public`")

    async def close(self) -> None:
        pass


async def test_what_is_no_error_of_the_turn_is_raised() -> None:
    pool = LocalPool(cast(TurnRunner, BrokenRunner()))
    await pool.give([AgentTurn(0, 1, b"\x80", (), ())])
    with pytest.raises(KeyError, match="public"):
        await pool.taken()
    await pool.close()
