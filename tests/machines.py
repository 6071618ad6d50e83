"""The executors to test, each with the image it needs and what this machine lets it do."""

import asyncio
import io
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from codeyard.executors import Ability, Executor, Limits, Network, SandboxSpec

REQUIRED = frozenset(filter(None, os.environ.get("CODEYARD_REQUIRE_EXECUTORS", "").split(",")))
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True, slots=True)
class Machine:
    """One executor, and how to try it here."""

    name: str
    executor: Callable[[], Executor]
    image: Callable[[], str | None]
    isolates: bool
    limits: bool

    def require(self) -> None:
        """Skip the test if it does not work here; fail it where it must."""
        ability = _ability(self)
        if not ability.works:
            (pytest.fail if self.name in REQUIRED else pytest.skip)(f"{self.name}: {ability.detail}")

    def require_isolation(self) -> None:
        if not self.isolates:
            pytest.skip(f"{self.name} isolates nothing")

    def require_limits(self) -> None:
        if not self.limits:
            pytest.skip(f"{self.name} limits nothing")

    def spec(
        self,
        id: str,
        home: Path,
        *,
        network: Network = Network.DEFAULT,
        memory: int | None = None,
        processes: int | None = 1024,
    ) -> SandboxSpec:
        home.mkdir(mode=0o700, exist_ok=True)
        spec = SandboxSpec(
            id=id,
            home=home,
            image=self.image(),
            environment={"GIVEN": "a 'b' $c"},
            limits=Limits(memory=memory, processes=processes),
            network=network,
        )
        spec.prepare()
        return spec


@cache
def _ability(machine: Machine) -> Ability:
    os.environ["CODEYARD_SECRET_OF_THE_HOST"] = "no build may see this"
    return asyncio.run(machine.executor().ability())


def _process() -> Executor:
    from codeyard.executors.process import ProcessExecutor

    return ProcessExecutor()


def _bubblewrap() -> Executor:
    from codeyard.executors.bubblewrap import BubblewrapExecutor

    return BubblewrapExecutor()


def _docker() -> Executor:
    from codeyard.executors.docker import DockerExecutor

    return DockerExecutor()


@cache
def busybox_image() -> str:
    """An image made of the machine's static busybox: nothing can be pulled where the tests run."""
    from tests.docker_images import import_image

    return import_image("codeyard-test-busybox:latest", busybox_root())


@cache
def busybox_root(*scripts: tuple[str, str]) -> bytes:
    """The tar of its root, with scripts, each a path and its text."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("bin", "etc", "root", "tmp", "usr", "usr/bin"):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(entry)
        tar.add(shutil.which("busybox") or BUSYBOX, "bin/busybox", filter=_as_root)
        for name in _APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        _add_text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nbuilder:x:1000:1000::/tmp:/bin/sh\n")
        _add_text(tar, "etc/group", "root:x:0:\nbuilder:x:1000:\n")
        for name, text in scripts:
            _add_text(tar, name, text, 0o755)
    return content.getvalue()


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _add_text(tar: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


_APPLETS = (
    "awk base64 basename cat chmod chown cp cut date dd df dirname du echo env expr false find grep gunzip gzip head "
    "hostname id kill ln ls md5sum mkdir mkfifo mktemp mount mv nohup od printf ps pwd readlink rm rmdir sed seq "
    "setsid sh sha256sum sleep sort stat su sync tail tar tee test touch tr true umount uname uniq unzip wc which "
    "whoami xargs yes"
).split()


EXECUTORS = (
    Machine("process", _process, lambda: None, isolates=False, limits=False),
    Machine("bubblewrap", _bubblewrap, lambda: None, isolates=True, limits=True),
    Machine("docker", _docker, busybox_image, isolates=True, limits=True),
)
