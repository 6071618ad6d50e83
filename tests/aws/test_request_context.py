"""What conditions may ask of a request, at the door and wherever a handler asks for more leave."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws.conditions import Condition
from codeyard.aws.request_context import request_context
from codeyard.aws.signing import Request

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def a_request(agent: str = "aws-cli/2") -> Request:
    return Request("POST", "/", "", (("user-agent", agent),), "")


def test_it_has_the_request_s_time_region_way_and_sender() -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html"""
    assert request_context(a_request(), "eu-west-1", NOON, "10.0.0.1", secure=False) == {
        "aws:CurrentTime": "2026-03-01T12:00:00Z",
        "aws:EpochTime": "1772366400",
        "aws:RequestedRegion": "eu-west-1",
        "aws:SecureTransport": "false",
        "aws:UserAgent": "aws-cli/2",
        "aws:SourceIp": "10.0.0.1",
    }


def test_a_sender_without_an_address_has_no_key_for_it() -> None:
    assert "aws:SourceIp" not in request_context(a_request(), "eu-west-1", NOON, None, secure=True)


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1)))
def test_a_deadline_is_kept_to_the_second(moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC)
    found = request_context(a_request(), "us-east-1", now, None, secure=True)
    context = {key.lower(): value for key, value in found.items()}

    later = Condition("DateLessThan", "aws:currenttime", (f"{now.year + 1}-01-01T00:00:00Z",))
    earlier = Condition("DateLessThan", "aws:currenttime", (f"{now.year}-01-01T00:00:00Z",))
    assert later.met(context, None)
    assert not earlier.met(context, None)
