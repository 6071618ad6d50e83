import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace

import pytest
from sqlalchemy import text

from codeyard.aws import Caller, Key, Refused, Said
from codeyard.secrets.sealed import DoesNotOpen
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION, ROOT
from tests.secrets.asking import Asked

ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:"
ROLE = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", "AROA:s", f"arn:aws:iam::{ACCOUNT}:role/r")
FIRST, SECOND, THIRD = (str(uuid.UUID(int=number)) for number in range(3))


async def value_of(asked: Asked, **given: object) -> str:
    return str((await asked.secrets("GetSecretValue", **given))["SecretString"])


async def stages(asked: Asked, name: str) -> dict[str, list[str]]:
    return dict((await asked.secrets("DescribeSecret", SecretId=name))["VersionIdsToStages"])


async def test_a_secret_is_given_back_as_it_was_made(asked: Asked) -> None:
    made = await asked.secrets("CreateSecret", Name="prod/db", SecretString="päss", ClientRequestToken=FIRST)

    found = await asked.secrets("GetSecretValue", SecretId="prod/db")

    assert made["ARN"][: -len("AbCdEf")] == f"{ARN}prod/db-"
    assert made["VersionId"] == found["VersionId"] == FIRST
    assert (found["ARN"], found["SecretString"], found["VersionStages"]) == (made["ARN"], "päss", ["AWSCURRENT"])


async def test_a_secret_may_be_bytes(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="binary", SecretBinary=b"\0\xff")

    found = await asked.secrets("GetSecretValue", SecretId="binary")

    assert found["SecretBinary"] == b"\0\xff"
    assert "SecretString" not in found


async def test_a_name_a_full_arn_and_a_partial_one_name_it(asked: Asked) -> None:
    arn = (await asked.secrets("CreateSecret", Name="prod/db", SecretString="found"))["ARN"]

    found = [await value_of(asked, SecretId=id) for id in ("prod/db", arn, arn[:-7])]

    assert found == ["found"] * 3


async def test_an_arn_of_another_secret_of_that_name_does_not(asked: Asked) -> None:
    arn = (await asked.secrets("CreateSecret", Name="name", SecretString="old"))["ARN"]
    await asked.secrets("DeleteSecret", SecretId="name", ForceDeleteWithoutRecovery=True)
    await asked.secrets("CreateSecret", Name="name", SecretString="new")

    with pytest.raises(Refused, match="can't find the specified secret"):
        await asked.secrets("GetSecretValue", SecretId=arn)


async def test_an_arn_that_ends_like_a_full_one_is_no_partial_one(asked: Asked) -> None:
    """Or a policy for the secret `name`, whose ARN matches `name-??????`, would open the secret `name-abcdef`."""
    await asked.secrets("CreateSecret", Name="name-abcdef", SecretString="value")

    with pytest.raises(Refused, match="can't find the specified secret"):
        await asked.secrets("GetSecretValue", SecretId=f"{ARN}name-abcdef")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"SecretId": "absent"}, "ResourceNotFoundException"),
        ({"SecretId": f"arn:aws:secretsmanager:{REGION}:111111111111:secret:name"}, "ResourceNotFoundException"),
        ({"SecretId": "name", "VersionStage": "NONE"}, "ResourceNotFoundException"),
        ({"SecretId": "name", "VersionId": THIRD}, "ResourceNotFoundException"),
        ({"SecretId": "name", "VersionId": "\0" * 32}, "ResourceNotFoundException"),
        ({"SecretId": "name", "VersionId": "\ud800" * 32}, "ResourceNotFoundException"),
        ({"SecretId": "name", "VersionId": FIRST, "VersionStage": "AWSPREVIOUS"}, "InvalidRequestException"),
        ({"SecretId": "a name"}, "ValidationException"),
        ({"SecretId": "nul\0"}, "ValidationException"),
    ],
)
async def test_what_is_not_there_has_awss_error(asked: Asked, given: Mapping[str, str], code: str) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="value", ClientRequestToken=FIRST)

    with pytest.raises(Refused) as caught:
        await asked.secrets("GetSecretValue", **given)

    assert caught.value.code == code


async def test_a_new_value_makes_the_last_one_the_previous(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one", ClientRequestToken=FIRST)
    put = await asked.secrets("PutSecretValue", SecretId="name", SecretString="two", ClientRequestToken=SECOND)
    await asked.secrets("UpdateSecret", SecretId="name", SecretString="three", ClientRequestToken=THIRD)

    assert put["VersionStages"] == ["AWSCURRENT"]
    assert await stages(asked, "name") == {THIRD: ["AWSCURRENT"], SECOND: ["AWSPREVIOUS"]}
    assert await value_of(asked, SecretId="name") == "three"
    assert await value_of(asked, SecretId="name", VersionStage="AWSPREVIOUS") == "two"
    assert await value_of(asked, SecretId="name", VersionId=FIRST) == "one"


async def test_a_pending_value_becomes_current_when_the_label_moves(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one", ClientRequestToken=FIRST)
    await asked.secrets(
        "PutSecretValue", SecretId="name", SecretString="two", ClientRequestToken=SECOND, VersionStages=["AWSPENDING"]
    )
    before = await value_of(asked, SecretId="name")

    await asked.secrets(
        "UpdateSecretVersionStage", SecretId="name", VersionStage="AWSCURRENT", MoveToVersionId=SECOND,
        RemoveFromVersionId=FIRST,
    )  # fmt: skip

    assert (before, await value_of(asked, SecretId="name")) == ("one", "two")
    assert await stages(asked, "name") == {SECOND: ["AWSCURRENT", "AWSPENDING"], FIRST: ["AWSPREVIOUS"]}


async def test_a_label_moves_to_no_version_that_is_not_there(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one", ClientRequestToken=FIRST)

    with pytest.raises(Refused) as caught:
        await asked.secrets("UpdateSecretVersionStage", SecretId="name", VersionStage="X", MoveToVersionId=SECOND)

    assert caught.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "UpdateSecret"])
async def test_a_repeated_call_changes_nothing(asked: Asked, operation: str) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one", ClientRequestToken=FIRST)
    named = {"Name" if operation == "CreateSecret" else "SecretId": "name"}

    answer = await asked.secrets(operation, **named, SecretString="one", ClientRequestToken=FIRST)

    assert answer["VersionId"] == FIRST
    assert await stages(asked, "name") == {FIRST: ["AWSCURRENT"]}


@pytest.mark.parametrize("operation", ["CreateSecret", "PutSecretValue", "UpdateSecret"])
async def test_a_token_stands_for_one_value(asked: Asked, operation: str) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one", ClientRequestToken=FIRST)
    named = {"Name" if operation == "CreateSecret" else "SecretId": "name"}

    with pytest.raises(Refused) as caught:
        await asked.secrets(operation, **named, SecretString="other", ClientRequestToken=FIRST)

    assert caught.value.code == "ResourceExistsException"
    assert await value_of(asked, SecretId="name") == "one"


async def test_a_name_is_taken_once(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one")

    with pytest.raises(Refused, match="the secret name already exists"):
        await asked.secrets("CreateSecret", Name="name", SecretString="two")


async def test_many_who_make_it_at_once_make_one(asked: Asked) -> None:
    given = {"Name": "name", "SecretString": "one", "ClientRequestToken": FIRST}

    made = await asyncio.gather(*(asked.secrets("CreateSecret", **given) for _ in range(8)))

    assert len({each["ARN"] for each in made}) == 1


async def test_many_who_put_at_once_lose_nothing(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name")

    await asyncio.gather(*(asked.secrets("PutSecretValue", SecretId="name", SecretString=str(n)) for n in range(12)))

    ids = (await asked.secrets("ListSecretVersionIds", SecretId="name", IncludeDeprecated=True))["Versions"]
    assert len(ids) == 12
    borne = [stage for each in ids for stage in each["VersionStages"] or ()]
    assert sorted(borne) == ["AWSCURRENT", "AWSPREVIOUS"]


async def test_a_secret_may_be_without_a_value(asked: Asked) -> None:
    made = await asked.secrets("CreateSecret", Name="name", Description="to come")

    assert made["VersionId"] is None
    with pytest.raises(Refused, match="staging label: AWSCURRENT"):
        await asked.secrets("GetSecretValue", SecretId="name")


@pytest.mark.parametrize(
    "given",
    [
        {"SecretString": "a", "SecretBinary": b"a"},
        {"SecretString": "é" * 40_000},
        {"SecretString": "half \ud800"},
        {"SecretString": "a", "Description": "nul\0"},
        {"SecretString": "a", "ClientRequestToken": "\0" * 32},
        {"SecretString": "a", "Tags": [{"Key": "aws:x", "Value": ""}]},
    ],
)
async def test_what_cannot_be_kept_is_refused_without_being_told(asked: Asked, given: Mapping[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        await asked.secrets("CreateSecret", Name="name", **given)

    assert caught.value.code == "InvalidParameterException"
    assert "éé" not in str(caught.value)


async def test_unlabelled_versions_beyond_a_hundred_go_the_oldest_first(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="kept", ClientRequestToken=FIRST)
    await asked.secrets("UpdateSecretVersionStage", SecretId="name", VersionStage="mine", MoveToVersionId=FIRST)
    await asked.secrets("PutSecretValue", SecretId="name", SecretString="gone", ClientRequestToken=SECOND)
    for number in range(100):
        await asked.secrets("PutSecretValue", SecretId="name", SecretString=str(number))

    pages = await asked.pages("secretsmanager", "ListSecretVersionIds", SecretId="name", IncludeDeprecated=True)
    ids = [each["VersionId"] for page in pages for each in page["Versions"]]

    assert len(ids) == 101
    assert FIRST in ids
    assert SECOND not in ids


async def test_deprecated_versions_are_listed_only_if_asked_for(asked: Asked) -> None:
    for token in (FIRST, SECOND, THIRD):
        await asked.secrets("CreateSecret" if token == FIRST else "PutSecretValue", SecretString=token,
            ClientRequestToken=token, **{"Name" if token == FIRST else "SecretId": "name"})  # fmt: skip

    shown = (await asked.secrets("ListSecretVersionIds", SecretId="name"))["Versions"]

    assert [each["VersionId"] for each in shown] == [THIRD, SECOND]


async def test_the_day_of_the_last_read_is_told(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="one")
    before = (await asked.secrets("DescribeSecret", SecretId="name"))["LastAccessedDate"]

    await value_of(asked, SecretId="name")

    after = (await asked.secrets("DescribeSecret", SecretId="name"))["LastAccessedDate"]
    assert before is None
    assert after == asked.clock().replace(hour=0, minute=0, second=0, microsecond=0)


class Allows:
    """Identities that allow one ARN, and the root everything."""

    def __init__(self, arn: str) -> None:
        self._arn = arn

    async def key(self, id: str, token: str | None) -> Key:
        raise AssertionError("nothing here is signed")

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        assert action == "secretsmanager:GetSecretValue"
        if caller.role is not None and resources != (self._arn,):
            raise Refused("AccessDeniedException", f"User: {caller.arn} is not authorized")


async def test_of_many_secrets_a_role_reads_those_that_it_may_read_one_by_one(asked: Asked) -> None:
    made = [await asked.secrets("CreateSecret", Name=name, SecretString=name) for name in ("a", "b")]
    allowing = replace(asked, identities=Allows(made[0]["ARN"]))

    listed = await allowing.secrets("BatchGetSecretValue", caller=ROLE, SecretIdList=["a", "b", "absent"])
    filtered = await allowing.secrets(
        "BatchGetSecretValue", caller=ROLE, Filters=[{"Key": "name", "Values": ["a", "b"]}]
    )
    alone = await asked.secrets("BatchGetSecretValue", caller=ROLE, SecretIdList=["a"])
    root = await asked.secrets("BatchGetSecretValue", caller=ROOT, SecretIdList=["a", "b", "absent"])

    denied, missing = "AccessDeniedException", "ResourceNotFoundException"
    assert [each["SecretString"] for each in listed["SecretValues"]] == ["a"]
    assert [each["ErrorCode"] for each in listed["Errors"]] == [denied, denied]
    assert [each["SecretString"] for each in filtered["SecretValues"]] == ["a"]
    assert alone["SecretValues"] == []
    assert [each["SecretString"] for each in root["SecretValues"]] == ["a", "b"]
    assert [each["ErrorCode"] for each in root["Errors"]] == [missing]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE secret_versions SET sealed = (SELECT sealed FROM secret_versions WHERE name = 'other')",
        "UPDATE secret_versions SET form = 'binary'",
        "UPDATE secrets SET suffix = 'AAAAAA'",
    ],
)
async def test_a_sealed_value_opens_only_in_its_place(asked: Asked, database: SqlDatabase, tampering: str) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="sealed-text")
    await asked.secrets("CreateSecret", Name="other", SecretString="other-text")
    with database.engine.begin() as tx:
        tx.execute(text(tampering))

    with pytest.raises(DoesNotOpen) as caught:
        await asked.secrets("GetSecretValue", SecretId="name")

    assert "text" not in str(caught.value)
