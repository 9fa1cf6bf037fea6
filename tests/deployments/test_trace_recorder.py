import json

from scalesim.deployments.trace_recorder import TraceRecorder
from scalesim.headers import CachedTokens


async def test_listeners_get_the_requests_of_their_simulation() -> None:
    tap = TraceRecorder(lambda simulation: 7)
    tap.emit("town", "nobody listens", CachedTokens(1), 1, 0.1)
    feed = tap.listen("town")
    assert await anext(feed) == "\n"
    assert len(tap) == 1
    tap.emit("city", "eve", CachedTokens(1), 1, 0.1)
    tap.emit("town", "bob", CachedTokens(800, 700, 16), 16, 0.5)
    event = json.loads(await anext(feed))
    given = {"step": 7, "agent": "bob", "prompt_tokens": 800, "output_tokens": 16}
    found = {"device": 700, "host": 16, "seconds": 0.5}
    assert event.items() > (given | found).items()
    assert "storage" not in event
    await feed.aclose()
    assert len(tap) == 0


async def test_a_slow_listener_costs_a_bounded_backlog() -> None:
    tap = TraceRecorder(lambda simulation: 0)
    feed = tap.listen("town")
    await anext(feed)
    for number in range(10_050):
        tap.emit("town", str(number), CachedTokens(1), 1, 0.1)
    agents = [json.loads(await anext(feed))["agent"] for _ in range(10_000)]
    assert agents[-1] == "9999"
    await feed.aclose()


async def test_closing_ends_every_feed_after_what_came() -> None:
    tap = TraceRecorder(lambda simulation: 0)
    feeds = [tap.listen("town") for _ in range(2)]
    for feed in feeds:
        await anext(feed)
    tap.emit("town", "bob", CachedTokens(1), 1, 0.1)
    tap.close()
    for feed in feeds:
        assert [json.loads(line)["agent"] async for line in feed] == ["bob"]
    assert len(tap) == 0
