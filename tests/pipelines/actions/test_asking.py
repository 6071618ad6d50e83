"""Which code a service's refusal has, and how long a silent one is borne."""

from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoCredentialsError

from codeyard.pipelines.actions import ActionFailed, ErrorCode
from codeyard.pipelines.actions.asking import Service, failed, looked
from tests.pipelines.actions.services import Outside
from tests.pipelines.works import action, bench_at


def refusal(code: str, status: int = 400) -> ClientError:
    said = {"Error": {"Code": code, "Message": "so it is"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, "Operation")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (refusal("AccessDenied", 403), ErrorCode.PERMISSION),
        (refusal("AccessDeniedException"), ErrorCode.PERMISSION),
        (refusal("InvalidSignatureException"), ErrorCode.PERMISSION),
        (refusal("ValidationError"), ErrorCode.CONFIGURATION),
        (refusal("ResourceNotFoundException"), ErrorCode.CONFIGURATION),
        (refusal("StateMachineDoesNotExist"), ErrorCode.CONFIGURATION),
        (refusal("Throttling"), ErrorCode.UNAVAILABLE_SYSTEM),
        (refusal("Whatever", 503), ErrorCode.UNAVAILABLE_SYSTEM),
        (refusal("LimitExceededException"), ErrorCode.JOB_FAILED),
        (NoCredentialsError(), ErrorCode.CONFIGURATION),
        (EndpointConnectionError(endpoint_url="http://x"), ErrorCode.UNAVAILABLE_SYSTEM),
    ],
)
def test_a_refusal_has_the_code_that_fits(error: ClientError | BotoCoreError, code: ErrorCode) -> None:
    assert failed("it", error).code is code


async def test_an_endpoint_that_is_away_fails_what_begins(tmp_path: Path) -> None:
    away = Outside("http://127.0.0.1:1")
    service = Service(away.client, bench_at(tmp_path, action("Deploy/AWS/ECS/1")), "ecs")

    with pytest.raises(ActionFailed, match="ecs list_clusters: ") as error:
        await service.ask("list_clusters")
    assert error.value.code is ErrorCode.UNAVAILABLE_SYSTEM


@pytest.mark.parametrize(("silent", "ends"), [(20, True), (21, False)])
async def test_a_wait_bears_a_service_that_is_away_for_a_while(silent: int, ends: bool) -> None:
    looks = 0

    async def look() -> str | None:
        nonlocal looks
        looks += 1
        if looks <= silent:
            raise ActionFailed(ErrorCode.UNAVAILABLE_SYSTEM, "away")
        return "there"

    try:
        found = await looked(look, 0)
    except ActionFailed:
        found = ""

    assert (found == "there") is ends


async def test_a_wait_ends_at_once_for_what_will_not_pass() -> None:
    async def look() -> str | None:
        raise ActionFailed(ErrorCode.PERMISSION, "no")

    with pytest.raises(ActionFailed, match="no"):
        await looked(look, 0)
