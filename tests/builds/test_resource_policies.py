"""The policies of resources that are shared."""

import json
from typing import Any

import pytest

from codeyard.aws import Refused
from codeyard.builds import projects_table as table
from codeyard.builds.resource_policies import ResourcePolicies
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER, project
from tests.databases import database

__all__ = ["database"]
ARN = OWNER.arn("project/site")
STATEMENT = {
    "Effect": "Allow",
    "Principal": {"AWS": "111111111111"},
    "Action": ["codebuild:BatchGetProjects", "codebuild:BatchGetBuilds", "codebuild:ListBuildsForProject"],
    "Resource": ARN,
}


def policy(**changes: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{**STATEMENT, **changes}]}, indent=1)


@pytest.fixture
async def policies(database: SqlDatabase) -> ResourcePolicies:
    await database.write(lambda tx: table.insert_project(tx, OWNER, project()))
    return ResourcePolicies(database)


async def test_a_policy_is_given_back_as_it_was_put_until_it_is_deleted(policies: ResourcePolicies) -> None:
    text = policy(Sid="ä\ud83d\ude00")
    await policies.put(OWNER, ARN, text)

    assert await policies.get(OWNER, ARN) == text
    await policies.delete(OWNER, ARN)
    await policies.delete(OWNER, ARN)
    with pytest.raises(Refused) as refused:
        await policies.get(OWNER, ARN)
    assert refused.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize("name", ["project/other", "report-group/tests"])
async def test_what_is_not_there_has_no_policy(policies: ResourcePolicies, name: str) -> None:
    text = policy(Action="codebuild:BatchGetReports") if "report" in name else policy()

    with pytest.raises(Refused) as refused:
        await policies.put(OWNER, OWNER.arn(name), text)
    assert refused.value.code == "ResourceNotFoundException"
    with pytest.raises(Refused):
        await policies.get(OWNER, OWNER.arn(name))


@pytest.mark.parametrize("arn", ["site", "arn:aws:s3:::x", f"{ARN}\0", OWNER.arn("fleet/x")])
async def test_what_is_no_such_arn_is_invalid(policies: ResourcePolicies, arn: str) -> None:
    with pytest.raises(Refused, match="Invalid resource ARN"):
        await policies.delete(OWNER, arn)


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        "[" * 20_000,
        '{"Statement": ["x"]}',
        policy(Action="codebuild:StartBuild"),
        policy(Action="*"),
        policy(Action=None),
        policy(Action=[{"a": 1}]),
        policy(Effect="Maybe"),
        policy(Sid="x" * 30_000),
    ],
)
async def test_a_policy_that_grants_more_than_reading_or_is_none_is_invalid(
    policies: ResourcePolicies, text: str
) -> None:
    with pytest.raises(Refused, match="Invalid resource policy"):
        await policies.put(OWNER, ARN, text)
