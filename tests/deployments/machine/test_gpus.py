"""GPUs a process sees, reported by a driver that is not there."""

from types import SimpleNamespace
from typing import Any

import pytest

from scalesim.deployments.machine.gpus import visible_gpus

CARDS = ("GPU-aa11", "GPU-ab22", "GPU-cc33")
PART = "MIG-dd44"


class FakeDriver:
    """Answers like `pynvml` for three cards, the third one cut into parts."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, works: bool = True, cut: tuple[str, ...] = (), lost: str = "") -> None:
        self._works = works
        self._cut, self._lost = cut, lost
        self.opened = 0

    def nvmlInit(self) -> None:
        if not self._works:
            raise self.NVMLError
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(CARDS)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return CARDS[index]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != PART:
            raise self.NVMLError
        return uuid

    def nvmlDeviceGetUUID(self, handle: str) -> str:
        return handle

    def nvmlDeviceGetName(self, handle: str) -> str:
        return f"card {handle}"

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:
        if handle not in CARDS:
            raise self.NVMLError
        return [int(handle in self._cut)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: str) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: str, index: int) -> str:
        if index != 2:  # the others were not made, or deleted
            raise self.NVMLError
        return f"part of {handle}"

    def nvmlDeviceGetMemoryInfo(self, handle: str) -> Any:
        if handle == self._lost:
            raise self.NVMLError
        return SimpleNamespace(total=80, free=70)


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        ("0,1,2", CARDS),
        ("2, 0", (CARDS[2], CARDS[0])),
        ("", ()),
        ("-1", ()),
        ("1,7,0", (CARDS[1],)),  # CUDA stops at the first that is not there
        ("GPU-c,GPU-aa11", (CARDS[2], CARDS[0])),
        ("GPU-a", ()),  # two begin so
        (PART, (PART,)),
        ("MIG-none", ()),
    ],
)
def test_what_cuda_shows(visible: str, seen: tuple[str, ...]) -> None:
    driver = FakeDriver()
    gpus = visible_gpus(driver, visible)
    assert [gpu.name for gpu in gpus] == [f"card {name}" for name in seen]
    assert {gpu[1:] for gpu in gpus} <= {(80, 70)}
    assert driver.opened == 0


def test_all_where_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert len(visible_gpus(FakeDriver())) == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.name for gpu in visible_gpus(FakeDriver())] == ["card GPU-ab22"]


def test_of_a_card_in_parts_the_first_is_seen() -> None:
    driver = FakeDriver(cut=(CARDS[0],))
    assert [gpu.name for gpu in visible_gpus(driver, "0,1")] == [
        f"card part of {CARDS[0]}",
        f"card {CARDS[1]}",
    ]


def test_none_where_the_driver_fails() -> None:
    assert visible_gpus(FakeDriver(works=False)) == ()
    driver = FakeDriver(lost=CARDS[1])
    assert visible_gpus(driver, "0,1") == ()
    assert driver.opened == 0
