import json

from deployments.tap import Tap


async def test_listeners_get_the_requests_of_their_simulation() -> None:
    tap = Tap(lambda simulation: 7)
    tap.emit("town", "nobody listens", 1, 1)
    feed = tap.listen("town")
    assert await anext(feed) == "\n"
    assert len(tap) == 1
    tap.emit("city", "eve", 1, 1)
    tap.emit("town", "bob", 800, 16)
    event = json.loads(await anext(feed))
    assert (event["step"], event["agent"], event["prompt_tokens"]) == (7, "bob", 800, 16)
    await feed.aclose()
    assert len(tap) == 0


async def test_a_slow_listener_costs_a_bounded_backlog() -> None:
    tap = Tap(lambda simulation: 0)
    feed = tap.listen("town")
    await anext(feed)
    for number in range(10_050):
        tap.emit("town", str(number), 1, 1)
    agents = [json.loads(await anext(feed))["agent"] for _ in range(10_000)]
    assert agents[-1] == "9999"
    await feed.aclose()
