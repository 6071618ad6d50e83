from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.aws import shapes
from codeyard.aws.validation import violations
from tests.wire.generate import valid
from tests.wire.served import service_model

_MUST = "failed to satisfy constraint: Member must"


def wrong(service: str, operation: str, **given: Any) -> str | None:
    return violations(shapes.model(service).operations[operation].input, given)


@pytest.mark.parametrize(
    ("service", "operation", "input", "expected"),
    [
        ("codebuild", "DeleteProject", {}, f"Value null at 'name' {_MUST} not be null"),
        ("codebuild", "DeleteProject", {"name": ""},
         f"Value '' at 'name' {_MUST} have length greater than or equal to 1"),
        ("codebuild", "ListProjects", {"sortBy": "SIZE"},
         f"Value 'SIZE' at 'sortBy' {_MUST} satisfy enum value set: [NAME, CREATED_TIME, LAST_MODIFIED_TIME]"),
        ("codebuild", "StartBuild", {"projectName": "p", "timeoutInMinutesOverride": 3},
         f"Value '3' at 'timeoutInMinutesOverride' {_MUST} have value greater than or equal to 5"),
        ("codebuild", "BatchGetBuilds", {"ids": []},
         f"Value '[]' at 'ids' {_MUST} have length greater than or equal to 1"),
        ("codebuild", "BatchGetBuilds", {"ids": ["a", ""]},
         f"Value '[a, ]' at 'ids' {_MUST} satisfy constraint: "
         "[Member must have length greater than or equal to 1, Member must not be null]"),
        ("codebuild", "StartBuild", {"projectName": "p", "environmentVariablesOverride": [{"name": "", "value": "v"}]},
         f"Value '' at 'environmentVariablesOverride.1.member.name' {_MUST} have length greater than or equal to 1"),
        ("codebuild", "StartBuild", {"projectName": "p", "environmentVariablesOverride": [None]},
         f"Value null at 'environmentVariablesOverride.1.member' {_MUST} not be null"),
        ("codebuild", "StopBuild", {"id": "a\0b"},
         f"Value 'a\0b' at 'id' {_MUST} satisfy regular expression pattern: [^\\u0000]*"),
        ("iam", "GetRole", {"RoleName": "a b"},
         f"Value 'a b' at 'roleName' {_MUST} satisfy regular expression pattern: [\\w+=,.@-]+"),
        ("secretsmanager", "CreateSecret", {"Name": "n", "SecretString": ""},
         f"Value at 'secretString' {_MUST} have length greater than or equal to 1"),
        ("logs", "CreateLogGroup", {"logGroupName": "g", "tags": {"": "v"}},
         "Value '{=v}' at 'tags' failed to satisfy constraint: Map keys must satisfy constraint: "
         "[Member must have length less than or equal to 128, Member must have length greater than or equal to 1, "
         "Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+)$, "
         "Member must not be null]"),
    ],
)  # fmt: skip
def test_a_violation_is_told_in_awss_words(service: str, operation: str, input: dict[str, Any], expected: str) -> None:
    assert wrong(service, operation, **input) == f"1 validation error detected: {expected}"


def test_all_violations_are_counted_and_joined() -> None:
    text = wrong("codebuild", "CreateProject", name="", source={}, artifacts={"type": "X"})

    assert text is not None
    assert text.startswith("6 validation errors detected: ")
    assert text.count("; ") == 5


def test_a_right_input_has_no_violation() -> None:
    assert wrong("codebuild", "BatchGetBuilds", ids=["a:b"]) is None
    assert wrong("logs", "PutLogEvents", logGroupName="g", logStreamName="s",
                 logEvents=[{"timestamp": 0, "message": "a\0b"}]) is None  # fmt: skip


def test_a_hostile_input_is_not_repeated_at_length() -> None:
    many = [{"name": "", "value": "v"}] * 5000
    text = wrong("codebuild", "StartBuild", projectName="p" * 100_000, environmentVariablesOverride=many)
    long_list = wrong("codebuild", "BatchGetBuilds", ids=["x" * 1000] * 5000)

    assert text is not None
    assert text.startswith("1000 validation errors detected: ")
    assert len(text) < 20_000
    assert long_list is not None
    assert len(long_list) < 1000


def test_a_sensitive_value_is_never_repeated() -> None:
    secret = "hunter2" * 20_000
    texts = [
        wrong("secretsmanager", "CreateSecret", Name="n", SecretString=secret),
        wrong("secretsmanager", "CreateSecret", Name="n", SecretBinary=secret.encode()),
        wrong("codebuild", "ImportSourceCredentials", token="", serverType="GITHUB", authType="X"),
        wrong("ssm", "PutParameter", Name="", Value=secret),
    ]

    assert all(text is not None and "hunter2" not in text for text in texts)


OPERATIONS = [service_model("codebuild").operation_model(name) for name in service_model("codebuild").operation_names]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_the_model_allows_has_no_violation(data: st.DataObject) -> None:
    operation = data.draw(st.sampled_from([one for one in OPERATIONS if one.input_shape is not None]))
    value = data.draw(valid(operation.input_shape))

    assert violations(shapes.model("codebuild").operations[operation.name].input, value) is None
