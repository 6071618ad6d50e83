from collections.abc import Mapping
from datetime import timedelta

import pytest

from codeyard.aws import Caller, Refused
from codeyard.secrets.api_secrets_manager import SecretArns
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION, call
from tests.secrets.asking import Asked

ROLE = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", "AROA:s", f"arn:aws:iam::{ACCOUNT}:role/r")
MARKED = "You can't perform this operation on the secret because it was marked for deletion"


async def test_a_secret_is_described_without_its_value(asked: Asked) -> None:
    tags = [{"Key": "k", "Value": "v"}]
    made = await asked.secrets(
        "CreateSecret", Name="name", SecretString="hidden-value", Description="what", KmsKeyId="mine", Tags=tags
    )

    found = await asked.secrets("DescribeSecret", SecretId="name")

    assert (found["ARN"], found["Description"], found["KmsKeyId"], found["Tags"]) == (made["ARN"], "what", "mine", tags)
    assert found["VersionIdsToStages"] == {made["VersionId"]: ["AWSCURRENT"]}
    assert "hidden-value" not in repr(found)


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("GetSecretValue", {}),
        ("PutSecretValue", {"SecretString": "x"}),
        ("UpdateSecret", {"Description": "x"}),
        ("TagResource", {"Tags": []}),
        ("DeleteSecret", {}),
    ],
)
async def test_a_secret_that_is_marked_for_deletion_is_not_used(
    asked: Asked, operation: str, given: Mapping[str, object]
) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="value")
    await asked.secrets("DeleteSecret", SecretId="name")

    with pytest.raises(Refused, match=MARKED) as caught:
        await asked.secrets(operation, SecretId="name", **given)

    assert caught.value.code == "InvalidRequestException"


async def test_a_restored_secret_is_as_it_was(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="value")
    deleted = await asked.secrets("DeleteSecret", SecretId="name", RecoveryWindowInDays=7)
    marked = await asked.secrets("DescribeSecret", SecretId="name")

    await asked.secrets("RestoreSecret", SecretId="name")

    assert marked["DeletedDate"] == deleted["DeletionDate"]
    assert (await asked.secrets("DescribeSecret", SecretId="name"))["DeletedDate"] is None
    assert (await asked.secrets("GetSecretValue", SecretId="name"))["SecretString"] == "value"


@pytest.mark.parametrize("days", [7, 30, None])
async def test_after_the_recovery_window_it_is_gone(asked: Asked, days: int | None) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="old")
    await asked.secrets("DeleteSecret", SecretId="name", RecoveryWindowInDays=days)
    asked.clock.time += timedelta(days=days or 30)

    for operation in ("DescribeSecret", "GetSecretValue", "RestoreSecret"):
        with pytest.raises(Refused, match="can't find the specified secret"):
            await asked.secrets(operation, SecretId="name")
    await asked.secrets("CreateSecret", Name="name", SecretString="new")
    ids = (await asked.secrets("ListSecretVersionIds", SecretId="name", IncludeDeprecated=True))["Versions"]
    assert len(ids) == 1


async def test_until_then_its_name_is_taken(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="old")
    await asked.secrets("DeleteSecret", SecretId="name")

    with pytest.raises(Refused, match="already scheduled for deletion"):
        await asked.secrets("CreateSecret", Name="name", SecretString="new")


async def test_forced_it_goes_at_once_and_once_more_is_no_error(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="old")

    await asked.secrets("DeleteSecret", SecretId="name", ForceDeleteWithoutRecovery=True)
    again = await asked.secrets("DeleteSecret", SecretId="name", ForceDeleteWithoutRecovery=True)

    assert again["Name"] == "name"
    with pytest.raises(Refused, match="can't find the specified secret"):
        await asked.secrets("DeleteSecret", SecretId="name")
    await asked.secrets("CreateSecret", Name="name", SecretString="new")


@pytest.mark.parametrize(
    "given",
    [
        {"RecoveryWindowInDays": 6},
        {"RecoveryWindowInDays": 31},
        {"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True},
    ],
)
async def test_a_window_has_7_to_30_days(asked: Asked, given: Mapping[str, object]) -> None:
    await asked.secrets("CreateSecret", Name="name", SecretString="old")

    with pytest.raises(Refused) as caught:
        await asked.secrets("DeleteSecret", SecretId="name", **given)

    assert caught.value.code == "InvalidParameterException"


async def test_tags_come_and_go(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="name", Tags=[{"Key": "a", "Value": "1"}])

    await asked.secrets("TagResource", SecretId="name", Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": "3"}])
    await asked.secrets("UntagResource", SecretId="name", TagKeys=["b"])

    assert (await asked.secrets("DescribeSecret", SecretId="name"))["Tags"] == [{"Key": "a", "Value": "2"}]


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ({}, ["b", "c", "a"]),
        ({"SortOrder": "asc"}, ["a", "c", "b"]),
        ({"SortBy": "name", "SortOrder": "asc"}, ["a", "b", "c"]),
        ({"SortBy": "last-changed-date"}, ["a", "b", "c"]),
        ({"SortBy": "last-accessed-date"}, ["c", "b", "a"]),
    ],
)
async def test_secrets_are_listed_in_order_page_by_page(
    asked: Asked, sort: Mapping[str, str], names: list[str]
) -> None:
    for name in ("a", "c", "b"):
        await asked.secrets("CreateSecret", Name=name, SecretString="value")
    await asked.secrets("UpdateSecret", SecretId="a", Description="changed")
    await asked.secrets("GetSecretValue", SecretId="c")

    pages = await asked.pages("secretsmanager", "ListSecrets", MaxResults=1, **sort)

    assert [each["Name"] for page in pages for each in page["SecretList"]] == names


async def test_those_to_be_deleted_are_listed_only_if_asked_for(asked: Asked) -> None:
    await asked.secrets("CreateSecret", Name="kept")
    await asked.secrets("CreateSecret", Name="marked")
    await asked.secrets("DeleteSecret", SecretId="marked")

    shown = (await asked.secrets("ListSecrets"))["SecretList"]
    all_ = (await asked.secrets("ListSecrets", IncludePlannedDeletion=True))["SecretList"]

    assert [each["Name"] for each in shown] == ["kept"]
    assert [each["Name"] for each in all_] == ["marked", "kept"]


async def test_a_token_is_good_for_its_filter_only(asked: Asked) -> None:
    for name in ("a", "b"):
        await asked.secrets("CreateSecret", Name=name)
    token = (await asked.secrets("ListSecrets", MaxResults=1))["NextToken"]

    with pytest.raises(Refused) as caught:
        await asked.secrets("ListSecrets", NextToken=token, Filters=[{"Key": "name", "Values": ["a"]}])

    assert caught.value.code == "InvalidNextTokenException"


async def test_the_exact_arn_of_what_a_call_names_is_found(asked: Asked, database: SqlDatabase) -> None:
    made = await asked.secrets("CreateSecret", Name="name")
    arns, pattern = SecretArns(database), f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:name-??????"

    found = [
        await arns.exact(call("secretsmanager", "GetSecretValue", caller=ROLE, SecretId=id), (pattern,))
        for id in ("name", made["ARN"], made["ARN"][:-7], "absent", "no name")
    ]

    assert found == [(made["ARN"],)] * 3 + [(pattern,)] * 2
