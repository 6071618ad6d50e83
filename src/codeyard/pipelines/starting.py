"""What StartPipelineExecution brings along: variables, and the revisions that it pins for source actions. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.pipelines.actions import SourceOverride
from codeyard.pipelines.model import Declaration

# SourceRevisionOverride's revisionType → the providers that know such revisions, and our name for it.
_TYPES: Mapping[str, tuple[frozenset[str], str]] = {
    "COMMIT_ID": (frozenset({"CodeCommit", "CodeStarSourceConnection", "GitHub"}), "commit"),
    "IMAGE_DIGEST": (frozenset({"ECR"}), "image_digest"),
    "S3_OBJECT_VERSION_ID": (frozenset({"S3"}), "version_id"),
    "S3_OBJECT_KEY": (frozenset({"S3"}), "object_key"),
}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why an execution began: triggerType and triggerDetail."""

    type: str
    detail: str = ""

    @property
    def shape(self) -> dict[str, str]:
        return {"triggerType": self.type, "triggerDetail": self.detail}


def given_facts(plan: Declaration, given: Shape, *, required: bool) -> dict[str, Any]:
    """What an execution is started with: its variables, and the revisions that it pins. Refused; see `variables`."""
    found = {"variables": variables(plan, given, required=required), "pinned": overrides(plan, given)}
    return {name: value for name, value in found.items() if value}


def inherited(facts: Mapping[str, Any]) -> dict[str, Any]:
    """A rollback has its target's variables and revisions."""
    return {name: facts[name] for name in ("variables", "revisions") if name in facts}


def variables(plan: Declaration, given: Shape, *, required: bool) -> dict[str, str]:
    """The values of the pipeline's variables: those given, else the defaults. Refused: one is unknown, or has no value.

    Not `required`: an execution that nobody started by hand begins without, and fails where the value is needed.
    """
    told = {each["name"]: each["value"] for each in given.get("variables") or ()}
    declared = {each.name: each.default for each in plan.variables}
    if unknown := sorted(set(told) - set(declared)):
        raise Refused("ValidationException", f"The pipeline has no variable: {', '.join(unknown)}")
    values = {name: told.get(name, default) for name, default in declared.items()}
    lacking = sorted(name for name, value in values.items() if not value)
    if lacking and required:
        raise Refused("ValidationException", f"The following variables have no value: {', '.join(lacking)}")
    return {name: value for name, value in values.items() if value}


def overrides(plan: Declaration, given: Shape) -> dict[str, dict[str, str]]:
    """By source action: what is pinned, as `pinned` reads it. Refused: ValidationException."""
    sources = {action.name: action for action in plan.stages[0].actions}
    found: dict[str, dict[str, str]] = {}
    for each in given.get("sourceRevisions") or ():
        name, kind, value = each["actionName"], each["revisionType"], each["revisionValue"]
        if name not in sources:
            raise Refused("ValidationException", f"The pipeline has no source action with name '{name}'")
        providers, member = _TYPES[kind]
        action = sources[name]
        if action.type.provider not in providers:
            raise Refused(
                "ValidationException", f"revisionType {kind} is not valid for provider {action.type.provider}"
            )
        if kind == "S3_OBJECT_KEY" and action.configuration.get("AllowOverrideForS3ObjectKey") != "true":
            raise Refused("ValidationException", f"The action '{name}' does not allow to override its S3ObjectKey")
        if member in found.setdefault(name, {}):
            raise Refused("ValidationException", f"The revision of '{name}' is overridden twice")
        found[name][member] = value
    return found


def pinned(facts: Mapping[str, Any], action: str) -> SourceOverride | None:
    """What the execution's start pinned for this source action."""
    given = facts.get("pinned", {}).get(action)
    return None if given is None else SourceOverride(**given)


def digest_of(given: Shape) -> str:
    """Of all that the call asks for, but its token."""
    asked = {name: value for name, value in given.items() if name != "clientRequestToken" and value is not None}
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()
