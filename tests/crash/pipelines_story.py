"""The pipelines that a campaign starts, of whose executions an outsider can tell afterwards what ran, and how often.

Each execution bears a mark, which its build writes into the tree that it makes: a release says by itself whose it is,
by a list of checksums whether it is whole, and its scripts add a line to a file of the target each time they run.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash import story

BUCKET, ARTIFACTS, REPOSITORY = "sources", "artifacts", "app"
MODES = {"super": "SUPERSEDED", "queue": "QUEUED", "parallel": "PARALLEL"}  # by the pipeline's name
STAGES = ("Source", "Build", "Check", "Release", "After")
TARGETS = ("left", "right")
EVENTS = ("BeforeSwitch", "AfterSwitch", "HealthCheck")
COUNTER = {"category": "Test", "owner": "Custom", "provider": "Counter", "version": "1"}
PROJECTS = ("make", "look")
# Seconds: a health check that fails is asked again until then, one that is slow is waited for.
_HEALTH_SECONDS = 4

_MAKE = r"""
set -e
mkdir -p site/deploy site/data
cp before.sh after.sh healthy.sh site/deploy/
i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo "always $i" > site/data/same-$i; done
i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo "$MARK $i" > site/data/other-$i; done
if [ "$BAD" = yes ]; then echo bad > site/bad; fi
echo "$MARK" > site/version
chmod 755 site/deploy/*.sh
(cd site && find . -type f | LC_ALL=C sort | xargs sha256sum) > checksum
mv checksum site/checksum
"""
_SCRIPT = r"""#!/bin/sh
read -r MARK < "$CODEYARD_RELEASE_PATH/version"
echo "$DEPLOYMENT_ID $LIFECYCLE_EVENT $MARK" >> "$CODEYARD_RELEASE_PATH/../../ran"
sleep 0.04
"""
SOURCE: Mapping[str, str] = {
    "make.sh": _MAKE,
    "before.sh": _SCRIPT,
    "after.sh": _SCRIPT,
    "healthy.sh": _SCRIPT + '[ ! -e "$CODEYARD_RELEASE_PATH/bad" ]\n',
}


@dataclass(frozen=True, slots=True)
class Order:
    """An execution that a client wants. `mark` is also the idempotency token."""

    pipeline: str
    mark: str
    nap: str = "0"  # seconds that each command of its build sleeps
    bad: bool = False  # its health check fails
    rejected: bool = False
    rounds: int = 1  # of the job that counts it

    def variables(self) -> list[dict[str, str]]:
        values = {"MARK": self.mark, "NAP": self.nap, "BAD": "yes" if self.bad else "no", "ROUNDS": str(self.rounds)}
        return [{"name": name, "value": value} for name, value in values.items()]

    @property
    def status(self) -> str:
        """How it is to end, if nothing supersedes it."""
        return "Failed" if self.bad or self.rejected else "Succeeded"


def first(pipeline: str) -> Order:
    """What CreatePipeline starts by itself, by the variables' defaults."""
    return Order(pipeline, f"first-{pipeline}")


def source_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in SOURCE.items():
            archive.writestr(name, text)
    return content.getvalue()


def buildspec(project: str) -> str:
    """`make` prints what a build of the other campaign prints, and leaves a site and what ran; `look` looks at it."""
    if project == "look":
        commands = ['echo "looked at $(grep -c . ran) lines of $MARK"', '[ "$(grep -c " $MARK " ran)" = 6 ]']
        return json.dumps({"version": 0.2, "phases": {"build": {"commands": commands}}})
    spec = json.loads(story.buildspec())
    last = spec["phases"]["post_build"]["commands"]
    last[-1] += " && sh ./make.sh"
    everything = {"base-directory": "site", "files": ["**/*"]}
    return json.dumps({**spec, "artifacts": {"secondary-artifacts": {"Site": everything, "Ran": {"files": ["ran"]}}}})


# ── the definition ──


def definition(name: str, role: str, srv: Path, receiver: str) -> dict[str, Any]:
    """The pipeline of that name. `srv` is where targets have their releases, `receiver` the URL that is told."""
    given = {variable["name"]: variable["value"] for variable in first(name).variables()}
    approve = _action("Approve", "Approval/AWS/Manual", configuration={"CustomData": "#{variables.MARK}"}, runOrder=2)
    return {
        "name": name,
        "roleArn": role,
        "pipelineType": "V2",
        "executionMode": MODES[name],
        "artifactStore": {"type": "S3", "location": ARTIFACTS},
        "variables": [{"name": variable, "defaultValue": value} for variable, value in given.items()],
        "stages": [
            {"name": "Source", "actions": [_source(name)]},
            {"name": "Build", "actions": [_build("Make", "make", "Source", "Site Ran")]},
            {
                "name": "Check",
                "actions": [
                    _count("Scan", "Ran"),
                    _build("Look", "look", "Ran"),
                    _tell("Announce", receiver, 1),
                    approve,
                ],
            },
            {"name": "Release", "actions": [_place(srv / name)]},
            {"name": "After", "actions": [_count("Count", ""), _tell("Tell", receiver, 2)]},
        ],
    }


def _action(name: str, type: str, inputs: str = "", outputs: str = "", **more: Any) -> dict[str, Any]:
    category, owner, provider = type.split("/")
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "inputArtifacts": [{"name": each} for each in inputs.split()],
        "outputArtifacts": [{"name": each} for each in outputs.split()],
        **more,
    }


def _source(name: str) -> dict[str, Any]:
    if name == "super":
        given = {"S3Bucket": BUCKET, "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"}
        return _action("Fetch", "Source/AWS/S3", "", "Source", configuration=given)
    given = {"RepositoryName": REPOSITORY, "BranchName": "main", "PollForSourceChanges": "false"}
    return _action("Fetch", "Source/AWS/CodeCommit", "", "Source", configuration=given)


def _build(name: str, project: str, inputs: str, outputs: str = "") -> dict[str, Any]:
    values = [{"name": each, "value": f"#{{variables.{each}}}"} for each in ("MARK", "NAP", "BAD")]
    given = {"ProjectName": project, "EnvironmentVariables": json.dumps(values)}
    category = "Build" if project == "make" else "Test"
    return _action(name, f"{category}/AWS/CodeBuild", inputs, outputs, configuration=given)


def _count(name: str, inputs: str) -> dict[str, Any]:
    given = {"Mark": "#{variables.MARK}", "Rounds": "#{variables.ROUNDS}"}
    return _action(name, "Test/Custom/Counter", inputs, configuration=given)


def _tell(name: str, receiver: str, order: int) -> dict[str, Any]:
    given = {"Url": f"{receiver}/{name}/#{{variables.MARK}}", "Method": "POST"}
    return _action(name, "Invoke/Custom/Codeyard-HTTP", configuration=given, runOrder=order)


def _place(path: Path) -> dict[str, Any]:
    given = {
        "Targets": "role=web",
        "Path": str(path),
        "Keep": "3",
        "BeforeSwitch": "deploy/before.sh",
        "AfterSwitch": "deploy/after.sh",
        "HealthCheck": "deploy/healthy.sh",
        "HealthCheckSeconds": str(_HEALTH_SECONDS),
    }
    return _action("Place", "Deploy/Custom/Codeyard-Release", "Site", configuration=given)


# ── what a release says of itself ──


def mistakes_of_release(read: Callable[[str], bytes], paths: set[str] | None = None) -> tuple[str, list[str]]:
    """Whose the release is, and what is wrong with it. `read` gives a file of it; `paths` are all that it has."""
    mark = read("version").decode().strip()
    listed = [line.split("  ", 1) for line in read("checksum").decode().splitlines()]
    names = {path.removeprefix("./"): digest for digest, path in listed}
    wrong = [f"{path} is not what it was" for path, digest in names.items() if _sha256(read(path)) != digest]
    if read("data/other-3").decode() != f"{mark} 3\n" or len(names) not in (28, 29):
        wrong.append(f"{mark}'s files are {sorted(names)}")
    if paths is not None and paths != {*names, "checksum"}:
        wrong.append(f"it has {sorted(paths ^ {*names, 'checksum'})} too many, or lacks them")
    return mark, wrong


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
