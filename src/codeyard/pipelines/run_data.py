"""What is written down of an action execution: artifacts and outcomes as JSON; what an execution has so far. Pure.

`StoredRun.data` has, as far as they are known: type, region, role, namespace, configuration, resolved, inputs, outputs,
variables, revision, summary, external_id, external_url, entity_url, percent, token, log_stream, error, updated_by,
targets. No secret is in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from codeyard.artifacts import Digest
from codeyard.pipelines.actions import Artifact, CloneRef, Outcome, Revision, Told
from codeyard.pipelines.model import Action, ActionType
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredRun

VARIABLES_AT_MOST = 122_880  # bytes of one action's output variables


@dataclass(frozen=True, slots=True)
class Gathered:
    """What an execution's actions have made so far."""

    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by namespace

    def over(self, below: "Gathered") -> "Gathered":
        """With what `below` has besides."""
        return Gathered({**below.artifacts, **self.artifacts}, {**below.variables, **self.variables})


def gathered(runs: Iterable[StoredRun]) -> Gathered:
    """Of each action what its latest success made; `runs` are in the order in which they began."""
    artifacts: dict[str, Artifact] = {}
    variables: dict[str, Mapping[str, str]] = {}
    for run in runs:
        if run.moment is not None or run.status is not RunStatus.SUCCEEDED:
            continue
        artifacts |= {each["name"]: parse_artifact(each) for each in run.data.get("outputs", ())}
        if run.data.get("namespace"):
            variables[run.data["namespace"]] = run.data.get("variables", {})
    return Gathered(artifacts, variables)


def declared_data(action: Action, configuration: Mapping[str, str]) -> dict[str, Any]:
    """Of an execution that begins; `configuration` has its secrets masked."""
    kind = action.type
    found = {
        "type": [kind.category, kind.owner, kind.provider, kind.version],
        "configuration": dict(configuration),
        "region": action.region,
        "role": action.role,
        "namespace": action.namespace,
    }
    return {name: value for name, value in found.items() if value is not None}


def type_of(run: StoredRun) -> ActionType:
    return ActionType(*run.data["type"])


def told_data(told: Told) -> dict[str, Any]:
    """What changes by it."""
    found = {
        "external_id": told.external_id,
        "external_url": told.external_url,
        "entity_url": told.entity_url,
        "summary": told.summary,
        "percent": told.percent,
        "token": told.token,
        "log_stream": told.log_stream,
        "targets": None if told.targets is None else [dict(each) for each in told.targets],
    }
    return {name: value for name, value in found.items() if value is not None}


def outcome_data(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = {
        "outputs": [artifact_json(each) for each in outcome.outputs],
        "variables": dict(outcome.variables),
        "revision": None if outcome.revision is None else revision_json(outcome.revision),
        "summary": outcome.summary or None,
        "external_id": outcome.external_id,
        "external_url": outcome.external_url,
    }
    return {name: value for name, value in found.items() if value is not None}


def artifact_json(artifact: Artifact) -> dict[str, Any]:
    clone = artifact.clone
    found = {
        "name": artifact.name,
        "bucket": artifact.bucket,
        "key": artifact.key,
        "tree": artifact.tree,
        "raw": artifact.raw,
        "clone": None if clone is None else [clone.url, clone.commit, clone.branch],
        "there": artifact.there or None,
        "revision": artifact.revision,
    }
    return {name: value for name, value in found.items() if value is not None}


def parse_artifact(given: Mapping[str, Any]) -> Artifact:
    return Artifact(
        name=given["name"],
        bucket=given["bucket"],
        key=given["key"],
        tree=None if given.get("tree") is None else Digest(given["tree"]),
        raw=None if given.get("raw") is None else Digest(given["raw"]),
        clone=None if given.get("clone") is None else CloneRef(*given["clone"]),
        there=bool(given.get("there")),
        revision=given.get("revision"),
    )


def revision_json(revision: Revision) -> dict[str, Any]:
    return {
        "id": revision.id,
        "summary": revision.summary,
        "change_id": revision.change_id,
        "url": revision.url,
        "created": None if revision.created is None else revision.created.isoformat(),
    }


def parse_revision(given: Mapping[str, Any]) -> Revision:
    created = given["created"]
    return Revision(
        given["id"],
        given["summary"],
        given["change_id"],
        given["url"],
        None if created is None else datetime.fromisoformat(created),
    )
