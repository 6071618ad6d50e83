"""`codeyard runs` and `codeyard clean`: the builds that `codeyard run` made, and what is left of them."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from codeyard.artifacts import Digest
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.transfer import load_manifest
from codeyard.cli.paths import state_directory
from codeyard.cli.summary import counted, seconds, size
from codeyard.errors import CodeyardError

RUNNING, INTERRUPTED = "RUNNING", "INTERRUPTED"
_DAY = 86_400
_LOCKS = Path("/proc/locks")


@dataclass(frozen=True, slots=True)
class Run:
    """One build. `status` is its own, RUNNING while a process is at it, or INTERRUPTED if that died."""

    id: str
    status: str
    submitted: str
    executor: str
    seconds: float | None
    directory: str
    trees: tuple[str, ...]  # digests of its artifacts


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One build per line.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
def runs(as_json: bool, limit: int) -> None:
    """List the builds that ran here, the newest first.

    INTERRUPTED is one whose process died: `codeyard run --resume ID` goes on with it.
    """
    found = sorted(_runs(state_directory()), key=lambda run: run.submitted, reverse=True)[:limit]
    if as_json:
        for run in found:
            click.echo(json.dumps(asdict(run)))
        return
    if not found:
        click.echo("No builds yet: codeyard run DIR")
    for run in found:
        took = "" if run.seconds is None else seconds(run.seconds)
        when = run.submitted[:19].replace("T", " ")
        click.echo(f"{when}  {_coloured(run.status)} {took:>9}  {run.executor:<10}  {run.id}")


@click.command()
@click.option(
    "--older-than", default=30.0, show_default=True, metavar="DAYS", type=click.FloatRange(0), help="Which builds go."
)
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def clean(older_than: float, dry_run: bool) -> None:
    """Remove old builds, and what is stored of their artifacts and of no other build's.

    A build that runs or was interrupted stays, and so do artifacts that --artifacts put elsewhere.
    """
    state = state_directory()
    runs = list(_runs(state))
    latest = time.time() - older_than * _DAY
    old = [run for run in runs if run.status not in {RUNNING, INTERRUPTED} and _ended(run) < latest]
    kept = [run for run in runs if run not in old]
    bytes_ = sum(_size(Path(run.directory)) for run in old)
    for run in [] if dry_run else old:
        remove_tree(Path(run.directory))
    blobs = DiskStore(state / "artifacts")
    named = _named(kept, blobs)
    swept = blobs.sweep(named.__contains__, older_than=_safe_age(kept), dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    click.echo(
        f"{verb} {counted(len(old), 'build')} ({size(bytes_)}) and {swept.blobs:,} stored files ({size(swept.size)})."
    )


def _runs(state: Path) -> Iterator[Run]:
    for home in (state / "runs").glob("*"):
        try:
            request = json.loads((home / "request.json").read_text())
        except (OSError, ValueError):
            continue  # it was being written, or removed
        result = _result(home)
        facts = result.get("facts", {})
        yield Run(
            id=request["id"],
            status=result.get("status") or (RUNNING if _held(home) else INTERRUPTED),
            submitted=request["submitted"],
            executor=request["executor"],
            seconds=result.get("seconds"),
            directory=str(home),
            trees=tuple(made["digest"].removeprefix("sha256:") for made in facts.get("artifacts", ())),
        )


def _result(home: Path) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads((home / "result.json").read_text())
    except (OSError, ValueError):
        return {}
    return result


def _held(home: Path) -> bool:
    """Whether a process is at it. Only looked up: to try the lock could make another process fail to get it."""
    try:
        wanted = f":{(home / 'lock').stat().st_ino}"
    except OSError:
        return False
    return any(line.split()[5].endswith(wanted) for line in _LOCKS.read_text().splitlines() if " FLOCK " in line)


def _ended(run: Run) -> float:
    return (Path(run.directory) / "result.json").stat().st_mtime


def _safe_age(runs: list[Run]) -> float:
    """Seconds: what a build that is not over has stored is in no result yet, so nothing younger than it may go."""
    began = (datetime.fromisoformat(run.submitted).timestamp() for run in runs if run.status in {RUNNING, INTERRUPTED})
    return max(60.0, time.time() - min(began, default=time.time()) + 60)


def _size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def _named(runs: list[Run], blobs: DiskStore) -> set[str]:
    """Every blob that an artifact of these builds is made of, manifests included."""
    named: set[str] = set()
    for tree in {tree for run in runs for tree in run.trees}:
        named.add(tree)
        try:
            manifest = load_manifest(Digest.parse(tree), blobs)
        except CodeyardError:
            continue  # an earlier clean-up was interrupted: nothing of it is left to keep
        named.update(entry.digest for entry in manifest.entries if entry.digest is not None)
    return named


def _coloured(status: str) -> str:
    colours = {"SUCCEEDED": "green", "FAILED": "red", "FAULT": "red", RUNNING: "cyan", INTERRUPTED: "yellow"}
    return click.style(f"{status:<11}", fg=colours.get(status, "yellow"))
