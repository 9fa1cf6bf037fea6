import pytest

from scalesim.errors import InvalidRequestError
from scalesim.policies.capacity.fit import EngineRoom
from scalesim.policies.capacity.hardware import LLMS

SMALL, LARGE = LLMS["llama-3.1-8b"], LLMS["llama-3.1-70b"]


def test_by_hand():
    room = EngineRoom(SMALL, 1, 71e9, 100e9)
    assert room.device_tokens == int((71e9 - 2 * 8_030_261_248) / 131_072) == 419_154
    assert room.host_tokens == int(100e9 / 131_072)
    assert room.agents(2048) == (204, 372)
    assert room.agents(1, page_size=16) == (26_197, 47_683)


def test_ranks_share_weights_and_heads():
    room = EngineRoom(LARGE, 4, 71e9, 100e9)
    assert room.token_bytes == LARGE.kv_bytes_per_token
    assert room.device_bytes == pytest.approx(4 * 71e9 - LARGE.weight_bytes)
    copied = EngineRoom(LARGE, 16, 71e9, 100e9)  # 8 heads: half of the ranks hold copies
    assert copied.token_bytes == 2 * LARGE.kv_bytes_per_token


def test_what_does_not_fit():
    room = EngineRoom(LARGE, 1, 71e9, 0)
    assert room.device_bytes < 0
    assert (room.device_tokens, room.host_tokens, room.agents(1)) == (0, 0, (0, 0))
    assert room.fewest_ranks == 2
    assert EngineRoom(LARGE, 1, 0, 0).fewest_ranks == 1  # no device memory is known


def test_agents_have_tokens():
    with pytest.raises(InvalidRequestError, match="0 tokens"):
        EngineRoom(SMALL, 1, 71e9, 0).agents(0)
