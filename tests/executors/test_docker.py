"""What of the docker executor the contract's suite does not cover."""

import asyncio
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from codeyard.errors import CodeyardError, Conflict, Fault, Invalid, NotFound
from codeyard.executors import Command, Limits, Network, NoImage, Sandbox, SandboxLost, SandboxSpec, SandboxTaken
from codeyard.executors.docker import DockerExecutor
from codeyard.executors.docker_container import container
from codeyard.executors.docker_engine import Answer, Endpoint, Engine, NoEngine, whole
from codeyard.executors.docker_images import Login
from tests.docker_images import import_image
from tests.docker_registry import registry
from tests.machines import EXECUTORS, REQUIRED, busybox_root

MACHINE = next(machine for machine in EXECUTORS if machine.name == "docker")
MIB = 1024 * 1024


async def test_no_engine_is_an_ability_that_says_how_to_get_one(tmp_path: Path) -> None:
    ability = await DockerExecutor(f"unix://{tmp_path}/none").ability()

    assert (ability.works, "no such socket" in ability.detail, "Install Docker" in ability.fix) == (False, True, True)


async def test_an_endpoint_elsewhere_is_an_ability_that_says_so() -> None:
    ability = await DockerExecutor("ssh://me@host").ability()

    assert (ability.works, "on this machine" in ability.detail) == (False, True)


# --- with the engine ---


@pytest.fixture
def executor() -> DockerExecutor:
    MACHINE.require()
    return DockerExecutor()


@pytest.fixture
def engine(executor: DockerExecutor) -> Engine:
    return Engine(Endpoint.find())


@pytest.fixture
def spec(executor: DockerExecutor, tmp_path: Path) -> SandboxSpec:
    return MACHINE.spec(f"docker-{uuid.uuid4().hex[:12]}", tmp_path / "home")


@pytest.fixture
async def sandbox(executor: DockerExecutor, spec: SandboxSpec) -> AsyncIterator[Sandbox]:
    opened = await executor.open(spec)
    yield opened
    await opened.close()


async def gone(engine: Engine, spec: SandboxSpec) -> bool:
    return (await engine.call("GET", f"/containers/codeyard-{spec.id}/json")).status == 404


@pytest.fixture(scope="session")
def stubborn_image() -> Iterator[str]:
    """An image with an entrypoint, a user and an environment of its own, as a registry has it."""
    MACHINE.require()
    with registry(busybox_root()) as host:
        image = f"{host}/team/image:1"
        pulled = ask("POST", "/images/create", {"fromImage": image})
    assert pulled.ok, pulled.message
    yield image
    ask("DELETE", f"/images/{image}")


def ask(method: str, path: str, query: dict[str, str] | None = None) -> Answer:
    return Engine(Endpoint.find()).exchange(method, path, query, whole)


async def test_the_images_entrypoint_and_user_do_not_count(
    executor: DockerExecutor, spec: SandboxSpec, stubborn_image: str
) -> None:
    sandbox = await executor.open(replace(spec, image=stubborn_image))
    await sandbox.run(Command("one", 'id -u; echo "$FROM_IMAGE $GIVEN"; pwd'))
    await sandbox.close()

    assert spec.spool.read_text() == "0\nyes a 'b' $c\n/codebuild/output\n"


async def test_another_user_can_run_and_print_by_name(sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", "id -un; echo again > /dev/stderr", user="builder"))

    assert spec.spool.read_text() == "builder\nagain\n"


async def test_an_unprivileged_build_cannot_mount(sandbox: Sandbox, spec: SandboxSpec) -> None:
    ended = await sandbox.run(Command("one", "mount -t tmpfs none /tmp"))

    assert ended.code != 0
    assert "NoNewPrivs:\t1" in (await shown(sandbox, spec, "grep NoNewPrivs /proc/self/status"))


async def test_a_privileged_build_can_mount(executor: DockerExecutor, spec: SandboxSpec) -> None:
    require_all_capabilities()
    sandbox = await executor.open(replace(spec, privileged=True))
    ended = await sandbox.run(Command("one", "mount -t tmpfs none /tmp && umount /tmp"))
    await sandbox.close()

    assert ended.code == 0, spec.spool.read_text()


def require_all_capabilities() -> None:
    """An engine can give a privileged container no more than the machine gave it."""
    held = int(re.search(r"CapBnd:\s*(\w+)", Path("/proc/1/status").read_text())[1], 16)  # type: ignore[index]
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    if held != (1 << (last + 1)) - 1:
        pytest.skip("docker: this machine gives nobody all capabilities, so no container can be privileged")


async def test_a_privileged_build_begins_by_the_images_docker_daemon(
    executor: DockerExecutor, spec: SandboxSpec
) -> None:
    command = container(replace(spec, privileged=True), "image")["Cmd"]
    root = busybox_root(
        ("usr/local/bin/dockerd-entrypoint.sh", '#!/bin/sh\necho daemon\neval "$@"\n'), ("given", "echo given")
    )
    sandbox = await executor.open(replace(spec, image=import_image("codeyard-test-daemon:latest", root)))
    ended = await sandbox.run(Command("one", f"set -- /given; {command[1]}"))
    await sandbox.close()

    assert (ended.code, spec.spool.read_text()) == (0, "daemon\ngiven\n")


async def test_the_spool_and_the_commands_cannot_be_reached(sandbox: Sandbox, spec: SandboxSpec) -> None:
    await sandbox.run(Command("one", "echo kept"))
    listed = await shown(sandbox, spec, "cat /proc/self/mountinfo; ls -R /codebuild/control; ls -l /proc/1/fd")
    changed = await sandbox.run(Command("two", "rm -f /codebuild/control/commands/supervisor"))

    assert "home/spool" not in listed
    assert changed.code != 0


async def test_a_build_with_more_cores_than_there_are_starts(executor: DockerExecutor, spec: SandboxSpec) -> None:
    sandbox = await executor.open(replace(spec, limits=Limits(cpus=4096.0, memory=1024 * MIB)))
    ended = await sandbox.run(Command("one", "true"))
    await sandbox.close()

    assert ended.code == 0


async def test_a_workspace_of_links_to_the_host_is_fetched_as_links(
    sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path
) -> None:
    script = "mkdir farm; cd farm; for i in $(seq 300); do ln -s / d$i; done; ln -s . loop"
    await sandbox.run(Command("one", script))
    found = await sandbox.fetch("/codebuild/output/farm", tmp_path / "into")

    assert found
    assert {stat.S_IFMT(path.lstat().st_mode) for path in (tmp_path / "into").iterdir()} == {stat.S_IFLNK}


async def test_a_link_itself_is_fetched(sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.run(Command("one", "ln -s /etc /tmp/link"))

    assert await sandbox.fetch("/tmp/link", tmp_path / "into")
    assert (tmp_path / "into").is_symlink()


async def test_modes_and_times_come_along(sandbox: Sandbox, tmp_path: Path) -> None:
    await sandbox.run(Command("one", "mkdir /tmp/d; cd /tmp/d; touch -d '2001-02-03 04:05:06' f; chmod 4751 f; ln f g"))
    await sandbox.fetch("/tmp/d", tmp_path / "into")

    assert ((tmp_path / "into/f").stat().st_mode & 0o7777, (tmp_path / "into/f").stat().st_mtime) == (0o751, 981173106)
    assert (tmp_path / "into/g").exists()


async def test_placing_keeps_the_directory_that_is_there(sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir(mode=0o755)
    (tmp_path / "from/file").write_text("1")
    os.chown(tmp_path / "from/file", 1234, 1234) if os.geteuid() == 0 else None
    await sandbox.run(Command("one", "mkdir /srv && chown builder /srv && chmod 700 /srv; ln -s /srv /link"))
    await sandbox.place(tmp_path / "from", "/srv")
    await sandbox.place(tmp_path / "from", "/link/new/deep")

    assert await shown(sandbox, spec, "stat -c '%a %U' /srv /srv/file /srv/new/deep/file") == (
        "700 builder\n644 root\n644 root\n"
    )


async def test_placing_where_a_file_is_fails(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from/file").write_text("1")

    with pytest.raises(Fault, match="copy files to /etc/passwd"):
        await sandbox.place(tmp_path / "from", "/etc/passwd")


@pytest.mark.parametrize("path", ["relative", "", "/a\0b"])
async def test_only_absolute_paths_are_fetched(sandbox: Sandbox, tmp_path: Path, path: str) -> None:
    with pytest.raises(Invalid):
        await sandbox.fetch(path, tmp_path / "into")


async def test_an_image_without_a_shell_is_told_and_leaves_nothing(
    executor: DockerExecutor, engine: Engine, spec: SandboxSpec
) -> None:
    image = import_image("codeyard-test-empty:latest", b"\0" * 10240)
    with pytest.raises(Invalid, match="found dead before completing the build: it has no /bin/sh"):
        await executor.open(replace(spec, image=image))

    assert await gone(engine, spec)


async def test_no_image_is_told(executor: DockerExecutor, spec: SandboxSpec) -> None:
    with pytest.raises(Invalid, match="no image"):
        await executor.open(replace(spec, image=None))


async def test_a_container_that_was_made_and_never_started_is_started(
    executor: DockerExecutor, engine: Engine, spec: SandboxSpec
) -> None:
    # Its opener dies between the two calls.
    body = container(spec, str(spec.image), open_files=1024)
    (spec.home / "codebuild/control/commands").mkdir(parents=True)
    (spec.home / "codebuild/control/status").mkdir()
    made = await engine.call("POST", "/containers/create", {"name": f"codeyard-{spec.id}"}, body)
    with pytest.raises(SandboxLost):
        await executor.adopt(spec)
    sandbox = await executor.open(spec)
    ended = await sandbox.run(Command("one", "true"))
    await sandbox.close()

    assert (made.status, ended.code) == (201, 0)


async def test_two_that_open_at_once_get_the_one(executor: DockerExecutor, spec: SandboxSpec) -> None:
    first, second = await asyncio.gather(executor.open(spec), DockerExecutor().open(spec))
    await asyncio.gather(first.run(Command("one", "echo ran")), second.run(Command("one", "echo ran")))
    await asyncio.gather(first.close(), second.close())

    assert spec.spool.read_text() == "ran\n"


async def test_another_builds_container_is_not_taken(
    executor: DockerExecutor, sandbox: Sandbox, spec: SandboxSpec, tmp_path: Path
) -> None:
    other = MACHINE.spec(spec.id, tmp_path / "other")
    with pytest.raises(Conflict, match="it is not this build's"):
        await executor.open(other)


async def test_a_container_that_ended_is_not_opened_again(
    executor: DockerExecutor, engine: Engine, sandbox: Sandbox, spec: SandboxSpec
) -> None:
    await sandbox.run(Command("one", "true"))
    await engine.call("POST", f"/containers/codeyard-{spec.id}/kill")

    with pytest.raises(SandboxLost, match="killed from outside"):
        await executor.open(spec)
    with pytest.raises(SandboxLost, match="killed from outside"):
        await sandbox.run(Command("two", "true"))


async def test_what_a_lost_sandbox_printed_is_kept(sandbox: Sandbox, engine: Engine, spec: SandboxSpec) -> None:
    running = asyncio.ensure_future(sandbox.run(Command("one", "seq 20000; echo last; sleep 60")))
    while not spec.spool.read_bytes().endswith(b"last\n"):
        await asyncio.sleep(0.01)
    await engine.call("DELETE", f"/containers/codeyard-{spec.id}", {"force": "1"})

    with pytest.raises(SandboxLost, match="its container is gone"):
        await running
    assert len(spec.spool.read_text().splitlines()) == 20001


async def test_a_cancelled_opening_leaves_nothing(executor: DockerExecutor, engine: Engine, spec: SandboxSpec) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(executor.open(spec), 0.05)

    assert await gone(engine, spec)


async def test_a_missing_image_is_pulled_with_progress(
    executor: DockerExecutor, engine: Engine, spec: SandboxSpec
) -> None:
    told: list[str] = []
    with registry(busybox_root(("fresh", spec.id))) as host:
        image = f"{host}/team/image:1"
        sandbox = await executor.open(replace(spec, image=image, progress=told.append))
        ended = await sandbox.run(Command("one", "true"))
        await sandbox.close()
        await engine.call("DELETE", f"/images/{image}")

    assert ended.code == 0
    assert told[0] == f"Pulling {image}"
    assert told[-1].startswith(f"Pulled {image}: 1 layers")


@pytest.mark.parametrize("name", ["team/image:2", "team/nosuch:1"])
async def test_an_image_that_is_not_there_is_told(executor: DockerExecutor, spec: SandboxSpec, name: str) -> None:
    with registry(busybox_root()) as host, pytest.raises(NotFound) as failed:
        await executor.open(replace(spec, image=f"{host}/{name}"))

    assert failed.value.what.startswith(
        "Unable to pull customer's container image. CannotPullContainerError: Error response from daemon: "
    )


async def test_a_private_image_wants_a_password(engine: Engine, spec: SandboxSpec) -> None:
    async def nobody(_registry: str) -> Login | None:
        return None

    async def somebody(_registry: str) -> Login | None:
        return Login("me", "pass:word")

    with registry(busybox_root(), login="me:pass:word") as host:
        private = replace(spec, image=f"{host}/team/image:1")
        with pytest.raises(NotFound, match="it was shown no password"):
            await DockerExecutor(login=nobody).open(private)
        sandbox = await DockerExecutor(login=somebody).open(private)
        await sandbox.close()
        await engine.call("DELETE", f"/images/{private.image}")


async def test_a_registry_that_is_away_is_a_fault(executor: DockerExecutor, spec: SandboxSpec) -> None:
    with pytest.raises(NoImage, match="could not be reached"):
        await executor.open(replace(spec, image="localhost:1/image:1"))


async def test_an_image_that_aws_keeps_is_told_with_another(executor: DockerExecutor, spec: SandboxSpec) -> None:
    with pytest.raises(NotFound, match=r"Use public\.ecr\.aws/codebuild/"):
        await executor.open(replace(spec, image="aws/codebuild/standard:7.0"))


async def test_who_is_not_root_can_remove_what_a_build_left(executor: DockerExecutor, engine: Engine) -> None:
    script = """
        umask 077; cd /codebuild/output; mkdir -p a/b/c; echo x > a/b/c/file; mkdir locked; chmod 000 locked
        mkdir -p theirs/in; chown -R builder theirs; chmod 1777 theirs; ln -s / link
        chown root . ; chmod 700 .
    """
    with as_nobody() as home:
        spec = MACHINE.spec(f"docker-{uuid.uuid4().hex[:12]}", home / "home")
        mine = DockerExecutor()
        sandbox = await mine.open(spec)
        ended = await sandbox.run(Command("one", script))
        await sandbox.close()
        shutil.rmtree(spec.home)

        assert ended.code == 0, ended
        assert not spec.home.exists()
    assert await gone(engine, spec)


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A directory of our own, and no longer root; whoever is not root is who he is."""
    top = Path(tempfile.mkdtemp(prefix="codeyard-nobody-"))
    try:
        if os.geteuid() != 0:
            yield top
            return
        os.chown(top, 65534, 65534)
        groups = os.getgroups()
        os.setgroups([Path(str(Endpoint.find().path)).stat().st_gid])
        os.setegid(65534)
        os.seteuid(65534)
        try:
            yield top
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
    finally:
        shutil.rmtree(top, ignore_errors=True)


# --- with an engine of its own ---


class OwnEngine:
    """A second engine, to be ended and begun again."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self.endpoint = f"unix://{top}/socket"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> bool:
        with (self._top / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",  # without a bridge it would remove the machine's
                    "--net",
                    "dockerd",
                    f"--data-root={self._top}/data",
                    f"--exec-root={self._top}/exec",
                    f"--pidfile={self._top}/pid",
                    f"--host={self.endpoint}",
                    "--bridge=none",
                    "--iptables=false",
                    "--ip6tables=false",
                    "--shutdown-timeout=1",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(CodeyardError):
                if Engine(Endpoint.parse(self.endpoint)).exchange("GET", "/_ping", None, lambda r: r.status) == 200:
                    return True
            time.sleep(0.1)
        return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def why(self) -> str:
        return (self._top / "log").read_text()[-500:]


@pytest.fixture(scope="module")
def own_engine() -> Iterator[OwnEngine]:
    complain = pytest.fail if "docker" in REQUIRED else pytest.skip
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        complain("docker: a second engine needs dockerd, and root to start it")
    top = Path(tempfile.mkdtemp(prefix="cy-engine-"))
    own = OwnEngine(top)
    try:
        if not own.start():
            complain(f"docker: a second engine does not start here: {own.why()}")
        yield own
    finally:
        own.stop()
        subprocess.run(["umount", "-R", "-l", f"{top}/exec", f"{top}/data"], capture_output=True, check=False)
        shutil.rmtree(top, ignore_errors=True)


@pytest.mark.slow
async def test_a_build_whose_engine_starts_again_is_lost_and_says_why(own_engine: OwnEngine, tmp_path: Path) -> None:
    MACHINE.require()
    executor = DockerExecutor(own_engine.endpoint)
    spec = MACHINE.spec(f"docker-{uuid.uuid4().hex[:12]}", tmp_path / "home")
    image_on(own_engine, str(spec.image))
    spec = replace(spec, network=Network.NONE)
    sandbox = await executor.open(spec)
    await sandbox.run(Command("one", "echo before"))
    running = asyncio.ensure_future(sandbox.run(Command("two", "echo during; sleep 100")))
    await asyncio.sleep(1)
    await asyncio.to_thread(own_engine.stop)
    await asyncio.sleep(1)
    still = not running.done()
    await asyncio.to_thread(own_engine.start)

    assert still  # an engine that is away is waited for
    with pytest.raises(SandboxTaken, match="the container engine was started again"):
        await running
    await sandbox.close()
    assert spec.spool.read_text() == "before\nduring\n"


@pytest.mark.slow
async def test_a_build_that_begins_while_its_engine_is_away_waits_for_it(own_engine: OwnEngine, tmp_path: Path) -> None:
    MACHINE.require()
    told: list[str] = []
    spec = MACHINE.spec(f"docker-{uuid.uuid4().hex[:12]}", tmp_path / "home")
    image_on(own_engine, str(spec.image))
    executor = DockerExecutor(own_engine.endpoint)
    await executor.ability()
    await asyncio.to_thread(own_engine.stop)
    opening = asyncio.ensure_future(executor.open(replace(spec, network=Network.NONE, progress=told.append)))
    await asyncio.sleep(0.5)
    await asyncio.to_thread(own_engine.start)
    sandbox = await opening
    ended = await sandbox.run(Command("one", "exit 3"))
    await sandbox.close()

    assert (ended.code, len(told)) == (3, 1)
    assert told[0].endswith("there is no such socket. Waiting for it")


async def test_an_engine_that_never_was_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(NoEngine, match="Install Docker"):
        await DockerExecutor(f"unix://{tmp_path}/none").open(spec_without_engine(tmp_path))

    assert time.monotonic() - began < 45


@pytest.mark.slow
async def test_an_engine_without_a_bridge_says_so(own_engine: OwnEngine, tmp_path: Path) -> None:
    MACHINE.require()
    spec = MACHINE.spec(f"docker-{uuid.uuid4().hex[:12]}", tmp_path / "home")
    image_on(own_engine, str(spec.image))
    told: list[str] = []
    sandbox = await DockerExecutor(own_engine.endpoint).open(replace(spec, progress=told.append))
    await sandbox.close()

    assert told == ["docker: this engine has no bridge network, so the build reaches nothing but itself"]


def spec_without_engine(directory: Path) -> SandboxSpec:
    spec = SandboxSpec(id="none", home=directory, image="any")
    spec.prepare()
    return spec


def image_on(own: OwnEngine, name: str) -> None:
    repository, _, tag = name.rpartition(":")
    query = {"fromSrc": "-", "repo": repository, "tag": tag}
    engine = Engine(Endpoint.parse(own.endpoint))
    status = engine.exchange(
        "POST", "/images/create", query, lambda answer: (answer.status, answer.read())[0], body=iter((busybox_root(),))
    )
    assert status == 200


async def shown(sandbox: Sandbox, spec: SandboxSpec, script: str) -> str:
    """What the script prints."""
    before = spec.spool.stat().st_size
    await sandbox.run(Command(f"shown-{uuid.uuid4().hex[:8]}", script))
    return spec.spool.read_bytes()[before:].decode()
