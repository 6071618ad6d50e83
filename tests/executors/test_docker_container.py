from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import CodeyardError, Fault, Invalid
from codeyard.executors import Limits, Network, SandboxLost, SandboxSpec, SandboxTaken
from codeyard.executors.docker_container import State, cannot_make, container, judge, lost, restarted

MIB = 1024 * 1024


def plain(**changes: object) -> SandboxSpec:
    return replace(SandboxSpec(id="x", home=Path("/home/x"), image="image"), **changes)  # type: ignore[arg-type]


def test_a_plain_container_gets_no_privilege() -> None:
    body = container(plain(), "image")
    host = body["HostConfig"]

    assert "Privileged" not in host
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] == 8192
    assert body["Env"] == ["HOME=/root"]
    assert [m["Target"] for m in host["Mounts"] if not m["ReadOnly"]] == [
        "/codebuild/output",
        "/codebuild/control/status",
    ]


def test_limits_are_handed_on() -> None:
    host = container(plain(limits=Limits(cpus=1.5, memory=64 * MIB, processes=None)), "image")["HostConfig"]

    assert (host["CpuQuota"], host["CpuPeriod"], host["PidsLimit"]) == (150_000, 100_000, -1)
    assert (host["Memory"], host["MemorySwap"]) == (64 * MIB, 64 * MIB)


def test_home_may_be_another() -> None:
    assert container(plain(environment={"HOME": "/x", "A": "b=c\n"}), "image")["Env"] == ["HOME=/x", "A=b=c\n"]


ID = "a" * 64
BEGAN = b'{"status":"start","id":"%s","Type":"container","Action":"start"}\n' % ID.encode()
OTHER = b'{"status":"die","id":"b","Type":"container","Action":"die"}\n'


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (b"", True),
        (OTHER, True),
        (BEGAN.replace(b"start", b"die"), True),
        (OTHER + BEGAN + OTHER, False),
        (OTHER * 256, False),  # it may have forgotten
    ],
)
def test_an_engine_that_does_not_remember_the_start_is_another(events: bytes, expected: bool) -> None:
    assert restarted(events, ID) is expected


@given(st.lists(st.sampled_from([OTHER, b"{}\n", b"\xff\n"]), max_size=300), st.integers(0, 300))
def test_one_that_remembers_it_is_the_same(events: list[bytes], place: int) -> None:
    events.insert(min(place, len(events)), BEGAN)

    assert not restarted(b"".join(events), ID)


def test_a_build_that_used_up_its_memory_is_not_the_engines_doing() -> None:
    state = State.of({"State": {"Status": "exited", "OOMKilled": True}})

    assert type(lost(plain(), state, restarted=True)) is SandboxLost
    assert type(lost(plain(), None, restarted=True)) is SandboxTaken


def test_git_works_in_a_workspace_of_another_user() -> None:
    settings = container(plain(environment={"GIT_CONFIG_COUNT": "0"}), "image", foreign=True)["Env"]

    assert container(plain(), "image", foreign=True)["Env"] == [
        "HOME=/root",
        "GIT_CONFIG_COUNT=1",
        "GIT_CONFIG_KEY_0=safe.directory",
        "GIT_CONFIG_VALUE_0=*",
    ]
    assert "GIT_CONFIG_COUNT=0" in settings


def test_a_machine_that_cannot_give_privileges_is_told() -> None:
    error = cannot_make(plain(privileged=True), "runc: unable to apply caps: operation not permitted")

    assert type(error) is Fault
    assert "Leave --privileged out" in str(error)


@pytest.mark.parametrize(
    ("info", "detail"),
    [
        ({"OSType": "windows"}, "engine ? runs windows containers"),
        ({"KernelVersion": "6.0-linuxkit"}, "in another machine"),
        ({"SecurityOptions": ["name=userns"]}, "userns-remap"),
    ],
)
def test_an_engine_that_cannot_run_builds_is_told(info: dict[str, object], detail: str) -> None:
    judged = judge(info, "6.1")

    assert not judged.works
    assert detail in judged.detail
    assert judged.fix


def test_an_engine_tells_what_it_can_limit() -> None:
    info = {"ServerVersion": "27.1", "SecurityOptions": ["name=rootless"], "CpuCfsQuota": False, "MemoryLimit": True}

    assert judge(info, "6.1").detail == "engine 27.1, rootless; any image; cannot limit CPUs"


def ended(**changes: object) -> State:
    """A container that is no more."""
    state = State("id", "/home/x", "exited", 0, 137, out_of_memory=False, error="", unplugged=False)
    return replace(state, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (None, "its container is gone"),
        (ended(out_of_memory=True), "it ran out of memory. Give it more memory with a larger compute type."),
        (ended(error="no such device"), "no such device."),
        (ended(), r"its first process ended \(status 137\): killed from outside"),
    ],
)
def test_why_a_container_is_lost(state: State | None, why: str) -> None:
    with pytest.raises(SandboxLost, match=f"^Build container found dead before completing the build x: {why}"):
        raise lost(plain(), state)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda deep: st.dictionaries(
            st.sampled_from(["SecurityOptions", "OSType", "KernelVersion", "ServerVersion", "PidsLimit"]), deep
        ),
    )
)
def test_whatever_an_engine_says_of_itself_is_judged(info: object) -> None:
    judged = judge(info if isinstance(info, dict) else {}, "6.1")

    assert judged.works or judged.fix


def test_no_network_is_asked_for() -> None:
    assert container(plain(network=Network.NONE), "image")["HostConfig"]["NetworkMode"] == "none"


def test_selinux_gets_its_labels() -> None:
    host = container(plain(), "image", relabel=True)["HostConfig"]

    assert "/home/x/codebuild/output:/codebuild/output:rw,Z" in host["Binds"]
    assert "/home/x/codebuild/readonly:/codebuild/readonly:ro,Z" in host["Binds"]
    assert "Mounts" not in host


@pytest.mark.parametrize(
    ("said", "kind", "what"),
    [
        ('exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown', Invalid, "it has no /bin/sh"),
        ("exec /bin/sh: exec format error", Invalid, "made for another processor"),
        ("invalid mount config: bind source path does not exist: /x", Fault, "does not see this machine's files"),
        ("invalid reference format", Invalid, "Unable to pull customer's container image"),
        ("network bridge not found", Fault, "no bridge network"),
        ("error setting rlimit type 7: operation not permitted", Fault, "Raise the engine's limit"),
        ("disk on fire", Fault, "said: disk on fire"),
    ],
)
def test_why_a_container_cannot_be_made(said: str, kind: type[CodeyardError], what: str) -> None:
    error = cannot_make(plain(), said)

    assert type(error) is kind
    assert what in str(error)
