"""What an action hands to CloudFormation: parameters, tags and a stack policy, out of its configuration's texts. Pure.

User Guide, "AWS CloudFormation deploy action reference", and "Using parameter override functions with CodePipeline
pipelines" in the CloudFormation guide. Whatever cannot be read is Invalid, whose `why` is told to clients.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from codeyard.errors import Invalid

ATTRIBUTES = ("BucketName", "ObjectKey", "URL")
_RESOLVED = 102_400  # bytes of a resolved configuration (quotas)
_CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")
_KEYS = {"Parameters", "Tags", "StackPolicy"}


@dataclass(frozen=True, slots=True)
class FilePointer:
    """`Artifact::path/of/file`."""

    artifact: str
    path: str

    @classmethod
    def parse(cls, text: str, key: str) -> Self:
        artifact, between, path = text.partition("::")
        if not (artifact and between and path):
            raise _wrong(key, "it must be InputArtifact::File.")
        return cls(artifact, path)


@dataclass(frozen=True, slots=True)
class Attribute:
    """Fn::GetArtifactAtt: where an artifact's object lies."""

    artifact: str
    name: str


@dataclass(frozen=True, slots=True)
class FromFile:
    """Fn::GetParam: the value of a key of a JSON file in an artifact."""

    artifact: str
    path: str
    key: str


Value = str | Attribute | FromFile


@dataclass(frozen=True, slots=True)
class TemplateConfiguration:
    """The file of TemplateConfiguration."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    policy: str | None = None  # JSON

    @classmethod
    def parse(cls, text: str) -> Self:
        document = _object(text, "TemplateConfiguration")
        if odd := sorted(document.keys() - _KEYS):
            raise _wrong(
                "TemplateConfiguration", f"it has the key {odd[0][:100]!r}; Parameters, Tags and StackPolicy are known."
            )
        policy = document.get("StackPolicy")
        return cls(
            _texts(document.get("Parameters"), "TemplateConfiguration, Parameters"),
            _texts(document.get("Tags"), "TemplateConfiguration, Tags"),
            None if policy is None else json.dumps(policy, separators=(",", ":")),
        )


def overrides(text: str | None) -> dict[str, Value]:
    """ParameterOverrides, by the parameter's name."""
    if not text:
        return {}
    if len(text) > _RESOLVED:
        raise _wrong("ParameterOverrides", f"it has more than {_RESOLVED} characters.")
    return {name: _value(name, value) for name, value in _object(text, "ParameterOverrides").items()}


def capabilities(text: str | None) -> list[str]:
    """Of a list with commas."""
    named = [part.strip() for part in (text or "").split(",") if part.strip()]
    if odd := [name for name in named if name not in _CAPABILITIES]:
        raise _wrong("Capabilities", f"{odd[0][:100]!r} is none of {', '.join(_CAPABILITIES)}.")
    return named


def param_of(text: str, wanted: FromFile) -> str:
    """The value of the key in the file's text."""
    what = f"Fn::GetParam, file {wanted.path}"
    document = _object(text, what)
    if wanted.key not in document:
        raise _wrong(what, f"it has no key {wanted.key[:100]!r}.")
    return _plain(document[wanted.key], what)


def pairs(values: Mapping[str, str], key: str, value: str) -> list[dict[str, str]]:
    """As CloudFormation lists them, in the order of names."""
    return [{key: name, value: values[name]} for name in sorted(values)]


def _value(name: str, value: Any) -> Value:
    if not isinstance(value, dict):
        return _plain(value, f"ParameterOverrides, {name[:100]}")
    match list(value.items()):
        case [("Fn::GetArtifactAtt", [str(artifact), str(attribute)])] if attribute in ATTRIBUTES:
            return Attribute(artifact, attribute)
        case [("Fn::GetParam", [str(artifact), str(path), str(key)])]:
            return FromFile(artifact, path, key)
    raise _wrong(
        f"ParameterOverrides, {name[:100]}",
        f"an object must be Fn::GetArtifactAtt of an artifact and one of {', '.join(ATTRIBUTES)}, or Fn::GetParam of "
        "an artifact, a JSON file and a key.",
    )


def _texts(found: Any, what: str) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise _wrong(what, "it must be an object of names and values.")
    return {name: _plain(value, f"{what}, {name[:100]}") for name, value in found.items()}


def _plain(value: Any, what: str) -> str:
    """As CloudFormation has parameters: as texts."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return json.dumps(value)
    raise _wrong(what, "the value must be a string, a number or a Boolean.")


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _wrong(what, "it is not JSON that can be read.") from None
    if not isinstance(found, dict):
        raise _wrong(what, "it is not a JSON object.")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _wrong(what: str, why: str) -> Invalid:
    return Invalid(what, why, "Correct it.")
