"""Which version of a secret bears which staging label. Pure.

A label is on one version at most. From the first version on, exactly one bears AWSCURRENT, whatever is done.
Sources: Secrets Manager API reference, PutSecretValue and UpdateSecretVersionStage; user guide, "What's in a secret".
"""

import re
from collections.abc import Mapping, Sequence

from codeyard.aws import Refused

CURRENT, PREVIOUS = "AWSCURRENT", "AWSPREVIOUS"
LIMIT = 20  # labels of one secret
_STAGE = re.compile(r"[A-Za-z0-9/_+=.@:!-]{1,256}")

Stages = Mapping[str, str]  # label → id of the version that it is on


def put(stages: Stages, version: str, asked: Sequence[str]) -> dict[str, str]:
    """The labels once a new version bears those `asked` for; none means AWSCURRENT. Refused."""
    wanted = list(asked) or [CURRENT]
    if CURRENT not in stages:  # the first version is the current one, whatever was asked
        wanted.append(CURRENT)
    result = dict(stages)
    for stage in wanted:
        result = _moved(result, stage, version)
    return result


def move(stages: Stages, stage: str, to: str | None, source: str | None) -> dict[str, str]:
    """The labels once `stage` is taken from the version `source`, or put on `to`, or both. Refused."""
    held = stages.get(stage)
    if to is None and source is None:
        raise _invalid("You must specify at least one of RemoveFromVersionId and MoveToVersionId.")
    if to is not None and held is not None and held != to and source is None:
        raise _invalid(
            f"The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version "
            f"{held}, so you must explicitly reference that version in RemoveFromVersionId."
        )
    if source is not None and source != held and (to is None or held != to):
        raise _invalid(f"Staging label {stage} isn't currently attached to version {source}.")
    if to is not None:
        return _moved(stages, stage, to)
    if stage == CURRENT:
        raise _invalid(
            f"You can only move staging label {CURRENT} to a different secret version. It can't be completely removed."
        )
    return {name: version for name, version in stages.items() if name != stage}


def of(stages: Stages, version: str) -> list[str]:
    """The labels of a version."""
    return [stage for stage, held in stages.items() if held == version]


def by_version(stages: Stages) -> dict[str, list[str]]:
    """The versions that bear labels, and theirs."""
    return {version: of(stages, version) for version in stages.values()}


def _moved(stages: Stages, stage: str, to: str) -> dict[str, str]:
    """The version that AWSCURRENT leaves becomes AWSPREVIOUS."""
    if not _STAGE.fullmatch(stage):
        raise _invalid(f"The staging label {stage!r} has other characters than letters, digits and /_+=.@:!-")
    result = {**stages, stage: to}
    if stage == CURRENT and stages.get(CURRENT, to) != to:
        result[PREVIOUS] = stages[CURRENT]
    if len(result) > LIMIT:
        raise Refused("LimitExceededException", f"A secret can have {LIMIT} staging labels, over all its versions.")
    return result


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)
