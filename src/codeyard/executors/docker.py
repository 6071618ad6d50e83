"""Builds in containers of the Docker Engine, or of Podman's socket that speaks the same.

One container to a sandbox, named `codeyard-<id>`: any image, its entrypoint replaced by the supervisor, the workspace
bound in, limits by cgroup, the engine's seccomp profile, no new privileges. docs/executors.md says what that protects.
"""

import asyncio
import os
import resource
import shutil
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http.client import HTTPResponse
from pathlib import Path
from posixpath import normpath
from typing import IO, cast

from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid
from codeyard.executors import Ability, Command, Exit, Network, SandboxLost, SandboxSpec
from codeyard.executors.docker_container import ROOT, State, cannot_make, container, judge, lost, restarted
from codeyard.executors.docker_engine import Answer, Endpoint, Engine, EngineAway, NoAccess, NoEngine, whole
from codeyard.executors.docker_images import Login, docker_login, names, pull, unable_to_pull
from codeyard.executors.loopback import listen_within
from codeyard.executors.processes import ProcessId, kill
from codeyard.executors.supervisor import Control
from codeyard.executors.tar_stream import pack, pack_directories, unpack

_PATIENCE = 60.0  # seconds that an engine may be away (it is restarted, say) before what runs is given up
_OUTAGES = 3  # of the engine, that opening one sandbox outlasts
_SLOW = 300.0  # seconds that the engine may take to start or to end a container on a busy machine
_KILLED = 5.0  # seconds that the engine may take to notice that a container has ended
_FILES = 65_536  # that a process may have open


async def inspect(engine: Engine, container: str) -> State | None:
    """None if there is none. An engine that is away is waited for: it may be starting again."""
    answer = await engine.call("GET", f"/containers/{container}/json", patience=_PATIENCE)
    if answer.status == 404:
        return None
    if not answer.ok:
        raise Fault(f"cannot look at container {container}", f"{answer.message}.", "See the engine's log.")
    return State.of(answer.json())


class DockerSandbox:
    """One container."""

    def __init__(self, engine: Engine, spec: SandboxSpec, container: str) -> None:
        self._engine, self._spec, self._container = engine, spec, container
        self._control = Control(spec, ROOT)
        self._process: ProcessId | None = None

    @property
    def root(self) -> str:
        return ROOT

    async def run(self, command: Command) -> Exit:
        try:
            return await self._control.run(command, self._alive)
        except SandboxLost:
            raise await self._lost() from None

    async def fetch(self, path: str, into: Path) -> bool:
        def read(response: HTTPResponse) -> bool | Answer:
            if response.status != 200:
                return Answer(response.status, response.read(65_536))
            return unpack(cast(IO[bytes], response), into)

        await self._engine.back(_PATIENCE)
        found = await self._engine.stream("GET", self._path("archive"), {"path": _absolute(path)}, read, silence=_SLOW)
        if isinstance(found, bool):
            return found
        if found.status == 404 and await self._state() is not None:
            return False
        raise self._refused(f"copy {path} out", found)

    async def place(self, source: Path, path: str) -> None:
        # The engine unpacks into a directory that is there, and makes what lacks below it, root's, by itself. An entry
        # for a directory that is there would give it our mode and owner: so none for the path's own, unless it is new.
        await self._engine.back(_PATIENCE)
        there, below = _absolute(path), ""
        while not await self._has(there):
            there, _, name = there.rpartition("/")
            there, below = there or "/", f"{name}/{below}".rstrip("/")
        pieces = pack(source, below, top=bool(below))
        answer = await self._engine.stream(
            "PUT", self._path("archive"), {"path": there}, whole, body=pieces, silence=_SLOW
        )
        if not answer.ok:
            raise self._refused(f"copy files to {path}", answer)

    @property
    def shares_loopback(self) -> bool:
        return False

    async def listen(self, port: int) -> socket.socket:
        if not await self._alive():
            raise await self._lost()
        if self._process is None:
            raise Denied(
                f"cannot listen inside container {_name(self._spec)}",
                "this process does not see its processes: the engine is another user's, or in another container.",
                "Run Codeyard as root on the engine's machine.",
            )
        return await listen_within(self._process, port, lambda: lost(self._spec, None))

    async def close(self) -> None:
        await (self._end() if os.geteuid() == 0 else self._give_back())
        answer = await self._engine.call(
            "DELETE", self._path(), {"force": "1", "v": "1"}, silence=_SLOW, patience=_PATIENCE
        )
        if answer.status == 409:  # somebody else is removing it
            await self._gone()
        elif not answer.ok and answer.status != 404:
            raise self._refused("remove the container", answer)
        await self._control.finish()
        shutil.rmtree(self._spec.home / "sandbox", ignore_errors=True)

    async def connected(self) -> bool:
        """Whether the engine gave it a network: one without a bridge says nothing, and gives none."""
        state = await self._state()
        if state is not None and state.running:
            self._process = _seen(state)
        return state is None or not state.unplugged

    async def _end(self) -> None:
        """Kill it ourselves, if we see it: the engine would start two programs for that, on a machine that is busy."""
        if self._process is None:
            return
        # It may not be ours to kill, or be paused: whoever removes it deals with that.
        with suppress(OSError, EngineAway):
            kill(self._process)
            await self._engine.call("POST", self._path("wait"), silence=_KILLED)

    async def _give_back(self) -> None:
        """Let us, who are not root, remove what the container's root left in the workspace.

        Whoever may write to a directory may remove what is in it. So the engine, which is root, is asked to unpack
        those same directories, empty, over themselves, with a mode that lets everybody in (`home` lets in only us).
        That needs no program of the image's, and no life in the container.
        """
        answer = await self._engine.call("POST", self._path("kill"), silence=_SLOW, patience=_PATIENCE)
        if answer.status == 404:
            return
        seen: set[str] = set()
        while foreign := [name for name in await asyncio.to_thread(_foreign, self._spec) if name not in seen]:
            seen.update(foreign)
            pieces = pack_directories(foreign, 0o777)
            answer = await self._engine.stream(
                "PUT", self._path("archive"), {"path": ROOT}, whole, body=pieces, silence=_SLOW
            )
            if not answer.ok:
                return  # it is left to whoever removes the workspace to complain

    async def _gone(self) -> None:
        for _ in range(600):
            if await self._state() is None:
                return
            await asyncio.sleep(0.1)

    async def _has(self, path: str) -> bool:
        answer = await self._engine.call("HEAD", self._path("archive"), {"path": path})
        if not answer.ok and path == "/":
            raise self._refused("look into the container", answer)
        return answer.ok

    async def _alive(self) -> bool:
        if self._process is not None and self._process.alive():
            return True
        state = await self._state()
        if state is None or not state.running:
            return False
        self._process = _seen(state)
        return True

    async def _lost(self) -> SandboxLost:
        state, until = await self._state(), f"{time.time():.9f}"
        answer = await self._engine.call("GET", "/events", {"since": "1", "until": until}, patience=_PATIENCE)
        began_anew = answer.ok and restarted(answer.body, self._container)
        return lost(self._spec, state, restarted=began_anew)

    async def _state(self) -> State | None:
        return await inspect(self._engine, self._container)

    def _path(self, verb: str = "") -> str:
        return f"/containers/{self._container}" + (f"/{verb}" if verb else "")

    def _refused(self, doing: str, answer: Answer) -> CodeyardError:
        if answer.status == 404:
            return lost(self._spec, None)
        return Fault(f"cannot {doing}", f"the container engine said: {answer.message}.", "See the engine's log.")


class DockerExecutor:
    """See the module. `endpoint` is as in DOCKER_HOST; `login` finds what a registry is shown."""

    name = "docker"

    def __init__(
        self, endpoint: str | None = None, login: Callable[[str], Awaitable[Login | None]] = docker_login
    ) -> None:
        self._endpoint, self._login = endpoint, login
        self._made: Engine | None = None

    @property
    def _engine(self) -> Engine:
        if self._made is None:
            self._made = Engine(Endpoint.find() if self._endpoint is None else Endpoint.parse(self._endpoint))
        return self._made

    async def ability(self) -> Ability:
        try:
            answer = await self._engine.call("GET", "/info", silence=10)
        except CodeyardError as error:
            return Ability(self.name, False, f"{error.what}: {error.why}", error.fix)
        if not answer.ok:
            return Ability(self.name, False, f"the engine refused: {answer.message}", "See the engine's log.")
        return judge(answer.json(), os.uname().release)

    async def open(self, spec: SandboxSpec) -> DockerSandbox:
        if not spec.image:
            raise Invalid("no image", "the docker executor starts builds from one.", "Name one with --image.")
        for _ in range(_OUTAGES):
            try:
                return await self._open(spec, spec.image)
            except (NoEngine, NoAccess):
                raise
            except EngineAway as error:  # whatever it had done so far is found again by its name
                spec.progress(f"{error.what}: {error.why} Waiting for it")
                await self._engine.back(_PATIENCE)
        return await self._open(spec, spec.image)

    async def _open(self, spec: SandboxSpec, image: str) -> DockerSandbox:
        Control(spec, ROOT).prepare()
        for name in names(image):
            if (sandbox := await self._begin(spec, name)) is not None:
                return sandbox
        image = names(image)[-1]
        await pull(self._engine, image, self._login, spec.progress)
        if (sandbox := await self._begin(spec, image)) is not None:
            return sandbox
        raise Fault(unable_to_pull(f"{image} was pulled and is gone"), "somebody removed it.", "Try again.")

    async def adopt(self, spec: SandboxSpec) -> DockerSandbox:
        state = await self._found(spec)
        if state is None or not state.running:
            raise lost(spec, state)
        return DockerSandbox(self._engine, spec, state.id)

    async def _begin(self, spec: SandboxSpec, image: str) -> DockerSandbox | None:
        """The sandbox, new or found; None if the image is not here. A cancelled one leaves nothing behind."""
        making = asyncio.ensure_future(self._create(spec, image))
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            await asyncio.wait({making})  # the engine would go on without us
            if not making.cancelled() and making.exception() is None and (made := making.result()) is not None:
                await made.close()
            raise

    async def _create(self, spec: SandboxSpec, image: str) -> DockerSandbox | None:
        deadline = time.monotonic() + _PATIENCE
        selinux = Path("/sys/fs/selinux/enforce").exists()
        body = container(spec, image, open_files=_open_files(), relabel=selinux, foreign=os.geteuid() != 0)
        while True:
            answer = await self._engine.call("POST", "/containers/create", {"name": _name(spec)}, body, silence=_SLOW)
            if answer.status == 404 and "image" in answer.message.lower():
                return None
            if answer.ok:
                for warning in answer.json().get("Warnings") or ():
                    if "swap" not in str(warning):  # memory is limited all the same
                        spec.progress(f"docker: {warning}")
                return await self._start(spec, str(answer.json()["Id"]))
            if answer.status != 409 and "already in use" not in answer.message:
                raise cannot_make(spec, answer.message)
            # Somebody has made it, or has only taken its name so far, or is just removing it.
            state = await self._found(spec)
            if state is not None or time.monotonic() > deadline:
                return await self._reopen(spec, state)
            await asyncio.sleep(0.02)

    async def _start(self, spec: SandboxSpec, id: str) -> DockerSandbox:
        sandbox = DockerSandbox(self._engine, spec, id)
        answer = await self._engine.call("POST", f"/containers/{id}/start", silence=_SLOW, patience=_PATIENCE)
        if answer.ok:  # 304: it runs already
            if spec.network is Network.DEFAULT and not await sandbox.connected():
                spec.progress("docker: this engine has no bridge network, so the build reaches nothing but itself")
            return sandbox
        with suppress(CodeyardError):
            await sandbox.close()
        raise cannot_make(spec, answer.message)

    async def _reopen(self, spec: SandboxSpec, state: State | None) -> DockerSandbox:
        """What another opener made, perhaps one that died before it could start it."""
        if state is not None and state.status == "created":
            return await self._start(spec, state.id)
        if state is None or not state.running:
            raise lost(spec, state)
        return DockerSandbox(self._engine, spec, state.id)

    async def _found(self, spec: SandboxSpec) -> State | None:
        state = await inspect(self._engine, _name(spec))
        if state is not None and state.home != str(spec.home):
            raise Conflict(
                f"container {_name(spec)}",
                f"it is not this build's: its workspace is {state.home or 'unknown'}.",
                "Remove it with `docker rm -f`, if nobody needs it.",
            )
        return state


def _open_files() -> int:
    """A rootless engine can give no more than its user has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)


def _seen(state: State) -> ProcessId | None:
    """The container's first process, if this process can see it: then the engine need not be asked about it."""
    try:
        groups = Path(f"/proc/{state.pid}/cgroup").read_text()
    except OSError:
        return None
    return ProcessId.of(state.pid) if state.id in groups else None


def _foreign(spec: SandboxSpec) -> list[str]:
    """The directories of the workspace that we may not empty, as far as we can see them, below `codebuild`."""
    us, found = os.geteuid(), []
    top = spec.home / "codebuild"
    front = [top / "output", top / "control" / "status"]
    while front:
        directory = front.pop()
        status = directory.lstat()
        ours = status.st_uid == us and status.st_mode & 0o700 == 0o700
        if not ours and status.st_mode & 0o1007 != 0o007:
            found.append(str(directory.relative_to(top)))
            continue
        with os.scandir(directory) as entries:
            front.extend(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    return found


def _absolute(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise Invalid(f"path {path!r}", "it is not absolute.", "Start it with /.")
    return "/" + normpath(path).lstrip("/")


def _name(spec: SandboxSpec) -> str:
    return f"codeyard-{spec.id}"
