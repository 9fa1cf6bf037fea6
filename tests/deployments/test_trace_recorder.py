import json

from scalesim.deployments.trace_recorder import TraceRecorder
from scalesim.headers import CachedTokens


async def test_listeners_get_the_requests_of_their_simulation() -> None:
    recorder = TraceRecorder(lambda simulation: 7)
    recorder.emit("town", "nobody listens", CachedTokens(1), 1, 0.1)
    feed = recorder.listen("town")
    assert await anext(feed) == "\n"
    assert len(recorder) == 1
    recorder.emit("city", "eve", CachedTokens(1), 1, 0.1)
    recorder.emit("town", "bob", CachedTokens(800, 700, 16), 16, 0.5)
    event = json.loads(await anext(feed))
    given = {"step": 7, "agent": "bob", "prompt_tokens": 800, "output_tokens": 16}
    found = {"device": 700, "host": 16, "seconds": 0.5}
    assert event.items() > (given | found).items()
    assert "storage" not in event
    await feed.aclose()
    assert len(recorder) == 0


async def test_a_slow_listener_costs_a_bounded_backlog() -> None:
    recorder = TraceRecorder(lambda simulation: 0)
    feed = recorder.listen("town")
    await anext(feed)
    for number in range(10_050):
        recorder.emit("town", str(number), CachedTokens(1), 1, 0.1)
    agents = [json.loads(await anext(feed))["agent"] for _ in range(10_000)]
    assert agents[-1] == "9999"
    await feed.aclose()


async def test_closing_ends_every_feed_after_what_came() -> None:
    recorder = TraceRecorder(lambda simulation: 0)
    feeds = [recorder.listen("town") for _ in range(2)]
    for feed in feeds:
        await anext(feed)
    recorder.emit("town", "bob", CachedTokens(1), 1, 0.1)
    recorder.close()
    for feed in feeds:
        assert [json.loads(line)["agent"] async for line in feed] == ["bob"]
    assert len(recorder) == 0
