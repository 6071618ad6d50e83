"""Decisions of roles and sessions, and the words of a denial."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.access.model import Grants, Limits, Role, RoleArn, SessionCaller, decide, denied, identity_context
from codeyard.aws import Caller, policy
from codeyard.aws.policy import Asked, Decision, Kind, Outcome
from tests.access.cloud import allowing, trust
from tests.calls import ACCOUNT, ROOT

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ARN = RoleArn(ACCOUNT, "/ci/", "builder")


def grants(*documents: str) -> Grants:
    role = Role("AROAX", ARN, NOON, trust(), tags={"team": "web"})
    policies = tuple(policy.parse(each, Kind.IDENTITY, str(i)) for i, each in enumerate(documents))
    return Grants(role, policy.parse(trust(), Kind.TRUST), policies)


def caller(*limits: str) -> SessionCaller:
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/ann"
    return SessionCaller(ACCOUNT, session, "AROAX:ann", str(ARN), Limits(limits, {"env": "test"}), NOON)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/r", RoleArn(ACCOUNT, "/", "r")),
        (f"arn:aws:iam::{ACCOUNT}:role/a/b/r", RoleArn(ACCOUNT, "/a/b/", "r")),
        (f"arn:aws:iam::{ACCOUNT}:user/r", None),
        (f"arn:aws:iam::{ACCOUNT}:role/", None),
        ("arn:aws:iam::1:role/r", None),
        (f"arn:aws:iam::{ACCOUNT}:role/r\n", None),
        ("r", None),
    ],
)
def test_the_arn_of_a_role(text: str, parsed: RoleArn | None) -> None:
    assert RoleArn.parse(text) == parsed


def test_conditions_may_ask_who_the_caller_is() -> None:
    assert identity_context(caller(), grants()) == {
        "aws:PrincipalArn": str(ARN),
        "aws:PrincipalAccount": ACCOUNT,
        "aws:PrincipalType": "AssumedRole",
        "aws:userid": "AROAX:ann",
        "aws:TokenIssueTime": "2026-01-01T12:00:00Z",
        "aws:PrincipalTag/team": "web",
        "aws:PrincipalTag/env": "test",
    }
    assert identity_context(ROOT, None)["aws:PrincipalType"] == "Account"


def test_a_denial_says_who_may_not_do_what_and_why() -> None:
    deny, nothing = Decision(Outcome.EXPLICIT_DENY), Decision(Outcome.IMPLICIT_DENY)

    assert denied(ROOT, "logs:GetLogEvents", "*", deny, "session").message.endswith(
        "with an explicit deny in a session policy"
    )
    assert denied(ROOT, "iam:GetRole", "*", nothing, "session").code == "AccessDenied"
    assert denied(ROOT, "codebuild:StartBuild", "*", nothing, "session").code == "AccessDeniedException"


documents = st.builds(
    lambda actions, effect: allowing(*actions, effect=effect),
    st.lists(st.sampled_from(["*", "codebuild:*", "codebuild:StartBuild", "logs:*"]), min_size=1, max_size=2),
    st.sampled_from(["Allow", "Deny"]),
)
asked = st.builds(Asked, st.sampled_from(["codebuild:StartBuild", "logs:GetLogEvents"]), st.just("*"))


@given(st.lists(documents, max_size=3), st.lists(documents, max_size=3), asked)
def test_a_session_may_never_do_more_than_its_role(own: list[str], limits: list[str], asked: Asked) -> None:
    by_role, _ = decide(Caller(ACCOUNT, "x", "y", str(ARN)), grants(*own), asked)
    by_session, _ = decide(caller(*limits), grants(*own), asked)

    assert by_role.allowed or not by_session.allowed
