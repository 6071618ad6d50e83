"""What this machine is: its worker's name, and what builds may use of it."""

import os
import re
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from codeyard.config import Config

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the builds of a worker may use together."""

    cpus: float
    memory: int  # bytes
    builds: int | None = None  # at the same time; None: as many as fit


def capacity(config: Config, share: int = 1) -> Capacity:
    """By the settings, else the whole machine; of several workers on it, each has its share."""
    cpus = config.cpus or float(len(os.sched_getaffinity(0)))
    memory = int(config.memory * _GIB) or _memory()
    return Capacity(cpus / share, memory // share, config.builds or None)


def _memory() -> int:
    """Of the machine, or of the control group that we are in, whichever is less; bytes."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            total = min(total, int(Path(limit).read_text()))
    return total


def worker_name(config: Config) -> str:
    """The name that the builds of this machine are known by, the same at each start: it finds them again by it."""
    if config.worker:
        return config.worker
    file = config.data / "worker"
    with suppress(FileNotFoundError):
        return file.read_text().strip()
    host = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).strip("-._")[:60] or "worker"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = file.with_name(f".worker.{secrets.token_hex(8)}")
    staged.write_text(f"{host}-{secrets.token_hex(3)}\n")
    try:
        with suppress(FileExistsError):  # another process was first
            os.link(staged, file)  # whole or not at all: with half a name it would be another worker
    finally:
        staged.unlink()
    return file.read_text().strip()
