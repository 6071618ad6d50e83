"""Which executor a build gets: the strongest that works here and can do what is asked."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from codeyard import __version__
from codeyard.errors import Invalid
from codeyard.executors import Ability, Executor

NAMES = ("docker", "bubblewrap", "process")
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def executor(name: str) -> Executor:
    """The executor of this name; only its own module is imported."""
    if name == "docker":
        from codeyard.executors.docker import DockerExecutor

        return DockerExecutor()
    if name == "bubblewrap":
        from codeyard.executors.bubblewrap import BubblewrapExecutor

        return BubblewrapExecutor()
    from codeyard.executors.process import ProcessExecutor

    return ProcessExecutor()


async def choose(wanted: str, image: str | None, *, privileged: bool, state: Path) -> tuple[str, str]:
    """The executor to use and why. Invalid if none can do it."""
    if wanted == "process":
        return wanted, "NO ISOLATION, as you asked: what the build does, it does to this machine"
    if wanted != "auto":
        return wanted, "you asked for it"
    if image is not None or privileged:
        ability = await executor("docker").ability()
        if not ability.works:
            what = f"image {image}" if image is not None else "privileged mode"
            raise Invalid(what, f"only docker can give that, and it does not work here: {ability.detail}", ability.fix)
        return "docker", "an image is wanted" if image is not None else "privileged mode is wanted"
    ability = await _bubblewrap(state)
    if ability.works:
        return "bubblewrap", "the strongest that needs no image; --image IMAGE chooses docker"
    return "process", f"NO ISOLATION, nothing stronger works here without an image (bubblewrap: {ability.detail})"


async def require(name: str, state: Path) -> None:
    """Invalid if the executor of this name does not work here."""
    ability = await (_bubblewrap(state) if name == "bubblewrap" else executor(name).ability())
    if not ability.works:
        raise Invalid(f"executor {name}", f"it does not work here: {ability.detail}", ability.fix)


async def _bubblewrap(state: Path) -> Ability:
    """Its ability. That it works is remembered until the next boot: trying it takes as long as a small build."""
    memory, now = state / "bubblewrap-works", _circumstances()
    with suppress(OSError, ValueError):
        if json.loads(memory.read_text()) == now:
            return Ability("bubblewrap", True, "it worked before")
    ability = await executor("bubblewrap").ability()
    if ability.works:
        state.mkdir(parents=True, exist_ok=True)
        staged = memory.with_name(f".{memory.name}.{os.getpid()}")
        staged.write_text(json.dumps(now))
        staged.rename(memory)
    return ability


def _circumstances() -> list[object]:
    """What the ability depends on."""
    found = shutil.which("bwrap")
    when = Path(found).stat().st_mtime_ns if found else 0
    return [__version__, _BOOT.read_text().strip(), os.geteuid(), found, when]
