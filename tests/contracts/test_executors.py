"""What every executor promises (codeyard.executors), tried on each that works here.

CODEYARD_REQUIRE_EXECUTORS, a list of names with commas between, turns a skip of one of them into a failure: CI sets it.
"""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from codeyard.errors import Conflict
from codeyard.executors import Command, Executor, Network, Sandbox, SandboxLost, SandboxSpec
from codeyard.executors.forwarding import forwarding
from codeyard.executors.loopback import listen_here
from tests.machines import EXECUTORS, Machine

MIB = 1024 * 1024


@pytest.fixture(params=EXECUTORS, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    found: Machine = request.param
    found.require()
    return found


@pytest.fixture
async def executor(machine: Machine) -> Executor:
    return machine.executor()


@pytest.fixture
def spec(machine: Machine, tmp_path: Path) -> SandboxSpec:
    return machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "home")


@pytest.fixture
async def sandbox(executor: Executor, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
    opened = await executor.open(spec)
    yield opened
    await opened.close()


def printed(spec: SandboxSpec) -> str:
    return spec.spool.read_text(errors="replace")


async def test_it_works_here(executor: Executor) -> None:
    assert (await executor.ability()).works


async def test_a_command_prints_to_the_spool_and_tells_its_exit(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "echo out; echo err >&2; exit 7"))

    assert (ended.code, ended.spooled, printed(spec)) == (7, 8, "out\nerr\n")


async def test_input_is_empty(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "read x; echo $?"))

    assert (ended.code, printed(spec)) == (0, "1\n")


async def test_files_last_from_command_to_command(sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", f"echo kept > {sandbox.root}/output/file"))
    await sandbox.run(Command("two", f"cat {sandbox.root}/output/file"))

    assert printed(spec) == "kept\n"
    assert (spec.output / "file").read_text() == "kept\n"


async def test_the_host_puts_files_in_that_the_build_can_change(sandbox: Sandbox, spec: SandboxSpec) -> None:
    (spec.output / "given").write_text("one\n")

    ended = await sandbox.run(Command("one", f"cd {sandbox.root}/output && echo two >> given && rm given"))

    assert ended.code == 0, printed(spec)
    assert not (spec.output / "given").exists()


async def test_the_same_key_runs_once(sandbox: Sandbox, spec: SandboxSpec) -> None:
    once = Command("one", "echo ran; exit 3")
    first = await sandbox.run(once)
    again = await sandbox.run(once)

    assert (first, again, printed(spec)) == (first, first, "ran\n")


async def test_opening_twice_gives_the_one_sandbox(executor: Executor, sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", "echo first"))
    twin = await executor.open(spec)
    await twin.run(Command("one", "echo first"))
    await twin.run(Command("two", "echo second"))

    assert printed(spec) == "first\nsecond\n"


async def test_a_sandbox_is_adopted_with_a_command_half_done(
    executor: Executor, sandbox: Sandbox, spec: SandboxSpec
) -> None:
    slow = Command("slow", "echo begin; sleep 1; echo end; exit 5")
    half = asyncio.ensure_future(sandbox.run(slow))
    await asyncio.sleep(0.4)
    half.cancel()
    adopted = await executor.adopt(spec)
    ended = await adopted.run(slow)

    assert (ended.code, printed(spec)) == (5, "begin\nend\n")


async def test_a_sandbox_outlives_the_process_that_opened_it(
    executor: Executor, spec: SandboxSpec, machine: Machine
) -> None:
    program = textwrap.dedent(
        f"""
        import asyncio, sys
        from pathlib import Path
        from codeyard.executors import Command
        from tests.machines import EXECUTORS
        machine = next(m for m in EXECUTORS if m.name == {machine.name!r})
        async def main():
            sandbox = await machine.executor().open(machine.spec({spec.id!r}, Path({str(spec.home)!r})))
            print("open", flush=True)
            await sandbox.run(Command("slow", "echo begin; sleep 1; echo end"))
        asyncio.run(main())
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"open\n"
    while "begin" not in printed(spec):
        await asyncio.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    adopted = await executor.adopt(spec)
    ended = await adopted.run(Command("slow", "echo begin; sleep 1; echo end"))
    await adopted.close()

    assert (ended.code, printed(spec)) == (0, "begin\nend\n")


async def test_what_waits_for_a_reader_that_died_goes_on_with_the_next(
    executor: Executor, spec: SandboxSpec, machine: Machine
) -> None:
    much = Command("much", "head -c 200000000 /dev/zero; echo over")
    program = textwrap.dedent(
        f"""
        import asyncio, dataclasses
        from pathlib import Path
        from codeyard.executors import Command
        from tests.machines import EXECUTORS
        machine = next(m for m in EXECUTORS if m.name == {machine.name!r})
        async def main():
            spec = machine.spec({spec.id!r}, Path({str(spec.home)!r}))
            sandbox = await machine.executor().open(dataclasses.replace(spec, heard=lambda: 0))
            await sandbox.run(Command({much.key!r}, {much.script!r}))
        asyncio.run(main())
        """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
    while spec.spool.stat().st_size < 64 * MIB:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    held = spec.spool.stat().st_size
    child.kill()
    child.wait()
    adopted = await executor.adopt(replace(spec, heard=lambda: spec.spool.stat().st_size))
    ended = await adopted.run(much)
    await adopted.close()

    assert held < 200_000_000
    assert (ended.code, ended.spooled) == (0, 200_000_005)


async def test_a_build_without_our_network_reaches_what_we_reach(networked: tuple[Sandbox, SandboxSpec]) -> None:
    sandbox, spec = networked
    there, inside = listen_here(0), await sandbox.listen(port := free_port())
    async with answering(there, b"far away"), forwarding(inside, *there.getsockname()[:2]):
        ended = await sandbox.run(asking("one", port))

    assert (ended.code, printed(spec)) == (0, "far away")


async def test_what_was_never_opened_cannot_be_adopted(executor: Executor, spec: SandboxSpec) -> None:
    with pytest.raises(SandboxLost):
        await executor.adopt(spec)


async def test_closing_twice_is_the_same_as_once(executor: Executor, spec: SandboxSpec) -> None:
    opened = await executor.open(spec)
    await opened.close()
    await opened.close()

    with pytest.raises(SandboxLost):
        await executor.adopt(spec)


async def test_nothing_outlives_the_sandbox(executor: Executor, spec: SandboxSpec) -> None:
    opened = await executor.open(spec)
    script = f"""
        cd {opened.root}/output
        (setsid sh -c 'while :; do echo tick >> ticks; sleep 0.05; done' >/dev/null 2>&1 &)
        (trap '' TERM HUP INT; while :; do echo tock >> ticks; sleep 0.05; done) >/dev/null 2>&1 &
        while ! [ -s ticks ]; do sleep 0.05; done
    """
    ended = await opened.run(Command("daemons", script))
    await opened.close()
    size = (spec.output / "ticks").stat().st_size
    await asyncio.sleep(0.4)

    assert ended.code == 0
    assert (spec.output / "ticks").stat().st_size == size


async def test_closing_ends_a_command_that_runs(executor: Executor, spec: SandboxSpec) -> None:
    opened = await executor.open(spec)
    running = asyncio.ensure_future(opened.run(Command("long", "sleep 60")))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    await opened.close()

    with pytest.raises(SandboxLost):
        await running
    assert time.monotonic() - began < 45


async def test_a_command_may_kill_its_own_shell(sandbox: Sandbox) -> None:
    killed = await sandbox.run(Command("one", "kill -9 $$"))
    after = await sandbox.run(Command("two", "exit 0"))

    assert (killed.code, after.code) == (137, 0)


async def test_a_shell_that_is_not_there_is_told(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "echo no", shell="/bin/nosuchshell"))

    assert (ended.code, printed(spec)) == (
        127,
        "There is no shell /bin/nosuchshell here: choose another in env.shell.\n",
    )


async def test_a_user_who_is_not_there_is_told(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "echo no", user="nosuchuser"))

    assert ended.code == 126
    assert "Cannot run as nosuchuser" in printed(spec)


async def test_bytes_are_kept_as_they_are(sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", r"printf 'a\000b\377\r\033[1mx'"))

    assert spec.spool.read_bytes() == b"a\0b\xff\r\x1b[1mx"


async def test_what_opens_its_own_output_again_empties_nothing(sandbox: Sandbox, spec: SandboxSpec) -> None:
    script = "echo one; echo two > /dev/stdout; echo three > /dev/stderr; echo four | tee /dev/stderr >/dev/null"
    ended = await sandbox.run(Command("one", f"{script}; echo five"))

    assert (ended.spooled, printed(spec)) == (24, "one\ntwo\nthree\nfour\nfive\n")


async def test_all_that_was_printed_is_spooled_when_the_command_has_ended(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "head -c 20000000 /dev/zero"))

    assert (ended.spooled, spec.spool.stat().st_size) == (20_000_000, 20_000_000)


async def test_a_daemon_that_prints_on_and_on_holds_nothing_up(sandbox: Sandbox, spec: SandboxSpec) -> None:
    began = time.monotonic()
    ended = await sandbox.run(Command("one", "yes & sleep 0.2; echo done; exit 3"))
    await sandbox.close()
    with spec.spool.open("rb") as spool:
        first = spool.read(ended.spooled)

    assert (ended.code, b"done\n" in first) == (3, True)
    assert time.monotonic() - began < 45


async def test_the_spool_cannot_be_emptied_from_inside(sandbox: Sandbox, spec: SandboxSpec, machine: Machine) -> None:
    machine.require_isolation()
    await sandbox.run(Command("one", "echo kept"))
    await sandbox.run(Command("two", "for fd in /proc/[0-9]*/fd/*; do : > $fd; truncate -s 0 $fd; done 2>/dev/null"))

    assert printed(spec).startswith("kept\n")


async def test_the_environment_is_what_was_given(sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", 'echo "$GIVEN/$HOME/${CODEYARD_SECRET_OF_THE_HOST-unset}"; [ -d "$HOME" ]'))

    assert printed(spec).startswith("a 'b' $c/")
    assert printed(spec).endswith("/unset\n")


async def test_readonly_can_be_read_only(sandbox: Sandbox, spec: SandboxSpec, machine: Machine) -> None:
    (spec.readonly / "given").write_text("yes")
    ended = await sandbox.run(
        Command("one", f"cat {sandbox.root}/readonly/given; echo no > {sandbox.root}/readonly/given")
    )

    assert printed(spec).startswith("yes")
    assert (ended.code != 0) is machine.isolates


async def test_a_directory_is_fetched(sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path) -> None:
    await sandbox.run(
        Command(
            "one",
            'mkdir -p "$HOME/keep/sub" && cd "$HOME/keep" && echo 1 > sub/one && ln -s /etc/passwd out && mkfifo pipe',
        )
    )
    home = await value(sandbox, spec, "$HOME")
    found = await sandbox.fetch(f"{home}/keep", tmp_path / "into")

    assert found
    assert (tmp_path / "into/sub/one").read_text() == "1\n"
    assert (tmp_path / "into/out").is_symlink()
    assert not (tmp_path / "into/pipe").exists()


async def test_a_file_is_fetched(sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path) -> None:
    await sandbox.run(Command("one", 'echo 1 > "$HOME/one"'))
    home = await value(sandbox, spec, "$HOME")

    assert await sandbox.fetch(f"{home}/one", tmp_path / "into")
    assert (tmp_path / "into").read_text() == "1\n"


async def test_what_is_not_there_is_not_fetched(sandbox: Sandbox, tmp_path: Path) -> None:
    assert not await sandbox.fetch("/nosuch/place", tmp_path / "into")


async def test_a_fetch_that_is_given_up_leaves_no_error_behind(
    sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await sandbox.run(Command("one", 'truncate -s 500M "$HOME/big"'))
    home = await value(sandbox, spec, "$HOME")
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await sandbox.fetch(f"{home}/big", tmp_path / "into")
    gc.collect()

    assert "exception was never retrieved" not in caplog.text


async def test_a_directory_is_placed(sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path) -> None:
    (tmp_path / "from/sub").mkdir(parents=True)
    (tmp_path / "from/sub/one").write_text("1\n")
    home = await value(sandbox, spec, "$HOME")
    await sandbox.place(tmp_path / "from", f"{home}/deep/placed")
    ended = await sandbox.run(
        Command("one", 'cat "$HOME/deep/placed/sub/one" && echo more >> "$HOME/deep/placed/sub/one"')
    )

    assert ended.code == 0, printed(spec)
    assert "1\n" in printed(spec)


async def test_sandboxes_do_not_share_temporary_files(executor: Executor, machine: Machine, tmp_path: Path) -> None:
    machine.require_isolation()
    specs = [machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / name) for name in ("a", "b")]
    first, second = [await executor.open(spec) for spec in specs]
    await first.run(Command("one", "echo mine > /tmp/codeyard-contract; echo mine > /root/codeyard-contract"))
    seen = await second.run(Command("one", "ls /tmp/codeyard-contract || ls /root/codeyard-contract"))
    await first.close()
    await second.close()

    assert seen.code != 0
    assert not Path("/tmp/codeyard-contract").exists()
    assert not Path("/root/codeyard-contract").exists()


async def test_processes_of_the_host_cannot_be_seen(sandbox: Sandbox, machine: Machine) -> None:
    machine.require_isolation()
    seen = await sandbox.run(Command("one", f"kill -0 {os.getpid()} || ls /proc/{os.getpid()}"))

    assert seen.code != 0 or os.getpid() < 100


async def test_files_of_the_host_cannot_be_seen(
    sandbox: Sandbox, spec: SandboxSpec, machine: Machine, tmp_path: Path
) -> None:
    machine.require_isolation()
    (tmp_path / "private").write_text("host")
    seen = await sandbox.run(Command("one", f"cat {tmp_path}/private || cat {spec.spool}"))

    assert seen.code != 0


async def test_without_a_network_nothing_is_reached(executor: Executor, machine: Machine, tmp_path: Path) -> None:
    machine.require_isolation()
    spec = machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "home", network=Network.NONE)
    opened = await executor.open(spec)
    await opened.run(Command("one", "cat /proc/net/dev"))
    await opened.close()

    assert {line.split(":")[0].strip() for line in printed(spec).splitlines()[2:]} <= {"lo"}


@pytest.fixture(params=list(Network))
async def networked(
    request: pytest.FixtureRequest, executor: Executor, machine: Machine, tmp_path: Path
) -> AsyncIterator[tuple[Sandbox, SandboxSpec]]:
    """A sandbox with each kind of network, and its spec."""
    spec = machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "net", network=request.param)
    opened = await executor.open(spec)
    yield opened, spec
    await opened.close()


async def test_what_we_listen_on_is_reached_from_inside(networked: tuple[Sandbox, SandboxSpec]) -> None:
    sandbox, spec = networked
    async with answering(await sandbox.listen(port := free_port()), b"from outside"):
        ended = await sandbox.run(asking("one", port))

    assert (ended.code, printed(spec)) == (0, "from outside")


async def test_it_is_the_machines_own_loopback_only_where_that_is_said(networked: tuple[Sandbox, SandboxSpec]) -> None:
    sandbox, _ = networked
    async with answering(listen_here(port := free_port()), b"from outside"):
        ended = await sandbox.run(asking("one", port))

    assert (ended.code == 0) is sandbox.shares_loopback


async def test_another_sandbox_does_not_reach_what_we_listen_on_in_one(
    executor: Executor, machine: Machine, tmp_path: Path
) -> None:
    machine.require_isolation()
    ids = [f"contract-{uuid.uuid4().hex[:12]}" for _ in range(2)]
    sandbox, other = [await executor.open(machine.spec(id, tmp_path / id, network=Network.NONE)) for id in ids]
    async with answering(await sandbox.listen(port := free_port()), b"from outside"):
        theirs = await other.run(asking("one", port))
        ours = await asyncio.to_thread(reached, port)
    await sandbox.close()
    await other.close()

    assert (theirs.code != 0, ours) == (True, False)


async def test_whoever_adopts_can_listen_where_the_dead_process_did(
    executor: Executor, networked: tuple[Sandbox, SandboxSpec]
) -> None:
    first, spec = networked
    (await first.listen(port := free_port())).close()
    sandbox = await executor.adopt(spec)
    async with answering(await sandbox.listen(port), b"again"):
        await sandbox.run(asking("one", port))

    assert printed(spec) == "again"


async def test_a_port_that_is_taken_is_told(networked: tuple[Sandbox, SandboxSpec]) -> None:
    sandbox, _ = networked
    with await sandbox.listen(0) as taken, pytest.raises(Conflict, match="listens there already"):
        await sandbox.listen(taken.getsockname()[1])


async def test_nobody_listens_in_a_sandbox_that_is_gone(executor: Executor, machine: Machine, tmp_path: Path) -> None:
    machine.require_isolation()
    spec = machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "home", network=Network.NONE)
    opened = await executor.open(spec)
    await opened.close()

    with pytest.raises(SandboxLost):
        await opened.listen(free_port())


async def test_a_build_that_takes_all_memory_is_stopped(executor: Executor, machine: Machine, tmp_path: Path) -> None:
    machine.require_limits()
    spec = machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "home", memory=64 * MIB)
    opened = await executor.open(spec)
    with suppress(SandboxLost):
        ended = await opened.run(Command("one", "head -c 500000000 /dev/zero | tail -c 400000000 | wc -c; exit 9"))
        assert ended.code in {9, 137, 1}
    await opened.close()

    assert "400000000" not in printed(spec)


async def test_a_fork_bomb_is_held(executor: Executor, machine: Machine, tmp_path: Path) -> None:
    machine.require_limits()
    spec = machine.spec(f"contract-{uuid.uuid4().hex[:12]}", tmp_path / "home", processes=64)
    opened = await executor.open(spec)
    bomb = Command("one", "f() { f | f & }; f; sleep 1; exit 4")
    began = time.monotonic()
    with suppress(SandboxLost):
        await asyncio.wait_for(opened.run(bomb), 20)
    await opened.close()

    assert time.monotonic() - began < 40


def asking(key: str, port: int) -> Command:
    """Send a line to a server on 127.0.0.1, and print what it answers."""
    return Command(key, f"echo hello | /bin/busybox nc -w 5 127.0.0.1 {port} 2>/dev/null")


def reached(port: int) -> bool:
    """Whether anybody listens there on this machine."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    with listen_here(0) as free:
        return int(free.getsockname()[1])


@asynccontextmanager
async def answering(listener: socket.socket, text: bytes) -> AsyncIterator[None]:
    """A server that says the same to everybody who says something."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline():
            writer.write(text)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(answer, sock=listener):
        yield


async def value(sandbox: Sandbox, spec: SandboxSpec, expression: str) -> str:
    """What the shell inside makes of it."""
    before = spec.spool.stat().st_size
    await sandbox.run(Command(f"value-{uuid.uuid4().hex[:8]}", f'echo "{expression}"'))
    return spec.spool.read_bytes()[before:].decode().strip()
