"""Secrets of configurations, such as a custom action's password: never stored in a definition, nor shown. Pure.

A stored definition has a mask where a secret was; the secrets lie apart, sealed, each under a path that names stage,
action and key, and holds a digest of the rest of that action. So a mask that comes back with an update finds its secret
only if nothing else of the action changed, and nobody has it sent elsewhere who does not know it (User Guide, "Edit a
pipeline": by a new name of the action or the stage it is lost, too).
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from codeyard.aws import Refused
from codeyard.pipelines.action_types import Catalogue
from codeyard.pipelines.model import Action, ActionType

MASK = "****"
Shape = Mapping[str, Any]


def separated(
    shape: Shape, catalogue: Catalogue, previous_secrets: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The definition with masks for its secrets, and these by path: those given, and those that a mask kept.

    Refused: a mask for which there is nothing to keep.
    """
    secrets: dict[str, str] = {}
    stages = []
    for stage in shape["stages"]:
        actions = []
        for action in stage["actions"]:
            bare, own = _parted(stage["name"], action, catalogue)
            for path in (path for path, text in own.items() if text == MASK):
                own[path] = _kept(path, action["name"], previous_secrets)
            secrets |= own
            actions.append(bare)
        stages.append({**stage, "actions": actions})
    return {**shape, "stages": stages}, secrets


def _kept(path: str, action: str, secrets: Mapping[str, str]) -> str:
    """The secret that a mask stands for. Refused: there is none, or not for these values of the action."""
    if path in secrets:
        return secrets[path]
    names, key = path.rsplit("/", 2)[0], path.rpartition("/")[2]
    if any((each.rsplit("/", 2)[0], each.rpartition("/")[2]) == (names, key) for each in secrets):
        text = (
            f'Action configuration for action "{action}" contains "{MASK}" for the secret property "{key}", '
            "but other values of the action were changed: give the secret anew."
        )
    else:  # observed
        text = (
            f'Action configuration for the new action "{action}" contains an invalid configuration for the secret '
            f'property "{key}". "{MASK}" may be used in secret properties only when updating an existing action.'
        )
    raise Refused("InvalidActionDeclarationException", text)


def joined(shape: Shape, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The definition with its secrets in clear."""
    return {
        **shape,
        "stages": [
            {**stage, "actions": [_filled(stage["name"], action, secrets) for action in stage["actions"]]}
            for stage in shape["stages"]
        ],
    }


def secret_values(stage: str, action: Action, secrets: Mapping[str, str]) -> dict[str, str]:
    """The secrets of one action by key. `action` is as it is stored: references in its values not replaced."""
    return _found(stage, action.name, action.type, action.region, action.configuration, secrets)


def _found(
    stage: str,
    action: str,
    type: ActionType,
    region: str | None,
    configuration: Mapping[str, str],
    secrets: Mapping[str, str],
) -> dict[str, str]:
    hidden = [key for key, text in configuration.items() if text == MASK]
    paths = {key: _path(stage, action, type, region, configuration, key) for key in hidden}
    return {key: secrets[path] for key, path in paths.items() if path in secrets}


def _parted(stage: str, action: Shape, catalogue: Catalogue) -> tuple[dict[str, Any], dict[str, str]]:
    type = _type(action)
    spec = catalogue.find(type)
    configuration: Mapping[str, str] = action.get("configuration") or {}
    hidden = {key: text for key, text in configuration.items() if spec is not None and key in spec.secrets}
    if not hidden:
        return dict(action), {}
    bare = {**configuration, **dict.fromkeys(hidden, MASK)}
    own = {_path(stage, action["name"], type, action.get("region"), bare, key): text for key, text in hidden.items()}
    return {**action, "configuration": bare}, own


def _filled(stage: str, action: Shape, secrets: Mapping[str, str]) -> dict[str, Any]:
    configuration = action.get("configuration") or {}
    found = _found(stage, action["name"], _type(action), action.get("region"), configuration, secrets)
    return {**action, "configuration": {**configuration, **found}} if found else dict(action)


def _type(action: Shape) -> ActionType:
    kind = action["actionTypeId"]
    return ActionType(kind["category"], kind["owner"], kind["provider"], kind["version"])


def _path(
    stage: str, action: str, type: ActionType, region: str | None, configuration: Mapping[str, str], key: str
) -> str:
    """`stage/action/digest/key`: neither name can hold a slash, and the digest is of all values that are shown, and of
    the region, whose workers are told the secret."""
    rest = sorted((name, text) for name, text in configuration.items() if text != MASK)
    digest = hashlib.sha256(json.dumps([str(type), region, rest]).encode()).hexdigest()[:32]
    return f"{stage}/{action}/{digest}/{key}"
