"""Where limits can be set is read from the kernel's texts, and set for real where that is possible."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.executors import Limits
from codeyard.executors.cgroups import Group, Hierarchy, here, hierarchies

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "33 23 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)


def test_version_2_rules_everything() -> None:
    assert hierarchies(V2, "0::/user.slice/a.scope\n") == [
        Hierarchy(Path("/sys/fs/cgroup"), "/user.slice/a.scope", frozenset({"cpu", "memory", "pids"}), unified=True)
    ]


def test_version_1_has_a_hierarchy_for_each() -> None:
    found = hierarchies(V1, "5:cpu,cpuacct:/a\n4:memory:/b\n1:name=systemd:/c\n")

    assert [(one.mount.name, one.own, set(one.resources)) for one in found] == [
        ("cpu,cpuacct", "/a", {"cpu"}),
        ("memory", "/b", {"memory"}),
    ]


def test_with_both_version_2_rules_what_is_left() -> None:
    found = hierarchies(V1 + V2.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"), "5:cpu:/\n4:memory:/\n0::/\n")

    assert [set(one.resources) for one in found if one.unified] == [{"pids"}]


def test_a_mount_that_shows_a_part_is_understood() -> None:
    (found,) = hierarchies(V2.replace("0:26 / /", "0:26 /docker/abc /"), "0::/docker/abc/inner\n")

    assert found.own == "/inner"


def test_the_top_is_tried_first_and_our_own_group_last() -> None:
    one = Hierarchy(Path("/cg"), "/user.slice/a.scope", frozenset(), unified=True)

    assert [str(path) for path in one.parents()] == ["/cg", "/cg/user.slice", "/cg/user.slice/a.scope"]


def test_a_group_outside_of_the_mount_is_not_looked_for() -> None:
    one = Hierarchy(Path("/cg"), "/../../elsewhere", frozenset(), unified=True)

    assert list(one.parents()) == [Path("/cg")]


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_the_texts_are_each_resource_has_one_hierarchy(mounts: str, own: str) -> None:
    ruled = [name for one in hierarchies(V1 + mounts + V2, own) for name in one.resources]

    assert sorted(ruled) == ["cpu", "memory", "pids"]


@given(st.lists(st.from_regex(r"/[a-z/ ]{1,20}", fullmatch=True)))
def test_what_is_written_down_is_read_back(names: list[str]) -> None:
    group = Group(tuple(Path(name) for name in names))

    assert Group.parse(str(group)) == group


@pytest.fixture
def place() -> tuple[str, list[Hierarchy]]:
    found = here()
    probe, able = Group.make(f"test-{uuid.uuid4().hex[:8]}", found)
    probe.discard()
    if not {"memory", "pids"} <= able:
        pytest.skip("no control groups can be made here")
    return f"test-{uuid.uuid4().hex[:8]}", found


async def test_limits_hold_and_nothing_stays_behind(place: tuple[str, list[Hierarchy]]) -> None:
    id, found = place
    group, able = Group.make(id, found)
    group.limit(Limits(cpus=0.5, memory=32 * 2**20, processes=20))
    script = "read go; (i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done) 2>&1 | grep -ci 'fork\\|resource'"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        for directory in group.directories:
            (directory / "cgroup.procs").write_text(str(child.pid))
        said, _ = child.communicate(b"go\n")
    existing = Group.existing(id, found)
    await group.remove()

    assert {"memory", "pids"} <= able
    assert int(said) >= 1
    assert set(existing.directories) == set(group.directories)
    assert not any(directory.exists() for directory in group.directories)


async def test_want_of_memory_is_known(place: tuple[str, list[Hierarchy]]) -> None:
    id, found = place
    group, _ = Group.make(id, found)
    group.limit(Limits(memory=32 * 2**20))
    before = group.out_of_memory()
    script = "read go; head -c 100000000 /dev/zero | tail -c 90000000 >/dev/null"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        for directory in group.directories:
            (directory / "cgroup.procs").write_text(str(child.pid))
        child.communicate(b"go\n")
    after = group.out_of_memory()
    await group.remove()

    assert (before, after) == (False, True)


async def test_removing_kills_what_is_left(place: tuple[str, list[Hierarchy]]) -> None:
    id, found = place
    group, _ = Group.make(id, found)
    with subprocess.Popen(["sleep", "60"]) as child:
        for directory in group.directories:
            (directory / "cgroup.procs").write_text(str(child.pid))
        await group.remove()
        code = child.wait(5)

    assert code == -9
    assert not any(directory.exists() for directory in group.directories)


def test_where_nothing_may_be_written_nothing_is_limited(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("")
    group, able = Group.make("x", [Hierarchy(tmp_path, "/", frozenset({"memory"}), unified=True)])

    assert (able, group.directories) == (frozenset(), ())
    assert os.listdir(tmp_path) == ["cgroup.procs"]
