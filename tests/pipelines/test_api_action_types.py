"""The operations on action types, asked directly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines import custom_types_table as table
from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.api_action_types import LIMIT, ActionTypeOperations, arn_of, page, parse_arn
from codeyard.pipelines.model import ActionType
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION, call
from tests.databases import opened

OWNER = Owner(ACCOUNT, REGION)
JENKINS = ActionType("Build", "Custom", "Jenkins")
NAMED = {"category": "Build", "provider": "Jenkins", "version": "1"}
GIVEN: Mapping[str, Any] = {
    **NAMED,
    "settings": {"entityUrlTemplate": "https://ci/{Config:Project}"},
    "configurationProperties": [{"name": "Project", "required": True, "key": True, "secret": False, "queryable": True}],
    "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
    "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
    "tags": [{"key": "team", "value": "red"}],
}
MODEL = get_session().get_service_model("codepipeline")


class Asked:
    """The operations, over a database with nothing in it."""

    def __init__(self, db: SqlDatabase) -> None:
        self.db, self.used = db, False
        self.operations = ActionTypeOperations(db, Pages(b"k" * 32), lambda _tx, _owner, _type: self.used)

    async def ask(self, name: str, **given: Any) -> Any:
        handler = {
            "CreateCustomActionType": self.operations.create,
            "DeleteCustomActionType": self.operations.delete,
            "ListActionTypes": self.operations.list_types,
            "GetActionType": self.operations.get_type,
            "UpdateActionType": self.operations.update_type,
            "ListRuleTypes": self.operations.list_rule_types,
        }[name]
        validate_parameters(given, MODEL.operation_model(name).input_shape)
        return await handler(call("codepipeline", name, **given))

    async def refused(self, name: str, **given: Any) -> str:
        with pytest.raises(Refused) as refused:
            await self.ask(name, **given)
        return refused.value.code

    async def listed(self, **given: Any) -> list[str]:
        types = (await self.ask("ListActionTypes", **given))["actionTypes"]
        return ["/".join(each["id"][name] for name in ("category", "owner", "provider", "version")) for each in types]


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        yield Asked(db)


async def test_a_type_is_made_listed_and_deleted(asked: Asked) -> None:
    made = await asked.ask("CreateCustomActionType", **GIVEN)
    listed = await asked.listed(actionOwnerFilter="Custom")
    elsewhere = await asked.listed(actionOwnerFilter="Custom", regionFilter="eu-west-1")
    tags = await asked.db.read(lambda tx: table.tags_of(tx, OWNER, JENKINS))
    deleted = await asked.ask("DeleteCustomActionType", **NAMED)

    assert made["actionType"]["id"] == {"category": "Build", "owner": "Custom", "provider": "Jenkins", "version": "1"}
    assert made["tags"] == GIVEN["tags"]
    assert (deleted, tags) == ({}, {"team": "red"})
    assert str(JENKINS) in listed
    assert str(JENKINS) not in elsewhere
    assert str(JENKINS) not in await asked.listed()


async def test_the_same_again_changes_nothing_and_restores_what_was_deleted(asked: Asked) -> None:
    await asked.ask("CreateCustomActionType", **GIVEN)
    again = await asked.ask("CreateCustomActionType", **{**GIVEN, "tags": []})
    await asked.ask("DeleteCustomActionType", **NAMED)
    restored = await asked.ask("CreateCustomActionType", **GIVEN)

    assert again == restored
    assert str(JENKINS) in await asked.listed(actionOwnerFilter="Custom")


@pytest.mark.parametrize("deleted", [False, True])
async def test_a_version_is_never_another_type(asked: Asked, deleted: bool) -> None:
    await asked.ask("CreateCustomActionType", **GIVEN)
    if_deleted = {False: (), True: ("DeleteCustomActionType",)}[deleted]
    [await asked.ask(name, **NAMED) for name in if_deleted]
    other = {**GIVEN, "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 2}}

    assert await asked.refused("CreateCustomActionType", **other) == "ActionTypeAlreadyExistsException"


async def test_a_type_that_a_pipeline_uses_stays(asked: Asked) -> None:
    await asked.ask("CreateCustomActionType", **GIVEN)
    asked.used = True

    assert await asked.refused("DeleteCustomActionType", **NAMED) == "ValidationException"
    assert str(JENKINS) in await asked.listed()


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"key": "aws:x", "value": ""}], "InvalidTagsException"),
        ([{"key": "a", "value": ""}] * 2, "InvalidTagsException"),
        ([{"key": f"{n}", "value": ""} for n in range(51)], "TooManyTagsException"),
    ],
)
async def test_tags_are_as_of_any_resource(asked: Asked, tags: list[dict[str, str]], code: str) -> None:
    assert await asked.refused("CreateCustomActionType", **{**GIVEN, "tags": tags}) == code


async def test_there_may_be_so_many_and_no_more(asked: Asked) -> None:
    for n in range(LIMIT):
        await asked.ask("CreateCustomActionType", **{**GIVEN, "version": str(n)})

    assert await asked.refused("CreateCustomActionType", **{**GIVEN, "version": "x"}) == "LimitExceededException"


async def test_deleting_what_is_not_there_is_no_mistake(asked: Asked) -> None:
    assert await asked.ask("DeleteCustomActionType", **NAMED) == {}


async def test_built_in_types_are_listed_by_their_owner(asked: Asked) -> None:
    listed = await asked.listed(actionOwnerFilter="AWS")

    assert "Build/AWS/CodeBuild/1" in listed
    assert {name.split("/")[1] for name in listed} == {"AWS"}


async def test_no_type_is_a_partners(asked: Asked) -> None:
    id = {"category": "Test", "owner": "ThirdParty", "provider": "Probe", "version": "1"}
    executor = {"type": "JobWorker", "configuration": {"jobWorkerExecutorConfiguration": {}}}
    counts = {"minimumCount": 0, "maximumCount": 1}
    declared = {"id": id, "executor": executor, "inputArtifactDetails": counts, "outputArtifactDetails": counts}

    assert await asked.refused("GetActionType", **id) == "ActionTypeNotFoundException"
    assert await asked.refused("UpdateActionType", actionType=declared) == "ActionTypeNotFoundException"


async def test_rule_types_are_listed(asked: Asked) -> None:
    told = await asked.ask("ListRuleTypes")

    assert "LambdaInvoke" in [each["id"]["provider"] for each in told["ruleTypes"]]


async def test_a_token_of_another_list_is_refused(asked: Asked) -> None:
    code = await asked.refused("ListActionTypes", nextToken="x")

    assert code == "InvalidNextTokenException"


@given(st.sets(st.text("abc", min_size=1, max_size=3), max_size=8), st.integers(1, 4))
def test_the_pages_together_are_the_list(names: set[str], size: int) -> None:
    specs = [ActionTypeSpec(ActionType("Build", "Custom", name)) for name in names]
    seen: list[ActionTypeSpec] = []
    after = None
    while (found := page(specs, after, size)).next is not None:
        seen, after = [*seen, *found.items], found.next

    assert [spec.id.provider for spec in (*seen, *found.items)] == sorted(names)


def test_an_arn_names_its_type_and_what_is_none_does_not() -> None:
    arn = arn_of(OWNER, JENKINS)

    assert arn == "arn:aws:codepipeline:us-east-1:000000000000:actiontype:Custom/Build/Jenkins/1"
    assert parse_arn(arn) == parse_arn(arn.replace("actiontype", "actionType")) == (OWNER, JENKINS)
    assert parse_arn(arn + "/x") is None
    assert parse_arn("arn:aws:codepipeline:us-east-1:000000000000:Pipeline") is None
