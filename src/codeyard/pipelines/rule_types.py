"""The rules that a stage's conditions are made of (User Guide, "Rule structure reference"). Pure."""

from typing import Any

from codeyard.pipelines.action_types import ActionTypeSpec, Catalogue, Counts, Kind, Property, to_wire
from codeyard.pipelines.model import ActionType

_NONE = Counts()
OPERATORS = ("EQ", "NE", "CONTAINS", "MATCHES")


def _rule(provider: str, *properties: Property, inputs: Counts = _NONE) -> ActionTypeSpec:
    return ActionTypeSpec(ActionType("Rule", "AWS", provider), properties, inputs, v2=True)


def _needed(name: str, *allowed: str) -> Property:
    return Property(name, required=True, allowed=allowed)


RULES: tuple[ActionTypeSpec, ...] = (
    _rule("DeploymentWindow", _needed("Cron"), Property("TimeZone")),
    _rule("CloudWatchAlarm", _needed("AlarmName"), Property("AlarmStates"), Property("WaitTime", kind=Kind.NUMBER)),
    _rule("LambdaInvoke", _needed("FunctionName"), Property("UserParameters"), inputs=Counts(0, 5)),
    _rule("VariableCheck", _needed("Variable"), _needed("Value"), _needed("Operator", *OPERATORS)),
    _rule("Commands", inputs=Counts(0, 10)),
    _rule(
        "CodeBuild",
        _needed("ProjectName"),
        Property("PrimarySource"),
        Property("BatchEnabled", kind=Kind.BOOLEAN),
        Property("CombineArtifacts", kind=Kind.BOOLEAN),
        Property("EnvironmentVariables"),
        inputs=Counts(0, 5),
    ),
)

RULE_TYPES = Catalogue(RULES)


def rule_to_wire(spec: ActionTypeSpec) -> dict[str, Any]:
    """The shape RuleType (ListRuleTypes)."""
    shape = to_wire(spec)
    return {
        "id": shape["id"],
        "ruleConfigurationProperties": shape["actionConfigurationProperties"],
        "inputArtifactDetails": shape["inputArtifactDetails"],
    }
