"""A tree that a build made, through four deploy stages of a real pipeline, against zip, copy and unzip on one disk.

    python -m bench.pipelines_handoff [--files 12000] [--megabytes 600] [--agents one|four|own] [--directory DIR]

A server, its worker and the agents are processes; the pipeline is a source, a CodeBuild action whose output is the
tree, and four stages with a Codeyard-Release action each, to a directory of its own: by one agent, by four that share
nothing, or by the server's own agent (the setting `agent`). Counted is from the build action's end to the last stage's
switch. The peer does for every stage what AWS's actions and agents do: zip (zlib's usual level), copy to the bucket,
copy from it, unzip; the bucket is a directory on the same disk, and nothing is flushed, which both flatter it.
"""

import argparse
import io
import os
import random
import shutil
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.pipelines_served import (
    action,
    agents,
    create_project,
    definition,
    ended,
    prepare,
    put_source,
    until,
)
from bench.report import heading, line, middle, ms
from bench.serving import Server, serving

STAGES = 4
_VARIANTS = ("one", "four", "own")
_SAID = {"one": "one agent", "four": "four agents that share nothing", "own": "the server's own agent"}
_NAME = "site"


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12_000)
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--agents", choices=_VARIANTS, action="append", help="may be given several times")
    parser.add_argument("--runs", type=int, default=3, help="of what is changed and rolled back")
    parser.add_argument("--directory", type=Path, default=None, help="where to work; the temporary directory if absent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codeyard-bench-", dir=options.directory) as made:
        place = Path(made)
        source = make_site(place / "site", options.files, options.megabytes << 20)
        size = sum(path.stat().st_size for path in source)
        heading(f"{len(source):,} files, {size / 1e6:,.0f} MB, through {STAGES} stages; {os.cpu_count()} cores")
        peer = _peer(place, place / "site")
        for variant in options.agents or _VARIANTS:
            os.sync()
            _variant(place / variant, variant, source, peer, options.runs)
            shutil.rmtree(place / variant)


def make_site(root: Path, files: int, size: int) -> list[Path]:
    """Files of very different sizes, in directories of forty; half of their bytes pack well, half not at all."""
    maker = random.Random(7)
    text = " ".join(maker.choice(["import", "return", "value", "yard", "build", "0", "=", "\n"]) for _ in range(20_000))
    shares = [maker.lognormvariate(0, 1.4) for _ in range(files)]
    found = []
    for number, share in enumerate(shares):
        path = root / f"part{number // 800}" / f"module{number // 40}" / f"file{number}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        length = int(size * share / sum(shares)) + 1
        half = length // 2
        start = maker.randrange(len(text))
        packs = (text[start:] + text * (half // len(text) + 1))[:half].encode()
        path.write_bytes(maker.randbytes(length - half) + packs)
        found.append(path)
    return found


def change(paths: Sequence[Path]) -> None:
    """One file in a hundred gets other bytes, as many as before."""
    for path in paths[::100]:
        path.write_bytes(os.urandom(path.stat().st_size))


# ── the peer ──


@dataclass(frozen=True, slots=True)
class Peer:
    seconds: float  # for all stages, a bundle for each
    once: float  # the same, packed once
    moved: int  # bytes to the bucket and from it


def _peer(place: Path, source: Path) -> Peer:
    bundle, bucket, fetched, unpacked = (place / name for name in ("a.zip", "bucket", "b.zip", "unpacked"))
    steps: dict[str, list[float]] = {"zip": [], "copy to the bucket": [], "copy from the bucket": [], "unzip": []}
    moved = 0
    for _ in range(STAGES):
        works: list[tuple[str, Callable[[], object]]] = [
            ("zip", lambda: _call("zip", "-q", "-r", str(bundle), ".", cwd=source)),
            ("copy to the bucket", lambda: _call("cp", str(bundle), str(bucket))),
            ("copy from the bucket", lambda: _call("cp", str(bucket), str(fetched))),
            ("unzip", lambda: _call("unzip", "-q", str(fetched), "-d", str(unpacked))),
        ]
        for name, work in works:
            began = time.perf_counter()
            work()
            steps[name].append(time.perf_counter() - began)
        moved += 2 * bundle.stat().st_size
        shutil.rmtree(unpacked)
        for path in (bundle, bucket, fetched):
            path.unlink()
    for name, taken in steps.items():
        line(f"peer: {name}, median of {STAGES}", f"{middle(taken):.2f} s")
    seconds = sum(map(sum, steps.values()))
    once = seconds - (STAGES - 1) * (middle(steps["zip"]) + middle(steps["copy to the bucket"]))
    line(f"peer: {STAGES} stages", f"{seconds:.1f} s", f"{moved / 1e6:,.0f} MB moved; {once:.1f} s if packed once")
    return Peer(seconds, once, moved)


def _call(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True)


# ── ours ──


def _variant(place: Path, variant: str, source: list[Path], peer: Peer, runs: int) -> None:
    heading(f"Codeyard-Release, {_SAID[variant]}")
    names = [f"machine{number}" for number in range(1, STAGES + 1)] if variant == "four" else ["machine1"]
    settings = {"CODEYARD_AGENT": "role=machine1"} if variant == "own" else {}
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(place / "data", "--executor", "process", "--unsafe-process", settings=settings)
        )
        if variant == "own":
            boto = server.boto("codedeploy")
            until("the agent enrols", lambda: boto.list_on_premises_instances()["instanceNames"])
        else:
            stack.enter_context(agents(server, place, names))
        site = Site(server, place, source[0].parents[2], [names[number % len(names)] for number in range(STAGES)])
        cold = site.run()
        _told("cold", [cold], peer, 20, 50)
        changed = []
        for _ in range(runs):
            change(source)
            changed.append(site.run())
        _told("1 % changed", changed, peer, 100, 200)
        back = [site.roll_back(cold.execution), *(site.roll_back(each.execution) for each in changed[:runs])]
        worst = f"at the most {ms(max(back))}"
        line("RollbackStage answered → current", ms(middle(back)), worst, "≤ 1 s", max(back) <= 1)


@dataclass(frozen=True, slots=True)
class Ran:
    """An execution, in seconds and bytes."""

    execution: str
    stored: float  # the build's end of commands to the build action's end: its output is hashed and stored
    handed: float
    stages: list[float]
    switches: list[float]
    moved: int  # bytes of files that were on no target before


class Site:
    """The pipeline."""

    def __init__(self, server: Server, place: Path, source: Path, machines: list[str]) -> None:
        self._server = server
        self._client = server.boto("codepipeline")
        self._live = [place / "live" / str(number) for number in range(1, STAGES + 1)]
        prepare(server)
        spec = (
            f"version: 0.2\nphases: {{build: {{commands: ['cp -a {source} out']}}}}\n"
            "artifacts: {base-directory: out, files: ['**/*']}\n"
        )
        create_project(server, _NAME, spec)
        empty = io.BytesIO()
        with zipfile.ZipFile(empty, "w") as archive:
            archive.writestr("README", "The tree is made by the build.")
        build = action(
            "Make", ("Build", "AWS", "CodeBuild"), {"ProjectName": _NAME}, inputs=["Source"], outputs=["Tree"]
        )
        stages = {"Source": [put_source(server, empty.getvalue())], "Build": [build]}
        for number, (path, machine) in enumerate(zip(self._live, machines, strict=True), 1):
            settings = {"Targets": f"role={machine}", "Path": str(path)}
            stages[f"Deploy{number}"] = [
                action("Release", ("Deploy", "Custom", "Codeyard-Release"), settings, inputs=["Tree"])
            ]
        self._client.create_pipeline(pipeline=definition(_NAME, stages))
        first = until("it has begun", lambda: self._client.list_pipeline_executions(pipelineName=_NAME)
                      ["pipelineExecutionSummaries"])[0]["pipelineExecutionId"]  # fmt: skip
        self._first: str | None = first

    def run(self) -> Ran:
        """An execution, to its end."""
        id = self._first or self._client.start_pipeline_execution(name=_NAME)["pipelineExecutionId"]
        self._first = None
        ended(self._client, _NAME, id)
        found = self._client.list_action_executions(pipelineName=_NAME, filter={"pipelineExecutionId": id})
        by_stage = {each["stageName"]: each for each in found["actionExecutionDetails"]}
        build = by_stage["Build"]
        began = build["lastUpdateTime"]
        switches, stages, moved, last = [], [], 0, began
        for number in range(1, STAGES + 1):
            events = self._events(by_stage[f"Deploy{number}"]["actionExecutionId"])
            switch = events["Switch"]
            switches.append((switch["endTime"] - switch["startTime"]).total_seconds())
            stages.append((switch["endTime"] - last).total_seconds())
            last = switch["endTime"]
            message = events["Place"].get("context", {}).get("message", "")
            moved += int(message.rpartition("(")[2].partition(" ")[0] or 0) if "fetched (" in message else 0
        build_id = build["output"]["executionResult"]["externalExecutionId"]
        phases = self._server.boto("codebuild").batch_get_builds(ids=[build_id])["builds"][0]["phases"]
        stored = next(each for each in phases if each["phaseType"] == "UPLOAD_ARTIFACTS")["startTime"]
        return Ran(id, _between(stored, began), _between(began, last), stages, switches, moved)

    def _events(self, action: str) -> dict[str, Any]:
        found = self._client.list_deploy_action_execution_targets(pipelineName=_NAME, actionExecutionId=action)
        return {event["name"]: event for event in found["targets"][0]["events"]}

    def roll_back(self, execution: str) -> float:
        """Seconds from RollbackStage's answer until `current` of the last stage is that execution's release."""
        current = self._live[-1] / "current"
        before = current.readlink()
        rolled = self._client.rollback_stage(
            pipelineName=_NAME, stageName=f"Deploy{STAGES}", targetPipelineExecutionId=execution
        )["pipelineExecutionId"]
        answered = time.perf_counter()
        until(f"{current} goes back", lambda: _now(current) != before or None, pause=0.001)
        took = time.perf_counter() - answered
        ended(self._client, _NAME, rolled)
        return took


def _now(current: Path) -> Path:
    return current.readlink()


def _between(began: datetime, ends: datetime) -> float:
    return (ends - began).total_seconds()


def _told(what: str, runs: list[Ran], peer: Peer, bar: int, aim: int) -> None:
    seconds = middle([run.handed for run in runs])
    ratio = peer.seconds / seconds
    line(f"{what}: build's end → the last switch", f"{seconds:.2f} s", f"1/{ratio:.0f} of {peer.seconds:.1f} s",
         f"≥ 1/{bar}, aim 1/{aim}", ratio >= bar)  # fmt: skip
    each = " ".join(f"{middle([run.stages[number] for run in runs]):.2f}" for number in range(STAGES))
    line("  each stage", f"{each} s")
    line("  bytes placed anew", f"{middle([run.moved for run in runs]) / 1e6:,.1f} MB",
         f"of the peer's {peer.moved / 1e6:,.0f} MB")  # fmt: skip
    line("  switch, with its notes on the disk", ms(middle([each for run in runs for each in run.switches])))
    stored = middle([run.stored for run in runs])
    whole = peer.seconds / (seconds + stored)
    line("  storing what the build made, apart", f"{stored:.2f} s", f"1/{whole:.0f} with it")


if __name__ == "__main__":
    main()
