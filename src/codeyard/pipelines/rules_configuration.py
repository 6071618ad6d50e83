"""What an action's or a rule's configuration may hold: its keys, and those values that are known beforehand. Pure.

Each function yields the texts of what is wrong; whoever asks raises the first under its own type of error. A value with
a reference to a variable is not known yet, so it is not looked at. Values are never repeated: one may be a secret.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codeyard.errors import Invalid
from codeyard.pipelines import our_keys
from codeyard.pipelines.action_types import ActionTypeSpec, Kind, Property
from codeyard.pipelines.expressions import references, refers
from codeyard.pipelines.model import ActionType
from codeyard.pipelines.window import Window

_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_QUERYABLE = re.compile(r"[A-Za-z0-9_-]{1,20}")  # ActionConfigurationProperty, queryable
_VARIABLE_TYPES = ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_WITH_TEMPLATE = ("CREATE_UPDATE", "REPLACE_ON_FAILURE", "CHANGE_SET_REPLACE")


@dataclass(frozen=True, slots=True)
class Configured:
    """A configuration and what it belongs to. `subject`: how texts begin, such as "Action configuration for …"."""

    subject: str
    spec: ActionTypeSpec
    values: Mapping[str, str]
    inputs: Sequence[str]
    region: str  # the pipeline's

    def known(self, key: str) -> str | None:
        """The value, if there is one and it has no reference."""
        value = self.values.get(key)
        return None if value is None or refers(value) else value


def faults(of: Configured) -> Iterator[str]:
    """All that is wrong, what AWS looks at first first."""
    yield from _keys(of)
    yield from _values(of)
    check = _OF_TYPE.get(of.spec.id)
    if check is not None:
        yield from check(of)


def _keys(of: Configured) -> Iterator[str]:
    for one in of.spec.properties:
        if one.required and not of.values.get(one.name):
            yield f"{of.subject} is missing required configuration '{one.name}'"  # observed
    for name in of.values if not of.spec.open else ():
        if of.spec.known(name) is None:
            yield f"{of.subject} contains unknown configuration '{name}'"  # observed


def _values(of: Configured) -> Iterator[str]:
    for one in of.spec.properties:
        value = of.known(one.name)
        if value is not None and not one.secret and not _fits(one, value):
            yield f"{of.subject} has an invalid value for configuration '{one.name}': it must be {_wanted(one)}"


def _fits(one: Property, value: str) -> bool:
    if one.allowed:
        return value in one.allowed
    if one.queryable:
        return _QUERYABLE.fullmatch(value) is not None
    if one.kind is Kind.BOOLEAN:
        return value.lower() in ("true", "false")
    return one.kind is not Kind.NUMBER or _NUMBER.fullmatch(value) is not None


def _wanted(one: Property) -> str:
    if one.allowed:
        return f"one of {', '.join(one.allowed)}"
    if one.queryable:
        return "1 to 20 letters, digits, dashes and underscores"
    return "true or false" if one.kind is Kind.BOOLEAN else "a number"


# ── by type ──


def _codebuild(of: Configured) -> Iterator[str]:
    primary = of.values.get("PrimarySource")
    if primary is None and len(of.inputs) > 1:
        yield f"{of.subject} is missing required configuration 'PrimarySource'"
    if primary is not None and not refers(primary) and primary not in of.inputs:
        yield f"{of.subject} has an invalid value for configuration 'PrimarySource': it must be an input artifact"
    given = of.values.get("EnvironmentVariables")
    wrong = _environment(given) if given is not None else None
    if wrong:
        yield f"{of.subject} has an invalid value for configuration 'EnvironmentVariables': {wrong}"


def _environment(text: str) -> str | None:
    """What is wrong with CodeBuild's EnvironmentVariables. References are replaced before JSON is read."""
    variables = _json(text)
    if variables is None:
        return None if refers(text) else "it is not JSON"
    if not isinstance(variables, list):
        return "it must be a list of objects with name, value and type"
    for one in variables:
        if not isinstance(one, dict) or not all(isinstance(one.get(key), str) for key in ("name", "value")):
            return "each must have a name and a value, which are strings"
        kind = one.get("type", "PLAINTEXT")
        if not isinstance(kind, str) or (kind not in _VARIABLE_TYPES and not refers(kind)):
            return f"each type must be one of {', '.join(_VARIABLE_TYPES)}"
    return None


def _json(text: str) -> Any:
    """The document, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _cloudformation(of: Configured) -> Iterator[str]:
    """What an ActionMode needs beside, AWS asks for when the action runs (observed): see `cloudformation_modes`."""
    for name in ("TemplatePath", "TemplateConfiguration") if of.known("ActionMode") in _WITH_TEMPLATE else ():
        value = of.known(name)
        if value is not None and value.partition("::")[0] not in of.inputs:
            yield f"{of.subject} has an invalid value for configuration '{name}': it must be InputArtifact::File"


def _s3(of: Configured) -> Iterator[str]:
    if (of.known("Extract") or "").lower() == "false" and "ObjectKey" not in of.values:
        yield f"{of.subject} is missing required configuration 'ObjectKey'"


def _step_functions(of: Configured) -> Iterator[str]:
    if of.known("InputType") != "FilePath":
        return
    if "Input" not in of.values:
        yield f"{of.subject} is missing required configuration 'Input'"
    if not of.inputs:
        yield f"{of.subject} needs an input artifact because its InputType is FilePath"


def _approval(of: Configured) -> Iterator[str]:
    """The topic must be in the pipeline's region (User Guide, "Add a manual approval action")."""
    topic = of.known("NotificationArn")
    match = _TOPIC.fullmatch(topic) if topic is not None else None
    if topic is not None and (match is None or match[1] != of.region):
        yield (
            f"{of.subject} has an invalid value for configuration 'NotificationArn': "
            f"it must be the ARN of an Amazon SNS topic in region {of.region}"
        )


def _lambda_deploy(of: Configured) -> Iterator[str]:
    if not of.inputs and "PublishedTargetVersion" not in of.values:
        yield f"{of.subject} is missing required configuration 'PublishedTargetVersion'"


def _inspector(of: Configured) -> Iterator[str]:
    if of.known("InspectorRunMode") == "SourceCodeScan" and not of.inputs:
        yield f"{of.subject} needs an input artifact because its InspectorRunMode is SourceCodeScan"


def _list_in_json(*names: str) -> Callable[[Configured], Iterator[str]]:
    """Of the action that starts a pipeline: these are lists of objects in JSON."""

    def check(of: Configured) -> Iterator[str]:
        for name in names:
            value = of.values.get(name)
            found = None if value is None else _json(value)
            whole = isinstance(found, list) and all(isinstance(one, dict) for one in found)
            if value is not None and not whole and not (found is None and refers(value)):
                yield f"{of.subject} has an invalid value for configuration '{name}': it must be a list in JSON"

    return check


def _readable(values: Mapping[str, tuple[Callable[[str], object], str]]) -> Callable[[Configured], Iterator[str]]:
    """Of our own actions: each value must be one that its reader can read."""

    def check(of: Configured) -> Iterator[str]:
        for name, (read, wanted) in values.items():
            value = of.known(name)
            if value is not None and read(value) in (None, False):
                yield f"{of.subject} has an invalid value for configuration '{name}': it must be {wanted}"

    return check


def _variable_check(of: Configured) -> Iterator[str]:
    variable = of.values.get("Variable", "")
    if variable and not references(variable):
        yield f"{of.subject} has an invalid value for configuration 'Variable': it must be #{{namespace.key}}"


def _window(of: Configured) -> Iterator[str]:
    cron = of.known("Cron")
    if cron is None:
        return
    try:
        Window.parse(cron)
    except Invalid as error:
        yield f"{of.subject} has an invalid value for configuration 'Cron': {error.why}"


_OF_TYPE: Mapping[ActionType, Callable[[Configured], Iterator[str]]] = {
    ActionType("Build", "AWS", "CodeBuild"): _codebuild,
    ActionType("Test", "AWS", "CodeBuild"): _codebuild,
    ActionType("Deploy", "AWS", "CloudFormation"): _cloudformation,
    ActionType("Deploy", "AWS", "S3"): _s3,
    ActionType("Deploy", "AWS", "Lambda"): _lambda_deploy,
    ActionType("Invoke", "AWS", "StepFunctions"): _step_functions,
    ActionType("Invoke", "AWS", "CodePipeline"): _list_in_json("SourceRevisions", "Variables"),
    ActionType("Invoke", "AWS", "InspectorScan"): _inspector,
    ActionType("Approval", "AWS", "Manual"): _approval,
    ActionType("Deploy", "Custom", "Codeyard-Release"): _readable(our_keys.RELEASE),
    ActionType("Invoke", "Custom", "Codeyard-HTTP"): _readable(our_keys.HTTP),
    ActionType("Rule", "AWS", "CodeBuild"): _codebuild,
    ActionType("Rule", "AWS", "VariableCheck"): _variable_check,
    ActionType("Rule", "AWS", "DeploymentWindow"): _window,
}
