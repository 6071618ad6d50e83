"""Blue and green: task definitions at moto's ECS, deployments at its CodeDeploy, and at a played one that ends them."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from codeyard.errors import Invalid
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, Told
from codeyard.pipelines.actions.ecs_blue_green import CodeDeployToEcsAction, image_uri, task_definition
from tests.pipelines.actions.services import Definitions, Outside, Played, forget, playing
from tests.pipelines.works import Bench, a_tree, action, bench_at

TASK = (
    b'\xef\xbb\xbf{"family": "f", "containerDefinitions": [{"name": "web", "image": "<IMAGE>", "memory": 64}], "x": 1}'
)
SPEC = b"Resources:\n  - TargetService:\n      Properties: {TaskDefinition: <TASK_DEFINITION>}\n"


def a_bench(home: Path, family: str, **given: str) -> Bench:
    configuration = {
        "ApplicationName": "app", "DeploymentGroupName": "group", "TaskDefinitionTemplateArtifact": "In",
        "AppSpecTemplateArtifact": "In", "Image1ArtifactName": "Image", "Image1ContainerName": "IMAGE", **given,
    }  # fmt: skip
    declared = action("Deploy/AWS/CodeDeployToECS/1", configuration, inputs=["In", "Image"])
    templates = {"taskdef.json": TASK.replace(b'"f"', json.dumps(family).encode()), "appspec.yaml": SPEC}
    image = {"imageDetail.json": b'{"ImageURI": "repo@sha256:1"}'}
    inputs = [a_tree(home, "In", templates), a_tree(home, "Image", image)]
    return bench_at(home, declared, inputs, run=str(uuid.uuid4()), began=datetime.now(UTC))


class Deployments:
    """CodeDeploy, at which deployments go through `course`; ECS is moto's."""

    def __init__(self, played: Played, outside: Outside) -> None:
        self._played, self._outside = played, outside
        self.made: list[Mapping[str, Any]] = []
        self.course = ["InProgress", "Ready", "Succeeded"]
        played.parts |= {
            "CreateDeployment": self.create, "GetDeployment": self.get,
            "ListDeployments": lambda _: {"deployments": [f"d-{at}" for at in range(len(self.made))]},
            "BatchGetDeployments": lambda given: {
                "deploymentsInfo": [
                    {"deploymentId": id, "description": self.made[int(id[2:])]["description"]}
                    for id in given["deploymentIds"]
                ]
            },
        }  # fmt: skip

    def client(self, owner: Owner, service: str, region: str) -> Any:
        return (self._played if service == "codedeploy" else self._outside).client(owner, service, region)

    def create(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        self.made.append(given)
        return {"deploymentId": f"d-{len(self.made) - 1}"}

    def get(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        status = self.course.pop(0) if len(self.course) > 1 else self.course[0]
        error = {"errorInformation": {"message": "no healthy task"}} if status == "Failed" else {}
        return {"deploymentInfo": {"status": status, **error}}


@pytest.mark.parametrize("step", ["register", "deploy"])
async def test_templates_are_filled_in_and_deployed_once(tmp_path: Path, step: str) -> None:
    with playing("codedeploy") as played, playing("ecs") as ecs:
        definitions = Definitions(ecs)
        deployments, bench = Deployments(played, ecs), a_bench(tmp_path, "fill")
        await CodeDeployToEcsAction(deployments.client, pause=0).run(bench)
        forget(tmp_path, step)
        outcome = await CodeDeployToEcsAction(deployments.client, pause=0).run(bench.again())
    spec = SPEC.decode().replace("<TASK_DEFINITION>", definitions.all[0]["taskDefinitionArn"])

    assert [each["containerDefinitions"][0]["image"] for each in definitions.all] == ["repo@sha256:1"]
    assert [each["revision"]["appSpecContent"] for each in deployments.made] == [
        {"content": spec, "sha256": hashlib.sha256(spec.encode()).hexdigest()}
    ]
    assert (outcome.external_id, bench.told) == ("d-0", [Told(external_id="d-0")] * 2)
    arn = "arn:aws:codedeploy:us-east-1:111122223333:deploymentgroup:app/group"
    assert ("codedeploy:CreateDeployment", arn) in bench.permitted


@pytest.mark.parametrize(("status", "text"), [("Failed", "no healthy task"), ("Stopped", "was stopped")])
async def test_a_deployment_that_ends_badly_fails_it(outside: Outside, tmp_path: Path, status: str, text: str) -> None:
    with playing("codedeploy") as played:
        deployments = Deployments(played, outside)
        deployments.course = [status]

        with pytest.raises(ActionFailed, match=text):
            await CodeDeployToEcsAction(deployments.client, pause=0).run(a_bench(tmp_path, "bad"))


async def test_codedeploy_refuses_what_it_does_not_know(outside: Outside, tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="ApplicationDoesNotExist"):
        await CodeDeployToEcsAction(outside.client, pause=0).run(a_bench(tmp_path, "unknown"))


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"TaskDefinitionTemplatePath": "none"}, "Exception while trying to read the task definition artifact file"),
        ({"Image2ArtifactName": "Image"}, "go together"),
        ({"Image1ArtifactName": "None"}, "None is not an input artifact"),
    ],
)
async def test_a_wrong_configuration_registers_nothing(
    outside: Outside, tmp_path: Path, given: dict[str, str], text: str
) -> None:
    with pytest.raises(ActionFailed, match=text):
        await CodeDeployToEcsAction(outside.client).run(a_bench(tmp_path, "wrong", **given))
    assert "RegisterTaskDefinition" not in outside.calls


def test_an_image_cannot_break_out_of_its_string() -> None:
    found = task_definition('{"image": "<I>", "other": "<J>"}', {"I": 'x", "privileged": "true'})

    assert found == {"image": 'x", "privileged": "true', "other": "<J>"}


@pytest.mark.parametrize("text", ["", "[]", '{"ImageURI": 1}', "{}"])
def test_an_image_detail_has_a_uri(text: str) -> None:
    with pytest.raises(Invalid):
        image_uri(text, "Image")
