"""What a role may do, written by boto3."""

import json

from codeyard.access import managed_policies
from tests.access.cloud import ADMIN, Cloud, allowing, refusal, trust


def test_an_inline_policy_is_kept_replaced_and_deleted(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    iam.put_role_policy(RoleName="r", PolicyName="logs", PolicyDocument=allowing("logs:*"))
    iam.put_role_policy(RoleName="r", PolicyName="all", PolicyDocument=allowing("*"))
    iam.put_role_policy(RoleName="r", PolicyName="logs", PolicyDocument=allowing("logs:Get*"))
    found, names = iam.get_role_policy(RoleName="r", PolicyName="logs"), iam.list_role_policies(RoleName="r")
    iam.delete_role_policy(RoleName="r", PolicyName="logs")

    assert found["PolicyDocument"] == json.loads(allowing("logs:Get*"))
    assert (found["RoleName"], found["PolicyName"], names["PolicyNames"]) == ("r", "logs", ["all", "logs"])
    assert refusal(iam.get_role_policy, RoleName="r", PolicyName="logs") == (
        "NoSuchEntity", "The role policy with name logs cannot be found.", 404,
    )  # fmt: skip
    assert refusal(iam.delete_role_policy, RoleName="r", PolicyName="logs")[0] == "NoSuchEntity"


def test_inline_policies_are_listed_in_pages(cloud: Cloud) -> None:
    cloud.role("r", trust(), *[allowing("s3:*")] * 5)
    paginator = cloud.client("iam").get_paginator("list_role_policies")
    pages = paginator.paginate(RoleName="r", PaginationConfig={"PageSize": 2})

    assert [page["PolicyNames"] for page in pages] == [["p0", "p1"], ["p2", "p3"], ["p4"]]


def test_an_inline_policy_must_be_one_and_short(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    wrong = refusal(iam.put_role_policy, RoleName="r", PolicyName="p", PolicyDocument='{"Statement": {"Effect": "A"}}')
    long = allowing(*(f"s3:{i:090}" for i in range(60)))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=long)

    assert wrong[0] == "MalformedPolicyDocument"
    assert wrong[1].startswith("Syntax errors in policy.")
    assert refusal(iam.put_role_policy, RoleName="r", PolicyName="q", PolicyDocument=long) == (
        "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role r", 409,
    )  # fmt: skip
    assert iam.list_role_policies(RoleName="r")["PolicyNames"] == ["p"]


def test_aws_own_policies_are_attached_and_detached(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    iam.attach_role_policy(RoleName="r", PolicyArn=ADMIN)
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    iam.detach_role_policy(RoleName="r", PolicyArn=ADMIN)

    assert attached == [{"PolicyName": "AdministratorAccess", "PolicyArn": ADMIN}]
    assert iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"] == []
    assert refusal(iam.detach_role_policy, RoleName="r", PolicyArn=ADMIN)[0] == "NoSuchEntity"


def test_a_policy_that_is_not_here_is_told_with_those_that_are(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    cloud.role("r", trust())
    code, text, status = refusal(
        iam.attach_role_policy, RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2FullAccess"
    )

    assert (code, status) == ("NoSuchEntity", 404)
    assert "AWSCodeBuildAdminAccess, AWSCodeBuildDeveloperAccess, AWSCodeBuildReadOnlyAccess, " in text
    assert refusal(iam.attach_role_policy, RoleName="r", PolicyArn="not-an-arn-of-a-policy")[0] == "InvalidInput"


def test_aws_own_policies_can_be_read(cloud: Cloud) -> None:
    iam = cloud.client("iam")
    version = iam.get_policy(PolicyArn=ADMIN)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=ADMIN, VersionId=version)["PolicyVersion"]["Document"]

    assert document["Statement"] == [{"Effect": "Allow", "Action": ["*"], "Resource": "*"}]
    assert refusal(iam.get_policy_version, PolicyArn=ADMIN, VersionId="v2")[0] == "NoSuchEntity"


def test_a_policy_that_has_a_path_is_known_by_its_name(cloud: Cloud) -> None:
    iam, arn = cloud.client("iam"), "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole"
    cloud.role("deploys", trust())
    iam.attach_role_policy(RoleName="deploys", PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName="deploys")["AttachedPolicies"]
    shown = iam.get_policy(PolicyArn=arn)["Policy"]

    assert attached == [{"PolicyName": "AWSCodeDeployRole", "PolicyArn": arn}]
    assert (shown["PolicyName"], shown["Path"]) == ("AWSCodeDeployRole", "/service-role/")


def test_every_embedded_policy_is_one() -> None:
    parsed = [managed_policies.parsed(managed_policies.PREFIX + name) for name in managed_policies.DOCUMENTS]

    assert all(parsed)
