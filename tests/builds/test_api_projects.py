"""The operations on projects, their sharing and source credentials, as boto3 sees them."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from codeyard.aws import Service
from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.builds.api_projects import project_handlers
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER, ROLE, project_input, require_role
from tests.databases import opened, postgresql_schema
from tests.wire.generate import survives
from tests.wire.served import RootOnly, client, serving

ARN = OWNER.arn("project/site")
OPERATIONS = (
    "CreateProject",
    "UpdateProject",
    "DeleteProject",
    "BatchGetProjects",
    "ListProjects",
    "InvalidateProjectCache",
    "UpdateProjectVisibility",
    "PutResourcePolicy",
    "GetResourcePolicy",
    "DeleteResourcePolicy",
    "ListSharedProjects",
    "ListCuratedEnvironmentImages",
    "ImportSourceCredentials",
    "ListSourceCredentials",
    "DeleteSourceCredentials",
)


def now() -> datetime:
    return datetime.now(UTC)


def served(database: SqlDatabase) -> Iterator[str]:
    handlers = project_handlers(database, RootOnly(), require_role, Key(os.urandom(32)), Pages(b"k" * 32), now)
    service = Service("codebuild", handlers, {}, other="it is not looked at here.")
    with serving(Gateway((service,), RootOnly(), now)) as url:
        yield url


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    for database in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        yield from served(database)


@pytest.fixture
def codebuild(url: str) -> Any:
    return client(url, "codebuild")


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    text: str = error.value.response["Error"]["Code"]
    return text


def test_a_projects_life(codebuild: Any) -> None:
    made = codebuild.create_project(**project_input(tags=[{"key": "team", "value": "web"}]))["project"]
    changed = codebuild.update_project(name="site", description="The site", timeoutInMinutes=30)["project"]
    found = codebuild.batch_get_projects(names=["site", "none", ARN])

    assert (made["arn"], made["tags"]) == (ARN, [{"key": "team", "value": "web"}])
    assert changed["lastModified"] > made["lastModified"]
    assert changed | {"lastModified": 0} == made | {
        "description": "The site",
        "timeoutInMinutes": 30,
        "lastModified": 0,
    }
    assert found["projects"] == [changed]
    assert found["projectsNotFound"] == ["none"]
    codebuild.delete_project(name="site")
    codebuild.delete_project(name="site")
    assert codebuild.list_projects()["projects"] == []


def test_each_error_is_awss_own(codebuild: Any) -> None:
    codebuild.create_project(**project_input())

    with pytest.raises(codebuild.exceptions.ResourceAlreadyExistsException, match=f"Project already exists: {ARN}"):
        codebuild.create_project(**project_input())
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException, match="project/none does not exist"):
        codebuild.update_project(name="none", description="x")
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.invalidate_project_cache(projectName="none")
    with pytest.raises(codebuild.exceptions.InvalidInputException, match=r"Project source location is required$"):
        codebuild.update_project(name="site", source={"type": "GITHUB"})
    with pytest.raises(codebuild.exceptions.InvalidInputException, match=r"sts:AssumeRole on .*role/gone"):
        codebuild.update_project(name="site", serviceRole="arn:aws:iam::000000000000:role/gone")
    with pytest.raises(codebuild.exceptions.InvalidInputException, match="Only alphanumeric"):
        codebuild.delete_project(name="a b")


def test_a_list_is_told_in_pages_in_the_order_asked_for(codebuild: Any) -> None:
    names = [f"p{number:03}" for number in range(205)]
    for name in names:
        codebuild.create_project(**project_input(name=name))
    codebuild.update_project(name="p003", description="last changed")

    pages = list(codebuild.get_paginator("list_projects").paginate(sortOrder="DESCENDING"))
    newest = codebuild.list_projects(sortBy="LAST_MODIFIED_TIME", sortOrder="DESCENDING")
    oldest = codebuild.list_projects(sortBy="CREATED_TIME")

    assert [len(page["projects"]) for page in pages] == [100, 100, 5]
    assert [name for page in pages for name in page["projects"]] == names[::-1]
    assert newest["projects"][0] == "p003"
    assert oldest["projects"] == names[:100]
    with pytest.raises(codebuild.exceptions.InvalidInputException, match="next token"):
        codebuild.list_projects(sortBy="NAME", nextToken=oldest["nextToken"])
    with pytest.raises(codebuild.exceptions.InvalidInputException, match="next token"):
        codebuild.list_projects(nextToken="p003")


def test_another_region_has_its_own_projects(codebuild: Any, url: str) -> None:
    elsewhere = client(url, "codebuild", region="eu-west-1")
    codebuild.create_project(**project_input())

    made = elsewhere.create_project(**project_input())["project"]

    assert made["arn"] == "arn:aws:codebuild:eu-west-1:000000000000:project/site"
    elsewhere.delete_project(name="site")
    assert codebuild.list_projects()["projects"] == ["site"]
    assert elsewhere.batch_get_projects(names=[ARN])["projectsNotFound"] == [ARN]


def test_a_project_is_shown_to_all_and_hidden_again(codebuild: Any) -> None:
    codebuild.create_project(**project_input())

    public = codebuild.update_project_visibility(
        projectArn=ARN, projectVisibility="PUBLIC_READ", resourceAccessRole=ROLE
    )
    shown = codebuild.batch_get_projects(names=["site"])["projects"][0]
    hidden = codebuild.update_project_visibility(projectArn=ARN, projectVisibility="PRIVATE")

    assert (public["projectArn"], public["projectVisibility"]) == (ARN, "PUBLIC_READ")
    assert shown["publicProjectAlias"] == public["publicProjectAlias"]
    assert shown["resourceAccessRole"] == ROLE
    assert hidden["projectVisibility"] == "PRIVATE"
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.update_project_visibility(projectArn=f"{ARN}s", projectVisibility="PRIVATE")


def test_a_policy_is_kept_for_a_project(codebuild: Any) -> None:
    codebuild.create_project(**project_input())
    policy = (
        '{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "codebuild:BatchGetBuilds", "Resource": "*"}}'
    )

    assert codebuild.put_resource_policy(resourceArn=ARN, policy=policy)["resourceArn"] == ARN
    assert codebuild.get_resource_policy(resourceArn=ARN)["policy"] == policy
    codebuild.delete_resource_policy(resourceArn=ARN)
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.get_resource_policy(resourceArn=ARN)
    assert codebuild.list_shared_projects()["projects"] == []


def test_credentials_are_imported_listed_without_their_tokens_and_deleted(codebuild: Any) -> None:
    arn = OWNER.arn("token/github")
    given = {"token": "hunter2", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}

    assert codebuild.import_source_credentials(**given)["arn"] == arn
    listed = codebuild.list_source_credentials()
    with pytest.raises(codebuild.exceptions.ResourceAlreadyExistsException):
        codebuild.import_source_credentials(**given, shouldOverwrite=False)
    assert listed["sourceCredentialsInfos"] == [
        {"arn": arn, "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"}
    ]
    assert "hunter2" not in str(listed)
    assert codebuild.delete_source_credentials(arn=arn)["arn"] == arn
    with pytest.raises(codebuild.exceptions.ResourceNotFoundException):
        codebuild.delete_source_credentials(arn=arn)


def test_the_images_are_listed(codebuild: Any) -> None:
    platforms = codebuild.list_curated_environment_images()["platforms"]

    assert [each["platform"] for each in platforms] == ["AMAZON_LINUX", "UBUNTU"]


@pytest.mark.slow
def test_no_input_at_all_breaks_an_operation(url: str) -> None:
    survives(url, "codebuild", OPERATIONS, examples=40)


@pytest.mark.slow
def test_no_input_at_all_breaks_an_operation_over_postgresql() -> None:
    for schema in postgresql_schema():
        for database in opened(schema):
            for url in served(database):
                survives(url, "codebuild", OPERATIONS, examples=15)
