"""What bubblewrap adds to the executors' contract: the system can be changed, and nothing of it is the host's."""

import asyncio
import os
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from codeyard.executors import Command, Limits, Network, Sandbox, SandboxLost, SandboxSpec
from codeyard.executors.bubblewrap import BubblewrapExecutor, judge
from codeyard.executors.bubblewrap_root import CannotLayer, Mode
from codeyard.executors.bubblewrap_start import Records, is_root
from codeyard.executors.processes import ProcessId
from codeyard.executors.uid_ranges import FIRST, SIZE, held, take
from tests.machines import EXECUTORS

Inside = Callable[[str], Awaitable[tuple[int, str]]]

bubblewrap = next(machine for machine in EXECUTORS if machine.name == "bubblewrap")
root_only = pytest.mark.skipif(not is_root(), reason="only root has uids to give")


@pytest.fixture(autouse=True)
def works() -> None:
    bubblewrap.require()


@pytest.fixture
def spec(tmp_path: Path) -> SandboxSpec:
    return make_spec(tmp_path / "home")


@pytest.fixture(params=[mode for mode in Mode if is_root() is not (mode is Mode.ROOTLESS)])
async def sandbox(request: pytest.FixtureRequest, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
    opened = await BubblewrapExecutor(request.param).open(spec)
    yield opened
    await opened.close()


@pytest.fixture
async def layered(spec: SandboxSpec) -> AsyncIterator[Sandbox]:
    opened = await BubblewrapExecutor(Mode.LAYERED).open(spec)
    yield opened
    await opened.close()


@pytest.fixture
def inside(sandbox: Sandbox, spec: SandboxSpec) -> Inside:
    return lambda script: run(sandbox, spec, script)


FEW = Limits(processes=1024)


def make_spec(home: Path, limits: Limits = FEW, network: Network = Network.DEFAULT) -> SandboxSpec:
    home.mkdir(mode=0o700, exist_ok=True)
    spec = SandboxSpec(id=f"bubblewrap-{uuid.uuid4().hex[:12]}", home=home, limits=limits, network=network)
    spec.prepare()
    return spec


async def run(sandbox: Sandbox, spec: SandboxSpec, script: str) -> tuple[int, str]:
    """Its exit code, and what it printed."""
    before = spec.spool.stat().st_size
    ended = await sandbox.run(Command(f"run-{uuid.uuid4().hex[:12]}", script))
    return ended.code, spec.spool.read_bytes()[before:].decode(errors="replace")


@root_only
@pytest.mark.parametrize(
    "script",
    [
        "touch /usr/codeyard-new && rm /usr/codeyard-new",
        "echo changed >> /etc/hosts && grep -q changed /etc/hosts",
        "cp /bin/true /usr/local/bin/codeyard-tool && codeyard-tool",
        "touch /etc/codeyard-new && chown 33:33 /etc/codeyard-new && [ $(stat -c %u:%g /etc/codeyard-new) = 33:33 ]",
        "useradd -m codeyard-bob && su codeyard-bob -c 'id -un' | grep -q codeyard-bob",
        "mv /usr/games /usr/codeyard-games && rm -r /usr/codeyard-games /usr/share/doc",
        "mkdir /codeyard-top && echo 1 > /codeyard-top/file",
        "[ ! -x /usr/bin/dpkg ] || dpkg --configure -a",
        "[ ! -x /usr/bin/dpkg ] || { echo '#!/bin/sh' > /usr/bin/dpkg-new && mv /usr/bin/dpkg-new /usr/bin/dpkg; }",
    ],
)
async def test_the_system_can_be_changed_and_the_host_does_not_see_it(
    layered: Sandbox, spec: SandboxSpec, script: str
) -> None:
    before = host_state()
    code, text = await run(layered, spec, script)

    assert (code, text) == (0, "")
    assert host_state() == before


def host_state() -> list[object]:
    texts: list[object] = [Path(name).read_bytes() for name in ("/etc/hosts", "/etc/passwd", "/etc/group")]
    places = ("/", "/etc", "/usr", "/usr/bin", "/usr/local/bin", "/usr/share", "/home")
    return [*texts, *(sorted(os.listdir(place)) for place in places), Path("/usr/bin/env").stat()]


async def test_pip_takes_the_distributions_python_for_the_builds_own(inside: Inside) -> None:
    """A buildspec that says `pip install` works on AWS's images; a Debian's pip refuses it (PEP 668)."""
    _, text = await inside("/usr/bin/python3 -m pip install --no-index codeyard-no-such-package")

    assert "externally-managed-environment" not in text


@root_only
async def test_its_root_is_nobody_on_the_host(layered: Sandbox, spec: SandboxSpec) -> None:
    code, _ = await run(layered, spec, "[ $(id -u) = 0 ]")
    status = Path(f"/proc/{Records(spec.home).processes()[0].pid}/status").read_text()
    uids = {int(uid) for line in status.splitlines() if line.startswith(("Uid:", "Gid:")) for uid in line.split()[1:]}

    assert code == 0
    assert uids == {take(spec.home / "sandbox")}
    assert min(uids) >= FIRST


@root_only
async def test_what_it_makes_in_the_workspace_is_the_callers(layered: Sandbox, spec: SandboxSpec) -> None:
    code, _ = await run(layered, spec, f"echo 1 > {layered.root}/output/made")

    assert code == 0
    assert (spec.output / "made").stat().st_uid == os.geteuid()


@root_only
async def test_what_only_the_hosts_root_may_read_cannot_be_read(layered: Sandbox, spec: SandboxSpec) -> None:
    hidden = Path("/usr/local") / f"codeyard-{uuid.uuid4().hex}"
    hidden.mkdir(mode=0o755)
    try:
        for name, mode in (("secret", 0o600), ("shared", 0o640), ("open", 0o644)):
            (hidden / name).write_text(f"{name} of the host")
            (hidden / name).chmod(mode)
        (hidden / "inner").mkdir(mode=0o700)
        (hidden / "inner" / "open").write_text("inner of the host")
        _, text = await run(
            layered,
            spec,
            f"cd {hidden}; cat open secret shared inner/open; cp -a secret copy; chmod 777 secret; cat secret copy;"
            " mv secret moved; cat moved; ln shared link; cat link; mv inner outer; cat outer/*; tar -cf - . | cat",
        )
    finally:
        subprocess.run(["rm", "-r", hidden], check=True)

    assert "open of the host" in text
    assert "secret of" not in text
    assert "shared of" not in text
    assert "inner of" not in text


@root_only
async def test_no_password_of_the_host_is_seen(layered: Sandbox, spec: SandboxSpec) -> None:
    _, text = await run(layered, spec, "cat /etc/shadow* /etc/gshadow*")
    fields = {line.split(":")[1] for line in text.splitlines() if line.count(":") > 2}

    assert fields <= {"*", "!"}
    assert fields


REFUSED = {
    "the host's secrets": "cat /root/.ssh/* /root/.bash_history /etc/docker/key.json /etc/shadow- /etc/ssl/private/* | "
    "grep -q .",
    "the users' homes": "ls -A /home /root | grep -v : | grep -q .",
    "the engine's socket": "ls /var/run/docker.sock /run/docker.sock /var/lib/docker /run/containerd",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "a path by way of process 1": "[ -e /proc/1/root/boot/vmlinuz ] || ls /proc/1/root/root/.pyenv",
    "the kernel's memory": "head -c 1 /proc/kcore || head -c 1 /dev/mem || head -c 1 /dev/kmem",
    "the kernel's log": "dmesg || head -c 1 /proc/kmsg || head -c 1 /dev/kmsg",
    "a disk's device": "ls /dev/sd* /dev/vd* /dev/nvme* /dev/mapper /dev/loop*",
    "making a device": "mknod /dev/codeyard b 254 0 || mknod /tmp/codeyard c 1 1 || mknod output-device b 8 0",
    "mounting a disk": "mount /dev/vda /mnt || mount -t ext4 /dev/sda1 /mnt",
    "mounting anything": "mount -t tmpfs none /mnt || mount --bind /usr /mnt || umount /usr",
    "a new user namespace": "unshare -U true || unshare -Ur true || unshare -m true",
    "allowing user namespaces": "echo 1 > /proc/sys/user/max_user_namespaces",
    "the kernel's settings": "echo x > /proc/sys/kernel/core_pattern || echo 1 > /proc/sys/kernel/randomize_va_space",
    "/sys": "ls /sys/* | grep -q .",
    "the workspace's read-only part": "touch /codebuild/readonly/x || touch /codebuild/user/bin/x",
    "its own control": "touch /codebuild/control/commands/x || mv /codebuild/control /codebuild/c",
    "a module": "insmod /lib/modules/x.ko || modprobe loop",
    "the clock": "date -s 2020-01-01",
    "the host's name": "hostname codeyard-test",
    "swap": "swapoff -a && swapon /tmp/x",
    "a keyring": "keyctl new_session 2>&1 | grep -q Joined",
    "chroot's old way out": "mkdir -p /tmp/c && chroot /tmp/c / true && ls /tmp/c/../../../root/.ssh",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_it_is_refused(inside: Inside, what: str) -> None:
    code, text = await inside(f"({REFUSED[what]}) >/dev/null 2>&1 && echo reached")

    assert (code, text) != (0, "reached\n")


async def test_no_open_file_of_the_host_is_left_to_it(inside: Inside) -> None:
    code, text = await inside("for fd in /proc/1/fd/*; do readlink $fd; done")

    assert code == 0
    assert {line for line in text.splitlines() if not line.startswith(("/codebuild/control/", "/dev/null"))} == set()


async def test_it_sees_no_process_but_its_own(inside: Inside) -> None:
    _, text = await inside("cat /proc/[0-9]*/comm | sort -u")

    assert set(text.split()) <= {"sh", "cat", "sort"}


async def test_processes_of_the_host_can_be_neither_killed_nor_traced(inside: Inside) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        code, _ = await inside(f"kill -9 {victim.pid} || head -c 1 /proc/{victim.pid}/mem || ls /proc/{victim.pid}")
        alive = victim.poll() is None
        victim.kill()

    assert code != 0
    assert alive


async def test_killing_everything_inside_leaves_the_sandbox(inside: Inside) -> None:
    await inside("kill -9 -1; kill -9 1")

    assert (await inside("echo still here")) == (0, "still here\n")


async def test_the_environment_is_on_no_command_line(tmp_path: Path) -> None:
    spec = SandboxSpec(
        id=f"env-{uuid.uuid4().hex[:8]}", home=tmp_path, environment={"LD_PRELOAD": "/nosuch", "A": "s3cr3t"}
    )
    spec.prepare()
    sandbox = await BubblewrapExecutor().open(spec)
    _, text = await run(sandbox, spec, "echo $A")
    lines = [Path(f"/proc/{process.pid}/cmdline").read_bytes() for process in Records(spec.home).processes()]
    monitor = Path(f"/proc/{Records(spec.home).processes()[1].pid}/environ").read_bytes()
    await sandbox.close()

    assert "s3cr3t" in text
    assert b"s3cr3t" not in b"".join([*lines, monitor])
    assert b"LD_PRELOAD" not in monitor


async def test_another_sandbox_is_out_of_sight(tmp_path: Path) -> None:
    specs = [make_spec(tmp_path / name) for name in ("one", "two")]
    one, two = [await BubblewrapExecutor().open(spec) for spec in specs]
    await run(one, specs[0], "echo mine > /root/mine; echo mine > /codebuild/output/mine; sleep 60 &")
    code, text = await run(
        two, specs[1], f"ls {specs[0].home} /root/mine; pgrep sleep; find / -name mine 2>/dev/null; true"
    )
    users = {Path(f"/proc/{Records(spec.home).processes()[0].pid}").stat().st_uid for spec in specs}
    await one.close()
    await two.close()

    assert (code, text.splitlines()[2:]) == (0, [])
    assert len(users) == (2 if is_root() else 1)


async def test_without_a_network_there_is_only_itself(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "home", network=Network.NONE)
    sandbox = await BubblewrapExecutor().open(spec)
    code, text = await run(sandbox, spec, "cut -d: -f1 /proc/net/dev | tail -n +3; ! cat /proc/net/unix | grep -q @")
    await sandbox.close()

    assert (code, text.split()) == (0, ["lo"])


@root_only
async def test_want_of_memory_is_named(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "home", Limits(memory=64 * 2**20, processes=100))
    sandbox = await BubblewrapExecutor().open(spec)
    await run(sandbox, spec, "head -c 500000000 /dev/zero | tail -c 400000000 | wc -c")
    os.kill(Records(spec.home).processes()[0].pid, 9)

    with pytest.raises(SandboxLost, match="out of memory"):
        await sandbox.run(Command("after", "true"))
    await sandbox.close()


@root_only
async def test_set_user_id_programs_give_nothing(layered: Sandbox, spec: SandboxSpec) -> None:
    script = (
        "cp /usr/bin/id /usr/bin/as-root && chmod 4755 /usr/bin/as-root && setpriv --reuid=33 --clear-groups as-root -u"
    )
    code, text = await run(layered, spec, script)

    assert (code, text) == (0, "33\n")
    assert spec.home.stat().st_mode & 0o077 == 0


async def test_a_hostile_tree_is_fetched_as_what_it_is(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    await inside(
        "mkdir -p /tmp/t/d && cd /tmp/t && ln -s /etc d/etc && ln -s ../../../../.. up && mkfifo pipe && echo 1 > d/f"
        " && ln d/f hard && chmod 4755 d/f && echo 1 > '-rf' && echo 1 > \"$(printf 'a\\nb')\""
    )
    found = await sandbox.fetch("/tmp/t", tmp_path / "into")
    names = {str(path.relative_to(tmp_path / "into")) for path in (tmp_path / "into").rglob("*")}

    assert found
    assert names == {"d", "d/etc", "d/f", "up", "hard", "-rf", "a\nb"}
    assert (tmp_path / "into/d/f").stat().st_mode & 0o7000 == 0
    assert (tmp_path / "into/d/f").stat().st_uid == os.geteuid()


async def test_what_is_fetched_may_lie_beyond_a_link_inside_but_not_outside(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "private").write_text("the host's")
    await inside(f"ln -s {tmp_path} /tmp/out; mkdir /tmp/real; echo own > /tmp/real/f; ln -s real /tmp/link")

    assert not await sandbox.fetch("/tmp/out/private", tmp_path / "one")
    assert await sandbox.fetch("/tmp/link/f", tmp_path / "two")
    assert (tmp_path / "two").read_text() == "own\n"


async def test_what_is_placed_goes_through_no_link_to_the_host(
    inside: Inside, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/file").write_text("placed")
    (tmp_path / "target").mkdir()
    await inside(f"mkdir -p /tmp/x; ln -s {tmp_path}/target /tmp/x/link; ln -s /proc/sys/kernel /tmp/x/kernel")
    with pytest.raises(Exception, match="cannot copy"):
        await sandbox.place(tmp_path / "from", "/tmp/x/kernel")
    with pytest.raises(Exception, match="cannot copy"):
        await sandbox.place(tmp_path / "from", "/tmp/x/link")

    assert list((tmp_path / "target").iterdir()) == []


async def test_many_files_are_placed_and_fetched(inside: Inside, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for number in range(200):
        (tmp_path / "from" / str(number)).write_bytes(os.urandom(5000))
    await sandbox.place(tmp_path / "from", "/root/deep/er")
    _, owners = await inside("stat -c %u /root/deep/er/* | sort -u")
    await sandbox.fetch("/root/deep/er", tmp_path / "into")

    assert owners == "0\n"
    assert {path.name: path.read_bytes() for path in (tmp_path / "into").iterdir()} == {
        path.name: path.read_bytes() for path in (tmp_path / "from").iterdir()
    }


def left_over(spec: SandboxSpec, base: int | None) -> list[str]:
    """What there still is of it, on the host."""
    found = [str(path) for path in (spec.home / "sandbox").glob("*")]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(spec.home) in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/codeyard/{spec.id}")]
    if base is not None:
        found += [str(path) for path in Path("/run/codeyard/ranges").glob(str((base - FIRST) // SIZE))]
        found += running(base)
    return found


def children() -> set[str]:
    return {pid for task in Path("/proc/self/task").glob("*/children") for pid in task.read_text().split()}


def running(base: int) -> list[str]:
    return [str(path) for path in Path("/proc").glob("[0-9]*") if base <= owner(path) < base + SIZE and lives(path)]


def lives(process: Path) -> bool:
    """A zombie is left to the machine's first process, which may take its time."""
    return ProcessId.of(int(process.name)) is not None


def owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return 0


@pytest.mark.parametrize("moment", [0.0, 0.002, 0.004, 0.006, 0.008, 0.012, 0.02, 0.03])
async def test_an_opener_that_is_killed_leaves_nothing_that_close_does_not_find(
    spec: SandboxSpec, moment: float
) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio
        from pathlib import Path
        from codeyard.executors import Limits, SandboxSpec
        from codeyard.executors.bubblewrap import BubblewrapExecutor
        spec = SandboxSpec(id={spec.id!r}, home=Path({str(spec.home)!r}), limits=Limits(processes=100, memory=2**30))
        print("ready", flush=True)
        asyncio.run(BubblewrapExecutor().open(spec))
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(moment)
        child.kill()
    await asyncio.sleep(0.2)
    started = [base for base in held(spec.home / "sandbox") if not Records(spec.home).alive() and running(base)]
    opened = await BubblewrapExecutor().open(spec)
    base = take(spec.home / "sandbox") if is_root() else None
    answer = await run(opened, spec, "echo works")
    await opened.close()

    assert started == []  # what was not written down has ended by itself
    assert answer == (0, "works\n")
    assert left_over(spec, base) == []


async def test_fifty_in_a_row_leave_nothing(tmp_path: Path) -> None:
    left: list[str] = []
    threads = len(os.listdir("/proc/self/task"))
    handles = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        spec = make_spec(tmp_path / str(number))
        opened = await BubblewrapExecutor().open(spec)
        base = take(spec.home / "sandbox") if is_root() else None
        await opened.close()
        left += left_over(spec, base)

    assert left == []
    assert len(os.listdir("/proc/self/fd")) <= handles + 3
    assert len(os.listdir("/proc/self/task")) <= threads + 8


async def test_a_tree_deeper_than_any_path_is_removed(spec: SandboxSpec) -> None:
    opened = await BubblewrapExecutor().open(spec)
    script = "chdir '/root'; for (1..3000) { mkdir 'deep' or exit 1; chdir 'deep' or exit 2 }"
    code, _ = await run(opened, spec, f'perl -e "{script}"')
    await opened.close()

    assert code == 0
    assert not (spec.home / "sandbox").exists()


@root_only
async def test_one_whose_home_was_removed_is_found_and_ended(spec: SandboxSpec) -> None:
    opened = await BubblewrapExecutor().open(spec)
    await run(opened, spec, "sleep 60 &")
    base = take(spec.home / "sandbox")
    subprocess.run(["rm", "-rf", spec.home], check=True)
    with pytest.raises(SandboxLost):
        await BubblewrapExecutor().adopt(spec)

    assert left_over(spec, base) == []


async def test_one_that_died_is_not_opened_again(spec: SandboxSpec) -> None:
    opened = await BubblewrapExecutor().open(spec)
    await run(opened, spec, "true")
    os.kill(Records(spec.home).processes()[0].pid, 9)
    await asyncio.sleep(0.1)

    with pytest.raises(SandboxLost):
        await BubblewrapExecutor().open(spec)
    await opened.close()


async def test_a_cancelled_open_leaves_nothing(spec: SandboxSpec) -> None:
    opening = asyncio.ensure_future(BubblewrapExecutor().open(spec))
    await asyncio.sleep(0.002)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening

    assert left_over(spec, None) == []


@root_only
async def test_one_whose_file_system_cannot_be_made_leaves_nothing(spec: SandboxSpec) -> None:
    """What starts it is there before the file system is."""
    subprocess.run(["rm", "-r", spec.output], check=True)
    before = children()
    with pytest.raises(CannotLayer):
        await BubblewrapExecutor(Mode.LAYERED).open(spec)

    assert children() == before
    assert left_over(spec, None) == []


@pytest.mark.parametrize("mode", [Mode.MAPPED])
@root_only
async def test_where_nothing_can_be_layered_the_system_is_read_only(spec: SandboxSpec, mode: Mode) -> None:
    (spec.output / "given").write_text("one\n")
    opened = await BubblewrapExecutor(mode).open(spec)
    (spec.output / "late").write_text("two\n")
    answer = await run(opened, spec, "cd /codebuild/output && echo more | tee -a given >> late && ! touch /usr/x 2>&-")
    await opened.close()

    assert answer == (0, "")
    assert (spec.output / "late").read_text() == "two\nmore\n"


@root_only
def test_somebody_who_is_not_root_gets_the_same_but_less(tmp_path: Path) -> None:
    # The interpreter and the sources must be where that user can read them.
    python, source = Path("/usr/bin/python3"), Path(__file__).parents[2] / "src" / "codeyard"
    version = subprocess.run(
        [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
    )
    if version.stdout.strip() != "True":
        pytest.skip("no python3 of the system's own that is new enough")
    place = Path(f"/var/tmp/codeyard-rootless-{uuid.uuid4().hex}")
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from codeyard.executors import Command, SandboxSpec
        from codeyard.executors.bubblewrap import BubblewrapExecutor
        async def main():
            ability = await BubblewrapExecutor().ability()
            print(ability.works, ability.detail.split(":")[0])
            spec = SandboxSpec(id="rootless", home=Path(sys.argv[1]))
            spec.prepare()
            sandbox = await BubblewrapExecutor().open(spec)
            script = "id -u; touch /root/x /tmp/x /codebuild/output/x && ! touch /usr/x && ! cat /etc/shadow"
            ended = await sandbox.run(Command("one", script + "&& ! unshare -U true"))
            other = await sandbox.run(Command("two", "true", user="daemon"))
            (spec.home / "from").mkdir()
            (spec.home / "from/f").write_text("placed")
            await sandbox.place(spec.home / "from", "/root/to")
            fetched = await sandbox.fetch("/root/to/f", spec.home / "back")
            await sandbox.close()
            print(ended.code, other.code, fetched, (spec.home / "sandbox").exists(), spec.spool.read_text().split()[0])
        asyncio.run(main())
        """
    )
    try:
        place.mkdir()
        subprocess.run(["cp", "-r", source, place / "codeyard"], check=True)
        (place / "home").mkdir(mode=0o700)
        subprocess.run(["chown", "-R", "54321:54321", place], check=True)
        told = subprocess.run(
            ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", python, "-c", program, place / "home"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(place), "TMPDIR": "/tmp"},
            cwd="/",
            capture_output=True,
            text=True,
        )
    finally:
        subprocess.run(["rm", "-rf", place], check=True)

    assert told.stdout.splitlines() == ["True rootless", "0 126 True False 0"], told.stderr


@pytest.mark.parametrize("mode", Mode)
def test_what_cannot_be_limited_is_told_with_a_remedy(mode: Mode) -> None:
    less, full = (
        judge("bubblewrap", mode, frozenset({"cpu"})),
        judge("bubblewrap", mode, frozenset({"cpu", "memory", "pids"})),
    )

    assert "cannot limit memory, processes" in less.detail
    assert (bool(less.fix), full.fix) == (True, "")
