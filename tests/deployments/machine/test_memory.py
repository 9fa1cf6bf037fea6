"""Memory there is: of a bare machine, of a container, of groups in groups."""

from pathlib import Path

import pytest

from scalesim.deployments.machine import disk_bytes, look
from scalesim.deployments.machine.memory import read_memory
from tests.support.machine_trees import GIB, write, write_group, write_machine

TWO = "31 23 0:28 {inside} {mount} rw,relatime - cgroup2 cgroup2 rw"
ONE = "35 31 0:32 {inside} {mount} rw,relatime - cgroup cgroup rw,memory"


def member(root: Path, line: str, mount: str) -> None:
    write(root, "proc/self/cgroup", line)
    write(root, "proc/self/mountinfo", mount)


def test_a_machine_without_groups_is_its_own_limit(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    assert read_memory(tmp_path) == (64 * GIB, 50 * GIB)


@pytest.mark.parametrize("tight", ["", "/pod", "/pod/box"])
def test_the_tightest_of_nested_groups_counts(tmp_path: Path, tight: str) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/pod/box", TWO.format(inside="/", mount="/sys/fs/cgroup"))
    for folder in ("", "/pod", "/pod/box"):
        limit = 8 * GIB if folder == tight else "max"
        write_group(tmp_path, f"sys/fs/cgroup{folder}", limit, 3 * GIB, cached=GIB)
    assert read_memory(tmp_path) == (8 * GIB, 6 * GIB)  # files in the page cache can go


def test_limit_and_what_is_free_may_come_from_different_groups(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/pod/box", TWO.format(inside="/", mount="/sys/fs/cgroup"))
    write_group(tmp_path, "sys/fs/cgroup/pod", 32 * GIB, 31 * GIB)
    write_group(tmp_path, "sys/fs/cgroup/pod/box", 16 * GIB, 2 * GIB)
    assert read_memory(tmp_path) == (16 * GIB, GIB)


def test_other_mounts_may_have_any_bytes_in_their_names(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/pod", "")
    line = TWO.format(inside="/", mount="/sys/fs/cgroup")
    disk = b"40 23 8:1 / /mnt/\xff rw,relatime - ext4 /dev/sda1 rw\n"
    (tmp_path / "proc/self/mountinfo").write_bytes(disk + line.encode())
    write_group(tmp_path, "sys/fs/cgroup/pod", 8 * GIB, GIB)
    assert read_memory(tmp_path) == (8 * GIB, 7 * GIB)


def test_memory_high_is_a_limit_too(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/", TWO.format(inside="/", mount="/sys/fs/cgroup"))
    write_group(tmp_path, "sys/fs/cgroup", 32 * GIB, GIB)
    write(tmp_path, "sys/fs/cgroup/memory.high", 16 * GIB)
    assert read_memory(tmp_path) == (16 * GIB, 15 * GIB)


@pytest.mark.parametrize("path", ["/docker/abc", "/"])
def test_a_container_sees_its_group_as_the_root(tmp_path: Path, path: str) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, f"0::{path}", TWO.format(inside="/docker/abc", mount="/sys/fs/cgroup"))
    write_group(tmp_path, "sys/fs/cgroup", 8 * GIB, GIB)
    assert read_memory(tmp_path) == (8 * GIB, 7 * GIB)


def test_the_first_version_is_read_by_its_names(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    lines = "4:memory:/docker/abc\n1:cpu:/docker/abc\n0::/"
    mounts = (
        ONE.replace("memory", "cpu").format(inside="/", mount="/sys/fs/cgroup/cpu"),
        ONE.format(inside="/", mount="/sys/fs/cgroup/memory"),
    )
    member(tmp_path, lines, "\n".join(mounts))
    unlimited = 2**63 - 4096
    write_group(tmp_path, "sys/fs/cgroup/memory", unlimited, GIB, version=1)
    folder = "sys/fs/cgroup/memory/docker/abc"
    write_group(tmp_path, folder, 8 * GIB, 2 * GIB, GIB, version=1)
    assert read_memory(tmp_path) == (8 * GIB, 7 * GIB)


def test_a_mount_with_a_space_in_its_name(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/", TWO.format(inside="/", mount="/my\\040groups"))
    write_group(tmp_path, "my groups", 8 * GIB, GIB)
    assert read_memory(tmp_path).limit_bytes == 8 * GIB


def test_groups_that_cannot_be_read_leave_the_machine(tmp_path: Path) -> None:
    write_machine(tmp_path, 64 * GIB, 50 * GIB)
    member(tmp_path, "0::/../elsewhere", TWO.format(inside="/", mount="/sys/fs/cgroup"))
    assert read_memory(tmp_path) == (64 * GIB, 50 * GIB)


def test_this_machine() -> None:
    machine = look()
    assert 0 < machine.memory.available_bytes <= machine.memory.limit_bytes
    assert machine.shared_bytes > 0


def test_a_folder_holds_what_it_holds_and_what_is_free(tmp_path: Path) -> None:
    absent = disk_bytes(tmp_path / "not" / "made")
    (tmp_path / "not").mkdir()
    (tmp_path / "not" / "page").write_bytes(bytes(2**24))
    (tmp_path / "not" / "left").symlink_to(tmp_path / "nowhere")  # as one just deleted
    assert disk_bytes(tmp_path / "not") == pytest.approx(absent, abs=2**30)
    assert disk_bytes(tmp_path / "not") > 2**24
