"""The artifacts of an execution: listed, or fetched from their bucket and unpacked."""

import json
import os
import re
from pathlib import Path
from typing import Any

import click

from codeyard.artifacts.zips import extract_zip
from codeyard.cli import pipeline_questions as questions
from codeyard.cli.endpoint import client
from codeyard.cli.summary import printable
from codeyard.errors import Conflict, Invalid, NotFound

_EXECUTION = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]{0,27})?")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}")  # ArtifactName
Artifact = dict[str, str]


def means_execution(text: str | None) -> bool:
    """Whether an argument is an execution's id, or the first eight or more characters of one."""
    return text is not None and _EXECUTION.fullmatch(text) is not None


def artifacts_of(codepipeline: Any, pipeline: str, execution: str) -> list[Artifact]:
    """The artifacts that an execution made, in the order of its actions: name, stage, action, bucket and key."""
    id = questions.find_execution(codepipeline, pipeline, execution)["pipelineExecutionId"]
    done = sorted(questions.actions_of(codepipeline, pipeline, id), key=lambda each: each["startTime"])
    return [
        {
            "name": made["name"],
            "stage": each["stageName"],
            "action": each["actionName"],
            "bucket": made["s3location"]["bucket"],
            "key": made["s3location"]["key"],
        }
        for each in done
        if each["status"] == "Succeeded"
        for made in (each.get("output") or {}).get("outputArtifacts", ())
    ]


def show(pipeline: str, execution: str, name: str | None, to: Path | None, as_json: bool) -> None:
    """List them, or that of one name; with `to` fetch each into a directory of its name there. NotFound, Conflict."""
    found = [each for each in artifacts_of(client("codepipeline"), pipeline, execution) if name in (None, each["name"])]
    if not found:
        what = f"artifacts of execution {execution}" if name is None else f"artifact {name!r} of execution {execution}"
        why = "none of its actions made one." if name is None else "none of its actions made it."
        raise NotFound(what, why, f"See: codeyard pipeline status {pipeline} {execution}")
    widest = max(len(each["name"]) for each in found)
    furthest = max(len(f"{each['stage']}/{each['action']}") for each in found)
    s3 = client("s3") if to is not None else None
    for each in found:
        target = _fetched(s3, each, to) if to is not None else None
        if as_json:
            click.echo(json.dumps(each | ({"directory": str(target)} if target else {})))
        else:
            place = str(target) if target else f"s3://{each['bucket']}/{printable(each['key'])}"
            maker = f"{each['stage']}/{each['action']}"
            click.echo(f"{each['name']:<{widest}}  {maker:<{furthest}}  {place}")


def _fetched(s3: Any, artifact: Artifact, to: Path) -> Path:
    """Where it is now. What its zip holds came from a build: it is checked as it is unpacked."""
    name = artifact["name"]
    if _NAME.fullmatch(name) is None:
        raise Invalid(f"artifact {name!r}", "its name leads elsewhere.", "Fetch it by hand, under another name.")
    target = to / name
    if os.path.lexists(target):
        raise Conflict(f"directory {target}", "something is there already.", "Choose another with --to.")
    to.mkdir(parents=True, exist_ok=True)
    staged = to / f".{name}.{os.getpid()}.part"
    body = s3.get_object(Bucket=artifact["bucket"], Key=artifact["key"])["Body"]
    try:
        with staged.open("xb") as file:
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
        extract_zip(staged, target)
    finally:
        staged.unlink(missing_ok=True)
    return target
