import json

from codeyard.aws import shapes
from codeyard.aws.json_wire import JSON
from codeyard.pipelines.rule_types import RULES, rule_to_wire


def test_the_rules_are_those_of_the_rule_reference() -> None:
    assert {spec.id.provider: {one.name for one in spec.properties if one.required} for spec in RULES} == {
        "DeploymentWindow": {"Cron"},
        "CloudWatchAlarm": {"AlarmName"},
        "LambdaInvoke": {"FunctionName"},
        "VariableCheck": {"Variable", "Value", "Operator"},
        "Commands": set(),
        "CodeBuild": {"ProjectName"},
    }


def test_the_rules_are_of_the_shape_that_clients_read() -> None:
    model = shapes.model("codepipeline")
    body = JSON.encode(model, model.operations["ListRuleTypes"], {"ruleTypes": [*map(rule_to_wire, RULES)]}, "")

    first = json.loads(body)["ruleTypes"][0]
    assert first["id"] == {"category": "Rule", "owner": "AWS", "provider": "DeploymentWindow", "version": "1"}
    assert [each["name"] for each in first["ruleConfigurationProperties"]] == ["Cron", "TimeZone"]
