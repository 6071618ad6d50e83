"""`codeyard doctor`: what this machine can do, tried and not guessed, and how to get what is missing."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from codeyard.app import choose
from codeyard.artifacts.copying import clone
from codeyard.cli.paths import state_directory


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. `needed` tells whether builds can run without it."""

    name: str
    works: bool
    detail: str
    fix: str = ""
    needed: bool = False


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One finding per line.")
def doctor(as_json: bool) -> int:
    """Say what this machine can do, and how to get what is missing.

    Exit code 0 if builds can run here in a sandbox, 1 if only without one, or not at all.
    """
    executors = asyncio.run(_executors())
    findings = [*executors, *_programs(), *_state(), _python()]
    chosen = next((found.name for found in executors if found.works and found.name != "docker"), "process")
    if as_json:
        for found in findings:
            click.echo(json.dumps(asdict(found)))
    else:
        _show(findings, chosen)
    broken = any(found.needed and not found.works for found in findings)
    return 0 if not broken and any(found.works for found in executors if found.name != "process") else 1


async def _executors() -> list[Finding]:
    found = []
    for name in choose.NAMES:
        ability = await choose.executor(name).ability()
        found.append(Finding(name, ability.works, ability.detail, ability.fix))
    return found


def _programs() -> list[Finding]:
    git = _version(["git", "--version"])
    return [
        Finding(
            "git",
            git is not None,
            git or "it is not installed: git sources cannot be fetched, and directories lose their history",
            "" if git else "apt-get install git",
        )
    ]


def _state() -> list[Finding]:
    """The file system where runs, caches and artifacts are kept."""
    state = state_directory()
    try:
        state.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(state).free
        clones = _clones(state)
    except OSError as error:
        fix = "Set CODEYARD_HOME to a directory of yours."
        return [Finding("state", False, f"{state}: {error.strerror}", fix, needed=True)]
    enough = free > 2 * 10**9
    return [
        Finding("state", enough, f"{state}: {free / 1e9:.1f} GB free", "" if enough else "Free some room there."),
        Finding(
            "clones",
            clones,
            "files are placed as clones, at once" if clones else "its file system cannot clone files: they are copied",
            "" if clones else "Put CODEYARD_HOME on XFS or Btrfs, if large trees are slow.",
        ),
    ]


def _clones(directory: Path) -> bool:
    with tempfile.TemporaryFile(dir=directory) as source, tempfile.TemporaryFile(dir=directory) as target:
        source.write(b"x" * 4096)
        source.flush()
        return clone(source.fileno(), target.fileno()) == 0


def _python() -> Finding:
    who = "root" if os.geteuid() == 0 else "not root"
    return Finding("python", True, f"{sys.version.split()[0]}, {os.cpu_count()} CPUs, {who}")


def _version(command: list[str]) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _show(findings: list[Finding], chosen: str) -> None:
    for found in findings:
        mark = click.style("✔", fg="green") if found.works else click.style("✘", fg="red" if found.needed else "yellow")
        click.echo(f"{mark} {click.style(f'{found.name:<12}', bold=True)}{found.detail}")
        if found.fix:
            click.echo(f"  {'':<12}{click.style('fix: ', fg='cyan')}{found.fix}")
    click.echo()
    if any(found.needed and not found.works for found in findings):
        click.echo(f"{click.style('No build can run here', fg='red', bold=True)} until what is needed is mended.")
        return
    click.echo(f"A build without --image runs with {click.style(chosen, bold=True)}; one with --image with docker.")
