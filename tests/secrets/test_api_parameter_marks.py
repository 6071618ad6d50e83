import pytest

from codeyard.aws import Refused
from tests.calls import ACCOUNT, REGION
from tests.secrets.asking import Asked


async def two_versions(asked: Asked) -> None:
    for value in ("first", "second"):
        await asked.ssm("PutParameter", Name="/a", Value=value, Type="String", Overwrite=True)


async def test_a_label_moves_from_version_to_version(asked: Asked) -> None:
    await two_versions(asked)

    await asked.ssm("LabelParameterVersion", Name="/a", ParameterVersion=1, Labels=["good"])
    answer = await asked.ssm("LabelParameterVersion", Name="/a", Labels=["good", "awsome", "1st"])

    history = (await asked.ssm("GetParameterHistory", Name="/a"))["Parameters"]
    assert answer == {"InvalidLabels": ["awsome", "1st"], "ParameterVersion": 2}
    assert [each["Labels"] for each in history] == [[], ["good"]]


async def test_a_label_is_taken_off_the_version_that_has_it(asked: Asked) -> None:
    await two_versions(asked)
    await asked.ssm("LabelParameterVersion", Name="/a", ParameterVersion=1, Labels=["good", "old"])

    answer = await asked.ssm("UnlabelParameterVersion", Name="/a", ParameterVersion=1, Labels=["good", "none"])
    other = await asked.ssm("UnlabelParameterVersion", Name="/a", ParameterVersion=2, Labels=["old"])

    assert answer == {"RemovedLabels": ["good"], "InvalidLabels": ["none"]}
    assert other == {"RemovedLabels": [], "InvalidLabels": ["old"]}


@pytest.mark.parametrize(
    ("name", "version", "code"),
    [
        ("/b", 1, "ParameterNotFound"),
        ("/a", 3, "ParameterVersionNotFound"),
        ("/a", -1, "ParameterVersionNotFound"),
        ("/a", 2**62, "ParameterVersionNotFound"),
    ],
)
async def test_a_version_that_is_not_there_takes_no_label(asked: Asked, name: str, version: int, code: str) -> None:
    await two_versions(asked)

    with pytest.raises(Refused) as caught:
        await asked.ssm("LabelParameterVersion", Name=name, ParameterVersion=version, Labels=["x"])

    assert caught.value.code == code


@pytest.mark.parametrize("resource", ["/a", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a"])
async def test_tags_are_added_listed_and_removed(asked: Asked, resource: str) -> None:
    await two_versions(asked)
    named = {"ResourceType": "Parameter", "ResourceId": resource}

    await asked.ssm("AddTagsToResource", **named, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await asked.ssm("RemoveTagsFromResource", **named, TagKeys=["a", "none"])

    assert await asked.ssm("ListTagsForResource", **named) == {"TagList": [{"Key": "b", "Value": "2"}]}


@pytest.mark.parametrize(
    ("kind", "id", "code"),
    [
        ("Parameter", "/none", "InvalidResourceId"),
        ("Parameter", "nul\0", "InvalidResourceId"),
        ("Document", "/a", "InvalidResourceType"),
    ],
)
async def test_what_is_no_parameter_has_no_tags(asked: Asked, kind: str, id: str, code: str) -> None:
    await two_versions(asked)

    with pytest.raises(Refused) as caught:
        await asked.ssm("AddTagsToResource", ResourceType=kind, ResourceId=id, Tags=[{"Key": "a", "Value": "1"}])

    assert caught.value.code == code


async def test_fifty_tags_are_enough(asked: Asked) -> None:
    await two_versions(asked)
    tags = [{"Key": f"k{number}", "Value": "v"} for number in range(51)]

    with pytest.raises(Refused) as caught:
        await asked.ssm("AddTagsToResource", ResourceType="Parameter", ResourceId="/a", Tags=tags)

    assert caught.value.code == "TooManyTagsError"
