"""Payload kinds by name, and one that a package from outside brings."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalesim.deployments.engine.directive_executor import DirectiveExecutor
from scalesim.deployments.engine.eviction_order import DistanceOrder
from scalesim.deployments.engine.messages import Hello, Message, encode
from scalesim.deployments.engine.payloads import kinds
from scalesim.errors import ConfigurationError
from scalesim.vocabulary import Budgets, Directives, Moves, Residency, Tier, TransferStats, Verb
from tests.support.fake_tree import FakeTree

DIARY = '''
import numpy as np
from scalesim.payloads import Budgets, MoveOutcome, Residency, Tier, TransferStats

PAGE = 100


class Diary:
    """A page a diary, kept in a drawer (host) and opened on the desk (device)."""

    kind = "diary"

    def __init__(self):
        self.where = {7: Tier.HOST}
        self.news = set()

    def budgets(self):
        return Budgets(PAGE, 10 * PAGE, 0)

    def push(self, keys, distances): pass
    def distance(self, key): return 0.0
    def pin(self, key): pass
    def unpin(self, key): pass
    def drop(self, key): return self._put(key, Tier.ABSENT)
    def prefetch(self, key, tier): return self._put(key, tier)
    def demote(self, key, tier): return self._put(key, tier)
    def settle(self): return False
    def touch_all(self): self.news = set(self.where)
    def transfer(self): return TransferStats(self.kind, issued=3)

    def _put(self, key, tier):
        if key not in self.where:
            return MoveOutcome.REFUSED
        self.where[key] = tier
        self.news.add(key)
        return MoveOutcome.DONE

    def changed(self):
        keys, self.news = sorted(self.news), set()
        if not keys:
            return None
        held = {t: np.array([PAGE * (self.where[k] == t) for k in keys], np.int64) for t in Tier}
        pages = np.full(len(keys), PAGE, np.int64)
        return Residency(self.kind, np.array(keys), held[Tier.DEVICE], held[Tier.HOST],
                         held[Tier.STORAGE], pages, np.zeros(len(keys), np.bool_))


def build(engine):
    diary = Diary()
    diary.pages = engine.settings.get("diary", {}).get("pages")
    return diary


def build_nothing(engine):
    return None
'''


class FakeEngine:
    tree = FakeTree(DistanceOrder(), device_tokens=100)
    slots = None
    weights = None

    def __init__(self, **settings: dict[str, Any]) -> None:
        self.settings = settings


Install = Callable[[str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution `diaries` whose entry points are given."""

    def install(entry: str) -> None:
        (tmp_path / "diaries.py").write_text(textwrap.dedent(DIARY))
        info = tmp_path / "diaries-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: diaries\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[scalesim.payloads]\n{entry}\n")
        monkeypatch.syspath_prepend(tmp_path)

    return install


def test_our_kinds_come_first() -> None:
    assert list(kinds.build(FakeEngine())) == ["prefix"]


def test_a_kind_from_outside_is_moved_like_ours(install: Install) -> None:
    install("diary = diaries:build")
    sent: list[Message] = []
    executor = DirectiveExecutor(
        kinds.build(FakeEngine()), lambda message: sent.append(message) or True
    )
    executor.hello(10)
    column = np.array([7], np.int64)
    prefetch = np.full(1, Verb.PREFETCH, np.uint8), np.full(1, Tier.DEVICE, np.uint8)
    moves = Moves("diary", prefetch[0], column, prefetch[1])
    executor.accept([encode(Directives(1, 1, moves=(moves,)))])
    executor.work()
    executor.work()
    hello = next(message for message in sent if isinstance(message, Hello))
    assert hello.kinds == ("prefix", "diary")
    assert hello.budgets == (Budgets(1000, 10**7, 0), Budgets(100, 1000, 0))
    row = next(message for message in sent if isinstance(message, Residency))
    assert (row.kind, row.keys.tolist(), row.device_bytes.tolist()) == ("diary", [7], [100])
    assert TransferStats("diary", issued=3) in sent


def test_a_kind_reads_its_own_settings(install: Install) -> None:
    install("diary = diaries:build")
    assert kinds.build(FakeEngine(diary={"pages": 3}))["diary"].pages == 3  # type: ignore[attr-defined]


def test_settings_of_a_kind_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="diary, which no installed package brings"):
        kinds.build(FakeEngine(diary={"pages": 3}))


def test_a_kind_the_engine_has_nothing_of_is_left_out(install: Install) -> None:
    install("diary = diaries:build_nothing")
    assert list(kinds.build(FakeEngine())) == ["prefix"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("prefix = diaries:build", "claimed twice"),
        ("notebook = diaries:build", "calls itself 'diary'"),
        ("diary = diaries:missing", "cannot be imported"),
    ],
)
def test_kinds_that_cannot_work_say_why(install: Install, entry: str, message: str) -> None:
    install(entry)
    with pytest.raises(ConfigurationError, match=message):
        kinds.build(FakeEngine())
