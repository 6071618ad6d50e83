"""Definitions as clients make, read, change, tag and delete them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Caller, Refused, Said
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines.api_pipelines import PipelineOperations, Sealer, pipeline_arn
from codeyard.pipelines.builtin_types import catalogue
from codeyard.secrets.sealing import KeyFile
from codeyard.store.engine import SqlDatabase
from tests.calls import call
from tests.databases import database, opened
from tests.pipelines.documents import ROLE, VARIABLES, accepted, action, build, s3, stage, whole
from tests.pipelines.outputs import errors, faults
from tests.pipelines.sites import OWNER, Hold, Site, a_site

__all__ = ["database"]
ME = Caller(OWNER.account, f"arn:aws:iam::{OWNER.account}:root", OWNER.account)
ARN = pipeline_arn(OWNER, "demo")
SECRET = "a-very-secret-token"
HOOKED = {"Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": SECRET}


class _Anyone:
    """Identities that allow everything but what is told; `asked` is what was."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], Said]] = []

    async def key(self, id: str, token: str | None) -> Any:
        raise AssertionError(f"these calls are signed by nobody, so no key is asked for: {id}")

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        self.asked.append((action, resources, context))


class Asked:
    """A site, and clients who ask of its definitions."""

    def __init__(self, site: Site, home: Path) -> None:
        self.site, self.identities, self.assumable = site, _Anyone(), True
        key = KeyFile(home / "key").newest()

        async def assumable(_owner: Owner, _role: str, _arn: str) -> bool:
            return self.assumable

        self.operations = PipelineOperations(
            site.db, site.control, self.identities, assumable, lambda _tx, _owner: catalogue(), Sealer(key),
            Pages(b"k" * 32), site.clock.now, {},
        )  # fmt: skip

    async def ask(self, operation: str, **given: Any) -> Any:
        methods = {
            "CreatePipeline": self.operations.create_pipeline,
            "UpdatePipeline": self.operations.update_pipeline,
            "DeletePipeline": self.operations.delete_pipeline,
            "GetPipeline": self.operations.get_pipeline,
            "ListPipelines": self.operations.list_pipelines,
            "ListTagsForResource": self.operations.list_tags,
            "TagResource": self.operations.tag_resource,
            "UntagResource": self.operations.untag_resource,
        }
        try:
            output = await methods[operation](call("codepipeline", operation, OWNER.region, ME, **given))
        except Refused as refused:
            known = refused.code in errors(operation) | {"PipelineNotFoundException"}
            raise refused if known else AssertionError(f"{operation} has no {refused.code}") from None
        assert faults(operation, output) == []
        return output

    async def create(self, name: str = "demo", **more: Any) -> Any:
        return await self.ask("CreatePipeline", pipeline=document(name=name), **more)

    async def tags(self) -> dict[str, str]:
        listed = await self.ask("ListTagsForResource", resourceArn=ARN)
        return {each["key"]: each["value"] for each in listed["tags"]}


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        async with a_site(db) as site:
            site.script["Fetch"] = Hold()
            yield Asked(site, tmp_path)


def document(**more: Any) -> Any:
    """As a client gives it."""
    return whole(stage("Source", s3()), stage("Second", build()), **more)


def hooked(**changes: str) -> Any:
    source = action("Fetch", "Source/ThirdParty/GitHub", "", "Source", configuration={**HOOKED, **changes})
    source["actionTypeId"]["owner"] = "ThirdParty"
    return whole(stage("Source", source), stage("Second", build()))


async def code(work: Any) -> str:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


async def test_a_pipeline_is_created_with_its_first_version_and_execution(asked: Asked) -> None:
    output = await asked.create(tags=[{"key": "team", "value": "us"}])

    assert output["pipeline"]["version"] == 1
    assert output["pipeline"]["stages"][1]["actions"][0]["runOrder"] == 1
    assert output["tags"] == [{"key": "team", "value": "us"}]
    live = (await asked.site.pipeline()).line.gates[0].holder
    assert live is not None
    assert (await asked.site.stored(live)).facts["trigger"]["triggerType"] == "CreatePipeline"
    assert asked.identities.asked[0][:2] == ("iam:PassRole", (ROLE,))
    assert asked.identities.asked[0][2]["iam:PassedToService"] == "codepipeline.amazonaws.com"


async def test_what_is_read_is_what_was_created_and_may_be_sent_back(asked: Asked) -> None:
    created = (await asked.create())["pipeline"]

    read = await asked.ask("GetPipeline", name="demo")

    assert read["pipeline"] == created
    assert read["metadata"]["pipelineArn"] == ARN
    updated = (await asked.ask("UpdatePipeline", pipeline=read["pipeline"]))["pipeline"]
    assert updated == {**created, "version": 2}
    assert (await asked.ask("GetPipeline", name="demo", version=1))["pipeline"] == created
    assert await code(asked.ask("GetPipeline", name="demo", version=3)) == "PipelineVersionNotFoundException"


@pytest.mark.parametrize("operation", ["CreatePipeline", "UpdatePipeline"])
async def test_a_role_that_may_not_be_taken_on_is_refused(asked: Asked, operation: str) -> None:
    if operation == "UpdatePipeline":
        await asked.create()
    asked.assumable = False

    assert await code(asked.ask(operation, pipeline=document())) == "InvalidStructureException"


async def test_a_name_is_taken_once_even_at_the_same_moment(asked: Asked) -> None:
    made = await asyncio.gather(*(asked.create() for _ in range(4)), return_exceptions=True)

    assert [each.code for each in made if isinstance(each, Refused)] == ["PipelineNameInUseException"] * 3


async def test_updates_at_once_each_make_a_version(asked: Asked) -> None:
    await asked.create()

    made = await asyncio.gather(*(asked.ask("UpdatePipeline", pipeline=document()) for _ in range(5)))

    assert sorted(each["pipeline"]["version"] for each in made) == [2, 3, 4, 5, 6]


async def test_a_definition_that_is_wrong_changes_nothing(asked: Asked) -> None:
    await asked.create()
    wrong = whole(stage("Source", s3()))

    assert await code(asked.ask("UpdatePipeline", pipeline=wrong)) == "InvalidStructureException"
    assert (await asked.ask("GetPipeline", name="demo"))["pipeline"]["version"] == 1


async def test_a_pipeline_that_is_not_there_is_not_updated_and_counts_as_deleted(asked: Asked) -> None:
    assert await code(asked.ask("UpdatePipeline", pipeline=document())) == "PipelineNotFoundException"
    assert await asked.ask("DeletePipeline", name="demo") is None
    assert await code(asked.ask("GetPipeline", name="demo")) == "PipelineNotFoundException"


async def test_a_secret_is_neither_shown_nor_stored_in_clear_and_kept_when_its_stars_come_back(asked: Asked) -> None:
    await asked.ask("CreatePipeline", pipeline=hooked())
    shown = (await asked.ask("GetPipeline", name="demo"))["pipeline"]
    stars = shown["stages"][0]["actions"][0]["configuration"]["OAuthToken"]

    await asked.ask("UpdatePipeline", pipeline=hooked(OAuthToken=stars))

    assert set(stars) == {"*"}
    _, version = await asked.site.control.definitions.get(OWNER, "demo")
    assert version.secrets is not None
    assert SECRET not in str(version)
    assert SECRET.encode() not in version.secrets
    unsealed = asked.operations._sealer.unsealed(OWNER, "demo", version.secrets)
    assert list(unsealed.values()) == [SECRET]


async def test_pipelines_are_listed_by_name_in_pages(asked: Asked) -> None:
    names = [f"p{number}" for number in range(5)]
    for name in names:
        await asked.create(name)

    found, token = [], None
    while True:
        page = await asked.ask("ListPipelines", maxResults=2, nextToken=token)
        assert len(page["pipelines"]) <= 2
        found += [each["name"] for each in page["pipelines"]]
        token = page["nextToken"]
        if token is None:
            break

    assert found == names
    assert await code(asked.ask("ListPipelines", nextToken="made-up")) == "InvalidNextTokenException"


async def test_tags_are_listed_by_whatever_database(database: SqlDatabase, tmp_path: Path) -> None:
    async with a_site(database) as site:
        site.script["Fetch"] = Hold()
        asked = Asked(site, tmp_path)
        await asked.create(tags=[{"key": "team", "value": "us"}])

        assert await asked.tags() == {"team": "us"}


async def test_tags_are_put_over_each_other_and_taken_away(asked: Asked) -> None:
    await asked.create(tags=[{"key": "team", "value": "us"}])

    await asked.ask("TagResource", resourceArn=ARN, tags=[{"key": "team", "value": "they"}, {"key": "a", "value": ""}])
    await asked.ask("UntagResource", resourceArn=ARN, tagKeys=["a", "never"])

    assert await asked.tags() == {"team": "they"}


@pytest.mark.parametrize(
    ("arn", "tags", "expected"),
    [
        (ARN, {"aws:x": ""}, "InvalidTagsException"),
        (ARN, {f"k{number}": "" for number in range(50)}, "TooManyTagsException"),
        (pipeline_arn(OWNER, "none"), {"k": ""}, "ResourceNotFoundException"),
        (pipeline_arn(OWNER, ""), {"k": ""}, "InvalidArnException"),
        (pipeline_arn(Owner("444455556666", OWNER.region), "demo"), {"k": ""}, "InvalidArnException"),
        (pipeline_arn(OWNER, "thing:demo"), {"k": ""}, "InvalidArnException"),
        ("demo", {"k": ""}, "InvalidArnException"),
    ],
)
async def test_tags_that_may_not_be_are_refused(asked: Asked, arn: str, tags: dict[str, str], expected: str) -> None:
    await asked.create(tags=[{"key": "team", "value": "us"}])
    given = [{"key": key, "value": value} for key, value in tags.items()]

    assert await code(asked.ask("TagResource", resourceArn=arn, tags=given)) == expected
    assert await asked.tags() == {"team": "us"}


async def test_an_update_keeps_the_tags(asked: Asked) -> None:
    await asked.create(tags=[{"key": "team", "value": "us"}])

    await asked.ask("UpdatePipeline", pipeline=document(pipelineType="V2", variables=VARIABLES))

    assert await asked.tags() == {"team": "us"}


def test_the_document_of_these_tests_is_accepted() -> None:
    assert accepted(document())["name"] == "demo"
