"""The operations on builds, as a gateway calls them."""

import os
from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.aws.paging import Pages
from codeyard.builds.api_builds import BuildOperations
from codeyard.builds.model import Status
from codeyard.ident import Owner
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import MODEL, OWNER, ROLE, Everybody, assert_shape
from tests.builds.service import Service, a_service
from tests.calls import call
from tests.databases import database

__all__ = ["database"]
ABSENT = "site:00000000-0000-4000-8000-000000000000"


class Api:
    """The handlers, called by name; every answer is of AWS's shape."""

    def __init__(self, service: Service) -> None:
        self.identities = Everybody()
        self._operations = BuildOperations(service.control(), self.identities, _any_role, Pages(os.urandom(32)))

    async def __call__(self, operation: str, **given: Any) -> dict[str, Any]:
        name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation)[1:]
        answer = await getattr(self._operations, name)(call("codebuild", operation, **given))
        # Of nothing found AWS answers `[]`, though its model asks for one at least.
        assert_shape({name: value for name, value in answer.items() if value != []}, operation)
        return dict(answer)


async def _any_role(_owner: Owner, _role: str, _project: str) -> None:
    return None


@pytest.fixture
def service(database: SqlDatabase) -> Service:
    return a_service(database)


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service)


async def test_a_build_from_start_to_end(service: Service, api: Api) -> None:
    await service.create()
    started = (await api("StartBuild", projectName="site"))["build"]

    async with service.working():
        await service.ended(await service.row(started["id"].rpartition(":")[2]))
    (found,) = (await api("BatchGetBuilds", ids=[started["id"]]))["builds"]

    assert (started["buildStatus"], started["currentPhase"], started["initiator"]) == ("IN_PROGRESS", "QUEUED", "root")
    assert (found["buildStatus"], found["currentPhase"], found["buildComplete"]) == ("SUCCEEDED", "COMPLETED", True)
    assert found["resolvedSourceVersion"] == "abc123"


async def test_builds_are_found_by_id_and_arn_once_each_in_the_order_asked_for(service: Service, api: Api) -> None:
    await service.create()
    first, second = [(await api("StartBuild", projectName="site"))["build"] for _ in range(2)]
    elsewhere = first["arn"].replace("us-east-1", "eu-west-1")

    answer = await api("BatchGetBuilds", ids=[second["arn"], first["id"], first["arn"], ABSENT, elsewhere])

    assert [build["id"] for build in answer["builds"]] == [second["id"], first["id"]]
    assert answer["buildsNotFound"] == [ABSENT, elsewhere]


async def test_a_waiting_build_says_where_it_stands(service: Service, api: Api) -> None:
    await service.create()
    started = (await api("StartBuild", projectName="site"))["build"]

    (found,) = (await api("BatchGetBuilds", ids=[started["id"]]))["builds"]

    assert found["phases"][-1]["contexts"] == [
        {"statusCode": "QUEUED", "message": "No worker is running that could take it. Position 1 in the queue."}
    ]


@pytest.mark.parametrize("id", ["site", "site:1", ":", "x" * 3000, "arn:aws:codebuild:us-east-1:000000000000:build/x"])
@pytest.mark.parametrize("operation", ["StopBuild", "RetryBuild", "BatchGetBuilds", "BatchDeleteBuilds"])
async def test_what_is_no_id_is_refused(api: Api, operation: str, id: str) -> None:
    given: dict[str, Any] = {"ids": [id]} if operation.startswith("Batch") else {"id": id}

    with pytest.raises(Refused) as refused:
        await api(operation, **given)

    assert (refused.value.code, str(refused.value)) == ("InvalidInputException", "Invalid build ID provided")


@pytest.mark.parametrize("operation", ["StopBuild", "RetryBuild"])
async def test_a_build_that_is_not_there(api: Api, operation: str) -> None:
    with pytest.raises(Refused) as refused:
        await api(operation, id=ABSENT)

    assert refused.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["StartBuild", "ListBuildsForProject"])
@pytest.mark.parametrize("name", ["absent", "?", "arn:aws:codebuild:eu-west-1:000000000000:project/site"])
async def test_a_project_that_is_not_there(api: Api, operation: str, name: str) -> None:
    with pytest.raises(Refused) as refused:
        await api(operation, projectName=name)

    assert refused.value.code == "ResourceNotFoundException"


async def test_a_retry_needs_an_id(api: Api) -> None:
    with pytest.raises(Refused) as refused:
        await api("RetryBuild")

    assert refused.value.code == "InvalidInputException"


async def test_a_project_may_be_named_by_its_arn(service: Service, api: Api) -> None:
    await service.create()

    started = await api("StartBuild", projectName=OWNER.arn("project/site"))

    assert started["build"]["projectName"] == "site"
    assert (await api("ListBuildsForProject", projectName="site"))["ids"] == [started["build"]["id"]]


async def test_another_service_role_must_be_the_callers_to_pass(service: Service, api: Api) -> None:
    await service.create()

    await api("StartBuild", projectName="site", serviceRoleOverride=ROLE)
    with pytest.raises(Refused) as refused:
        await api("StartBuild", projectName="site", serviceRoleOverride=Everybody.forbidden)

    assert refused.value.code == "AccessDeniedException"
    assert len((await api("ListBuilds"))["ids"]) == 1


async def test_stop_retry_and_delete(service: Service, api: Api) -> None:
    await service.create()
    started = (await api("StartBuild", projectName="site"))["build"]

    busy = await api("BatchDeleteBuilds", ids=[started["id"]])
    stopped = (await api("StopBuild", id=started["arn"]))["build"]
    again = (await api("RetryBuild", id=started["id"], idempotencyToken="t"))["build"]
    gone = await api("BatchDeleteBuilds", ids=[started["id"]])

    assert busy["buildsNotDeleted"] == [{"id": started["arn"], "statusCode": "BUILD_IN_PROGRESS"}]
    assert (stopped["buildStatus"], stopped["currentPhase"]) == (Status.STOPPED, "COMPLETED")
    assert again["buildNumber"] == 2
    assert gone["buildsDeleted"] == [started["arn"]]
    assert (await api("ListBuilds"))["ids"] == [again["id"]]


async def test_lists_go_on_where_a_page_ended(service: Service, api: Api) -> None:
    await service.create()
    ids = [(await api("StartBuild", projectName="site"))["build"]["id"] for _ in range(103)]

    first = await api("ListBuildsForProject", projectName="site")
    rest = await api("ListBuildsForProject", projectName="site", nextToken=first["nextToken"])
    up = await api("ListBuildsForProject", projectName="site", sortOrder="ASCENDING")

    assert first["ids"] + rest["ids"] == ids[::-1]
    assert rest["nextToken"] is None
    assert up["ids"] == ids[:100]
    with pytest.raises(Refused):
        await api("ListBuildsForProject", projectName="site", sortOrder="ASCENDING", nextToken=first["nextToken"])


def test_every_operation_says_which_project_must_be_allowed() -> None:
    marked = {
        getattr(BuildOperations, name).__aws_operation__[0]: getattr(BuildOperations, name).__aws_operation__[1]
        for name in dir(BuildOperations)
        if hasattr(getattr(BuildOperations, name), "__aws_operation__")
    }
    project = OWNER.arn("project/site")

    assert marked["StartBuild"](call("codebuild", "StartBuild", projectName="site")) == project
    assert marked["StopBuild"](call("codebuild", "StopBuild", id=OWNER.arn(f"build/{ABSENT}"))) == project
    assert marked["BatchGetBuilds"](call("codebuild", "BatchGetBuilds", ids=[ABSENT, ABSENT])) == (project,)
    assert set(marked) <= set(MODEL.operation_names)
