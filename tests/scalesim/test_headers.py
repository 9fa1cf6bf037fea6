"""Header values, written and read."""

import pytest

from scalesim.headers import AGENT, CachedTokens, identity
from tests.scalesim.test_identity import NAMES


@pytest.mark.parametrize("agent", [*NAMES.values(), " "])
def test_every_name_can_be_a_header(agent: str) -> None:
    value = identity("town", agent)[AGENT]
    assert value.isascii()
    assert value.isprintable()
    assert value == value.strip(), "clients refuse to send it, or it arrives without"


def test_a_plain_name_is_written_as_it_is() -> None:
    assert identity("town", "Bob Ray, 7")[AGENT] == "Bob Ray, 7"


def test_counts_survive_the_header() -> None:
    counts = CachedTokens(800, 704, 48, 0)
    assert str(counts) == "prompt=800, device=704, host=48, storage=0"
    assert CachedTokens.parse(str(counts)) == counts


def test_what_is_absent_is_zero() -> None:
    assert CachedTokens.parse("") == (0, 0, 0, 0)
    assert CachedTokens.parse("prompt=5, later=9") == (5, 0, 0, 0)


@pytest.mark.parametrize(
    ("counts", "tier"),
    [
        ((9, 9, 0, 0), "device"),
        ((9, 5, 4, 0), "host"),
        ((9, 5, 2, 2), "storage"),
        ((9, 0, 0, 0), "miss"),
    ],
)
def test_residency_is_the_coldest_tier_read(counts: tuple[int, ...], tier: str) -> None:
    assert CachedTokens(*counts).residency == tier
