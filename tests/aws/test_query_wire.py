from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import shapes
from codeyard.aws.query_wire import QUERY, fields
from codeyard.aws.shapes import Unreadable
from codeyard.aws.wire import Problem

IAM, STS, SDB = shapes.model("iam"), shapes.model("sts"), shapes.model("sdb")


def decoded(model: shapes.Model, operation: str, form: bytes) -> dict[str, Any]:
    return QUERY.decode(model.operations[operation], form)


def test_a_form_is_read_by_the_models_names() -> None:
    form = b"Action=CreateRole&RoleName=r&Tags.member.2.Key=b&Tags.member.1.Key=a&Tags.member.1.Value=x%20y&Unknown=1"

    assert decoded(IAM, "CreateRole", form) == {"RoleName": "r", "Tags": [{"Key": "a", "Value": "x y"}, {"Key": "b"}]}


def test_an_empty_list_is_sent_as_nothing() -> None:
    assert decoded(IAM, "CreateRole", b"RoleName=r&Tags=") == {"RoleName": "r", "Tags": []}


def test_a_flattened_list_goes_by_the_name_of_its_items() -> None:
    form = b"DomainName=d&Item.1.ItemName=i&Item.1.Attribute.1.Name=n"

    assert decoded(SDB, "BatchDeleteAttributes", form) == {
        "DomainName": "d", "Items": [{"Name": "i", "Attributes": [{"Name": "n"}]}],
    }  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [(b"5", 5), (b"%2B5", 5), (b"-1", -1), (b"2147483647", 2**31 - 1)])
def test_a_number_is_read(text: bytes, value: int) -> None:
    assert decoded(STS, "AssumeRole", b"DurationSeconds=" + text) == {"DurationSeconds": value}


@pytest.mark.parametrize("text", [b"", b"x", b"5.5", b"2147483648", b"9" * 30, b"%D9%A3"])
def test_what_is_no_number_is_unreadable(text: bytes) -> None:
    with pytest.raises(Unreadable, match="DurationSeconds"):
        decoded(STS, "AssumeRole", b"DurationSeconds=" + text)


def test_an_answer_is_xml_that_holds_any_text() -> None:
    body = QUERY.encode(IAM, IAM.operations["GetRolePolicy"], {"RoleName": "<a>&\0", "PolicyName": "p"}, "an-id")

    assert body.decode() == (
        '<GetRolePolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetRolePolicyResult>'
        "<RoleName>&lt;a&gt;&amp;\ufffd</RoleName><PolicyName>p</PolicyName></GetRolePolicyResult>"
        "<ResponseMetadata><RequestId>an-id</RequestId></ResponseMetadata></GetRolePolicyResponse>"
    )


def test_a_time_is_written_as_aws_does() -> None:
    credentials = {"AccessKeyId": "a", "Expiration": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)}
    body = QUERY.encode(STS, STS.operations["AssumeRole"], {"Credentials": credentials}, "an-id")

    assert b"<Expiration>2026-01-02T03:04:05Z</Expiration>" in body


def test_an_operation_without_an_output_tells_the_requests_id() -> None:
    body = QUERY.encode(IAM, IAM.operations["DeleteRole"], {}, "an-id")

    assert b"<ResponseMetadata><RequestId>an-id</RequestId></ResponseMetadata>" in body


def test_an_error_says_whose_it_is() -> None:
    body = QUERY.refuse(None, Problem("NoSuchEntity", "no <such> role", 404), "an-id")

    assert body == (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>NoSuchEntity</Code>"
        b"<Message>no &lt;such&gt; role</Message></Error><RequestId>an-id</RequestId></ErrorResponse>"
    )


@given(st.dictionaries(st.text("ab.12", max_size=12), st.text(max_size=5)), st.binary(max_size=40))
def test_any_form_is_either_read_or_unreadable(given: dict[str, str], tail: bytes) -> None:
    form = "&".join(f"Tags.{name}={value}" for name, value in given.items()).encode("utf-8", "replace") + tail
    try:
        values = decoded(IAM, "CreateRole", form)
    except Unreadable:
        values = {}

    assert isinstance(values, dict)


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8)))
def test_fields_are_read_as_they_were_written(given: dict[str, str]) -> None:
    assert fields(urlencode(given).encode()) == given
