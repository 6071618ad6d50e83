"""What a host has done of a deployment, written down as it goes, so that one killed at any moment knows where it was.

One small file for each deployment, replaced as a whole. It is on the disk, and not only in the kernel's memory,
before anything is begun that may not be done twice.
"""

import json
import os
import shutil
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from codeyard.artifacts.failures import explained
from codeyard.deploys import Assignment, EventReport, assignment_from_json, report_from_json, report_to_json, to_json
from codeyard.errors import CodeyardError, Conflict, Fault

_KEPT = 200  # deployments whose journals and logs stay on the host


class Journal:
    """One deployment's. Made by `open`."""

    def __init__(self, directory: Path, assignment: Assignment, found: dict[str, Any]) -> None:
        self.directory, self.assignment = directory, assignment
        self.done = {report.name: report for report in map(report_from_json, found.get("done", []))}
        running = found.get("running")
        self.running: EventReport | None = report_from_json(running) if running else None
        self.ended: bool | None = found.get("ended")  # how it ended, once it has
        self._notes: dict[str, str] = found.get("notes", {})

    @classmethod
    def open(cls, folder: Path, assignment: Assignment) -> "Journal":
        """The deployment's journal, new if need be. Conflict if another assignment goes by its id; Fault if it
        cannot be read or written."""
        found = cls.find(folder, assignment.deployment)
        if found is None:
            directory = folder / assignment.deployment
            with explained(f"making {directory}"):
                directory.mkdir(parents=True, exist_ok=True)
                _forget_old(folder)
            return cls(directory, assignment, {})
        if found.assignment != assignment:
            what = f"deployment {assignment.deployment}"
            raise Conflict(what, "this host knows another one by that id.", "Deploy again, under a new id.")
        return found

    @classmethod
    def find(cls, folder: Path, deployment: str) -> "Journal | None":
        """The journal of a deployment that this host has begun."""
        directory = folder / deployment
        try:
            found = json.loads((directory / "journal.json").read_bytes())
            return cls(directory, assignment_from_json(found["assignment"]), found)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, CodeyardError) as error:
            what = f"journal of deployment {deployment}"
            raise Fault(what, f"it cannot be read: {error}.", f"Look at {directory}, then deploy again.") from error

    @property
    def kept(self) -> MutableMapping[str, str]:
        return self._notes

    def keep(self, name: str, value: str) -> None:
        self._notes[name] = value
        self._save(flush=True)

    def begin(self, report: EventReport, *, once: bool) -> None:
        """The event runs from now on; `once`: it may not be run twice."""
        self.running = report
        self._save(flush=once)

    def finish(self, report: EventReport) -> None:
        self.done[report.name] = report
        self.running = None
        self._save(flush=False)

    def end(self, good: bool) -> None:
        self.ended = good
        self._save(flush=True)

    # ── the script that runs ──

    def script_started(self, process: int) -> None:
        with suppress(OSError):
            (self.directory / "script").write_text(f"{process} {_start_time(process)}")

    def script_left(self) -> int | None:
        """The process group of a script that a killed host has left running."""
        with suppress(OSError, ValueError):
            process, started = (self.directory / "script").read_text().split()
            if started == _start_time(int(process)):
                return int(process)
        return None

    def _save(self, *, flush: bool) -> None:
        content = json.dumps(
            {
                "assignment": to_json(self.assignment),
                "done": [report_to_json(report) for report in self.done.values()],
                "running": report_to_json(self.running) if self.running else None,
                "ended": self.ended,
                "notes": self._notes,
            }
        )
        draft = self.directory / ".journal"
        with explained(f"writing the journal in {self.directory}"):
            with draft.open("w") as file:
                file.write(content)
                if flush:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(self.directory / "journal.json")
            if flush:
                place = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(place)
                finally:
                    os.close(place)


def _start_time(process: int) -> str:
    """When it started, in the kernel's ticks: tells it from a later one of the same number. OSError if it is gone."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]


def _forget_old(folder: Path) -> None:
    old = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)[:-_KEPT]
    for directory in old:
        with suppress(CodeyardError):
            found = Journal.find(folder, directory.name)
            if found is None or found.ended is not None:
                shutil.rmtree(directory, ignore_errors=True)
