"""`scalesim run`: a program's calls carry who makes them, wherever in it they are made."""

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from scalesim.cli import run
from scalesim.cli.program import Program
from scalesim.errors import InvalidRequestError, UnavailableError
from tests.support.fake_stack import FakeStack

PROGRAM = """
import asyncio, multiprocessing, os, sys, threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import httpx

import scalesim

URL = os.environ["OPENAI_BASE_URL"] + "/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}


def ask(_=None):
    with httpx.Client() as client:
        client.post(URL, json=BODY).raise_for_status()


async def ask_async():
    async with httpx.AsyncClient() as client:
        await asyncio.create_task(client.post(URL, json=BODY))


if __name__ == "__main__":
    ask()
    with scalesim.agent("thread"):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    pool = ThreadPoolExecutor(1)
    for name in ("pool 1", "pool 2"):
        with scalesim.agent(name):
            pool.submit(ask).result()
    pool.submit(ask).result()  # of no agent, in a thread that an agent's call began
    with scalesim.agent("task"):
        asyncio.run(ask_async())
    with scalesim.agent("forked"):
        child = multiprocessing.get_context("fork").Process(target=ask)
        child.start()
        child.join()
        with multiprocessing.get_context("fork").Pool(1) as workers:
            workers.map(ask, [1])
    with scalesim.agent("spawned"), ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn")
    ) as workers:
        workers.submit(ask).result()
    with scalesim.agent("elsewhere"), httpx.Client(transport=httpx.MockTransport(
        lambda request: httpx.Response(200, json=dict(request.headers))
    )) as client:
        assert "x-agent-id" not in client.get("http://example.org/").json()
    sys.exit(3)
"""


class Ran(NamedTuple):
    callers: Counter[tuple[str | None, ...]]
    report: dict[str, Any]
    trace: list[dict[str, Any]]
    screen: str


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(run.app, list(arguments))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("run")
    program = folder / "my town!.py"
    program.write_text(PROGRAM)
    with FakeStack() as stack:
        out = str(folder / "out")
        command = (sys.executable, str(program), "--api-key", "k1")
        result = invoke("--base-url", stack.base_url, "--out", out, *command)
        lines = (folder / "out/trace.jsonl").read_text().splitlines()
        report = json.loads((folder / "out/report.json").read_text())
        assert stack.received[-1] == (f"/v1/simulations/{report['simulation']}", None)
        yield Ran(Counter(stack.callers), report, [json.loads(x) for x in lines], result.output)
        assert result.exit_code == 3


@pytest.mark.slow
def test_every_call_carries_its_agent_wherever_it_is_made(ran: Ran) -> None:
    agents = Counter({agent: count for (agent, _), count in ran.callers.items()})
    once = dict.fromkeys(("thread", "pool 1", "pool 2", "task", "spawned"), 1)
    assert agents == {**once, "forked": 2, None: 2}


@pytest.mark.slow
def test_all_are_of_one_simulation_with_a_name_of_its_own(ran: Ran) -> None:
    (name,) = {simulation for _, simulation in ran.callers}
    assert name == ran.report["simulation"]
    assert name is not None
    assert name.startswith("my-town-")


@pytest.mark.slow
def test_the_report_counts_what_the_trace_has(ran: Ran) -> None:
    report = ran.report
    assert len(ran.trace) == report["calls"] == 9
    assert report["calls_named"] == 7
    assert report["tokens"] == {"prompt": 7200, "output": 36}
    found = {"device": 144, "host": 72, "storage": 36, "miss": 6948}
    assert report["prompt_tokens_found"] == found
    assert report["calls_by_coldest_tier"]["storage"] == 9
    assert report["errors"] == {}
    assert report["exit_code"] == 3
    assert report["command"][2:] == ["--api-key", "***"]
    assert report["interrupted"] == ""


@pytest.mark.slow
def test_the_screen_shows_the_report(ran: Ran) -> None:
    assert "78% of calls named" in ran.screen
    assert "2% device, 1% host, 0% storage, 96% miss" in ran.screen


@pytest.mark.slow
def test_a_key_for_some_simulations_is_enough(tmp_path: Path) -> None:
    with FakeStack() as stack:
        stack.only_for = "town"
        where = ("--base-url", stack.base_url, "--out", str(tmp_path))
        result = invoke(*where, "--simulation", "town", "--", "true")
        assert result.exit_code == 0, result.output
        assert "told to the stack's own key alone" in result.output
        assert json.loads((tmp_path / "report.json").read_text())["errors"] is None
        refused = invoke(*where, "--simulation", "city", "--", "true")
    assert isinstance(refused.exception, UnavailableError)
    assert "this key is not for it" in str(refused.exception)
    assert "'city'" in str(refused.exception)


def test_without_a_stack_it_says_how_to_have_one(tmp_path: Path) -> None:
    result = invoke("--base-url", "http://127.0.0.1:9", "--out", str(tmp_path), "true")
    assert isinstance(result.exception, UnavailableError)
    assert "--model" in str(result.exception)


def test_a_program_that_is_not_there_is_named_before_a_stack_is_started(tmp_path: Path) -> None:
    where = ("--base-url", "http://127.0.0.1:9", "--out", str(tmp_path / "out"))
    result = invoke(*where, "--model", "smollm2", "--", "no-such-program", "town.py")
    assert isinstance(result.exception, InvalidRequestError)
    assert "no-such-program" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(InvalidRequestError, match="program' cannot be run"):
        Program([str(program)], {}).run()


@pytest.mark.slow
def test_a_program_goes_on_when_the_stack_is_gone_and_is_reported(tmp_path: Path) -> None:
    program = (
        "import httpx, os, scalesim, sys, time\n"
        "body = {'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}], 'max_tokens': 4}\n"
        "url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'\n"
        "run = scalesim.Simulation()\n"
        "for step in range(1000):\n"
        "    run.step(step, ['ann'])\n"
        "    try:\n"
        "        with scalesim.agent('ann'):\n"
        "            httpx.post(url, json=body)\n"
        "    except httpx.TransportError:\n"
        "        sys.exit(5)\n"
    )
    where = ("--out", str(tmp_path), "--", sys.executable, "-c", program)
    with FakeStack() as stack:
        ended = threading.Thread(target=_end_once_called, args=(stack,))
        ended.start()
        result = invoke("--base-url", stack.base_url, *where)
        ended.join()
    report = json.loads((tmp_path / "report.json").read_text())
    assert result.exit_code == report["exit_code"] == 5
    assert report["interrupted"]
    assert "not complete" in result.output


def _end_once_called(stack: FakeStack) -> None:
    with stack.called:
        stack.called.wait_for(lambda: stack.callers)
    stack.end()


def test_what_a_signal_ended_has_its_code() -> None:
    program = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert Program([sys.executable, "-c", program], {}).run() == 137


def test_a_signal_for_us_is_passed_on() -> None:
    program = (
        "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
        "os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    )
    assert Program([sys.executable, "-c", program], {}).run() == 7


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_nohup_ignores_ends_neither(number: signal.Signals) -> None:
    program = (
        "import os, signal, sys\n"
        f"for pid in (os.getppid(), os.getpid()): os.kill(pid, {int(number)})\n"
        f"sys.exit(7 if signal.getsignal({int(number)}) is signal.SIG_IGN else 8)"
    )
    former = signal.signal(number, signal.SIG_IGN)
    try:
        assert Program([sys.executable, "-c", program], {}).run() == 7
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, former)
