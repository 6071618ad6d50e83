"""A tenant who may define pipelines `mine…`, and pass one role to them, tries for what is somebody else's."""

import json
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from tests.service.agents import agent
from tests.service.servers import up
from tests.service.test_drive import executor
from tests.service.yard import BUCKET, Yard, action, listening, until, zipped
from tests.service_security.tenants import ACCOUNT, refused, whole_bucket

pytestmark = pytest.mark.slow
ARN = f"arn:aws:codepipeline:us-east-1:{ACCOUNT}:"
SECRET = "what-nobody-may-read-3f9a"
_SERVICES = ["codepipeline.amazonaws.com", "codebuild.amazonaws.com", "codedeploy.amazonaws.com"]


def acts(
    kind: str, name: str | None = None, *, into: tuple[str, ...] = (), out: tuple[str, ...] = (),
    more: Mapping[str, Any] | None = None, **configuration: str,
) -> dict[str, Any]:  # fmt: skip
    """An action with this configuration, and these members besides."""
    return {**action(kind, name, configuration, into=into, out=out), **(more or {})}


WAITS = [[acts("Source/S3", S3Bucket=BUCKET, S3ObjectKey="site", PollForSourceChanges="false", out=("Source",))],
         [acts("Approval/Manual")]]  # fmt: skip


@dataclass
class Tenant:
    """By a session of a role. `role`: what his pipelines have, which may use his bucket and nothing else."""

    yard: Yard
    role: str
    client: Callable[[str], Any]

    def runs(self, name: str, *stages: list[dict[str, Any]], **more: Any) -> str:
        """The id of the execution of a new pipeline of his."""
        mine = {
            "name": name, "roleArn": self.role, "pipelineType": "V2",
            "artifactStore": {"type": "S3", "location": "mine"},
            "stages": [{"name": f"S{at}", "actions": actions} for at, actions in enumerate(stages)], **more,
        }  # fmt: skip
        pipelines = self.client("codepipeline")
        pipelines.create_pipeline(pipeline=mine)
        found = pipelines.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        return str(found[-1]["pipelineExecutionId"])

    def source(self, key: str = "site", bucket: str = "mine", **more: Any) -> dict[str, Any]:
        given: dict[str, Any] = {"S3Bucket": bucket, "S3ObjectKey": key, "PollForSourceChanges": "false"}
        return acts("Source/S3", out=("Source",), more=more, **given)


def _role(yard: Yard, name: str, *statements: Mapping[str, Any]) -> str:
    iam = yard.server.client("iam")
    trust = [
        {"Effect": "Allow", "Principal": {"Service": _SERVICES}, "Action": "sts:AssumeRole"},
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "sts:AssumeRole"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=policy)
    return arn


def _acting(yard: Yard, role: str) -> Callable[[str], Any]:
    """Makes clients of a session of the role."""
    keys = yard.server.client("sts").assume_role(RoleArn=role, RoleSessionName="person")["Credentials"]
    return lambda service: boto3.client(
        service, endpoint_url=yard.server.url, region_name="us-east-1", aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with up(tmp_path_factory.mktemp("pipelines"), **executor()) as server:
        yield Yard.of(server)


@pytest.fixture(scope="module")
def tenant(yard: Yard) -> Tenant:
    role = _role(yard, "passed", whole_bucket("mine"))
    person = _role(
        yard, "person",
        {"Effect": "Allow", "Action": "codepipeline:*", "Resource": [f"{ARN}mine*", f"{ARN}*:mine*"]},
        {"Effect": "Allow", "Action": "codedeploy:*", "Resource": f"arn:aws:codedeploy:*:{ACCOUNT}:*:mine*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role},
        whole_bucket("mine"),
    )  # fmt: skip
    yard.s3.create_bucket(Bucket="mine")
    yard.s3.put_object(Bucket="mine", Key="site", Body=zipped({"!hook.sh": "#!/bin/sh\nid > hooked\n", "a": "mine"}))
    return Tenant(yard, role, _acting(yard, person))


@pytest.fixture(scope="module")
def victim(yard: Yard) -> tuple[str, str, str]:
    """The name of a pipeline that waits for an approval, its execution, and the approval's token."""
    yard.put("site", {"a": SECRET})
    id = yard.create("victim", *WAITS)
    return "victim", id, yard.token("victim", id)


# ── what the API refuses ──


def test_no_operation_reads_or_changes_anothers_pipeline(
    yard: Yard, tenant: Tenant, victim: tuple[str, str, str]
) -> None:
    name, id, token = victim
    run = yard.run(name, id, "Manual")
    assert run is not None
    cp, where = tenant.client("codepipeline"), {"pipelineName": name, "stageName": "Two"}
    execution = {"pipelineName": name, "pipelineExecutionId": id}
    definition = yard.cp.get_pipeline(name=name)["pipeline"]
    by_hand = {"summary": "mine", "status": "Approved"}
    revision = {"revisionId": "1", "revisionChangeId": "1", "created": 0}
    hook = {
        "name": "mine-hook", "targetPipeline": name, "targetAction": "S3", "authentication": "UNAUTHENTICATED",
        "filters": [{"jsonPath": "$.a"}], "authenticationConfiguration": {},
    }  # fmt: skip

    answers = [
        refused(attempt)
        for attempt in (
            lambda: cp.get_pipeline(name=name),
            lambda: cp.get_pipeline_state(name=name),
            lambda: cp.get_pipeline_execution(**execution),
            lambda: cp.list_pipeline_executions(pipelineName=name),
            lambda: cp.list_action_executions(pipelineName=name),
            lambda: cp.list_rule_executions(pipelineName=name),
            lambda: cp.list_deploy_action_execution_targets(actionExecutionId=run["actionExecutionId"]),
            lambda: cp.list_deploy_action_execution_targets(
                pipelineName="mine", actionExecutionId=run["actionExecutionId"]
            ),
            lambda: cp.list_pipelines(),
            lambda: cp.list_webhooks(),
            lambda: cp.create_pipeline(pipeline={**definition, "name": "victim-2"}),
            lambda: cp.update_pipeline(pipeline=definition),
            lambda: cp.delete_pipeline(name=name),
            lambda: cp.start_pipeline_execution(name=name),
            lambda: cp.stop_pipeline_execution(**execution, abandon=True),
            lambda: cp.retry_stage_execution(**where, pipelineExecutionId=id, retryMode="FAILED_ACTIONS"),
            lambda: cp.rollback_stage(**where, targetPipelineExecutionId=id),
            lambda: cp.override_stage_condition(**where, pipelineExecutionId=id, conditionType="BEFORE_ENTRY"),
            lambda: cp.disable_stage_transition(**where, transitionType="Inbound", reason="mine"),
            lambda: cp.enable_stage_transition(**where, transitionType="Inbound"),
            lambda: cp.put_approval_result(**where, actionName="Manual", token=token, result=by_hand),
            lambda: cp.put_action_revision(**{**where, "stageName": "One"}, actionName="S3", actionRevision=revision),
            lambda: cp.put_webhook(webhook=hook),
            lambda: cp.tag_resource(resourceArn=f"{ARN}{name}", tags=[{"key": "a", "value": "b"}]),
            lambda: cp.list_tags_for_resource(resourceArn=f"{ARN}{name}"),
            lambda: cp.untag_resource(resourceArn=f"{ARN}{name}", tagKeys=["a"]),
        )
    ]
    under_my_name = [
        refused(lambda: cp.put_approval_result(
            pipelineName="mine", stageName="Two", actionName="Manual", token=token, result=by_hand)),
        refused(lambda: cp.stop_pipeline_execution(pipelineName="mine", pipelineExecutionId=id)),
    ]  # fmt: skip

    assert answers.count("AccessDeniedException") >= len(answers) - 1, answers
    assert answers[7] == "ActionExecutionNotFoundException"
    assert set(under_my_name) == {"PipelineNotFoundException"}
    assert yard.cp.get_pipeline_execution(**execution)["pipelineExecution"]["status"] == "InProgress"


def test_who_is_denied_approvals_gives_none_and_another_token_is_worth_nothing(
    yard: Yard, victim: tuple[str, str, str]
) -> None:
    name, id, token = victim
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    never = {"Effect": "Deny", "Action": "codepipeline:PutApprovalResult", "Resource": f"{ARN}{name}/Two/Manual"}
    role = _role(yard, "no-approver", everything, never)
    cp = _acting(yard, role)("codepipeline")
    given = {"pipelineName": name, "actionName": "Manual", "result": {"summary": "", "status": "Approved"}}

    told = [
        refused(lambda: cp.put_approval_result(**given, stageName="Two", token=token)),
        refused(lambda: cp.put_approval_result(**given, stageName="One", token=token)),
        refused(lambda: cp.put_approval_result(**given, stageName="two", token=token)),
        refused(lambda: yard.cp.put_approval_result(**given, stageName="Two", token=str(uuid.uuid4()))),
    ]

    assert told[0] == "AccessDeniedException"
    assert set(told[1:]) <= {"ActionNotFoundException", "StageNotFoundException", "InvalidApprovalTokenException"}
    assert yard.cp.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)["pipelineExecution"]["status"] == (
        "InProgress"
    )


def test_a_kind_in_capitals_is_the_same_resource_to_policies(yard: Yard) -> None:
    yard.create("capital", *WAITS)
    yard.cp.put_webhook(
        webhook={
            "name": "kept", "targetPipeline": "capital", "targetAction": "S3", "authentication": "UNAUTHENTICATED",
            "filters": [{"jsonPath": "$.a"}], "authenticationConfiguration": {},
        }
    )  # fmt: skip
    never = {"Effect": "Deny", "Action": "*", "Resource": f"{ARN}webhook:*"}
    role = _role(yard, "no-hooks", {"Effect": "Allow", "Action": "*", "Resource": "*"}, never)
    cp = _acting(yard, role)("codepipeline")

    for kind in ("webhook", "Webhook", "WEBHOOK"):
        assert refused(lambda kind=kind: cp.list_tags_for_resource(resourceArn=f"{ARN}{kind}:kept")) == (  # type: ignore[misc]
            "AccessDeniedException"
        )


# ── what his pipelines are refused ──


def test_an_action_takes_no_role_that_the_pipelines_may_not_take(yard: Yard, tenant: Tenant) -> None:
    yard.put("site", {"a": SECRET})
    stolen = tenant.source(bucket=BUCKET, roleArn=yard.role)
    build = acts("Compute/Commands", into=("Source",), more={"roleArn": yard.role, "commands": ["true"]})

    id = tenant.runs("mine-role", [stolen], [acts("Approval/Manual")])
    by_a_build = tenant.runs("mine-role-2", [tenant.source()], [build])

    assert yard.ended("mine-role", id) == yard.ended("mine-role-2", by_a_build) == "Failed"
    assert "not authorized to perform AssumeRole" in yard.error("mine-role", id, "S3")
    assert "not authorized to perform AssumeRole" in yard.error("mine-role-2", by_a_build, "Commands")


def test_a_role_that_trusts_pipelines_no_more_is_theirs_no_more(yard: Yard, tenant: Tenant) -> None:
    role = _role(yard, "trusting", whole_bucket("mine"))
    stages, store = [[tenant.source()], [acts("Approval/Manual")]], {"type": "S3", "location": "mine"}
    yard.token("trust", yard.create("trust", *stages, roleArn=role, artifactStore=store))
    nobody = {"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [nobody]})
    yard.server.client("iam").update_assume_role_policy(RoleName="trusting", PolicyDocument=document)

    id = yard.start("trust")

    assert yard.ended("trust", id) == "Failed"
    assert "CodePipeline is not authorized to perform AssumeRole" in yard.error("trust", id, "S3")


def test_an_action_has_a_role_that_the_pipelines_may_take(yard: Yard, tenant: Tenant) -> None:
    own = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}
    role = _role(yard, "chained", own, whole_bucket("mine"))
    id = yard.create(
        "chain", [tenant.source(roleArn=tenant.role)], [acts("Approval/Manual")], roleArn=role,
        artifactStore={"type": "S3", "location": "mine"},
    )  # fmt: skip

    assert yard.token("chain", id)


def test_no_artifact_goes_into_a_bucket_that_the_role_may_not_write(yard: Yard, tenant: Tenant) -> None:
    before = yard.s3.list_objects_v2(Bucket=BUCKET).get("KeyCount")

    id = tenant.runs("mine-bucket", [tenant.source()], [acts("Approval/Manual")],
                     artifactStore={"type": "S3", "location": BUCKET})  # fmt: skip

    assert yard.ended("mine-bucket", id) == "Failed"
    assert "s3:PutObject" in yard.error("mine-bucket", id, "S3")
    assert yard.s3.list_objects_v2(Bucket=BUCKET).get("KeyCount") == before


def test_a_role_without_rights_starts_no_build_no_pipeline_and_no_deployment(yard: Yard, tenant: Tenant) -> None:
    given: dict[str, Any] = {"Targets": "role=web", "Path": "/tmp/never", "BeforeSwitch": "hook.sh"}
    actions = {
        "CodeBuild": acts("Build/CodeBuild", into=("Source",), ProjectName="any"),
        "Codeyard-Release": acts("Deploy/Custom/Codeyard-Release", into=("Source",), **given),
        "CodeDeploy": acts("Deploy/CodeDeploy", into=("Source",), ApplicationName="a", DeploymentGroupName="g"),
        "CodePipeline": acts("Invoke/CodePipeline", PipelineName="victim"),
        "S3": acts("Deploy/S3", "Put", into=("Source",), BucketName=BUCKET, Extract="true"),
        "Lambda": acts("Invoke/Lambda", FunctionName="f"),
    }
    id = tenant.runs("mine-rights", [tenant.source()], list(actions.values()))

    assert yard.ended("mine-rights", id) == "Failed"
    for each in actions.values():
        run = yard.run("mine-rights", id, each["name"])
        assert run is not None
        told = run["output"]["executionResult"]["errorDetails"]
        assert "not authorized" in told["message"] or told["code"] == "PermissionError", (each["name"], told)


def test_a_release_asks_for_each_machine(yard: Yard, tenant: Tenant, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("machine")
    arn = f"arn:aws:codedeploy:us-east-1:{ACCOUNT}:"
    deploys = {"Effect": "Allow", "Action": "codedeploy:CreateDeployment"}
    role = _role(yard, "releases", whole_bucket("mine"),
                 {**deploys, "Resource": [f"{arn}deploymentgroup:*", f"{arn}instance:web-*"]})  # fmt: skip
    given: dict[str, Any] = {"Targets": "role=db", "Path": str(place / "live"), "HealthCheckSeconds": "0"}
    release = acts("Deploy/Custom/Codeyard-Release", "Release", into=("Source",), **given)
    with agent(yard.server, place, "db-1", role="db"):
        id = yard.create("release", [tenant.source()], [release], roleArn=role,
                         artifactStore={"type": "S3", "location": "mine"})  # fmt: skip

        assert yard.ended("release", id) == "Failed"

    assert "instance:db-1" in yard.error("release", id, "Release")
    assert not (place / "live").exists()


@pytest.mark.parametrize(
    "url",
    ["file:///etc", "file://localhost/etc", "ext::sh -c id", "/etc", "ssh://git@127.0.0.1/x", "git@127.0.0.1:x",
     "--upload-pack=id:x", "http://u:p@127.0.0.1/x"],
)  # fmt: skip
def test_no_url_of_a_repository_reads_the_servers_disk_or_runs_anything(yard: Yard, url: str) -> None:
    name = yard.name("repository")
    source = acts("Source/CodeCommit", RepositoryName=url, BranchName="main", PollForSourceChanges="false",
                    out=("Source",))  # fmt: skip
    try:
        id = yard.create(name, [source], [acts("Approval/Manual")])
    except yard.cp.exceptions.ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400  # noqa: PT017
        return

    assert yard.ended(name, id) == "Failed"


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest/", "http://[::ffff:169.254.169.254]/", "http://[fd00:ec2::254]/x"]
)
def test_no_request_goes_where_clouds_keep_a_machines_credentials(yard: Yard, url: str) -> None:
    name = yard.name("metadata")
    yard.put(name, {"a": "a"})
    ask = acts("Invoke/Custom/Codeyard-HTTP", "Ask", Url=url)

    id = yard.create(name, [yard.source(name)], [ask])

    assert yard.ended(name, id) == "Failed"
    assert "metadata service" in yard.error(name, id, "Ask")


def test_registries_that_never_answer_hold_up_nothing_else(yard: Yard) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=200) as silent:
        repository = f"127.0.0.1:{silent.getsockname()[1]}/x"
        for name in ("tarpit-1", "tarpit-2"):
            asks = [
                acts("Source/ECR", f"A{at}", out=(f"O{at}",), RepositoryName=repository, ImageTag="x")
                for at in range(45)
            ]
            id = yard.create(name, asks, [acts("Approval/Manual")])
            assert until(lambda name=name, of=id: yard.run(name, of, "A44"), "its actions begin")  # type: ignore[misc]

        yard.put("meanwhile", {"a": "a"})
        id = yard.create("meanwhile", [yard.source("meanwhile")], [acts("Approval/Manual")])

        assert yard.token("meanwhile", id)
        assert all(yard.executions(name)[0]["status"] == "InProgress" for name in ("tarpit-1", "tarpit-2"))


# ── secrets ──


def test_no_secret_of_a_definition_is_told_or_left_in_the_clear(yard: Yard) -> None:
    yard.put("secrets", {"a": "a"})
    with listening() as heard:
        asks = acts("Invoke/Custom/Codeyard-HTTP", "Ask", Url=f"{heard.url}/x", Secret=SECRET + "-http")
        fails = acts("Invoke/Custom/Codeyard-HTTP", "Fail", Url="http://127.0.0.1:1/x", Secret=SECRET + "-fails")
        id = yard.create("secrets", [yard.source("secrets")], [asks, fails])
        assert yard.ended("secrets", id) == "Failed"
    github = acts("Source/ThirdParty/GitHub", "Git", Owner="o", Repo="r", Branch="b", OAuthToken=SECRET + "-git",
                    PollForSourceChanges="true", out=("Source",))  # fmt: skip
    yard.cp.put_webhook(
        webhook={
            "name": "secrets", "targetPipeline": "secrets", "targetAction": "S3", "authentication": "GITHUB_HMAC",
            "filters": [{"jsonPath": "$.ref", "matchEquals": "{S3ObjectKey}"}],
            "authenticationConfiguration": {"SecretToken": SECRET + "-hook"},
        }
    )  # fmt: skip
    yard.create("github", [{**github, "roleArn": yard.role}], [acts("Approval/Manual")])

    told = json.dumps(
        [
            yard.cp.get_pipeline(name="secrets"), yard.cp.get_pipeline(name="github"), yard.cp.list_webhooks(),
            yard.cp.get_pipeline_state(name="secrets"), yard.cp.list_action_executions(pipelineName="secrets"),
            yard.cp.list_action_executions(pipelineName="github"),
        ],
        default=str,
    )  # fmt: skip
    with_it = [path for path in yard.server.data.rglob("*") if path.is_file() and _holds(path.read_bytes())]

    assert len(heard.posts) == 1
    assert not _holds(told.encode())
    assert with_it == []
    assert not _holds(yard.server.main.said().encode())


def _holds(content: bytes) -> bool:
    return any(f"{SECRET}-{what}".encode() in content for what in ("http", "fails", "git", "hook"))


# ── bombs ──


BOMBS = [
    {"Operator": "MATCHES", "Value": "(a|a)*" * 50 + "b", "Variable": "#{variables.long}"},
    {"Operator": "MATCHES", "Value": "(((((a{1,99}){1,99}){1,99}){1,99}){1,99})", "Variable": "#{variables.long}"},
    {"Operator": "MATCHES", "Value": "(" * 5000, "Variable": "#{variables.long}"},
    {"Operator": "MATCHES", "Value": r"(a+)+\1$", "Variable": "#{variables.long}"},
]
CRONS = ["* * * 29 FEB ? 2099", "0 0 0 31 2 ? *", "*/1 0-59/1 * L * ? 2199", "* " * 3000, "0 0 0 ? * 5#5 *"]


def test_no_check_and_no_window_takes_long(yard: Yard) -> None:
    rules = [
        *({"provider": "VariableCheck", "configuration": each} for each in BOMBS),
        *({"provider": "DeploymentWindow", "configuration": {"Cron": each}} for each in CRONS),
    ]
    ended = []
    for each in rules:
        name = yard.name("bomb")
        type = {"category": "Rule", "owner": "AWS", "provider": each["provider"], "version": "1"}
        rule = {"name": "r", "ruleTypeId": type, "configuration": each["configuration"]}
        stages = [
            {"name": "One", "actions": WAITS[0]},
            {"name": "Two", "actions": WAITS[1],
             "beforeEntry": {"conditions": [{"result": "FAIL", "rules": [rule]}]}},
        ]  # fmt: skip
        try:
            yard.cp.create_pipeline(
                pipeline={
                    "name": name, "roleArn": yard.role, "pipelineType": "V2", "stages": stages,
                    "artifactStore": {"type": "S3", "location": BUCKET},
                    "variables": [{"name": "long", "defaultValue": "a" * 1000}],
                }
            )  # fmt: skip
            ended.append(name)
        except yard.cp.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400  # noqa: PT017

    for name in ended:
        until(lambda name=name: _checked(yard, name), f"the rule of {name} has ended")  # type: ignore[misc]
        yard.cp.delete_pipeline(name=name)


def _checked(yard: Yard, name: str) -> bool:
    found = yard.cp.list_rule_executions(pipelineName=name)["ruleExecutionDetails"]
    return bool(found) and found[0]["status"] != "InProgress"


def test_nothing_of_all_this_was_a_mistake_of_the_servers(yard: Yard) -> None:
    assert "Traceback" not in yard.server.main.said()
