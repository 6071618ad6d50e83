"""One machine that is deployed to, for tests: its store of revisions, its host, and what the host told."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from codeyard.artifacts import Digest
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.transfer import everything, save_manifest, store_tree
from codeyard.deploys import Assignment, EventReport, EventStatus, Kind, to_json
from codeyard.deploys.host import Host
from tests.artifacts.files import lay


def now() -> datetime:
    return datetime.now(UTC)


class Machine:
    """Below `root`: the server's `store`, the host's `state`, and `srv` to deploy to."""

    def __init__(self, root: Path, *, srv: Path | None = None, state: Path | None = None) -> None:
        self.root, self.srv, self.state = root, srv or root / "srv", state or root / "state"
        self.store = DiskStore(root / "store")
        self.reports: list[EventReport] = []
        self._count = 0

    def revision(self, files: Mapping[str, str | bytes]) -> Digest:
        """Put a tree of these files into the store; `!` before a path makes the file executable."""
        self._count += 1
        place = lay(
            self.root / "revisions" / str(self._count), {path.lstrip("!"): text for path, text in files.items()}
        )
        for path in files:
            if path.startswith("!"):
                (place / path[1:]).chmod(0o755)
        return save_manifest(store_tree(place, everything(place), self.store), self.store)

    def release(self, number: int, tree: Digest, **options: str) -> Assignment:
        options = {"path": str(self.srv), "health_seconds": "0", **options}
        return Assignment(f"d-{number:09d}", Kind.RELEASE, tree, "app", "prod", "g1", options=options)

    def in_place(self, number: int, tree: Digest, group: str = "g1", **options: str) -> Assignment:
        return Assignment(f"d-{number:09d}", Kind.IN_PLACE, tree, "app", "prod", group, options=options)

    def host(self) -> Host:
        return Host(self.state, self.store, now, flush=False)

    def deploy(self, assignment: Assignment, host: Host | None = None) -> bool:
        return asyncio.run(self.perform(assignment, host or self.host()))

    async def perform(self, assignment: Assignment, host: Host, stop: asyncio.Event | None = None) -> bool:
        async def report(event: EventReport) -> None:
            self.reports.append(event)

        self.reports.clear()
        return await host.perform(assignment, report, stop or asyncio.Event())

    @property
    def statuses(self) -> dict[str, str]:
        """The last status of each event."""
        return {report.name: str(report.status) for report in self.reports}

    @property
    def failed(self) -> EventReport:
        """The one event that failed."""
        (found,) = [report for report in self.reports if report.status is EventStatus.FAILED]
        return found

    @property
    def current(self) -> str:
        """What the release that is live says in its file `version`."""
        return (self.srv / "current" / "version").read_text()

    def deploy_in_child(self, assignment: Assignment, kill_at: str = "") -> int:
        """Perform it in another process, which is killed when it reports `kill_at` (`event status`); its exit code."""
        command = [sys.executable, "-m", "tests.deploys.machine", str(self.root), str(self.srv), str(self.state)]
        done = subprocess.run([*command, json.dumps(to_json(assignment)), kill_at], timeout=60)
        return done.returncode


def _child(root: str, srv: str, state: str, assignment: str, kill_at: str) -> int:
    import os
    import signal

    from codeyard.deploys import assignment_from_json

    async def report(event: EventReport) -> None:
        if f"{event.name} {event.status}" == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    machine = Machine(Path(root), srv=Path(srv), state=Path(state))
    parsed = assignment_from_json(json.loads(assignment))
    return 0 if asyncio.run(machine.host().perform(parsed, report, asyncio.Event())) else 1


if __name__ == "__main__":
    sys.exit(_child(*sys.argv[1:]))
