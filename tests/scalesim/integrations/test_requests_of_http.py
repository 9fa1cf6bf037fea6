"""Who acts is named to the stack, however its address is written, and to nobody else."""

from collections.abc import Iterator

import pytest

from scalesim.caller import CallerIdentity
from scalesim.environment import BASE_URL
from scalesim.integrations.acting import acting
from scalesim.integrations.requests_of_http import identity_headers, stack_netlocs


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    stack_netlocs.cache_clear()
    yield
    stack_netlocs.cache_clear()


@pytest.mark.parametrize(
    ("base_url", "ours", "others"),
    [
        ("http://Stack:8080", ["stack:8080", "STACK:8080", "me:pw@stack:8080"], ["stack:8081"]),
        ("https://stack.example:443", ["stack.example", "stack.example:443"], ["example"]),
        ("https://stack.example:80", ["stack.example:80"], ["stack.example"]),
        ("http://user:pw@stack:8080", ["stack:8080"], ["stack.evil:8080", "stack:8080@evil"]),
        ("http://127.0.0.1:8080", ["localhost:8080", "[::1]:8080"], ["api.openai.com"]),
    ],
)
def test_the_stack_and_others(
    base_url: str, ours: list[str], others: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BASE_URL, base_url)
    with acting(CallerIdentity("town", "ann")):
        assert all(identity_headers(netloc).get("X-Agent-Id") == "ann" for netloc in ours)
        assert not any(identity_headers(netloc) for netloc in others)
