"""Which executor a build gets: the strongest that works here and can do what is asked."""

from codeyard.errors import Invalid
from codeyard.executors import Ability, Executor

NAMES = ("docker", "bubblewrap", "process")


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


async def choose(wanted: str, image: str | None, *, privileged: bool) -> tuple[str, str]:
    """The executor to use and why. Invalid if none can do it."""
    if wanted != "auto":
        return wanted, "you asked for it"
    if image is not None or privileged:
        ability = await executor("docker").ability()
        if not ability.works:
            what = f"image {image}" if image is not None else "privileged mode"
            raise Invalid(what, f"only docker can give that, and it does not work here: {ability.detail}", ability.fix)
        return "docker", "an image is wanted" if image is not None else "privileged mode is wanted"
    ability = await executor("bubblewrap").ability()
    if ability.works:
        return "bubblewrap", "the strongest that needs no image; --image IMAGE chooses docker"
    return "process", _warning(ability)


def _warning(bubblewrap: Ability) -> str:
    return f"NO ISOLATION, nothing stronger works here without an image (bubblewrap: {bubblewrap.detail})"
