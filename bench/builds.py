"""What a build costs around its commands: start, output, the whole process; each against a peer in the same run.

    python -m bench.builds [--runs N] [--lines N] [--image IMAGE]

The peers: a plain shell, and the container engine's own command line. `--image` names one that the engine has; without
it docker is left out.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from codeyard.app.choose import NAMES, executor
from codeyard.executors import Command, SandboxSpec

_MILLION = 'i=0; while [ $i -lt {lines} ]; do echo "line $i of a build that prints much"; i=$((i+1)); done'
_TRIVIAL = 'version: 0.2\nphases: {build: {commands: ["true"]}}\n'


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--image")
    options = parser.parse_args()
    names = [name for name in NAMES if _works(name) and (name != "docker" or options.image)]
    print(f"{os.cpu_count()} cores, median of {options.runs}; executors: {', '.join(names)}")
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-") as place:
        os.environ["CODEYARD_HOME"] = f"{place}/state"
        peers = _peers(options.runs, options.image)
        _start(Path(place), names, options.runs, options.image, peers)
        _whole(Path(place), names, options.runs, options.image, peers)
        _output(Path(place), names, options.lines, options.image)


def _works(name: str) -> bool:
    return asyncio.run(executor(name).ability()).works


def _peers(runs: int, image: str | None) -> dict[str, float]:
    peers = {"sh -c true": _median(runs, lambda: _quiet(["sh", "-c", "true"]))}
    if image is not None:
        peers["docker run --rm"] = _median(
            runs, lambda: _quiet(["docker", "run", "--rm", image, "/bin/sh", "-c", "true"])
        )
    if shutil.which("bwrap"):
        bare = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
        peers["bwrap --unshare-all"] = _median(runs, lambda: _quiet(bare))
    for name, seconds in peers.items():
        print(f"  peer  {name:<42}{seconds * 1000:>9.1f} ms")
    return peers


def _start(place: Path, names: list[str], runs: int, image: str | None, peers: dict[str, float]) -> None:
    """From asking for a sandbox until its first command has ended; closing it is not counted."""
    for name in names:
        seconds = asyncio.run(_starts(place, name, runs, image))
        print(f"  ours  {f'start to first command, {name}':<42}{seconds * 1000:>9.1f} ms   {_against(seconds, peers)}")


async def _starts(place: Path, name: str, runs: int, image: str | None) -> float:
    made = executor(name)
    taken = []
    for _ in range(runs):
        id = f"bench-{uuid.uuid4().hex[:12]}"
        spec = SandboxSpec(id=id, home=place / id, image=image if name == "docker" else None)
        spec.home.mkdir(mode=0o700)
        began = time.perf_counter()
        spec.prepare()
        sandbox = await made.open(spec)
        await sandbox.run(Command("one", "true"))
        taken.append(time.perf_counter() - began)
        await sandbox.close()
    return statistics.median(taken)


def _whole(place: Path, names: list[str], runs: int, image: str | None, peers: dict[str, float]) -> None:
    """`codeyard run` of one `true`, interpreter and all."""
    source = place / "trivial"
    source.mkdir()
    (source / "buildspec.yml").write_text(_TRIVIAL)
    for name in names:
        command = _run(source, name, image)
        seconds = _median(runs, partial(_quiet, command))
        print(f"  ours  {f'codeyard run, trivial, {name}':<42}{seconds * 1000:>9.1f} ms   {_against(seconds, peers)}")


def _output(place: Path, names: list[str], lines: int, image: str | None) -> None:
    """A build that prints a million lines, against the same script into a file."""
    source = place / "output"
    source.mkdir()
    (source / "print.sh").write_text(_MILLION.format(lines=lines))
    (source / "buildspec.yml").write_text("version: 0.2\nphases: {build: {commands: [sh print.sh]}}\n")
    plain = _median(3, partial(_into, ["sh", str(source / "print.sh")], place / "plain"))
    print(f"  peer  {f'{lines:,} lines into a file':<42}{plain * 1000:>9.1f} ms")
    peers = dict.fromkeys(names, plain)
    if "docker" in names:  # its image has a shell of its own
        mounted = ["docker", "run", "--rm", "-v", f"{source}:/source:ro", str(image), "sh", "/source/print.sh"]
        peers["docker"] = _median(3, partial(_into, mounted, place / "plain"))
        print(f"  peer  {f'{lines:,} lines, docker run into a file':<42}{peers['docker'] * 1000:>9.1f} ms")
    for name in names:
        seconds = _median(3, partial(_into, _run(source, name, image), place / "log"))
        times = f"{seconds / peers[name]:.2f} × its peer"
        print(f"  ours  {f'{lines:,} lines, {name}':<42}{seconds * 1000:>9.1f} ms   {times}")


def _run(source: Path, name: str, image: str | None) -> list[str]:
    command = [sys.executable, "-m", "codeyard.cli.main", "run", str(source), "--executor", name, "--project", "bench"]
    return [*command, "--image", str(image)] if name == "docker" else command


def _against(seconds: float, peers: dict[str, float]) -> str:
    return ", ".join(f"{seconds / peer:.2f} × {name}" for name, peer in peers.items() if not name.startswith("sh "))


def _median(runs: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _quiet(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def _into(command: list[str], path: Path) -> None:
    with path.open("wb") as out:
        subprocess.run(command, check=True, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
