import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Call, Refused
from codeyard.ident import Owner
from codeyard.logs.naming import group_arn, group_name, named_by, on_group, on_stream, on_tagged, stream_name
from tests.calls import call

ARN = "arn:aws:logs:us-east-1:000000000000:log-group:/a/b"


def test_policies_are_about_the_arns_that_aws_uses() -> None:
    assert on_group(call("logs", "DeleteLogGroup", logGroupName="/a/b")) == f"{ARN}:log-stream:"
    assert on_group(call("logs", "FilterLogEvents", logGroupIdentifier=f"{ARN}:*")) == f"{ARN}:log-stream:"
    asked = call("logs", "GetLogEvents", logGroupName="/a/b", logStreamName="s")
    assert on_stream(asked) == f"{ARN}:log-stream:s"
    assert on_tagged(call("logs", "TagResource", resourceArn=ARN)) == ARN


@given(name=st.text("abc/._-#0", min_size=1, max_size=20))
def test_a_group_is_named_by_its_name_and_by_its_arn(name: str) -> None:
    arn = group_arn(Owner(), name)

    assert {named_by(Owner(), name), named_by(Owner(), arn), named_by(Owner(), f"{arn}:*")} == {name}


def test_the_group_of_another_account_is_not_there() -> None:
    with pytest.raises(Refused, match="log group does not exist"):
        named_by(Owner("111111111111"), ARN)


@pytest.mark.parametrize("asked", [call("logs", "X"), call("logs", "X", logGroupName="a", logGroupIdentifier="a")])
def test_a_group_is_named_once(asked: Call) -> None:
    with pytest.raises(Refused):
        group_name(asked)


@pytest.mark.parametrize("name", ["", "a:b", "a*", "a\0", "a\ud800", "x" * 513])
def test_what_is_no_stream_s_name_is_told(name: str) -> None:
    with pytest.raises(Refused):
        stream_name(name)
