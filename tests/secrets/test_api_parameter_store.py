from dataclasses import replace

import pytest
from sqlalchemy import text

from codeyard.aws import Refused
from codeyard.secrets.sealed import DoesNotOpen
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION, ROOT
from tests.secrets.asking import Asked

ARN = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/"


async def put(asked: Asked, name: str, value: str = "value", **given: object) -> int:
    answer = await asked.ssm("PutParameter", **{"Name": name, "Value": value, "Type": "String"} | given)
    return int(answer["Version"])


async def test_a_parameter_is_given_back_as_it_was_put(asked: Asked) -> None:
    answer = await asked.ssm("PutParameter", Name="/app/token", Value="päss\nword", Type="SecureString")

    found = (await asked.ssm("GetParameter", Name="/app/token", WithDecryption=True))["Parameter"]

    assert answer == {"Version": 1, "Tier": "Standard"}
    assert (found["Value"], found["Type"], found["Version"]) == ("päss\nword", "SecureString", 1)
    assert (found["ARN"], found["DataType"], found["Selector"]) == (f"{ARN}app/token", "text", None)


async def test_a_secure_string_is_opaque_unless_it_is_asked_for_in_clear(asked: Asked) -> None:
    await put(asked, "secure", "hidden-value", Type="SecureString")
    await put(asked, "plain", "shown-value")

    found = await asked.ssm("GetParameters", Names=["secure", "plain"])

    assert found["Parameters"][1]["Value"] == "shown-value"
    assert "hidden" not in found["Parameters"][0]["Value"]


async def test_a_version_a_label_and_an_arn_select(asked: Asked) -> None:
    await put(asked, "/a/b", "first")
    await put(asked, "/a/b", "second", Overwrite=True)
    await asked.ssm("LabelParameterVersion", Name="/a/b", ParameterVersion=1, Labels=["good"])
    forms = ["/a/b", "/a/b:1", "/a/b:good", f"{ARN}a/b", f"{ARN}a/b:1"]

    found = [(await asked.ssm("GetParameter", Name=form))["Parameter"] for form in forms]

    assert [each["Value"] for each in found] == ["second", "first", "first", "second", "first"]
    assert [each["Selector"] for each in found] == [None, ":1", ":good", None, ":1"]


async def test_the_arn_of_a_name_without_a_slash_names_it_too(asked: Asked) -> None:
    await put(asked, "plain", "found")

    assert (await asked.ssm("GetParameter", Name=f"{ARN}plain"))["Parameter"]["Value"] == "found"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("absent", "ParameterNotFound"),
        ("there:2", "ParameterVersionNotFound"),
        ("there:0", "ParameterVersionNotFound"),
        ("there:99999999999999999", "ParameterVersionNotFound"),
        ("there:label", "ParameterVersionNotFound"),
        ("absent:1", "ParameterNotFound"),
        (f"arn:aws:ssm:{REGION}:111111111111:parameter/there", "ParameterNotFound"),
        ("a name", "ValidationException"),
        ("nul\0", "ValidationException"),
        ("half\ud800", "ValidationException"),
        ("there:1:2", "ValidationException"),
    ],
)
async def test_what_is_not_there_or_no_name_has_awss_error(asked: Asked, name: str, code: str) -> None:
    await put(asked, "there")

    with pytest.raises(Refused) as caught:
        await asked.ssm("GetParameter", Name=name)

    assert caught.value.code == code


async def test_of_several_the_missing_are_named(asked: Asked) -> None:
    await put(asked, "there")

    found = await asked.ssm("GetParameters", Names=["there", "absent", "there:7", "there:1"])

    assert [each["Selector"] for each in found["Parameters"]] == [None, ":1"]
    assert found["InvalidParameters"] == ["absent", "there:7"]


async def test_it_is_overwritten_only_if_told_to(asked: Asked) -> None:
    await put(asked, "name")

    with pytest.raises(Refused, match="To overwrite this value, set the overwrite option in the request to true"):
        await put(asked, "name")
    assert await put(asked, "name", Overwrite=True) == 2


async def test_what_an_overwrite_leaves_out_stays(asked: Asked) -> None:
    await put(asked, "name", "12", Description="what it is", AllowedPattern=r"\d+", Type="SecureString", KeyId="mine")
    await asked.ssm("PutParameter", Name="name", Value="34", Overwrite=True)

    (found,) = (await asked.ssm("DescribeParameters"))["Parameters"]

    assert (found["Description"], found["AllowedPattern"], found["KeyId"]) == ("what it is", r"\d+", "mine")
    assert (found["Version"], found["Type"], found["LastModifiedUser"]) == (2, "SecureString", ROOT.arn)


async def test_a_value_must_match_the_allowed_pattern_and_is_not_told(asked: Asked) -> None:
    await put(asked, "number", "12", AllowedPattern=r"^\d+$")

    with pytest.raises(Refused) as caught:
        await put(asked, "number", "wrong-value", Overwrite=True)

    assert caught.value.code == "ParameterPatternMismatchException"
    assert "wrong-value" not in str(caught.value)


async def test_accounts_regions_and_names_are_apart(asked: Asked) -> None:
    await put(asked, "name", "here")
    await asked.ssm("PutParameter", region="eu-west-1", Name="name", Value="there", Type="String")

    assert (await asked.ssm("GetParameter", Name="name"))["Parameter"]["Value"] == "here"
    assert (await asked.ssm("GetParameter", region="eu-west-1", Name="name"))["Parameter"]["Value"] == "there"
    assert (await asked.ssm("DescribeParameters", region="eu-west-2"))["Parameters"] == []
    with pytest.raises(Refused, match="not found"):
        await asked.ssm("GetParameter", Name="NAME")


async def test_a_hundred_versions_are_kept(asked: Asked) -> None:
    for number in range(102):
        await put(asked, "name", f"value-{number}", Overwrite=True)

    history = await asked.ssm("GetParameterHistory", Name="name", MaxResults=50)
    rest = await asked.ssm("GetParameterHistory", Name="name", NextToken=history["NextToken"])

    assert [each["Version"] for each in history["Parameters"] + rest["Parameters"]] == list(range(3, 103))
    assert rest["NextToken"] is None
    assert history["Parameters"][0]["Value"] == "value-2"


async def test_a_version_with_a_label_is_not_pushed_out(asked: Asked) -> None:
    await put(asked, "name")
    await asked.ssm("LabelParameterVersion", Name="name", Labels=["kept"])
    for _ in range(99):
        await put(asked, "name", Overwrite=True)

    with pytest.raises(Refused) as caught:
        await put(asked, "name", Overwrite=True)

    assert caught.value.code == "ParameterMaxVersionLimitExceeded"
    assert (await asked.ssm("GetParameter", Name="name:kept"))["Parameter"]["Version"] == 1


TREE = ("/a/b", "/a/b/c", "/a/b/c/d", "/a/B", "/a_b/x", "/ab", "top", "/a.x/y", "/a0")


@pytest.mark.parametrize(
    ("path", "recursive", "names"),
    [
        ("/a", False, ["/a/B", "/a/b"]),
        ("/a/", True, ["/a/B", "/a/b", "/a/b/c", "/a/b/c/d"]),
        ("/a/b", False, ["/a/b/c"]),
        ("/a_b", False, ["/a_b/x"]),
        ("/nothing", True, []),
        ("/", False, ["/a0", "/ab", "top"]),
    ],
)
async def test_what_is_below_a_path_is_found_page_by_page(
    asked: Asked, path: str, recursive: bool, names: list[str]
) -> None:
    for name in TREE:
        await put(asked, name)

    pages = await asked.pages("ssm", "GetParametersByPath", Path=path, Recursive=recursive, MaxResults=1)

    assert [each["Name"] for page in pages for each in page["Parameters"]] == names
    assert len(pages) == max(1, len(names))


async def test_a_list_goes_on_beyond_what_the_filter_leaves_out(asked: Asked) -> None:
    for number in range(30):
        await put(asked, f"/app/{number:02}", Type="SecureString" if number % 10 == 9 else "String")
    filters = [{"Key": "Type", "Values": ["SecureString"]}]

    first = await asked.ssm("DescribeParameters", ParameterFilters=filters, MaxResults=2)
    second = await asked.ssm("DescribeParameters", ParameterFilters=filters, NextToken=first["NextToken"])

    assert [each["Name"] for each in first["Parameters"]] == ["/app/09", "/app/19"]
    assert [each["Name"] for each in second["Parameters"]] == ["/app/29"]
    assert second["NextToken"] is None


async def test_another_operations_token_is_refused(asked: Asked) -> None:
    for number in range(3):
        await put(asked, f"/app/{number}")
    page = await asked.ssm("DescribeParameters", MaxResults=1)

    with pytest.raises(Refused) as caught:
        await asked.ssm("GetParametersByPath", Path="/app", NextToken=page["NextToken"])

    assert caught.value.code == "InvalidNextToken"


async def test_deleted_ones_are_gone_with_all_they_had(asked: Asked) -> None:
    await put(asked, "one")
    await put(asked, "two", Tags=[{"Key": "k", "Value": "v"}])
    await put(asked, "two", Overwrite=True)

    await asked.ssm("DeleteParameter", Name="one")
    answer = await asked.ssm("DeleteParameters", Names=["one", "two"])
    await put(asked, "two")

    assert answer == {"DeletedParameters": ["two"], "InvalidParameters": ["one"]}
    assert (await asked.ssm("GetParameter", Name="two"))["Parameter"]["Version"] == 1
    assert (await asked.ssm("ListTagsForResource", ResourceType="Parameter", ResourceId="two"))["TagList"] == []
    with pytest.raises(Refused) as caught:
        await asked.ssm("DeleteParameter", Name="one")
    assert caught.value.code == "ParameterNotFound"


@pytest.mark.parametrize(
    ("tampering", "region"),
    [
        (
            ["UPDATE parameter_versions SET sealed = (SELECT sealed FROM parameter_versions WHERE name = 'other')"],
            REGION,
        ),
        (["UPDATE parameter_versions SET type = 'SecureString'"], REGION),
        (["UPDATE parameter_versions SET version = 7", "UPDATE parameters SET version = 7"], REGION),
        ([f"UPDATE {table} SET region = 'eu-west-1'" for table in ("parameters", "parameter_versions")], "eu-west-1"),
        ([f"UPDATE {table} SET account = '111111111111'" for table in ("parameters", "parameter_versions")], REGION),
    ],
)
async def test_a_sealed_value_opens_only_in_its_place(
    asked: Asked, database: SqlDatabase, tampering: list[str], region: str
) -> None:
    await put(asked, "name", "sealed-text")
    await put(asked, "other", "other-text")
    with database.engine.begin() as tx:
        for statement in tampering:
            tx.execute(text(statement))
    caller = replace(ROOT, account="111111111111") if "account" in tampering[0] else ROOT

    with pytest.raises(DoesNotOpen) as caught:
        await asked.ssm("GetParameter", region=region, caller=caller, Name="name", WithDecryption=True)

    assert "text" not in str(caught.value)


async def test_another_key_opens_nothing(asked: Asked, database: SqlDatabase) -> None:
    await put(asked, "name", "sealed-value")

    with pytest.raises(DoesNotOpen, match="another key"):
        await Asked(database, Key(b"x" * 32)).ssm("GetParameter", Name="name")


async def test_no_value_lies_in_clear_in_the_database(asked: Asked, database: SqlDatabase) -> None:
    await put(asked, "name", "clear-value-1")
    await asked.secrets("CreateSecret", Name="name", SecretString="clear-value-2")

    with database.engine.begin() as tx:
        rows = [
            *tx.execute(text("SELECT * FROM parameter_versions")).all(),
            *tx.execute(text("SELECT * FROM secret_versions")).all(),
        ]

    assert len(rows) == 2
    assert "clear-value" not in repr([tuple(bytes(c) if isinstance(c, memoryview) else c for c in r) for r in rows])
