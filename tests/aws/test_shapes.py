from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.aws import shapes
from codeyard.aws.shapes import Unreadable
from codeyard.aws.wire import PLAIN, PLAIN_OUT
from tests.wire.generate import same, valid
from tests.wire.served import service_model

START = shapes.model("codebuild").operations["StartBuild"]


def test_a_model_tells_what_names_a_service() -> None:
    codebuild, iam = shapes.model("codebuild"), shapes.model("iam")

    assert (codebuild.prefix, codebuild.signing_name) == ("CodeBuild_20161006", "codebuild")
    assert codebuild.protocols == {"json", "smithy-rpc-v2-cbor"}
    assert (iam.version, iam.protocols) == ("2010-05-08", frozenset({"query"}))
    assert iam.failures["NoSuchEntityException"].code == "NoSuchEntity"
    assert iam.failures["NoSuchEntity"].status == 404


def test_a_shape_may_contain_itself() -> None:
    aggregator = shapes.model("ssm").operations["GetInventory"].input.members["Aggregators"].item

    assert aggregator is not None
    assert aggregator.members["Aggregators"].item is aggregator


def test_what_is_null_or_unknown_is_left_out() -> None:
    assert shapes.read(START.input, {"projectName": "p", "sourceVersion": None, "other": 1}, PLAIN) == {
        "projectName": "p"
    }


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"projectName": 1}, "NUMBER_VALUE can not be converted to a String, at 'projectName'"),
        ({"projectName": True}, "TRUE_VALUE can not be converted to a String, at 'projectName'"),
        ({"projectName": {}}, "Start of structure or map found where not expected., at 'projectName'"),
        ({"timeoutInMinutesOverride": "5"}, "STRING_VALUE can not be converted to an Integer"),
        ({"timeoutInMinutesOverride": 2**31}, "A number is too large for an Integer"),
        ({"timeoutInMinutesOverride": 5.5}, "NUMBER_VALUE can not be converted to an Integer"),
        ({"secondarySourcesOverride": "x"}, "STRING_VALUE can not be converted to a list"),
        ({"secondarySourcesOverride": ["x"]}, "to a structure or map, at 'secondarySourcesOverride.1.member'"),
        ({"secondarySourcesOverride": [{"type": []}]}, "at 'secondarySourcesOverride.1.member.type'"),
    ],
)
def test_a_wrong_type_is_told_with_its_place(given: dict[str, Any], text: str) -> None:
    with pytest.raises(Unreadable) as wrong:
        shapes.read(START.input, given, PLAIN)

    assert text in str(wrong.value)


def test_a_shape_that_contains_itself_is_not_followed_for_ever() -> None:
    nested: dict[str, Any] = {}
    for _ in range(5000):
        nested = {"Aggregators": [nested]}

    with pytest.raises(Unreadable, match="too deeply"):
        shapes.read(shapes.model("ssm").operations["GetInventory"].input, nested, PLAIN)


@pytest.mark.parametrize(
    "value",
    [
        {"build": {"no": "such member"}},
        {"build": []},
        {"build": {"phases": {}}},
        {"build": {"startTime": "today"}},
        {"build": {"startTime": datetime(2026, 1, 1)}},  # no zone
        {"build": {"buildNumber": "1"}},
        {"build": {"buildNumber": True}},
        {"build": {"buildComplete": 1}},
        {"build": {"id": b"x"}},
    ],
)
def test_a_handlers_mistake_is_noticed(value: dict[str, Any]) -> None:
    output = START.output
    assert output is not None
    with pytest.raises((TypeError, AttributeError)):
        shapes.write(output, value, PLAIN_OUT)


def test_a_time_is_written_whatever_its_zone() -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    output = START.output
    assert output is not None

    assert shapes.write(output, {"build": {"startTime": at, "endTime": None}}, PLAIN_OUT) == {
        "build": {"startTime": at}
    }


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(START.input.members)), inner),
)


@given(st.dictionaries(st.sampled_from(list(START.input.members)), JSON_LIKE))
def test_anything_is_either_read_or_unreadable(given: Any) -> None:
    try:
        values = shapes.read(START.input, given, PLAIN)
    except Unreadable as wrong:
        values = dict.fromkeys(wrong.path[-1:])

    assert set(values) <= set(given)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_is_written_is_read_again(data: st.DataObject) -> None:
    value = data.draw(valid(service_model("codebuild").operation_model("CreateProject").input_shape))
    schema = shapes.model("codebuild").operations["CreateProject"].input
    written = shapes.write(schema, value, PLAIN_OUT)

    assert same(value, shapes.read(schema, written, PLAIN))


def test_every_shape_of_every_service_is_of_a_known_sort() -> None:
    names = ("codebuild", "codepipeline", "codedeploy", "logs", "secretsmanager", "ssm", "sts", "iam")

    assert all(len(shapes.model(name).operations) > 10 for name in names)
