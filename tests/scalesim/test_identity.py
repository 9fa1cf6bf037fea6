"""What can name an agent: the world's names, and what Python code counts by."""

from uuid import UUID

import numpy as np
import pytest

from scalesim.errors import InvalidRequestError
from scalesim.identity import agent_key, agent_keys, agent_text, check_agent

NAMES = {
    "persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "sinhala": "ශ්\u200dරී",
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "flag": "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
    "wide space": "山田\u3000太郎",
    "new emoji": "\U0001fae9",
    "accents": "Zoe\u0308",
    "spaces around": " Bob Ray ",
    "percent": "50% Ann",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_as_they_are_spelled(name: str) -> None:
    assert check_agent(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a\nb",
        "a\0b",
        "\ud800",
        "a\u202eb",
        "\ufeffa",
        "a\u2028b",
        "\x9b",
        7,
        None,
        b"a",
    ],
)
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(InvalidRequestError, match="is not an agent id"):
        check_agent(name)  # type: ignore[arg-type]


def test_integers_and_uuids_stand_for_their_text() -> None:
    one = UUID(int=1)
    assert [agent_text(id) for id in (7, -1, np.int64(7), one)] == ["7", "-1", "7", str(one)]
    keys = agent_keys("town", [7, np.int32(7), "7", one])
    assert keys.tolist() == [*[agent_key("town", "7")] * 3, agent_key("town", str(one))]


@pytest.mark.parametrize(
    "agent", [True, 10**256, 1.5, 1.0, None, ["a"], np.float32(1), np.bool_(True)]
)
def test_other_objects_name_nobody(agent: object) -> None:
    with pytest.raises(InvalidRequestError):
        agent_text(agent)  # type: ignore[arg-type]


def test_an_integer_too_long_to_write_is_refused_all_the_same() -> None:
    for check in (agent_text, check_agent):
        with pytest.raises(InvalidRequestError, match="bits"):
            check(1 << 20_000)  # type: ignore[operator]
