"""CodeDeploy's operations as boto3 sees them, and as nobody should call them."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from codeyard.aws import Refused
from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.deploys import EventReport, EventStatus, Kind, targets_table
from codeyard.deploys.api import codedeploy_service
from codeyard.deploys.api_tags import TagOperations
from codeyard.deploys.control import DeployControl
from codeyard.deploys.declined import DECLINED
from codeyard.deploys.groups import Groups
from codeyard.deploys.model import Target
from codeyard.deploys.selection import Selection
from codeyard.deploys.targets import Targets
from codeyard.deploys.targets_table import Enrolled
from codeyard.ident import Owner
from codeyard.store import Tx
from codeyard.store.engine import SqlDatabase
from tests.databases import opened
from tests.deploys.deployments import OWNER, TREE
from tests.deploys.yard import KEY, now
from tests.wire.generate import survives
from tests.wire.served import RootOnly, client, service_model, serving

ROLE = "arn:aws:iam::000000000000:role/deploys"
WEB = [{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}]
REVISION = {"revisionType": "S3", "s3Location": {"bucket": "artifacts", "key": "site/1.zip", "bundleType": "zip"}}


async def require_role(owner: Owner, role: str, source: str) -> None:
    if role.endswith("/gone"):
        raise Refused("InvalidInputException", f"CodeDeploy is not authorized to perform: sts:AssumeRole on {role}")


class Served:
    def __init__(self, url: str, database: SqlDatabase) -> None:
        self.url, self.codedeploy = url, client(url, "codedeploy")
        self.groups = Groups(database, RootOnly(), require_role, now)
        self.control = DeployControl(database, now)

    def deploy(self, group: str, **given: Any) -> str:
        """A deployment of the group, as a pipeline's action begins one; its id."""

        async def begun() -> str:
            asked = await self.groups.request(OWNER, "site", group, TREE, revision=REVISION, **given)
            return (await self.control.create(asked)).id

        return asyncio.run(begun())

    def group(self, name: str, **given: Any) -> dict[str, Any]:
        least = {"serviceRoleArn": ROLE, "onPremisesInstanceTagFilters": WEB}
        found: dict[str, Any] = self.codedeploy.create_deployment_group(
            applicationName="site", deploymentGroupName=name, **least | given
        )
        return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    file: Path = tmp_path_factory.mktemp("api") / "test.sqlite"
    for database in opened(f"sqlite:///{file}"):
        control, targets = DeployControl(database, now), Targets(database, KEY, now)
        groups = Groups(database, RootOnly(), require_role, now)
        service = codedeploy_service(control, groups, targets, Pages(b"k" * 32), TagOperations(database))
        asyncio.run(database.write(_two_machines))
        with serving(Gateway((service,), RootOnly(), now)) as url:
            found = Served(url, database)
            found.codedeploy.create_application(applicationName="site")
            yield found


def _two_machines(tx: Tx) -> None:
    for number, tags in enumerate(({"role": "web"}, {"role": "db", "rack": "1"})):
        target = Target(f"m{number}", OWNER, f"machine-{number}", tags, now(), now())
        targets_table.put(tx, Enrolled(target, "0" * 64))


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    text: str = error.value.response["Error"]["Code"]
    return text


def test_each_operation_is_answered_or_declined_with_a_sentence_and_none_is_both() -> None:
    parts: Any = object()
    answered = set(codedeploy_service(parts, parts, parts, Pages(b"k" * 32), TagOperations(parts)).operations())

    assert answered | set(DECLINED) == set(service_model("codedeploy").operation_names)
    assert not answered & set(DECLINED)
    assert all(reason[0].isupper() and reason.endswith(".") for reason in DECLINED.values())


def test_applications_are_made_once_shown_listed_and_deleted_however_often(served: Served) -> None:
    codedeploy = served.codedeploy
    made = codedeploy.create_application(applicationName="other", computePlatform="Server")

    with pytest.raises(ClientError) as twice:
        codedeploy.create_application(applicationName="other")
    shown = codedeploy.get_application(applicationName="other")["application"]
    listed = codedeploy.list_applications()["applications"]
    for _ in range(2):
        codedeploy.delete_application(applicationName="other")

    assert code(twice) == "ApplicationAlreadyExistsException"
    assert (shown["applicationId"], shown["computePlatform"]) == (made["applicationId"], "Server")
    assert listed == ["other", "site"]
    assert codedeploy.list_applications()["applications"] == ["site"]


@pytest.mark.parametrize(
    ("operation", "given", "expected"),
    [
        ("create_application", {"applicationName": "a b"}, "ValidationException"),
        ("create_application", {"applicationName": "l", "computePlatform": "ECS"}, "InvalidComputePlatformException"),
        ("get_application", {"applicationName": "none"}, "ApplicationDoesNotExistException"),
        ("list_applications", {"nextToken": "x"}, "InvalidNextTokenException"),
        ("list_deployment_groups", {"applicationName": "none"}, "ApplicationDoesNotExistException"),
        ("get_deployment", {"deploymentId": "x"}, "InvalidDeploymentIdException"),
        ("get_deployment", {"deploymentId": "d-000000000"}, "DeploymentDoesNotExistException"),
        ("stop_deployment", {"deploymentId": "d-000000000"}, "DeploymentDoesNotExistException"),
        ("get_deployment_config", {"deploymentConfigName": "mine"}, "DeploymentConfigDoesNotExistException"),
        ("get_on_premises_instance", {"instanceName": "none"}, "InstanceNotRegisteredException"),
        ("list_on_premises_instances", {"registrationStatus": "x"}, "ValidationException"),
        ("list_on_premises_instances", {"tagFilters": [{"Type": "KEY_ONLY"}]}, "InvalidTagFilterException"),
        ("list_deployments", {"applicationName": "site"}, "DeploymentGroupNameRequiredException"),
        ("list_deployments", {"deploymentGroupName": "g"}, "ApplicationNameRequiredException"),
        ("list_deployments", {"includeOnlyStatuses": ["x"]}, "ValidationException"),
        (
            "list_deployments", {"createTimeRange": {"start": now(), "end": now() - timedelta(1)}},
            "InvalidTimeRangeException",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_by_awss_error(
    served: Served, operation: str, given: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(served.codedeploy, operation)(**given)

    assert code(refused) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"serviceRoleArn": "role"}, "InvalidRoleException"),
        ({"serviceRoleArn": f"{ROLE}/gone"}, "InvalidRoleException"),
        ({"deploymentConfigName": "mine"}, "DeploymentConfigDoesNotExistException"),
        ({"autoScalingGroups": ["asg"]}, "InvalidAutoScalingGroupException"),
        ({"loadBalancerInfo": {"elbInfoList": [{"name": "lb"}]}}, "InvalidLoadBalancerInfoException"),
        ({"deploymentStyle": {"deploymentType": "BLUE_GREEN"}}, "InvalidDeploymentStyleException"),
        ({"autoRollbackConfiguration": {"enabled": True}}, "InvalidAutoRollbackConfigException"),
        ({"alarmConfiguration": {"enabled": True, "alarms": [{"name": "a"}]}}, "InvalidAlarmConfigException"),
        ({"onPremisesInstanceTagFilters": [{"Type": "KEY_ONLY"}]}, "InvalidTagException"),
        ({"ec2TagFilters": [{"Type": "VALUE_ONLY"}]}, "InvalidEC2TagException"),
        ({"ec2TagFilters": WEB, "ec2TagSet": {"ec2TagSetList": [WEB]}}, "InvalidEC2TagCombinationException"),
        (
            {"onPremisesTagSet": {"onPremisesTagSetList": [WEB]}}, "InvalidOnPremisesTagCombinationException",
        ),
        ({"ec2TagSet": {"ec2TagSetList": [WEB] * 4}}, "TagSetListLimitExceededException"),
        ({"ecsServices": [{"serviceName": "a", "clusterName": "b"}]}, "InvalidECSServiceException"),
        (
            {"triggerConfigurations": [{"triggerName": "t", "triggerTargetArn": "arn:x", "triggerEvents": []}]},
            "InvalidTriggerConfigException",
        ),
    ],
)  # fmt: skip
def test_a_group_that_cannot_be_is_refused_by_awss_error(served: Served, given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ClientError) as refused:
        served.group("broken", **given)

    assert code(refused) == expected
    with pytest.raises(ClientError) as missing:
        served.codedeploy.get_deployment_group(applicationName="site", deploymentGroupName="broken")
    assert code(missing) == "DeploymentGroupDoesNotExistException"


def test_a_group_is_shown_changed_renamed_and_deleted(served: Served) -> None:
    codedeploy = served.codedeploy
    made = served.group(
        "live", autoScalingGroups=[], loadBalancerInfo={}, ec2TagFilters=[{"Key": "role", "Type": "KEY_ONLY"}],
        alarmConfiguration={"enabled": False}, deploymentStyle={"deploymentType": "IN_PLACE"},
    )  # fmt: skip
    with pytest.raises(ClientError) as twice:
        served.group("live")

    codedeploy.update_deployment_group(
        applicationName="site", currentDeploymentGroupName="live", newDeploymentGroupName="prod",
        ec2TagSet={"ec2TagSetList": [WEB]}, onPremisesInstanceTagFilters=[],
        deploymentConfigName="CodeDeployDefault.AllAtOnce",
    )  # fmt: skip
    shown = codedeploy.get_deployment_group(applicationName="site", deploymentGroupName="prod")["deploymentGroupInfo"]
    listed = codedeploy.list_deployment_groups(applicationName="site")["deploymentGroups"]
    for _ in range(2):
        codedeploy.delete_deployment_group(applicationName="site", deploymentGroupName="prod")

    assert code(twice) == "DeploymentGroupAlreadyExistsException"
    assert shown["deploymentGroupId"] == made["deploymentGroupId"]
    assert (shown["deploymentConfigName"], shown["computePlatform"]) == ("CodeDeployDefault.AllAtOnce", "Server")
    assert "ec2TagFilters" not in shown
    assert shown["ec2TagSet"] == {"ec2TagSetList": [WEB]}
    assert "prod" in listed
    assert "live" not in listed
    assert codedeploy.list_deployment_groups(applicationName="site")["deploymentGroups"] == []


def test_a_deployment_is_shown_with_its_targets_listed_and_stopped(served: Served) -> None:
    codedeploy = served.codedeploy
    served.group("shown", autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]})
    id = served.deploy("shown", description="from a pipeline", options={"file_exists_behavior": "OVERWRITE"})
    event = EventReport("ApplicationStop", EventStatus.IN_PROGRESS, now())
    asyncio.run(served.control.reported("m0", id, event))

    shown = codedeploy.get_deployment(deploymentId=id)["deploymentInfo"]
    names = codedeploy.list_deployment_targets(deploymentId=id)["targetIds"]
    none = codedeploy.list_deployment_targets(deploymentId=id, targetFilters={"TargetStatus": ["Failed"]})
    target = codedeploy.batch_get_deployment_targets(deploymentId=id, targetIds=names)["deploymentTargets"][0]
    stopping = codedeploy.stop_deployment(deploymentId=id)
    asyncio.run(served.control.done("m0", id, False))
    with pytest.raises(ClientError) as over:
        codedeploy.stop_deployment(deploymentId=id)

    assert (shown["status"], shown["revision"], shown["creator"]) == ("InProgress", REVISION, "user")
    assert (shown["description"], shown["fileExistsBehavior"]) == ("from a pipeline", "OVERWRITE")
    assert shown["deploymentOverview"]["InProgress"] == 1
    assert (names, none["targetIds"]) == (["machine-0"], [])
    assert target["instanceTarget"]["lifecycleEvents"][0]["status"] == "InProgress"
    assert len(target["instanceTarget"]["lifecycleEvents"]) == 7
    assert (stopping["status"], code(over)) == ("Pending", "DeploymentAlreadyCompletedException")
    stopped = codedeploy.list_deployments(
        applicationName="site", deploymentGroupName="shown", includeOnlyStatuses=["Stopped"]
    )
    assert stopped["deployments"] == [id]
    group = codedeploy.get_deployment_group(applicationName="site", deploymentGroupName="shown")["deploymentGroupInfo"]
    assert group["lastAttemptedDeployment"]["status"] == "Stopped"
    assert "lastSuccessfulDeployment" not in group


def test_scripts_are_told_where_the_revision_came_from(served: Served) -> None:
    served.group("told")

    asked = asyncio.run(served.groups.request(OWNER, "site", "told", TREE, revision=REVISION))

    assert asked.options == {"bundle_bucket": "artifacts", "bundle_key": "site/1.zip"}


def test_what_a_pipelines_own_release_does_is_shown_too(served: Served) -> None:
    from codeyard.deploys.model import DeploymentRequest

    nobody = Selection.of_tags({"role": "none"})
    asked = DeploymentRequest(OWNER, "pipeline", "Deploy/Go", Kind.RELEASE, TREE, nobody)

    id = asyncio.run(served.control.create(asked)).id

    shown = served.codedeploy.get_deployment(deploymentId=id)["deploymentInfo"]
    assert (shown["status"], shown["errorInformation"]["code"]) == ("Failed", "NO_INSTANCES")
    assert shown["deploymentGroupName"] == "Deploy/Go"


def test_the_predefined_configurations_are_shown(served: Served) -> None:
    names = served.codedeploy.list_deployment_configs()["deploymentConfigsList"]

    found = [
        served.codedeploy.get_deployment_config(deploymentConfigName=name)["deploymentConfigInfo"] for name in names
    ]

    assert [each["minimumHealthyHosts"] for each in found] == [
        {"type": "HOST_COUNT", "value": 0},
        {"type": "FLEET_PERCENT", "value": 50},
        {"type": "MOST_CONCURRENCY", "value": 1},
    ]


def test_machines_are_on_premises_instances_that_can_be_let_go(served: Served) -> None:
    codedeploy = served.codedeploy
    both = codedeploy.list_on_premises_instances()["instanceNames"]
    racked = codedeploy.list_on_premises_instances(tagFilters=[{"Key": "rack", "Type": "KEY_ONLY"}])["instanceNames"]

    codedeploy.deregister_on_premises_instance(instanceName="machine-1")
    shown = codedeploy.get_on_premises_instance(instanceName="machine-1")["instanceInfo"]

    assert (both, racked) == (["machine-0", "machine-1"], ["machine-1"])
    assert shown["tags"] == [{"Key": "rack", "Value": "1"}, {"Key": "role", "Value": "db"}]
    assert "deregisterTime" in shown
    assert codedeploy.list_on_premises_instances(registrationStatus="Registered")["instanceNames"] == ["machine-0"]


@pytest.mark.slow
def test_whatever_is_asked_is_answered(served: Served) -> None:
    parts: Any = object()
    operations = tuple(codedeploy_service(parts, parts, parts, Pages(b"k" * 32), TagOperations(parts)).operations())

    survives(served.url, "codedeploy", operations, examples=12)


def test_applications_and_groups_bear_tags(served: Served) -> None:
    served.codedeploy.create_application(applicationName="tagged", tags=[{"Key": "team", "Value": "web"}])
    arn = "arn:aws:codedeploy:us-east-1:000000000000:application:tagged"

    served.codedeploy.tag_resource(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
    served.codedeploy.untag_resource(ResourceArn=arn, TagKeys=["team"])

    assert served.codedeploy.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
