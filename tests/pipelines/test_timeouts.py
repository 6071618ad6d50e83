"""How long each action may take, by the User Guide's quotas."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.timeouts import timeout_of
from tests.pipelines.works import action

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("type", "expected"),
    [
        ("Source/AWS/S3/1", HOUR),
        ("Source/AWS/CodeStarSourceConnection/1", HOUR),
        ("Source/ThirdParty/GitHub/1", DAY),
        ("Build/AWS/CodeBuild/1", 36 * HOUR),
        ("Test/AWS/CodeBuild/1", 8 * HOUR),
        ("Compute/AWS/Commands/1", timedelta(minutes=55)),
        ("Rule/AWS/Commands/1", timedelta(minutes=55)),
        ("Approval/AWS/Manual/1", 7 * DAY),
        ("Deploy/AWS/CloudFormation/1", 3 * DAY),
        ("Deploy/AWS/CodeDeploy/1", 5 * DAY),
        ("Deploy/AWS/CodeDeployToECS/1", 5 * DAY),
        ("Deploy/AWS/S3/1", timedelta(minutes=90)),
        ("Deploy/AWS/ECS/1", HOUR),
        ("Invoke/AWS/Lambda/1", DAY),
        ("Invoke/AWS/StepFunctions/1", 7 * DAY),
        ("Invoke/AWS/CodePipeline/1", HOUR),
        ("Deploy/Custom/Ours/1", DAY),
    ],
)
def test_each_type_has_its_time(type: str, expected: timedelta) -> None:
    assert timeout_of(action(type)) == expected


def test_a_definition_may_say_how_long_an_approval_waits() -> None:
    assert timeout_of(action("Approval/AWS/Manual/1", timeout_minutes=5)) == timedelta(minutes=5)


@given(st.text() | st.integers(-5, 10_000).map(str))
def test_a_deployment_to_a_cluster_never_takes_more_than_an_hour(text: str) -> None:
    found = timeout_of(action("Deploy/AWS/ECS/1", {"DeploymentTimeout": text}))

    assert timedelta(0) < found <= HOUR
