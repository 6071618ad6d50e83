"""What a host asks of one kind of deployment: its lifecycle events, one by one, and what undoes them."""

import asyncio
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from codeyard.artifacts import BlobStore
from codeyard.artifacts.stamps import Stamps
from codeyard.deploys.hooks import Ran, ScriptLog
from codeyard.deploys.manifests import Manifests

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Ground:
    """What the deployments of one host share."""

    state: Path  # a directory that is ours alone
    blobs: BlobStore
    manifests: Manifests  # of the trees in them
    memory: Stamps  # of all files placed on this host
    flush: bool  # whether a release is on the disk, and not only in the kernel's memory, before it is switched to
    share_store: bool  # whether a release's files may be the store's own


class Notes(Protocol):
    """What a deployment must know again after its host was killed: saved, on the disk, when `keep` returns."""

    @property
    def kept(self) -> MutableMapping[str, str]: ...

    def keep(self, name: str, value: str) -> None: ...


class Work(Protocol):
    """One deployment on this host. Its methods are called by one task, and only while `lock` is held."""

    events: tuple[str, ...]
    lock: Path  # of whatever no two deployments may work on at once
    log: Path  # of what its scripts say
    common_log: Path | None  # of what the scripts of all deployments say

    def prepare(self) -> None:
        """Check the options, and make the directory of `lock`. Blocks. CodeyardError if the deployment cannot be."""

    def scripted(self, event: str) -> bool:
        """Whether the event runs what may not be run twice. What does not is done again after a crash. Blocks."""

    def forgives(self, event: str) -> bool:
        """Whether the deployment goes on although this event failed."""

    async def perform(self, event: str, log: ScriptLog, started: Callable[[int], None]) -> Ran:
        """Do it. CodeyardError means failed, too."""

    async def undo(self) -> str:
        """Go back to what was before, if this deployment came so far and can; a sentence that says so, or "". Done
        twice, it is as done once."""

    async def finish(self) -> None:
        """All events have succeeded: remove what is needed no more."""


async def blocking(call: Callable[_Given, _Result], *given: _Given.args, **named: _Given.kwargs) -> _Result:
    """The call, in a thread; and if we are cancelled, only when it has ended: nobody else may work there meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(call, *given, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
