"""A tenant with few rights, who may make projects and start builds, and tries for more than that."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from tests.service.servers import TRUST, Server, log_of
from tests.service_security.tenants import (
    ACCOUNT,
    ALL,
    ARTIFACT,
    NOTHING,
    Tenant,
    Victim,
    contexts,
    refused,
    whole_bucket,
)  # fmt: skip

pytestmark = pytest.mark.slow

# ── what the API refuses ──


def test_no_role_is_taken_that_may_not_be_passed(tenant: Tenant, victim: Victim) -> None:
    codebuild, name = tenant.client("codebuild"), tenant.create("-roles")
    service_role = victim.role

    answers = [
        refused(lambda: tenant.create("-stolen", serviceRole=service_role)),
        refused(lambda: codebuild.update_project(name=name, serviceRole=service_role)),
        refused(lambda: codebuild.start_build(projectName=name, serviceRoleOverride=service_role)),
        refused(lambda: codebuild.update_project_visibility(
            projectArn=f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/{name}", projectVisibility="PUBLIC_READ",
            resourceAccessRole=service_role)),
        refused(lambda: codebuild.update_project(
            name=name, buildBatchConfig={"serviceRole": service_role})),
    ]  # fmt: skip

    assert set(answers) == {"AccessDeniedException"}


def test_no_right_is_given_to_oneself(tenant: Tenant, victim: Victim) -> None:
    iam, sts, own = tenant.client("iam"), tenant.client("sts"), tenant.role.rpartition("/")[2]
    document = json.dumps({"Version": "2012-10-17", "Statement": [ALL]})
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{**ALL, "Principal": "*", "Action": "sts:AssumeRole"}]})

    answers = [
        refused(lambda: iam.put_role_policy(RoleName=own, PolicyName="x", PolicyDocument=document)),
        refused(lambda: iam.attach_role_policy(RoleName=own, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")),
        refused(lambda: iam.update_assume_role_policy(RoleName=own, PolicyDocument=trust)),
        refused(lambda: iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)),
        refused(lambda: iam.create_access_key()),
        refused(lambda: sts.assume_role(RoleArn=victim.role, RoleSessionName="more")),
        refused(lambda: sts.assume_role(RoleArn=tenant.role, RoleSessionName="more")),
    ]

    assert set(answers) == {"AccessDenied"}


def test_builds_of_other_projects_are_not_read_started_stopped_or_deleted(tenant: Tenant, victim: Victim) -> None:
    codebuild, run = tenant.client("codebuild"), victim.build.partition(":")[2]
    tenant.create("-builds")
    arn = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:build/{victim.build}"
    project_arn = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/{victim.name}"
    token = {"token": "t", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}

    answers = [
        refused(lambda: codebuild.start_build(projectName=victim.name)),
        refused(lambda: codebuild.start_build(projectName=project_arn)),
        refused(lambda: codebuild.batch_get_builds(ids=[victim.build])),
        refused(lambda: codebuild.batch_get_builds(ids=[f"{tenant.name}-builds:{run}", arn])),
        refused(lambda: codebuild.batch_get_projects(names=[victim.name])),
        refused(lambda: codebuild.stop_build(id=victim.build)),
        refused(lambda: codebuild.stop_build(id=arn)),
        refused(lambda: codebuild.retry_build(id=victim.build)),
        refused(lambda: codebuild.batch_delete_builds(ids=[victim.build])),
        refused(lambda: codebuild.list_builds_for_project(projectName=victim.name)),
        refused(lambda: codebuild.list_builds()),
        refused(lambda: codebuild.list_projects()),
        refused(lambda: codebuild.delete_project(name=victim.name)),
        refused(lambda: codebuild.update_project(name=victim.name, description="mine")),
        refused(lambda: codebuild.import_source_credentials(**token)),
    ]  # fmt: skip
    under_my_name = codebuild.batch_get_builds(ids=[f"{tenant.name}-builds:{run}"])

    assert set(answers) == {"AccessDeniedException"}
    assert under_my_name["builds"] == []
    assert refused(lambda: codebuild.retry_build(id=f"{tenant.name}-builds:{run}")) == "ResourceNotFoundException"
    assert refused(lambda: codebuild.stop_build(id=f"{tenant.name}-builds:{run}")) == "ResourceNotFoundException"


def test_logs_and_objects_of_others_are_not_read(tenant: Tenant, victim: Victim) -> None:
    logs, s3 = tenant.client("logs"), tenant.client("s3")
    group, stream = f"/aws/codebuild/{victim.name}", victim.build.partition(":")[2]
    mine = f"/aws/codebuild/{tenant.name}"
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"

    answers = [
        refused(lambda: logs.get_log_events(logGroupName=group, logStreamName=stream)),
        refused(lambda: logs.get_log_events(logGroupIdentifier=arn, logStreamName=stream)),
        refused(lambda: logs.get_log_events(logGroupIdentifier=f"{arn}:*", logStreamName=stream)),
        refused(lambda: logs.get_log_events(logGroupName=mine, logGroupIdentifier=group, logStreamName=stream)),
        refused(lambda: logs.filter_log_events(logGroupName=group)),
        refused(lambda: logs.filter_log_events(logGroupName=mine, logGroupIdentifier=arn)),
        refused(lambda: logs.describe_log_streams(logGroupName=mine, logGroupIdentifier=arn)),
        refused(lambda: logs.delete_log_group(logGroupName=group)),
        refused(lambda: logs.put_retention_policy(logGroupName=group, retentionInDays=1)),
        refused(lambda: s3.get_object(Bucket=victim.name, Key="key")),
        refused(lambda: s3.get_object(Bucket=victim.name, Key=f"../{tenant.name}/key")),
        refused(lambda: s3.list_objects_v2(Bucket=victim.name)),
        refused(lambda: s3.list_buckets()),
        refused(lambda: s3.copy_object(Bucket=tenant.name, Key="x", CopySource=f"{victim.name}/key")),
        refused(lambda: s3.put_object(Bucket=victim.name, Key="key", Body=b"")),
        refused(lambda: s3.delete_bucket(Bucket=victim.name)),
    ]  # fmt: skip

    assert set(answers) <= {"AccessDeniedException", "AccessDenied", "InvalidParameterException"}
    assert answers.count("InvalidParameterException") <= 4  # of a name and another identifier at once


# ── what its builds are refused ──


def test_a_cache_that_others_share_is_neither_read_nor_spoilt_without_rights_on_its_bucket(
    server: Server, tenant: Tenant, victim: Victim
) -> None:
    text = json.dumps({
        "version": 0.2, "cache": {"paths": ["kept/**/*"]},
        "phases": {"build": {"commands": ["cat kept/file || true", "mkdir -p kept", "echo spoilt > kept/file"]}},
    }) + "\n"  # fmt: skip
    cache = {"type": "S3", "location": f"{victim.name}/cache", "cacheNamespace": "shared"}
    name = tenant.create("-cache", source={"type": "NO_SOURCE", "buildspec": text}, cache=cache)

    first = tenant.build(name)
    log = log_of(server, first["id"])
    tenant.may({"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{victim.name}/cache/*"})
    second = tenant.build(name)

    assert first["buildStatus"] == second["buildStatus"] == "SUCCEEDED"
    assert "victims-cache" not in log
    assert "Unable to download cache" in log
    assert "Unable to upload cache" in log
    assert "victims-cache" in log_of(server, second["id"])  # and not what the first build left


def test_nothing_is_written_into_another_projects_log_group(server: Server, tenant: Tenant, victim: Victim) -> None:
    group = f"/aws/codebuild/{victim.name}"
    logs = {"cloudWatchLogs": {"status": "ENABLED", "groupName": group, "streamName": "forged"}}
    name = tenant.create("-logs", logsConfig=logs)

    ended = tenant.build(name)

    streams = server.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert ended["buildStatus"] == "FAILED"
    assert "does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams" in contexts(ended)
    assert [each["logStreamName"] for each in streams] == [victim.build.partition(":")[2]]


def test_a_log_group_that_the_role_may_write_to_takes_the_log(server: Server, tenant: Tenant) -> None:
    group = f"/builds/{tenant.name}"
    tenant.may({"Effect": "Allow", "Action": "logs:*", "Resource": f"arn:aws:logs:*:*:log-group:{group}:*"})
    name = tenant.create("-own-logs", logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": group}})

    ended = tenant.build(name)

    streams = server.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert ended["buildStatus"] == "SUCCEEDED"
    assert [each["logStreamName"] for each in streams] == [ended["id"].partition(":")[2]]


def test_objects_that_the_role_may_not_read_are_no_source_and_no_buildspec(tenant: Tenant, victim: Victim) -> None:
    tenant.may(NOTHING)
    sources = [
        {"type": "S3", "location": f"{victim.name}/key"},
        {"type": "S3", "location": f"{victim.name}/"},
        {"type": "NO_SOURCE", "buildspec": f"arn:aws:s3:::{victim.name}/key"},
    ]
    ended = [tenant.build(tenant.create(f"-source-{number}", source=each)) for number, each in enumerate(sources)]

    assert [each["buildStatus"] for each in ended] == ["FAILED"] * 3
    assert "what only the victim has" not in str(ended)
    said = [contexts(each) for each in ended]
    assert not [each for each in said if "AccessDenied" not in each and "role does not allow it" not in each]


def test_artifacts_and_logs_go_to_no_bucket_that_the_role_may_not_write_to(
    server: Server, tenant: Tenant, victim: Victim
) -> None:
    name = tenant.create(
        "-artifacts", source={"type": "NO_SOURCE", "buildspec": json.dumps(ARTIFACT) + "\n"},
        artifacts={"type": "S3", "location": victim.name, "path": "in", "name": "x"},
        logsConfig={"s3Logs": {"status": "ENABLED", "location": f"{victim.name}/logs"}},
    )  # fmt: skip

    ended = tenant.build(name)

    keys = [each["Key"] for each in server.client("s3").list_objects_v2(Bucket=victim.name)["Contents"]]
    assert ended["buildStatus"] == "FAILED"
    assert keys == ["key"]


OUT = [("../../up", "x"), ("/etc", "passwd"), ("a/../../..", "b"), ("%2e%2e/", ".."), ("a//b", "x"), (".", ".")]


@pytest.mark.parametrize(("path", "name"), OUT)
def test_no_path_or_name_of_an_artifact_leads_out_of_its_bucket(
    server: Server, tenant: Tenant, path: str, name: str
) -> None:
    bucket, made = f"{tenant.name}-{uuid.uuid4().hex[:6]}", f"-out-{uuid.uuid4().hex[:6]}"
    server.client("s3").create_bucket(Bucket=bucket)
    tenant.may(whole_bucket(bucket))
    before = _of_nobody(server)
    target = {"type": "S3", "location": bucket, "path": path, "name": name}
    source = {"type": "NO_SOURCE", "buildspec": json.dumps(ARTIFACT) + "\n"}

    try:
        ended = tenant.build(tenant.create(made, source=source, artifacts=target))
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidInputException"  # noqa: PT017 - either way is right
    else:
        assert ended["buildStatus"] in ("SUCCEEDED", "FAILED")

    assert _of_nobody(server) == before


def _of_nobody(server: Server) -> set[str]:
    """All files and directories beside those of builds and buckets, and SQLite's own."""
    here, theirs = server.data.parent, ("objects", "builds", "artifacts", "streams")
    places = [here, server.data, *(each for each in server.data.iterdir() if each.name not in theirs and each.is_dir())]
    return {str(each) for place in places for each in place.iterdir() if "sqlite" not in each.name}
