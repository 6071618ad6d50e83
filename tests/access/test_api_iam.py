"""Roles by boto3: made, read, changed, tagged and deleted, and what is refused."""

import json
from typing import Any

import pytest

from tests.access.cloud import ADMIN, Cloud, allowing, refusal, trust
from tests.calls import ACCOUNT


def test_a_role_is_as_it_was_made(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    made = iam.create_role(
        RoleName="Builder", Path="/ci/", AssumeRolePolicyDocument=trust(), Description="builds ü",
        MaxSessionDuration=7200, Tags=[{"Key": "team", "Value": "web"}],
    )["Role"]  # fmt: skip
    role = iam.get_role(RoleName="Builder")["Role"]

    assert made == {k: v for k, v in role.items() if k != "RoleLastUsed"}
    assert role["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/ci/Builder"
    assert role["AssumeRolePolicyDocument"] == json.loads(trust())
    assert (role["Description"], role["MaxSessionDuration"]) == ("builds ü", 7200)
    assert (role["Path"], role["Tags"]) == ("/ci/", [{"Key": "team", "Value": "web"}])
    assert role["RoleId"].startswith("AROA")
    assert len(role["RoleId"]) == 21


def test_a_name_is_taken_once_in_any_case(cloud: Cloud) -> None:
    cloud.role("builder", trust())

    again = refusal(cloud.client("iam").create_role, RoleName="Builder", AssumeRolePolicyDocument=trust())
    assert again == ("EntityAlreadyExists", "Role with name Builder already exists.", 409)


ABSENT: list[tuple[str, dict[str, Any]]] = [
    ("get_role", {}),
    ("update_role", {"Description": "x"}),
    ("update_role_description", {"Description": "x"}),
    ("update_assume_role_policy", {"PolicyDocument": trust()}),
    ("delete_role", {}),
    ("put_role_policy", {"PolicyName": "p", "PolicyDocument": allowing("s3:*")}),
    ("get_role_policy", {"PolicyName": "p"}),
    ("list_role_policies", {}),
    ("delete_role_policy", {"PolicyName": "p"}),
    ("tag_role", {"Tags": [{"Key": "a", "Value": "b"}]}),
    ("untag_role", {"TagKeys": ["a"]}),
    ("list_role_tags", {}),
    ("attach_role_policy", {"PolicyArn": ADMIN}),
    ("detach_role_policy", {"PolicyArn": ADMIN}),
    ("list_attached_role_policies", {}),
    ("list_instance_profiles_for_role", {}),
]


@pytest.mark.parametrize(("method", "more"), ABSENT, ids=lambda given: given if isinstance(given, str) else "")
def test_a_role_that_is_not_there_cannot_be_found(cloud: Cloud, method: str, more: dict[str, Any]) -> None:
    found = refusal(getattr(cloud.client("iam"), method), RoleName="nobody", **more)

    assert found == ("NoSuchEntity", "The role with name nobody cannot be found.", 404)


def test_a_role_changes_in_what_is_given_only(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust(), Description="old", MaxSessionDuration=7200)
    iam.update_role(RoleName="r", MaxSessionDuration=3600)
    iam.update_assume_role_policy(RoleName="r", PolicyDocument=trust(service="ec2.amazonaws.com"))
    first = iam.get_role(RoleName="r")["Role"]
    iam.update_role(RoleName="r", Description="new")
    second = iam.get_role(RoleName="r")["Role"]
    third = iam.update_role_description(RoleName="r", Description="newer")["Role"]

    assert (first["Description"], first["MaxSessionDuration"]) == ("old", 3600)
    assert first["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert (second["Description"], second["MaxSessionDuration"], third["Description"]) == ("new", 3600, "newer")


def test_a_role_goes_after_its_policies(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust(), allowing("s3:*"))
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    attached = refusal(iam.delete_role, RoleName="r")
    iam.detach_role_policy(RoleName="r", PolicyArn=ADMIN)
    inline = refusal(iam.delete_role, RoleName="r")
    iam.delete_role_policy(RoleName="r", PolicyName="p0")
    iam.delete_role(RoleName="r")

    assert attached == ("DeleteConflict", "Cannot delete entity, must detach all policies first.", 409)
    assert inline == ("DeleteConflict", "Cannot delete entity, must delete policies first.", 409)
    assert refusal(iam.get_role, RoleName="r")[0] == "NoSuchEntity"


def test_roles_are_listed_in_pages_below_a_path(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    names = ["delta", "Alpha", "charlie", "bravo"]
    made = [
        iam.create_role(RoleName=n, AssumeRolePolicyDocument=trust(), Path="/ci/")["Role"]["RoleName"] for n in names
    ]
    iam.create_role(RoleName="apart", AssumeRolePolicyDocument=trust())
    pages = iam.get_paginator("list_roles").paginate(PathPrefix="/ci/", PaginationConfig={"PageSize": 3})
    listed = [[role["RoleName"] for role in page["Roles"]] for page in pages]

    assert made == names
    assert listed == [["Alpha", "bravo", "charlie"], ["delta"]]
    assert refusal(iam.list_roles, Marker="bent")[0] == "ValidationError"
    assert len(iam.list_roles()["Roles"]) == 5


def test_tags_are_replaced_whatever_the_case_of_their_keys(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    iam.tag_role(RoleName="r", Tags=[{"Key": "Team", "Value": "web"}, {"Key": "b", "Value": "2"}])
    iam.tag_role(RoleName="r", Tags=[{"Key": "team", "Value": "api"}, {"Key": "c", "Value": ""}])
    iam.untag_role(RoleName="r", TagKeys=["B", "none"])
    first = iam.list_role_tags(RoleName="r", MaxItems=1)
    second = iam.list_role_tags(RoleName="r", Marker=first["Marker"])

    assert first["Tags"] == [{"Key": "c", "Value": ""}]
    assert (second["Tags"], second["IsTruncated"]) == ([{"Key": "team", "Value": "api"}], False)


def test_tags_have_their_limits(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    iam.tag_role(RoleName="r", Tags=[{"Key": str(i), "Value": ""} for i in range(50)])
    twice = [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]

    assert refusal(iam.tag_role, RoleName="r", Tags=[{"Key": "x", "Value": ""}])[::2] == ("LimitExceeded", 409)
    assert refusal(iam.tag_role, RoleName="r", Tags=twice)[0] == "InvalidInput"
    assert refusal(iam.tag_role, RoleName="r", Tags=[{"Key": "aws:x", "Value": ""}])[0] == "InvalidInput"


def test_a_trust_policy_must_be_one(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    wrong = refusal(iam.create_role, RoleName="r", AssumeRolePolicyDocument=allowing("s3:*"))
    long = trust(*(f"arn:aws:iam::{ACCOUNT}:role/{i:060}" for i in range(40)))

    assert wrong[0] == "MalformedPolicyDocument"
    assert "Has prohibited field Resource" in wrong[1]
    assert refusal(iam.create_role, RoleName="r", AssumeRolePolicyDocument=long) == (
        "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", 409,
    )  # fmt: skip


def test_a_permissions_boundary_is_refused_rather_than_ignored(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    found = refusal(iam.create_role, RoleName="r", AssumeRolePolicyDocument=trust(), PermissionsBoundary=ADMIN)

    assert found[0] == "InvalidInput"


def test_nothing_is_there_of_instance_profiles(cloud: Cloud) -> None:
    cloud.role("r", trust())

    assert cloud.client("iam").list_instance_profiles_for_role(RoleName="r")["InstanceProfiles"] == []


def test_what_is_not_kept_is_declined_with_the_reason(cloud: Cloud) -> None:
    found = refusal(cloud.client("iam").create_user, UserName="ann")

    assert found[0].startswith("UnsupportedOperation")
    assert "roles with their policies" in found[1]


def test_a_role_is_allowed_by_its_whole_arn(cloud: Cloud) -> None:
    """Its path too: "Using paths … you can grant permissions to a whole path" (IAM identifiers)."""
    iam = cloud.client("iam")
    for path in ("/admin/", "/ci/"):
        iam.create_role(RoleName=f"of-{path[1:-1]}", Path=path, AssumeRolePolicyDocument=trust())
    arns = f"arn:aws:iam::{ACCOUNT}:role"
    barred = cloud.client(
        "iam", cloud.as_role("barred", allowing("*"), allowing("iam:*", on=f"{arns}/admin/*", effect="Deny"))
    )
    within = cloud.client("iam", cloud.as_role("within", allowing("iam:*", on=f"{arns}/ci/*")))

    assert refusal(barred.delete_role, RoleName="of-admin")[0] == "AccessDenied"
    assert refusal(within.get_role, RoleName="of-admin")[0] == "AccessDenied"
    assert within.get_role(RoleName="of-ci")["Role"]["Path"] == "/ci/"
    assert refusal(within.get_role, RoleName="absent")[0] == "AccessDenied"
    within.create_role(RoleName="another", Path="/ci/", AssumeRolePolicyDocument=trust())
    barred.delete_role(RoleName="of-ci")
