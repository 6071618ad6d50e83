import json
from collections import Counter

import pytest

from codeyard.aws import shapes
from codeyard.aws.json_wire import JSON
from codeyard.pipelines.action_types import OURS, to_wire
from codeyard.pipelines.builtin_types import BUILTIN, catalogue
from codeyard.pipelines.model import ActionType

# Reference 1.5: "Valid input and output artifacts for each action type".
COUNTS = {
    "Source/AWS/S3": (0, 0, 1, 1), "Source/AWS/CodeCommit": (0, 0, 1, 1), "Source/AWS/ECR": (0, 0, 1, 1),
    "Source/AWS/CodeStarSourceConnection": (0, 0, 1, 1), "Source/ThirdParty/GitHub": (0, 0, 1, 1),
    "Build/AWS/CodeBuild": (1, 5, 0, 5), "Test/AWS/CodeBuild": (1, 5, 0, 5),
    "Build/AWS/ECRBuildAndPublish": (1, 1, 0, 0), "Test/AWS/DeviceFarm": (1, 1, 0, 0),
    "Compute/AWS/Commands": (1, 10, 0, 1), "Approval/AWS/Manual": (0, 0, 0, 0),
    "Deploy/AWS/S3": (1, 1, 0, 0), "Deploy/AWS/CodeDeploy": (1, 1, 0, 0), "Deploy/AWS/ElasticBeanstalk": (1, 1, 0, 0),
    "Deploy/AWS/OpsWorks": (1, 1, 0, 0), "Deploy/AWS/ECS": (1, 1, 0, 0), "Deploy/AWS/ServiceCatalog": (1, 1, 0, 0),
    "Deploy/AWS/AppConfig": (1, 1, 0, 0), "Deploy/AWS/EKS": (1, 1, 0, 0), "Deploy/AWS/EC2": (1, 1, 0, 0),
    "Deploy/AWS/Lambda": (0, 1, 0, 0), "Deploy/AWS/CloudFormation": (0, 10, 0, 1),
    "Deploy/AWS/CloudFormationStackSet": (1, 3, 0, 0), "Deploy/AWS/CloudFormationStackInstances": (0, 2, 0, 0),
    "Deploy/AWS/CodeDeployToECS": (1, 5, 0, 0), "Deploy/ThirdParty/AlexaSkillsKit": (1, 2, 0, 0),
    "Invoke/AWS/Lambda": (0, 5, 0, 5), "Invoke/AWS/StepFunctions": (0, 1, 0, 1),
    "Invoke/AWS/CodePipeline": (0, 0, 0, 0),
    "Invoke/AWS/InspectorScan": (0, 1, 1, 1), "Invoke/ThirdParty/Snyk": (1, 1, 1, 1),
    "Deploy/Custom/Codeyard-Release": (1, 1, 0, 0), "Invoke/Custom/Codeyard-HTTP": (0, 5, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(("type", "counts"), COUNTS.items())
def test_a_type_takes_and_gives_as_many_artifacts_as_aws_says(type: str, counts: tuple[int, ...]) -> None:
    spec = catalogue().find(ActionType(*type.split("/")))

    assert spec is not None
    assert (spec.inputs.least, spec.inputs.most, spec.outputs.least, spec.outputs.most) == counts


def test_every_type_has_one_id_and_each_key_once() -> None:
    assert max(Counter(spec.id for spec in BUILTIN).values()) == 1
    assert all(len({one.name for one in spec.properties}) == len(spec.properties) for spec in BUILTIN)


def test_the_types_are_of_the_shape_that_clients_read() -> None:
    model = shapes.model("codepipeline")
    body = JSON.encode(model, model.operations["ListActionTypes"], {"actionTypes": [*map(to_wire, BUILTIN)]}, "")

    listed = {each["id"]["provider"] for each in json.loads(body)["actionTypes"]}
    assert {"CodeBuild", "Manual", "Codeyard-Release", "Codeyard-HTTP"} <= listed


def test_ours_are_of_the_owner_custom_and_bear_our_name() -> None:
    assert {spec.id.provider for spec in BUILTIN if spec.id.owner == "Custom"} == {f"{OURS}Release", f"{OURS}HTTP"}


def test_secrets_are_known_as_such() -> None:
    assert {(spec.id.provider, one) for spec in BUILTIN for one in spec.secrets} == {
        ("GitHub", "OAuthToken"),
        ("AlexaSkillsKit", "ClientSecret"),
        ("AlexaSkillsKit", "RefreshToken"),
        ("Codeyard-HTTP", "Secret"),
    }
