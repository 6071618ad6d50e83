"""What a parameter is, and what putting a value makes of it. Pure.

Sources: Systems Manager API reference, PutParameter, LabelParameterVersion, UnlabelParameterVersion; user guide,
"Managing parameter tiers", "Working with parameter versions".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from codeyard.aws import Refused, Shape
from codeyard.ident import Owner
from codeyard.secrets.parameter_names import arn, is_label
from codeyard.secrets.sealed import Place, storable

KEPT_VERSIONS = 100
LABELS_OF_A_VERSION = 10
_STANDARD_KEY = "alias/aws/ssm"  # what a SecureString's KeyId is called if the caller names none
_NESTED = re.compile(r"\{\{\s*(ssm(-secure)?:[^{}]*)?\}\}")


class Type(StrEnum):
    STRING = "String"
    STRING_LIST = "StringList"
    SECURE_STRING = "SecureString"


class Tier(StrEnum):
    STANDARD = "Standard"
    ADVANCED = "Advanced"
    INTELLIGENT = "Intelligent-Tiering"  # asked for only: a parameter is of one of the others


_LIMITS = {Tier.STANDARD: 4096, Tier.ADVANCED: 8192}  # bytes of a value


@dataclass(frozen=True, slots=True)
class Parameter:
    """One version of a parameter: all about it but its value."""

    owner: Owner
    name: str
    version: int  # counted from 1
    type: Type
    tier: Tier
    data_type: str
    description: str | None
    allowed_pattern: str | None
    key_id: str | None
    modified: datetime
    modified_by: str  # the caller's ARN

    @property
    def arn(self) -> str:
        return arn(self.owner, self.name)

    @property
    def place(self) -> Place:
        return Place(self.owner, "parameter", self.name, str(self.version), self.type)


@dataclass(frozen=True, slots=True)
class Attached:
    """What a parameter bears besides its versions."""

    tags: Mapping[str, str]
    labels: Mapping[str, int]  # label → the version it is on


def put(name: str, before: Parameter | None, given: Shape, owner: Owner, by: str, now: datetime) -> Parameter:
    """The version that PutParameter makes: what it does not give is as it was. Refused."""
    _check(given, before)
    type_ = Type(given["Type"]) if given.get("Type") else before.type if before else None
    if type_ is None:
        raise Refused("ValidationException", "A parameter type is required when you create a parameter.")

    def kept(member: str, was: str | None) -> str | None:
        return given[member] or None if member in given else was

    return Parameter(
        owner, name, before.version + 1 if before else 1, type_, _tier(given, before),
        _data_type(kept("DataType", before.data_type if before else None)),
        kept("Description", before.description if before else None),
        kept("AllowedPattern", before.allowed_pattern if before else None),
        (given.get("KeyId") or (before.key_id if before else None) or _STANDARD_KEY) if type_ is Type.SECURE_STRING
        else None,
        now, by,
    )  # fmt: skip


def _check(given: Shape, before: Parameter | None) -> None:
    if not given["Value"]:
        raise Refused(
            "ValidationException",
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length "
            "greater than or equal to 1.",
        )
    if before and not given.get("Overwrite"):
        raise Refused(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        )
    if given.get("Overwrite") and given.get("Tags"):
        raise Refused(
            "ValidationException",
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please "
            "remove overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or "
            "RemoveTagsFromResource.",
        )
    if _NESTED.search(given["Value"]):
        raise Refused(
            "ValidationException", 'Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.'
        )
    texts = [given["Value"].replace("\0", ""), given.get("Description") or "", given.get("AllowedPattern") or ""]
    if not all(map(storable, texts)):  # a value is sealed, so NUL is no trouble
        message = "The description and the pattern have no NUL, and neither they nor the value half a character."
        raise Refused("ValidationException", message)
    if re.sub(r"\s", "", given.get("Policies") or "") not in ("", "[]", "{}", "[{}]"):
        message = "Codeyard keeps parameters until they are deleted: leave the policies out."
        raise Refused("InvalidPolicyTypeException", message)


def _data_type(text: str | None) -> str:
    if text not in (None, "text"):
        raise Refused(
            "ValidationException",
            f"The following data type is not supported: {text} (Data type names are all lowercase.)",
        )
    return "text"


def _tier(given: Shape, before: Parameter | None) -> Tier:
    """The tier that the parameter is in from now on. It only ever rises."""
    size = len(given["Value"].encode())
    was = before.tier if before else Tier.STANDARD
    asked = Tier(given["Tier"]) if given.get("Tier") else was
    if asked is Tier.INTELLIGENT:
        asked = Tier.ADVANCED if size > _LIMITS[Tier.STANDARD] or was is Tier.ADVANCED else Tier.STANDARD
    if was is Tier.ADVANCED and asked is Tier.STANDARD:
        raise Refused(
            "ValidationException",
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter.",
        )
    if size > _LIMITS[asked]:
        larger = " To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier."
        raise Refused(
            "ValidationException",
            f"{asked} tier parameters support a maximum parameter value of {_LIMITS[asked]} characters."
            + (larger if asked is Tier.STANDARD else ""),
        )
    return asked


def oldest_kept(version: int, labels: Mapping[str, int]) -> int:
    """The oldest version that stays once this one is there. Refused if one that bears a label would have to go."""
    oldest = version - KEPT_VERSIONS + 1
    if gone := [on for on in labels.values() if on < oldest]:
        raise Refused(
            "ParameterMaxVersionLimitExceeded",
            f"You attempted to create a new version of the parameter by calling the PutParameter API with the "
            f"overwrite flag. Version {min(gone)}, the oldest version, can't be deleted because it has a label "
            "associated with it. Move the label to another version of the parameter, and try again.",
        )
    return oldest


def label(labels: Mapping[str, int], version: int, asked: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """The labels once these were put on the version, and those that can be none. Each is on one version. Refused."""
    invalid = [text for text in asked if not is_label(text)]
    result = dict(labels) | {text: version for text in asked if is_label(text)}
    if sum(on == version for on in result.values()) > LABELS_OF_A_VERSION:
        raise Refused(
            "ParameterVersionLabelLimitExceeded",
            f"A parameter version can have maximum {LABELS_OF_A_VERSION} labels. Move one or more labels to another "
            "version and try again.",
        )
    return result, invalid


def unlabel(labels: Mapping[str, int], version: int, asked: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """The labels without these of the version, and those that were taken off."""
    removed = [text for text in dict.fromkeys(asked) if labels.get(text) == version]
    return {text: on for text, on in labels.items() if text not in removed}, removed
