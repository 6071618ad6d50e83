"""Who a caller is, and roles assumed by boto3."""

from datetime import timedelta
from typing import Any

import pytest

from codeyard.access.identities import Session
from tests.access.cloud import ADMIN, Cloud, allowing, refusal, trust
from tests.calls import ACCOUNT, ROOT

SELF = f"arn:aws:iam::{ACCOUNT}:root"


def assumed(cloud: Cloud, arn: str, session: Session | None = None, **more: Any) -> Any:
    """boto3's answer, and a function that makes clients with the credentials in it."""
    answer = cloud.client("sts", session).assume_role(RoleArn=arn, RoleSessionName="ann", **more)
    given = answer["Credentials"]

    def by(service: str) -> Any:
        return cloud.by(service, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    return answer, by


def test_the_root_is_told_who_it_is(cloud: Cloud) -> None:
    found = cloud.client("sts").get_caller_identity()

    assert {k: found[k] for k in ("UserId", "Account", "Arn")} == {"UserId": ACCOUNT, "Account": ACCOUNT, "Arn": SELF}


def test_a_role_is_assumed_and_may_do_what_it_says(cloud: Cloud) -> None:
    arn = cloud.role("reader", trust(SELF), allowing("iam:GetRole", on=f"arn:aws:iam::{ACCOUNT}:role/reader"))
    answer, by = assumed(cloud, arn)
    who = by("sts").get_caller_identity()
    code, text, status = refusal(by("iam").get_role, RoleName="other")

    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/ann"
    assert who["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert by("iam").get_role(RoleName="reader")["Role"]["RoleId"] == who["UserId"].partition(":")[0]
    assert (code, status) == ("AccessDenied", 403)
    assert text == (
        f"User: {who['Arn']} is not authorized to perform: iam:GetRole on resource: arn:aws:iam::{ACCOUNT}:role/other "
        "because no identity-based policy allows the iam:GetRole action"
    )


def test_an_explicit_deny_is_called_so(cloud: Cloud) -> None:
    session = cloud.as_role("r", allowing("*"), allowing("iam:DeleteRole", effect="Deny"))
    _, text, _ = refusal(cloud.client("iam", session).delete_role, RoleName="r")

    assert text.endswith(f"role/{'r'} with an explicit deny in an identity-based policy")


def test_a_role_that_does_not_trust_is_not_assumed(cloud: Cloud) -> None:
    for_codebuild = cloud.role("service", trust())
    found = refusal(cloud.client("sts").assume_role, RoleArn=for_codebuild, RoleSessionName="ann")
    absent = refusal(
        cloud.client("sts").assume_role, RoleArn=f"arn:aws:iam::{ACCOUNT}:role/absent", RoleSessionName="ann"
    )

    assert found == (
        "AccessDenied",
        f"User: {ROOT.arn} is not authorized to perform: sts:AssumeRole on resource: {for_codebuild}",
        403,
    )
    assert absent[0] == "AccessDenied"


def test_a_role_assumes_another_that_names_it_or_that_its_own_policies_allow(cloud: Cloud) -> None:
    mighty = cloud.as_role("mighty", allowing("sts:AssumeRole"))
    weak = cloud.as_role("weak")
    barred = cloud.as_role("barred", allowing("sts:*", effect="Deny"))
    by_account = cloud.role("by-account", trust(SELF))
    by_name = cloud.role("by-name", trust(*(f"arn:aws:iam::{ACCOUNT}:role/{n}" for n in ("weak", "barred", "mighty"))))

    def denied(session: Session, arn: str) -> str:
        return refusal(cloud.client("sts", session).assume_role, RoleArn=arn, RoleSessionName="ann")[0]

    assert assumed(cloud, by_account, mighty)[0]["Credentials"]
    assert assumed(cloud, by_name, weak)[0]["Credentials"]
    assert denied(weak, by_account) == "AccessDenied"
    assert denied(barred, by_name) == "AccessDenied"


def test_a_session_policy_takes_away_and_never_gives(cloud: Cloud) -> None:
    arn = cloud.role("r", trust(SELF), allowing("iam:GetRole", "iam:ListRoles"))
    _, less = assumed(cloud, arn, Policy=allowing("iam:GetRole", "iam:ListRolePolicies"))
    _, all_of_it = assumed(cloud, arn, PolicyArns=[{"arn": ADMIN}])

    assert less("iam").get_role(RoleName="r")
    assert "because no session policy allows" in refusal(less("iam").list_roles)[1]
    assert "because no identity-based policy allows" in refusal(less("iam").list_role_policies, RoleName="r")[1]
    assert all_of_it("iam").list_roles()
    assert refusal(all_of_it("iam").list_role_policies, RoleName="r")[0] == "AccessDenied"


def test_conditions_of_a_trust_policy_are_kept(cloud: Cloud) -> None:
    arn = cloud.role("r", trust(SELF, Condition={"StringEquals": {"sts:ExternalId": "sesame"}}))

    assert assumed(cloud, arn, ExternalId="sesame")[0]["Credentials"]
    assert refusal(cloud.client("sts").assume_role, RoleArn=arn, RoleSessionName="ann")[0] == "AccessDenied"


def test_tags_and_source_identity_go_with_the_session(cloud: Cloud) -> None:
    own = allowing("iam:*", on=f"arn:aws:iam::{ACCOUNT}:role/${{aws:PrincipalTag/team}}-${{aws:SourceIdentity}}")
    arn = cloud.role("r", trust(SELF), own)
    answer, by = assumed(cloud, arn, Tags=[{"Key": "team", "Value": "web"}], SourceIdentity="ann")

    assert answer["SourceIdentity"] == "ann"
    assert refusal(by("iam").get_role, RoleName="web-ann")[0] == "NoSuchEntity"
    assert refusal(by("iam").get_role, RoleName="api-ann")[0] == "AccessDenied"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"RoleArn": "arn:aws:iam::1:role/short-account"}, "ValidationError"),
    ({"DurationSeconds": 3601}, "ValidationError"),
    ({"DurationSeconds": 899}, "ValidationError"),
    ({"RoleSessionName": "a b"}, "ValidationError"),
    ({"Policy": "{"}, "MalformedPolicyDocument"),
    ({"Policy": allowing(*(f"s3:{i:0100}" for i in range(30)))}, "PackedPolicyTooLarge"),
    ({"PolicyArns": [{"arn": "arn:aws:iam::aws:policy/Nothing"}]}, "MalformedPolicyDocument"),
    ({"Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]}, "InvalidParameterValue"),
    ({"SerialNumber": "arn:aws:iam::1:mfa/x", "TokenCode": "123456"}, "AccessDenied"),
]


@pytest.mark.parametrize(("more", "code"), WRONG)
def test_what_cannot_be_is_refused(cloud: Cloud, more: dict[str, Any], code: str) -> None:
    arn = cloud.role("r", trust(SELF))
    arguments = {"RoleArn": arn, "RoleSessionName": "ann"} | more

    assert refusal(cloud.by("sts", *cloud.root, checked=False).assume_role, **arguments)[0] == code


def test_a_session_ends_in_time_and_a_chained_one_within_the_hour(cloud: Cloud) -> None:
    arn = cloud.role("r", trust(SELF, f"arn:aws:iam::{ACCOUNT}:role/long"), allowing("*"))
    cloud.client("iam").update_role(RoleName="r", MaxSessionDuration=43200)
    long = cloud.as_role("long", allowing("*"))
    answer, by = assumed(cloud, arn, DurationSeconds=7200)
    chained = refusal(cloud.client("sts", long).assume_role, RoleArn=arn, RoleSessionName="ann", DurationSeconds=3601)
    before = cloud.clock()
    cloud.clock.ahead = timedelta(minutes=4)

    assert timedelta(seconds=7190) < answer["Credentials"]["Expiration"] - before < timedelta(seconds=7201)
    assert by("sts").get_caller_identity()
    assert chained[0] == "ValidationError"


def test_sessions_of_the_root_are_made_by_the_root_alone(cloud: Cloud) -> None:
    given = cloud.client("sts").get_session_token(DurationSeconds=7200)["Credentials"]
    own = cloud.by("sts", given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    assert own.get_caller_identity()["Arn"] == SELF
    assert given["Expiration"] - cloud.clock() <= timedelta(seconds=3600)
    assert refusal(own.get_session_token)[0] == "AccessDenied"
