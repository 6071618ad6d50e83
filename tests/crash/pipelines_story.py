"""The pipelines that a campaign starts, of whose executions an outsider can tell afterwards what ran, and how often.

Each execution bears a mark, which its build writes into the tree that it makes: what is deployed says by itself whose
it is, by a list of checksums whether it is whole, and its scripts add a line to a file of the target each time they
run. A definition bears a number, its revision, which is in what its actions ask of others.
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
STAGES = ("Source", "Build", "Check", "Extra", "Release", "After")  # Extra: of every second revision
ACTIONS = {
    "Source": ("Fetch",),
    "Build": ("Make",),
    "Check": ("Scan", "Look", "Announce", "Approve"),
    "Extra": ("Hint",),
    "Release": ("Place", "Install"),
    "After": ("Count", "Tell"),
}
TOGETHER = {"Check": 3, "After": 1}  # how many of a stage's actions begin with it; of other stages all
TARGETS = ("left", "right")
EVENTS = ("BeforeSwitch", "AfterSwitch", "HealthCheck")  # of a release, all with scripts
FITTED = ("BeforeInstall", "AfterInstall", "ValidateService")  # in place; ApplicationStop is of the one before
GROUP = "web"  # the deployment group of each application
CONFIGURATIONS = {"super": "AllAtOnce", "queue": "OneAtATime", "parallel": "HalfAtATime"}
COUNTER = {"category": "Test", "owner": "Custom", "provider": "Counter", "version": "1"}
PROJECTS = ("make", "look")
# Until then a health check that fails is asked again, and one that runs may go on, as it must on a busy machine.
_HEALTH_SECONDS = 7

_MAKE = r"""
set -e
mkdir -p site/deploy site/data
cp before.sh after.sh healthy.sh site/deploy/
i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo "always $i" > site/data/same-$i; done
i=0; while [ $i -lt 12 ]; do i=$((i+1)); echo "$MARK $i" > site/data/other-$i; done
if [ "$BAD" = yes ]; then echo bad > site/bad; fi
echo "$MARK" > site/version
echo "$PLACE" > site/place
hook() { printf '  %s:\n    - location: deploy/%s.sh\n      timeout: 60\n' "$1" "$2"; }
{
  printf 'version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: %s\nhooks:\n' "$PLACE"
  hook ApplicationStop before; hook BeforeInstall before; hook AfterInstall after; hook ValidateService healthy
} > site/appspec.yml
chmod 755 site/deploy/*.sh
(cd site && find . -type f | LC_ALL=C sort | xargs sha256sum) > checksum
mv checksum site/checksum
"""
_SCRIPT = r"""#!/bin/sh
read -r MARK < version
read -r PLACE < place
RAN="$PLACE.ran"
if [ -n "$CODEYARD_RELEASE_PATH" ]; then RAN="$CODEYARD_RELEASE_PATH/../../ran"; fi
echo "$DEPLOYMENT_ID $LIFECYCLE_EVENT $MARK" >> "$RAN"
sleep 0.04
"""
SOURCE: Mapping[str, str] = {
    "make.sh": _MAKE,
    "before.sh": _SCRIPT,
    "after.sh": _SCRIPT,
    "healthy.sh": _SCRIPT + "[ ! -e bad ]\n",
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
    flaky: bool = False  # the job that scans it fails, once
    again: str = ""  # the RetryMode by which somebody tries again what failed of it, or was abandoned; once
    stop: str = ""  # it is stopped: "wait", "abandon", or "both", one after the other
    verb: str = ""  # what is done to its pipeline: "update", "close" a transition and open it again, go "back"
    after: float = 0.0  # seconds from when it began to when it is stopped

    def variables(self) -> list[dict[str, str]]:
        values = {"MARK": self.mark, "NAP": self.nap, "BAD": "yes" if self.bad else "no", "ROUNDS": str(self.rounds)}
        return [{"name": name, "value": value} for name, value in values.items()]


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


def application(pipeline: str) -> str:
    """CodeDeploy's, and the directory where the pipeline's artifacts are installed in place."""
    return f"fit-{pipeline}"


def stages(revision: int) -> tuple[str, ...]:
    """Those of that revision of a definition."""
    return tuple(each for each in STAGES if each != "Extra" or revision % 2)


def revision_of(definition: Mapping[str, Any]) -> int:
    """The number that a definition bears."""
    (tell,) = [each for each in definition["stages"][-1]["actions"] if each["name"] == "Tell"]
    return int(tell["configuration"]["Url"].rpartition("/")[2])


def definition(name: str, role: str, srv: Path, receiver: str, revision: int = 0) -> dict[str, Any]:
    """The pipeline of that name. `srv` is where targets have their releases, `receiver` the URL that is told."""
    given = {variable["name"]: variable["value"] for variable in first(name).variables()}
    return {
        "name": name,
        "roleArn": role,
        "pipelineType": "V2",
        "executionMode": MODES[name],
        "artifactStore": {"type": "S3", "location": ARTIFACTS},
        "variables": [{"name": variable, "defaultValue": value} for variable, value in given.items()],
        "stages": [
            {"name": stage, "actions": _actions(stage, name, srv, receiver, revision)} for stage in stages(revision)
        ],
    }


def _actions(stage: str, name: str, srv: Path, receiver: str, revision: int) -> list[dict[str, Any]]:
    match stage:
        case "Source":
            return [_source(name)]
        case "Build":
            return [_build("Make", "make", "Source", "Site Ran", srv / application(name))]
        case "Check":
            custom = {"CustomData": "#{variables.MARK}"}
            approve = _action("Approve", "Approval/AWS/Manual", configuration=custom, runOrder=2)
            announce = _tell("Announce", receiver, revision)
            return [_count("Scan", "Ran"), _build("Look", "look", "Ran"), announce, approve]
        case "Extra":
            return [_tell("Hint", receiver, revision)]
        case "Release":
            given = {"ApplicationName": application(name), "DeploymentGroupName": GROUP}
            install = _action("Install", "Deploy/AWS/CodeDeploy", "Site", configuration=given)
            return [_place(srv / name), install]
    return [_count("Count", ""), _tell("Tell", receiver, revision, 2)]


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


def _build(name: str, project: str, inputs: str, outputs: str = "", place: Path | None = None) -> dict[str, Any]:
    values = [{"name": each, "value": f"#{{variables.{each}}}"} for each in ("MARK", "NAP", "BAD")]
    values += [] if place is None else [{"name": "PLACE", "value": str(place)}]
    given = {"ProjectName": project, "EnvironmentVariables": json.dumps(values)}
    category = "Build" if project == "make" else "Test"
    return _action(name, f"{category}/AWS/CodeBuild", inputs, outputs, configuration=given)


def _count(name: str, inputs: str) -> dict[str, Any]:
    given = {"Mark": "#{variables.MARK}", "Rounds": "#{variables.ROUNDS}"}
    return _action(name, "Test/Custom/Counter", inputs, configuration=given)


def _tell(name: str, receiver: str, revision: int, order: int = 1) -> dict[str, Any]:
    given = {"Url": f"{receiver}/{name}/#{{variables.MARK}}/{revision}", "Method": "POST"}
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
    if read("data/other-3").decode() != f"{mark} 3\n" or len(names) not in (30, 31):
        wrong.append(f"{mark}'s files are {sorted(names)}")
    if paths is not None and paths != {*names, "checksum"}:
        wrong.append(f"it has {sorted(paths ^ {*names, 'checksum'})} too many, or lacks them")
    return mark, wrong


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
