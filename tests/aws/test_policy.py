"""Policies: what they allow and deny, and what is said of a document that is wrong."""

import json
import time
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import policy
from codeyard.aws.policy import Asked, Asker, Decision, Kind, Malformed, Outcome, Policy

ACCOUNT = "123456789012"
PROJECT = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/web"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deployer"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ann"
ALLOWED, DENIED, UNDECIDED = Outcome.ALLOWED, Outcome.EXPLICIT_DENY, Outcome.IMPLICIT_DENY


def document(*statements: dict[str, Any], version: str = "2012-10-17") -> str:
    return json.dumps({"Version": version, "Statement": list(statements)})


def allow(**more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "*", "Resource": "*"} | more


def parsed(*statements: dict[str, Any], kind: Kind = Kind.IDENTITY, version: str = "2012-10-17") -> Policy:
    return policy.parse(document(*statements, version=version), kind)


def decide(
    statement: dict[str, Any], action: str = "codebuild:StartBuild", resource: str = PROJECT, **context: Any
) -> Outcome:
    asked = Asked(
        action, resource, policy.context({k.replace("__", ":").replace("_", "/"): v for k, v in context.items()})
    )
    return policy.evaluate([parsed(statement)], asked).outcome


@pytest.mark.parametrize(
    ("pattern", "action", "outcome"),
    [
        ("*", "codebuild:StartBuild", ALLOWED),
        ("codebuild:*", "codebuild:StartBuild", ALLOWED),
        ("CodeBuild:startbuild", "codebuild:StartBuild", ALLOWED),
        ("codebuild:Start*", "codebuild:StartBuildBatch", ALLOWED),
        ("codebuild:Start?uild", "codebuild:StartBuild", ALLOWED),
        ("codebuild:Start", "codebuild:StartBuild", UNDECIDED),
        ("codebuild:*Build", "codebuild:StartBuildBatch", UNDECIDED),
        ("logs:*", "codebuild:StartBuild", UNDECIDED),
        ("codebuild:S*t*d", "codebuild:StartBuild", ALLOWED),
    ],
)
def test_an_action_is_named_with_wildcards_in_any_case(pattern: str, action: str, outcome: Outcome) -> None:
    assert decide(allow(Action=["logs:None", pattern]), action) is outcome


@pytest.mark.parametrize(
    ("pattern", "outcome"),
    [
        ("*", ALLOWED),
        (PROJECT, ALLOWED),
        (PROJECT.upper().replace("ARN:AWS:", "arn:aws:"), UNDECIDED),
        (f"arn:aws:codebuild:*:{ACCOUNT}:project/*", ALLOWED),
        ("arn:aws:codebuild:us-east-1:*", ALLOWED),
        ("arn:aws:codebuild", ALLOWED),
        ("arn:aws:logs", UNDECIDED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/w?b", ALLOWED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/w", UNDECIDED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/${{aws:username}}", UNDECIDED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/${{aws:username, 'web'}}", ALLOWED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/${{aws:PrincipalTag/team}}", ALLOWED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/${{aws:PrincipalTag/star}}", UNDECIDED),
        (f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/${{*}}", UNDECIDED),
    ],
)
def test_a_resource_is_named_with_wildcards_and_variables(pattern: str, outcome: Outcome) -> None:
    tags: dict[str, Any] = {"aws__PrincipalTag_team": "web", "aws__PrincipalTag_star": "*"}

    assert decide(allow(Resource=pattern), **tags) is outcome


def test_all_but_the_named_actions_and_resources() -> None:
    not_action = {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}
    not_resource = {"Effect": "Allow", "Action": "*", "NotResource": [f"{PROJECT}-secret", "arn:aws:iam::*"]}

    assert [decide(not_action), decide(not_action, "iam:GetRole")] == [ALLOWED, UNDECIDED]
    assert [decide(not_resource), decide(not_resource, resource=f"{PROJECT}-secret")] == [ALLOWED, UNDECIDED]


def test_a_document_of_2008_has_no_variables() -> None:
    old = parsed(allow(Resource="arn:aws:s3:::${aws:username}"), version="2008-10-17")
    asked = Asked("s3:GetObject", "arn:aws:s3:::${aws:username}", policy.context({"aws:username": "ann"}))

    assert policy.evaluate([old], asked).allowed
    assert not policy.evaluate([old], replace(asked, resource="arn:aws:s3:::ann")).allowed


def test_a_deny_wins_and_tells_which_statement_it_was() -> None:
    policies = [
        policy.parse(document(allow(Sid="All")), Kind.IDENTITY, "everything"),
        policy.parse(
            document({**allow(Sid="NotThis", Action="codebuild:*"), "Effect": "Deny"}), Kind.IDENTITY, "limits"
        ),
    ]
    decision = policy.evaluate(policies, Asked("codebuild:StartBuild", PROJECT))

    assert (decision.outcome, decision.policy) == (DENIED, "limits")
    assert decision.statement is not None
    assert decision.statement.sid == "NotThis"


CONDITIONS: list[tuple[str, Any, dict[str, Any], bool]] = [
    ("StringEquals", "a", {"k": "a"}, True),
    ("StringEquals", ["b", "a"], {"k": "a"}, True),
    ("StringEquals", "a*", {"k": "ab"}, False),
    ("StringEquals", "A", {"k": "a"}, False),
    ("StringEquals", "a", {}, False),
    ("StringEqualsIfExists", "a", {}, True),
    ("StringEqualsIfExists", "a", {"k": "b"}, False),
    ("StringEqualsIgnoreCase", "A", {"k": "a"}, True),
    ("StringNotEquals", ["a", "b"], {"k": "c"}, True),
    ("StringNotEquals", ["a", "b"], {"k": "b"}, False),
    ("StringNotEquals", "a", {}, True),
    ("StringLike", "a*c?", {"k": "abbcd"}, True),
    ("StringLike", "${x:user}-*", {"k": "ann-1", "x__user": "ann"}, True),
    ("StringLike", "${x:user}-*", {"k": "ann-1", "x__user": "*"}, False),
    ("StringNotLike", "a*", {"k": "b"}, True),
    ("StringEquals", "${x:user}", {"k": "ann", "x__user": "ann"}, True),
    ("StringEquals", "${*}", {"k": "*"}, True),
    ("NumericEquals", "10", {"k": "10.0"}, True),
    ("NumericNotEquals", 10, {"k": "11"}, True),
    ("NumericLessThan", "10", {"k": "9"}, True),
    ("NumericLessThan", "10", {"k": "10"}, False),
    ("NumericLessThanEquals", "10", {"k": "10"}, True),
    ("NumericGreaterThan", "10", {"k": "9"}, False),
    ("NumericGreaterThanEquals", "10", {"k": "10"}, True),
    ("NumericEquals", "10", {"k": "ten"}, False),
    ("DateLessThan", "2026-01-02T00:00:00Z", {"k": "2026-01-01T23:59:59Z"}, True),
    ("DateGreaterThan", "2026-01-02", {"k": "1767312001"}, True),
    ("DateGreaterThanEquals", "2026-01-02T01:00:00+01:00", {"k": "2026-01-02T00:00:00Z"}, True),
    ("DateLessThanEquals", "0", {"k": "2026-01-02"}, False),
    ("DateEquals", "2026-01-02", {"k": "2026-01-02"}, True),
    ("DateNotEquals", "2026-01-02", {"k": "2026-01-02"}, False),
    ("Bool", "true", {"k": "True"}, True),
    ("Bool", False, {"k": "true"}, False),
    ("BinaryEquals", "YWI=", {"k": "YWI="}, True),
    ("Null", "true", {}, True),
    ("Null", "false", {}, False),
    ("Null", "true", {"k": "x"}, False),
    ("IpAddress", "10.0.0.0/8", {"k": "10.1.2.3"}, True),
    ("IpAddress", ["10.0.0.0/8", "::1"], {"k": "::1"}, True),
    ("IpAddress", "10.0.0.0/8", {"k": "nowhere"}, False),
    ("NotIpAddress", "10.0.0.0/8", {"k": "11.0.0.1"}, True),
    ("ArnLike", "arn:aws:codebuild:*:*:project/*", {"k": PROJECT}, True),
    ("ArnEquals", "arn:aws:codebuild:*:project/*", {"k": PROJECT}, False),
    ("ArnLike", "arn:aws:*", {"k": PROJECT}, False),
    ("ArnNotLike", "arn:aws:codebuild:*:*:project/api", {"k": PROJECT}, True),
    ("ForAnyValue:StringEquals", ["a", "b"], {"k": ("c", "b")}, True),
    ("ForAnyValue:StringEquals", "a", {"k": ("c", "b")}, False),
    ("ForAnyValue:StringEquals", "a", {}, False),
    ("ForAllValues:StringEquals", ["a", "b"], {"k": ("a", "b")}, True),
    ("ForAllValues:StringEquals", ["a", "b"], {"k": ("a", "c")}, False),
    ("ForAllValues:StringEquals", "a", {}, True),
    ("ForAnyValue:StringNotEquals", "a", {"k": ("a", "b")}, True),
    ("ForAllValues:StringNotEquals", "a", {"k": ("a", "b")}, False),
    ("ForAllValues:StringLikeIfExists", "a*", {"k": ("ab", "ac")}, True),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "values", "given", "met"), CONDITIONS)
def test_a_condition(operator: str, values: Any, given: dict[str, Any], met: bool) -> None:
    given = {f"x__{k}" if k == "k" else k: v for k, v in given.items()}

    assert (decide(allow(Condition={operator: {"X:K": values}}), **given) is ALLOWED) is met


def test_every_condition_must_be_met() -> None:
    statement = allow(Condition={"StringEquals": {"x:a": "1", "x:b": "2"}, "Bool": {"x:c": "true"}})

    assert decide(statement, x__a="1", x__b="2", x__c="true") is ALLOWED
    assert decide(statement, x__a="1", x__b="3", x__c="true") is UNDECIDED
    assert decide(statement, x__a="1", x__b="2", x__c="false") is UNDECIDED


ANN = Asker(ACCOUNT, (SESSION, ROLE))
CODEBUILD = Asker(service="codebuild.amazonaws.com")


def trust(principal: Any, asker: Asker, element: str = "Principal", effect: str = "Allow") -> Decision:
    document = parsed({"Effect": effect, "Action": "sts:AssumeRole", element: principal}, kind=Kind.TRUST)
    return policy.evaluate([document], Asked("sts:AssumeRole", ROLE, asker=asker))


@pytest.mark.parametrize(
    ("principal", "asker", "allowed", "delegated"),
    [
        ({"Service": "codebuild.amazonaws.com"}, CODEBUILD, True, False),
        ({"Service": ["ec2.amazonaws.com", "codebuild.amazonaws.com"]}, CODEBUILD, True, False),
        ({"Service": "ec2.amazonaws.com"}, CODEBUILD, False, False),
        ({"Service": "codebuild.amazonaws.com"}, ANN, False, False),
        ({"AWS": ACCOUNT}, ANN, True, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, ANN, True, True),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, CODEBUILD, False, False),
        ({"AWS": [ACCOUNT, ROLE]}, ANN, True, False),
        ({"AWS": SESSION}, ANN, True, False),
        ({"AWS": "210987654321"}, ANN, False, False),
        ({"AWS": "*"}, ANN, True, False),
        ("*", ANN, True, False),
        ({"Federated": "accounts.google.com"}, ANN, False, False),
    ],
)
def test_who_a_principal_is(principal: Any, asker: Asker, allowed: bool, delegated: bool) -> None:
    decision = trust(principal, asker)

    assert (decision.allowed, decision.delegated) == (allowed, delegated)


def test_all_but_a_principal() -> None:
    assert trust({"AWS": ROLE}, ANN, "NotPrincipal", "Deny").outcome is UNDECIDED
    assert trust({"AWS": ROLE}, CODEBUILD, "NotPrincipal", "Deny").outcome is DENIED


def test_a_policy_on_a_resource_means_nobody_without_an_asker() -> None:
    on_resource = parsed(allow(Principal="*"), kind=Kind.RESOURCE)

    assert not policy.evaluate([on_resource], Asked("codebuild:BatchGetBuilds", PROJECT)).allowed


WRONG: list[tuple[str, Kind, str]] = [
    ("{", Kind.IDENTITY, "This policy contains invalid Json"),
    ("[" * 100_000, Kind.IDENTITY, "This policy contains invalid Json"),
    ("[]", Kind.IDENTITY, "Syntax errors in policy."),
    ("{}", Kind.IDENTITY, "Syntax errors in policy."),
    ('{"Statement": [], "Version": "2012-10-17"}', Kind.IDENTITY, "Syntax errors in policy."),
    ('{"Statement": {}, "Statement": {}}', Kind.IDENTITY, "Syntax errors in policy."),
    ('{"Statement": {"Effect": NaN}}', Kind.IDENTITY, "This policy contains invalid Json"),
    (document(allow(), version="2020-01-01"), Kind.IDENTITY, "Syntax errors in policy. (Version: must be"),
    (document(allow(Effect="allow")), Kind.IDENTITY, "in policy. (Statement[0].Effect: must be Allow or Deny)"),
    (document(allow(Effects="x")), Kind.IDENTITY, "in policy. (Statement[0]: there is no element 'Effects')"),
    (document({"Effect": "Allow", "Resource": "*"}), Kind.IDENTITY, "Policy statement must contain actions."),
    (document({"Effect": "Allow", "Action": "*"}), Kind.IDENTITY, "Policy statement must contain resources."),
    (document(allow(Action="StartBuild")), Kind.IDENTITY, "Actions/Conditions must be prefaced by a vendor"),
    (document(allow(Action="a:b:c")), Kind.IDENTITY, "Actions/Condition can contain only one colon."),
    (document(allow(Action="co de:b")), Kind.IDENTITY, "Vendor co de is not valid"),
    (document(allow(Action=[1])), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Resource="bucket")), Kind.IDENTITY, 'Resource bucket must be in ARN format or "*".'),
    (document(allow(Resource="arn:azure:s3:::b")), Kind.IDENTITY, 'Partition "azure" is not valid for resource'),
    (document(allow(NotAction="x:y")), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Principal="*")), Kind.IDENTITY, "Policy document should not specify a principal."),
    (document(allow(Sid="a b")), Kind.IDENTITY, "Statement IDs (SID) should be alpha-numeric."),
    (document(allow(Sid="a"), allow(Sid="a")), Kind.IDENTITY, "Statement IDs (SID) in a single policy must be unique."),
    (document(allow(Condition={"StringSame": {"x:y": "z"}})), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Condition={"StringEquals": "z"})), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Condition={"StringEquals": {"x:y": {}}})), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Condition={"IpAddress": {"x:y": "z"}})), Kind.IDENTITY, "Syntax errors in policy."),
    (document(allow(Condition={"Bool": {"y": "true"}})), Kind.IDENTITY, "Actions/Conditions must be prefaced by a"),
    (document(allow()), Kind.TRUST, "AssumeRole policy may only specify STS AssumeRole actions."),
    (document(allow(Action="sts:AssumeRole", Principal="*")), Kind.TRUST, "Has prohibited field Resource"),
    (document({"Effect": "Allow", "Action": "sts:AssumeRole"}), Kind.TRUST, "Missing required field Principal"),
    (
        document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "ann"}}),
        Kind.TRUST,
        'Invalid principal in policy: "AWS":"ann"',
    ),
    (
        document({"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "codebuild"}}),
        Kind.TRUST,
        'Invalid principal in policy: "SERVICE":"codebuild"',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "told"), WRONG)
def test_a_wrong_document_is_refused_in_the_words_of_iam(text: str, kind: Kind, told: str) -> None:
    with pytest.raises(Malformed) as malformed:
        policy.parse(text, kind)

    assert told in str(malformed.value)


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(Malformed) as malformed:
        parsed({"Effect": "Permit", "Action": "Start", "Resource": "bucket"})

    assert malformed.value.mistakes == (
        "Syntax errors in policy. Statement[0].Effect: must be Allow or Deny",
        "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc. Statement[0].Action: 'Start'",
        'Resource bucket must be in ARN format or "*". Statement[0].Resource',
    )


def test_a_hostile_pattern_costs_no_more_than_its_length() -> None:
    started = time.perf_counter()
    outcome = decide(allow(Resource="arn:aws:s3:::" + "*a" * 4000 + "b"), resource="arn:aws:s3:::" + "a" * 4000)

    assert outcome is UNDECIDED
    assert time.perf_counter() - started < 2


actions = st.sampled_from(["*", "codebuild:*", "codebuild:StartBuild", "logs:Get*", "s3:?etObject"])
resources = st.sampled_from(["*", PROJECT, "arn:aws:codebuild:*", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::b/*"])
conditions = st.sampled_from([{}, {"StringEquals": {"aws:username": "ann"}}, {"Null": {"aws:username": "true"}}])
statements = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Deny"]), "Condition": conditions},
    optional={},
).flatmap(
    lambda base: st.builds(
        lambda action, resource, negate, spare: base | {("NotAction" if negate else "Action"): action, ("NotResource" if spare else "Resource"): resource},  # noqa: E501
        actions, resources, st.booleans(), st.booleans(),
    )
)  # fmt: skip
questions = st.builds(
    Asked,
    st.sampled_from(["codebuild:StartBuild", "logs:GetLogEvents", "s3:GetObject", "s3:PutObject"]),
    st.sampled_from([PROJECT, "arn:aws:s3:::b/ann", "arn:aws:s3:::b/bob", "*"]),
    st.sampled_from(
        [policy.context({}), policy.context({"aws:username": "ann"}), policy.context({"aws:username": "*"})]
    ),
)


@given(st.lists(statements, min_size=1, max_size=4), statements, questions)
def test_one_more_deny_never_allows_more(written: list[dict[str, Any]], more: dict[str, Any], asked: Asked) -> None:
    before = policy.evaluate([parsed(*written)], asked)
    after = policy.evaluate([parsed(*written, more | {"Effect": "Deny"})], asked)

    assert before.allowed or not after.allowed


@given(st.lists(statements, min_size=1, max_size=4), questions)
def test_the_order_is_of_no_account(written: list[dict[str, Any]], asked: Asked) -> None:
    outcomes = {policy.evaluate([parsed(*order)], asked).outcome for order in permutations(written)}
    apart = policy.evaluate([parsed(each) for each in written], asked).outcome

    assert outcomes == {apart}


@given(st.text("ab*?:", max_size=8), st.text("ab:", max_size=8))
def test_wildcards_match_as_in_a_shell(pattern: str, text: str) -> None:
    def fits(pattern: str, text: str) -> bool:
        if not pattern:
            return not text
        if pattern[0] == "*":
            return any(fits(pattern[1:], text[i:]) for i in range(len(text) + 1))
        return bool(text) and pattern[0] in ("?", text[0]) and fits(pattern[1:], text[1:])

    whole = parsed(allow(Resource=f"arn:aws:s3:::{pattern}"))

    assert policy.evaluate([whole], Asked("s3:Get", f"arn:aws:s3:::{text}")).allowed is fits(pattern, text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Effect", "Action", "Resource", "Principal", "Condition", "AWS", "Bool", "Sid", "x:y"]), inner, max_size=5),  # noqa: E501
    max_leaves=12,
)  # fmt: skip


@given(st.lists(json_values, max_size=3), st.sampled_from(Kind))
def test_no_document_is_more_than_malformed(listed: list[Any], kind: Kind) -> None:
    """Whatever it says, it is a policy or Malformed."""
    with suppress(Malformed):
        assert policy.parse(json.dumps({"Statement": listed}), kind).statements
