"""What a build is given for its token, and that nobody else is given anything."""

import asyncio
import json
import urllib.error
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import ContainerProvider
from hypothesis import given
from hypothesis import strategies as st

from codeyard.access import table
from codeyard.access.container_credentials import BuildCredentials
from codeyard.access.identities import StoredIdentities, new_role_id
from codeyard.access.model import Role, RoleArn
from codeyard.secrets.sealing import Key
from codeyard.store.engine import SqlDatabase
from tests.access.cloud import VAULT, allowing, trust
from tests.calls import ACCOUNT
from tests.wire.served import serving

RUN, OTHER, NO_ROLE, DISTRUSTED, OWN, NOT_OWN, PIPELINES, NOT_PIPELINES = (str(uuid.UUID(int=n)) for n in range(8))
ROLES = {RUN: "builder", OTHER: "builder", DISTRUSTED: "person", OWN: "own", NOT_OWN: "own"} | {
    PIPELINES: "pipeline", NOT_PIPELINES: "builder",
}  # fmt: skip
PIPELINE = f"arn:aws:codepipeline:us-east-1:{ACCOUNT}:release"
PROJECT = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/web"


class Served:
    """The endpoint on a port, over a database with two roles."""

    def __init__(self, database: SqlDatabase) -> None:
        self.identities = StoredIdentities(database, VAULT, lambda: datetime.now(UTC))
        self.credentials = BuildCredentials(self.identities, VAULT, self.role_of, self.project_of)
        own = trust(Condition={"StringEquals": {"aws:SourceArn": PROJECT, "aws:SourceAccount": ACCOUNT}})
        pipelines = trust(service="codepipeline.amazonaws.com")
        roles = (("builder", trust()), ("person", trust(ACCOUNT)), ("own", own), ("pipeline", pipelines))
        for name, document in roles:
            role = Role(new_role_id(), RoleArn(ACCOUNT, "/", name), datetime.now(UTC), document)
            asyncio.run(database.write(lambda tx, role=role: self.add(tx, role)))  # type: ignore[misc]

    @staticmethod
    def add(tx: Any, role: Role) -> None:
        table.add_role(tx, role)
        table.put_inline(tx, role, "p", allowing("secretsmanager:GetSecretValue"))

    async def role_of(self, run: str) -> str | None:
        return f"arn:aws:iam::{ACCOUNT}:role/{ROLES[run]}" if run in ROLES else None

    async def project_of(self, run: str) -> str | None:
        if run in (PIPELINES, NOT_PIPELINES):
            return PIPELINE
        return PROJECT if run == OWN else PROJECT + "2"


@pytest.fixture
def served(database: SqlDatabase) -> Served:
    return Served(database)


def ask(url: str, run: str, token: str | None, method: str = "GET") -> tuple[int, dict[str, str]]:
    headers = {"Authorization": token} if token is not None else {}
    request = urllib.request.Request(f"{url}/container-credentials/{run}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_build_gets_the_credentials_of_its_role_as_ecs_gives_them(served: Served) -> None:
    with serving(served.credentials) as url:
        status, answer = ask(url, RUN, served.credentials.token(RUN))
    key = asyncio.run(served.identities.key(answer["AccessKeyId"], answer["Token"]))
    expires = datetime.strptime(answer["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)

    assert status == 200
    assert set(answer) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration", "RoleArn"}
    assert answer["RoleArn"] == f"arn:aws:iam::{ACCOUNT}:role/builder"
    assert key.secret == answer["SecretAccessKey"]
    assert key.caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/AWSCodeBuild-{RUN}"
    assert timedelta(minutes=59) < expires - datetime.now(UTC) <= timedelta(hours=1)


def test_botocore_finds_them(served: Served) -> None:
    with serving(served.credentials) as url:
        environ = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/container-credentials/{RUN}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": served.credentials.token(RUN),
        }
        found = ContainerProvider(environ).load().get_frozen_credentials()

    assert asyncio.run(served.identities.key(found.access_key, found.token)).secret == found.secret_key


def test_nobody_gets_them_without_the_token_of_that_very_build(served: Served) -> None:
    token = served.credentials.token(RUN)
    with serving(served.credentials) as url:
        wrong = [
            ask(url, RUN, None),
            ask(url, RUN, ""),
            ask(url, RUN, token[:-1]),
            ask(url, RUN, "x" * 1000),
            ask(url, RUN, served.credentials.token(OTHER)),
            ask(url, RUN, BuildCredentials(served.identities, Key(b"w" * 32), nobody, nobody).token(RUN)),
            ask(url, str(uuid.uuid4()), token),
            ask(url, "", served.credentials.token("")),
            ask(url, "..%2f" + RUN, None),
        ]

    assert [status for status, _ in wrong] == [401] * 9
    assert wrong[0][1]["code"] == "Unauthorized"


def test_a_build_that_is_over_or_whose_role_is_not_codebuilds_gets_none(served: Served) -> None:
    with serving(served.credentials) as url:
        over = ask(url, NO_ROLE, served.credentials.token(NO_ROLE))
        distrusted = ask(url, DISTRUSTED, served.credentials.token(DISTRUSTED))
        posted = ask(url, RUN, served.credentials.token(RUN), "POST")

    assert (over[0], over[1]["code"]) == (404, "NotFound")
    assert (distrusted[0], distrusted[1]["code"]) == (403, "AccessDenied")
    assert posted[0] == 405


class NoDatabase:
    async def read(self, work: Any) -> Any:
        raise AssertionError

    async def write(self, work: Any) -> Any:
        raise AssertionError


def test_a_role_that_is_for_one_project_serves_its_builds_only(served: Served) -> None:
    with serving(served.credentials) as url:
        own = ask(url, OWN, served.credentials.token(OWN))
        not_own = ask(url, NOT_OWN, served.credentials.token(NOT_OWN))

    assert (own[0], not_own[0]) == (200, 403)


def test_a_pipelines_own_compute_takes_on_a_role_that_trusts_pipelines(served: Served) -> None:
    with serving(served.credentials) as url:
        answers = [ask(url, run, served.credentials.token(run)) for run in (PIPELINES, NOT_PIPELINES)]

    assert [status for status, _ in answers] == [200, 403]


async def nobody(_run: str) -> str | None:
    return None


@given(st.text(max_size=40), st.text(max_size=40))
def test_tokens_differ_from_run_to_run(one: str, other: str) -> None:
    credentials = BuildCredentials(
        StoredIdentities(NoDatabase(), VAULT, lambda: datetime.now(UTC)), VAULT, nobody, nobody
    )

    assert (credentials.token(one) == credentials.token(other)) is (one == other)
