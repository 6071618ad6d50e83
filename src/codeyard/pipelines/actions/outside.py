"""The actions and rules that act outside of this server: at AWS or an endpoint like it, at buckets, at URLs."""

from collections.abc import Callable
from datetime import datetime

from codeyard.pipelines.actions import Action
from codeyard.pipelines.actions.alarm import CloudWatchAlarmRule
from codeyard.pipelines.actions.asking import PAUSE, Client
from codeyard.pipelines.actions.cloudformation import CloudFormationAction
from codeyard.pipelines.actions.deploy_s3 import S3DeployAction
from codeyard.pipelines.actions.ecs import EcsAction
from codeyard.pipelines.actions.ecs_blue_green import CodeDeployToEcsAction
from codeyard.pipelines.actions.http import HttpAction
from codeyard.pipelines.actions.step_functions import StepFunctionsAction


def registry(
    client: Client, now: Callable[[], datetime], *, pause: float = PAUSE
) -> dict[tuple[str, str, str], Action]:
    """By category, owner and provider. `client` makes boto3's clients, `pause` is seconds from a first look on."""
    return {
        ("Deploy", "AWS", "S3"): S3DeployAction(),
        ("Deploy", "AWS", "CloudFormation"): CloudFormationAction(client, pause=pause),
        ("Deploy", "AWS", "ECS"): EcsAction(client, pause=pause),
        ("Deploy", "AWS", "CodeDeployToECS"): CodeDeployToEcsAction(client, pause=pause),
        ("Invoke", "AWS", "StepFunctions"): StepFunctionsAction(client, pause=pause),
        ("Invoke", "Custom", "Codeyard-HTTP"): HttpAction(),
        ("Rule", "AWS", "CloudWatchAlarm"): CloudWatchAlarmRule(client, now, pause=pause),
    }
