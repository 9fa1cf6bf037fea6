"""The trace of a run: written and counted while it runs."""

import threading
from pathlib import Path

import pytest

from scalesim.errors import UnavailableError
from scalesim.runs.recorder import Recorder
from scalesim.runs.tally import Tally
from scalesim.settings import ClientSettings
from tests.support.fake_stack import FakeStack


def test_it_says_where_the_trace_broke_off(tmp_path: Path) -> None:
    with FakeStack() as stack:
        settings = ClientSettings(base_url=stack.base_url)
        with Recorder(settings, "town", tmp_path / "trace.jsonl") as recorder:
            with stack.called:
                stack.ended = True
                stack.called.notify_all()
            for thread in threading.enumerate():
                if thread.name == "scalesim-trace":
                    thread.join(10.0)
        assert recorder.interrupted == "the stack ended"


def test_a_stack_without_a_trace_is_refused(tmp_path: Path) -> None:
    settings = ClientSettings(base_url="http://127.0.0.1:9")
    with (
        pytest.raises(UnavailableError, match=r"127\.0\.0\.1:9"),
        Recorder(settings, "town", tmp_path / "trace.jsonl"),
    ):
        pass


def test_calls_are_counted_by_the_coldest_tier_that_was_read() -> None:
    tally = Tally()
    tally.add({"step": 1, "agent": "ann", "prompt_tokens": 100, "device": 60, "host": 30})
    tally.add({"step": 4, "agent": "anonymous-00", "prompt_tokens": 50, "output_tokens": 9})
    assert tally.hits == {"device": 0, "host": 1, "storage": 0, "miss": 1}
    assert tally.found == {"device": 60, "host": 30, "storage": 0, "miss": 60}
    assert (tally.calls, tally.named, tally.step, len(tally.agents)) == (2, 1, 4, 2)
    assert "step 4, 2 calls of 2 agents, 159 tokens; prompts: 40% device" in tally.line()
