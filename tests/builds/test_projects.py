"""What may be done with projects, by several at once."""

import asyncio
from typing import Any

import pytest

from codeyard.aws import Caller, Refused
from codeyard.builds import projects_table as table
from codeyard.builds.project import Project
from codeyard.builds.project_parts import Visibility
from codeyard.builds.projects import PAGE, Projects, local_name
from codeyard.ident import Owner
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import NOW, OWNER, ROLE, Everybody, project_input, require_role
from tests.calls import ROOT
from tests.databases import database

__all__ = ["database"]
ARN = "arn:aws:codebuild:us-east-1:000000000000:project/site"


@pytest.fixture
def everybody() -> Everybody:
    return Everybody()


@pytest.fixture
def projects(database: SqlDatabase, everybody: Everybody) -> Projects:
    return Projects(database, everybody, require_role, lambda: NOW)


async def create(projects: Projects, caller: Caller = ROOT, **given: Any) -> Project:
    return await projects.create(OWNER, caller, project_input(**given))


async def test_a_project_is_found_by_its_name_and_by_its_arn(projects: Projects) -> None:
    made = await create(projects)

    assert await projects.get(OWNER, "site") == made
    assert await projects.get(OWNER, ARN) == made


async def test_of_two_that_make_one_project_at_once_one_wins(projects: Projects) -> None:
    answers = await asyncio.gather(*(create(projects, description=str(n)) for n in range(5)), return_exceptions=True)

    refused = [answer for answer in answers if isinstance(answer, Refused)]
    made = [answer for answer in answers if isinstance(answer, Project)]
    assert (len(made), len(refused)) == (1, 4)
    assert {(each.code, each.message) for each in refused} == {
        ("ResourceAlreadyExistsException", f"Project already exists: {ARN}")
    }
    assert await projects.get(OWNER, "site") == made[0]


async def test_no_update_is_lost_to_another_at_the_same_time(projects: Projects) -> None:
    await create(projects)
    changes = ({"description": "d"}, {"timeoutInMinutes": 7}, {"sourceVersion": "v"}, {"autoRetryLimit": 1})

    await asyncio.gather(*(projects.update(OWNER, ROOT, "site", each) for each in changes))

    found = await projects.get(OWNER, "site")
    assert (found.description, found.timeout_in_minutes) == ("d", 7)
    assert (found.source_version, found.auto_retry_limit) == ("v", 1)


async def test_whether_a_role_may_be_passed_may_depend_on_the_request(projects: Projects, everybody: Everybody) -> None:
    await projects.create(OWNER, ROOT, project_input(), {"aws:SourceIp": "10.0.0.1"})

    assert everybody.asked[0][2]["aws:SourceIp"] == "10.0.0.1"


async def test_who_sets_a_role_must_be_allowed_to_pass_it_to_codebuild(
    projects: Projects, everybody: Everybody
) -> None:
    await create(projects)
    assert everybody.asked == [("iam:PassRole", (ROLE,), {"iam:PassedToService": "codebuild.amazonaws.com"})]

    with pytest.raises(Refused) as refused:
        await projects.update(OWNER, ROOT, "site", {"serviceRole": Everybody.forbidden})
    assert refused.value.code == "AccessDeniedException"
    with pytest.raises(Refused):
        await create(projects, name="batches", buildBatchConfig={"serviceRole": Everybody.forbidden})
    with pytest.raises(Refused):
        await projects.set_visibility(OWNER, ROOT, ARN, Visibility.PUBLIC_READ, Everybody.forbidden)
    assert (await projects.get(OWNER, "site")).service_role == ROLE


async def test_an_update_that_sets_no_role_needs_no_right_to_pass_one(projects: Projects, everybody: Everybody) -> None:
    await create(projects)
    everybody.asked.clear()

    await projects.update(OWNER, ROOT, "site", {"description": "x"})

    assert everybody.asked == []


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("arn:aws:iam::000000000000:role/gone", "CodeBuild is not authorized to perform: sts:AssumeRole on "),
        ("arn:aws:iam::111111111111:role/builds", "Service role account ID does not match caller's account"),
    ],
)
async def test_a_role_that_is_not_there_or_anothers_is_refused(projects: Projects, role: str, message: str) -> None:
    with pytest.raises(Refused, match=message):
        await create(projects, serviceRole=role)


async def test_a_deleted_project_is_gone_and_deleting_it_again_is_no_error(
    projects: Projects, database: SqlDatabase
) -> None:
    await create(projects)
    await database.write(lambda tx: table.put_policy(tx, ARN, '"x"'))

    await projects.delete(OWNER, ARN)
    await projects.delete(OWNER, "site")

    with pytest.raises(Refused, match=f"^The provided project {ARN} does not exist$") as refused:
        await projects.get(OWNER, "site")
    assert refused.value.code == "ResourceNotFoundException"
    assert await database.read(lambda tx: table.find_policy(tx, ARN)) is None


async def test_a_name_that_no_project_can_have_is_refused_by_delete_and_found_by_none(projects: Projects) -> None:
    with pytest.raises(Refused, match="Only alphanumeric"):
        await projects.delete(OWNER, "a/b")
    with pytest.raises(Refused, match="does not exist"):
        await projects.update(OWNER, ROOT, "a\0b", {})
    assert await projects.get_many(OWNER, ("a\0b", "\ud800")) == ((), ("a\0b", "\ud800"))


async def test_many_are_found_at_once_each_once_in_the_order_asked_for(projects: Projects) -> None:
    await create(projects, name="one")
    await create(projects, name="two")
    elsewhere = "arn:aws:codebuild:eu-west-1:000000000000:project/one"

    found, absent = await projects.get_many(OWNER, ("two", "nope", "one", OWNER.arn("project/two"), elsewhere))

    assert [each.name for each in found] == ["two", "one"]
    assert absent == ("nope", elsewhere)


async def test_a_long_list_comes_in_pages(projects: Projects, database: SqlDatabase) -> None:
    names = [f"p{number:03}" for number in range(PAGE + 1)]
    made = await create(projects, name="p000")

    def fill(tx: Any) -> None:
        for name in names[1:]:
            table.insert_project(tx, OWNER, Project(**{**_fields(made), "name": name}))

    await database.write(fill)

    first = await projects.list(OWNER, "NAME", "ASCENDING", None)
    second = await projects.list(OWNER, "NAME", "ASCENDING", first.next)

    assert (first.items, second.items) == (tuple(names[:PAGE]), (names[PAGE],))
    assert second.next is None


async def test_an_invalidated_cache_is_another_and_nothing_else_changes(projects: Projects) -> None:
    made = await create(projects)

    await projects.invalidate_cache(OWNER, "site")

    found = await projects.get(OWNER, "site")
    assert found.cache_scope != made.cache_scope
    assert _fields(found) | {"cache_scope": ""} == _fields(made) | {"cache_scope": ""}


async def test_a_project_that_is_made_again_has_none_of_the_caches_of_the_first(projects: Projects) -> None:
    first = await create(projects)
    await projects.delete(OWNER, "site")

    assert (await create(projects)).cache_scope != first.cache_scope


async def test_a_public_project_keeps_its_alias_for_when_it_is_public_again(projects: Projects) -> None:
    await create(projects)

    public = await projects.set_visibility(OWNER, ROOT, ARN, Visibility.PUBLIC_READ, ROLE)
    private = await projects.set_visibility(OWNER, ROOT, ARN, Visibility.PRIVATE, None)
    again = await projects.set_visibility(OWNER, ROOT, ARN, Visibility.PUBLIC_READ, None)

    assert public.project_visibility is Visibility.PUBLIC_READ
    assert private.project_visibility is Visibility.PRIVATE
    assert public.resource_access_role == ROLE
    assert public.public_project_alias
    assert again.public_project_alias == public.public_project_alias


async def test_regions_and_accounts_know_nothing_of_each_other(projects: Projects) -> None:
    await create(projects)

    with pytest.raises(Refused, match="does not exist"):
        await projects.get(Owner("000000000000", "eu-west-1"), "site")
    assert local_name(Owner("111111111111", "us-east-1"), ARN) is None


def _fields(project: Project) -> dict[str, Any]:
    return {name: getattr(project, name) for name in Project.__slots__}
