"""Services of ECS: moto's for what is asked, played ones for deployments that take their time or fail."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from codeyard.errors import Invalid
from codeyard.pipelines.actions import ActionFailed, ErrorCode
from codeyard.pipelines.actions.ecs import EcsAction
from tests.pipelines.actions.services import Definitions, Outside, Played, forget, playing
from tests.pipelines.works import Bench, a_tree, action, bench_at

ROLE = "arn:aws:iam::111122223333:role/task"
IMAGES = b'[{"name": "web", "imageUri": "new:2"}]'


def a_service(outside: Outside, name: str, controller: str = "ECS") -> Any:
    """One without tasks, in a cluster of its own name; its client."""
    client = outside.plain("ecs")
    client.create_cluster(clusterName=name)
    client.register_task_definition(
        family=name, taskRoleArn=ROLE, tags=[{"key": "k", "value": "v"}], cpu="256",
        containerDefinitions=[
            {"name": "web", "image": "old:1", "memory": 64, "environment": [{"name": "A", "value": "1"}]},
            {"name": "side", "image": "side:1", "memory": 64},
        ],
    )  # fmt: skip
    client.create_service(
        cluster=name, serviceName=name, taskDefinition=name, desiredCount=0, deploymentController={"type": controller}
    )
    return client


def a_bench(home: Path, name: str, files: dict[str, bytes] | None = None, **given: str) -> Bench:
    configuration = {"ClusterName": name, "ServiceName": name, **given}
    declared = action("Deploy/AWS/ECS/1", configuration, inputs=["In"])
    tree = a_tree(home, "In", files or {"imagedefinitions.json": IMAGES})
    return bench_at(home, declared, [tree], run=str(uuid.uuid4()), began=datetime.now(UTC))


async def test_a_service_gets_a_definition_with_new_images(outside: Outside, tmp_path: Path) -> None:
    client, bench = a_service(outside, "plain"), a_bench(tmp_path, "plain")
    outcome = await EcsAction(outside.client, pause=0).run(bench)
    service = client.describe_services(cluster="plain", services=["plain"])["services"][0]
    found = client.describe_task_definition(taskDefinition=service["taskDefinition"], include=["TAGS"])
    definition = found["taskDefinition"]
    arn = "arn:aws:ecs:us-east-1:111122223333:service/plain/plain"

    assert (outcome.summary, definition["revision"]) == ("plain runs plain:2", 2)
    assert [each["image"] for each in definition["containerDefinitions"]] == ["new:2", "side:1"]
    assert definition["containerDefinitions"][0]["environment"] == [{"name": "A", "value": "1"}]
    assert (definition["taskRoleArn"], found["tags"]) == (ROLE, [{"key": "k", "value": "v"}])
    assert {("iam:PassRole", ROLE), ("ecs:UpdateService", arn)} <= set(bench.permitted)


@pytest.mark.parametrize("step", ["register", "update"])
async def test_a_definition_is_registered_once_in_an_execution(tmp_path: Path, step: str) -> None:
    with playing("ecs") as played:
        definitions = Definitions(played)
        definitions.register({"family": "f", "containerDefinitions": [{"name": "web", "image": "old:1"}]})
        deploying(played, [deployment("new", "PRIMARY", 2)])
        bench = a_bench(tmp_path / "1", "s")
        await EcsAction(played.client, pause=0).run(bench)
        forget(tmp_path / "1", step)
        await EcsAction(played.client, pause=0).run(bench.again())
        later = replace(a_bench(tmp_path / "2", "s"), began=datetime.now(UTC) + timedelta(hours=1))
        await EcsAction(played.client, pause=0).run(later)

    assert [each["containerDefinitions"][0]["image"] for each in definitions.all] == ["old:1", "new:2", "new:2"]


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"imagedefinitions.json": b'[{"name": "other", "imageUri": "x"}]'}, "no container of the name 'other'"),
        ({"imagedefinitions.json": b'{"name": "web"}'}, "not a JSON array"),
        ({"imagedefinitions.json": b"[]"}, "not a JSON array"),
        ({"imagedefinitions.json": b" " * 102_401}, "At most 102400"),
        ({"other": b"[]"}, "was not found"),
    ],
)
async def test_a_wrong_file_registers_nothing(
    outside: Outside, tmp_path: Path, files: dict[str, bytes], text: str
) -> None:
    name = f"wrong-{uuid.uuid4().hex}"
    a_service(outside, name)

    with pytest.raises((ActionFailed, Invalid), match=text):
        await EcsAction(outside.client, pause=0).run(a_bench(tmp_path, name, files))
    assert "RegisterTaskDefinition" not in outside.calls


async def test_a_service_of_another_controller_or_none_is_refused(outside: Outside, tmp_path: Path) -> None:
    a_service(outside, "green", "CODE_DEPLOY")

    with pytest.raises(ActionFailed, match="needs the deployment controller ECS"):
        await EcsAction(outside.client).run(a_bench(tmp_path / "1", "green"))
    with pytest.raises(ActionFailed, match="The service none was not found") as failed:
        await EcsAction(outside.client).run(a_bench(tmp_path / "2", "green", ServiceName="none"))
    assert failed.value.code is ErrorCode.CONFIGURATION


def deploying(played: Played, *course: list[dict[str, Any]]) -> None:
    """A service whose deployments are these, one after another; the first is of the update."""
    looks = list(course)

    def describe(_: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"services": [{"deployments": looks.pop(0) if len(looks) > 1 else looks[0], "taskDefinition": "t"}]}

    if "RegisterTaskDefinition" not in played.parts:
        Definitions(played).register({"family": "t", "containerDefinitions": [{"name": "web"}]})
    played.parts["DescribeServices"] = describe
    played.parts["UpdateService"] = lambda given: {"service": {"deployments": course[0]}}


def deployment(id: str, status: str, running: int, **more: Any) -> dict[str, Any]:
    return {"id": id, "status": status, "runningCount": running, "desiredCount": 2, **more}


async def test_it_waits_until_new_tasks_run_and_old_ones_are_gone(tmp_path: Path) -> None:
    with playing("ecs") as played:
        old = deployment("old", "ACTIVE", 1)
        starting, running = deployment("new", "PRIMARY", 1), deployment("new", "PRIMARY", 2)
        deploying(played, [starting, old], [starting, old], [running, old], [running])
        outcome = await EcsAction(played.client, pause=0).run(a_bench(tmp_path, "s"))

    assert (outcome.external_id, played.calls.count("DescribeServices")) == ("new", 4)


@pytest.mark.parametrize(
    ("then", "text"),
    [
        ([deployment("new", "PRIMARY", 0, rolloutState="FAILED", rolloutStateReason="circuit breaker")], "circuit"),
        ([deployment("old", "PRIMARY", 2)], "rolled back"),
        ([deployment("new", "ACTIVE", 1), deployment("third", "PRIMARY", 0)], "another took its place"),
    ],
)
async def test_a_deployment_that_fails_or_is_replaced_fails_it(
    tmp_path: Path, then: list[dict[str, Any]], text: str
) -> None:
    with playing("ecs") as played:
        deploying(played, [deployment("new", "PRIMARY", 0)], then)

        with pytest.raises(ActionFailed, match=text):
            await EcsAction(played.client, pause=0).run(a_bench(tmp_path, "s"))
