"""Source credentials: sealed in the database, and shown to the server they are for."""

import asyncio
import json
import os
from typing import Any

import pytest
from sqlalchemy import text

from codeyard.aws import Refused
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.project import Project
from codeyard.builds.project_overrides import overridden
from codeyard.errors import Denied, Fault, NotFound
from codeyard.ident import Owner
from codeyard.secrets import Secret, SecretReference, missing_parameter, missing_secret
from codeyard.secrets.sealing import Key
from codeyard.sources import Credential
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER, project
from tests.databases import database

__all__ = ["database"]
SECRET = "arn:aws:secretsmanager:us-east-1:000000000000:secret:git-AbCdEf"
OTHER = "arn:aws:secretsmanager:us-east-1:000000000000:secret:all-AbCdEf"
GITHUB = {"type": "GITHUB", "location": "https://github.com/o/r"}
ARN = "arn:aws:codebuild:us-east-1:000000000000:token/github"


class Texts:
    """Secrets from a map of ARN to text."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    async def parameter(self, name: str) -> Secret:
        raise missing_parameter(name)

    async def secret(self, reference: SecretReference) -> Secret:
        if reference.id not in self._texts:
            raise missing_secret(reference)
        return Secret(self._texts[reference.id])


def held(token: str, server: str = "GITHUB") -> str:
    return json.dumps({"ServerType": server, "AuthType": "PERSONAL_ACCESS_TOKEN", "Token": token})


SECRETS = Texts({SECRET: held("of-a-secret"), OTHER: held("of-the-project")})


@pytest.fixture
def credentials(database: SqlDatabase) -> SourceCredentials:
    return SourceCredentials(database, Key(os.urandom(32)))


def token(**given: Any) -> dict[str, Any]:
    return {"token": "hunter2", "serverType": "GITHUB", "authType": "PERSONAL_ACCESS_TOKEN"} | given


async def shown(credentials: SourceCredentials, made: Project) -> Credential | None:
    return await credentials.credential(OWNER, made, made.source, SECRETS)


async def test_an_imported_token_is_shown_to_its_host_and_is_not_in_the_database(
    credentials: SourceCredentials, database: SqlDatabase
) -> None:
    assert await credentials.put(OWNER, token()) == ARN

    credential = await shown(credentials, project(source=GITHUB))
    assert credential == Credential(Secret("x-access-token"), Secret("hunter2"))
    rows = await database.read(lambda tx: tx.execute(text("SELECT * FROM source_credentials")).all())
    assert "hunter2" not in str([[bytes(c) if isinstance(c, bytes | memoryview) else c for c in row] for row in rows])
    assert "hunter2" not in repr(await credentials.list(OWNER))


async def test_a_new_token_replaces_the_old_unless_told_not_to(credentials: SourceCredentials) -> None:
    await credentials.put(OWNER, token(token="old"))
    await credentials.put(OWNER, token(token="new"))

    with pytest.raises(Refused) as refused:
        await credentials.put(OWNER, token(shouldOverwrite=False))
    assert refused.value.code == "ResourceAlreadyExistsException"
    assert await shown(credentials, project(source=GITHUB)) == Credential(Secret("x-access-token"), Secret("new"))


async def test_of_two_first_imports_at_once_that_may_not_overwrite_one_wins(credentials: SourceCredentials) -> None:
    imports = (credentials.put(OWNER, token(shouldOverwrite=False)) for _ in range(4))

    answers = await asyncio.gather(*imports, return_exceptions=True)

    assert sorted(isinstance(answer, Refused) for answer in answers) == [False, True, True, True]


async def test_each_server_region_and_account_has_its_own(credentials: SourceCredentials) -> None:
    elsewhere = Owner(OWNER.account, "eu-west-1")
    await credentials.put(OWNER, token())
    await credentials.put(OWNER, token(serverType="GITLAB"))

    assert [each.server_type for each in await credentials.list(OWNER)] == ["GITHUB", "GITLAB"]
    assert await credentials.list(elsewhere) == ()
    with pytest.raises(Refused, match="do not exist"):
        await credentials.delete(elsewhere, ARN)
    await credentials.delete(OWNER, ARN)
    with pytest.raises(Refused, match="do not exist") as refused:
        await credentials.delete(OWNER, ARN)
    assert refused.value.code == "ResourceNotFoundException"


async def test_a_sealed_token_opens_in_its_own_row_only(credentials: SourceCredentials, database: SqlDatabase) -> None:
    await credentials.put(OWNER, token())
    await database.write(lambda tx: tx.execute(text("UPDATE source_credentials SET server_type = 'GITLAB'")))

    with pytest.raises(Fault):
        await shown(credentials, project(source={"type": "GITLAB", "location": "https://gitlab.com/o/r"}))


async def test_another_key_is_told_so(credentials: SourceCredentials, database: SqlDatabase) -> None:
    await credentials.put(OWNER, token())

    with pytest.raises(Fault, match="another key sealed them"):
        await shown(SourceCredentials(database, Key(os.urandom(32))), project(source=GITHUB))


async def test_an_account_may_name_a_secret_which_is_read_when_a_build_wants_it(
    credentials: SourceCredentials,
) -> None:
    await credentials.put(OWNER, token(authType="SECRETS_MANAGER", token=SECRET))

    assert (await credentials.list(OWNER))[0].resource == SECRET
    credential = await shown(credentials, project(source=GITHUB))
    assert credential == Credential(Secret("x-access-token"), Secret("of-a-secret"))


async def test_a_sources_own_auth_then_the_primarys_then_the_accounts(credentials: SourceCredentials) -> None:
    await credentials.put(OWNER, token())
    own = {**GITHUB, "sourceIdentifier": "own", "auth": {"type": "SECRETS_MANAGER", "resource": SECRET}}
    bare = {**GITHUB, "sourceIdentifier": "bare"}
    primary = {"type": "NO_SOURCE", "buildspec": "x", "auth": {"type": "SECRETS_MANAGER", "resource": OTHER}}
    made = project(source=primary, secondarySources=[own, bare])
    without = project(secondarySources=[bare])

    found = [await credentials.credential(OWNER, made, each, SECRETS) for each in made.secondary_sources]
    default = await credentials.credential(OWNER, without, without.secondary_sources[0], SECRETS)

    assert [each.password for each in found if each] == [Secret("of-a-secret"), Secret("of-the-project")]
    assert default is not None
    assert default.password == Secret("hunter2")


async def test_a_public_repository_needs_nothing_and_another_host_gets_nothing(
    credentials: SourceCredentials,
) -> None:
    assert await shown(credentials, project(source=GITHUB)) is None
    await credentials.put(OWNER, token())

    assert await shown(credentials, project(source={**GITHUB, "location": "https://evil.example/r"})) is None
    assert await shown(credentials, project(source={"type": "S3", "location": "bucket/a.zip"})) is None


async def test_a_secrets_token_goes_nowhere_else_when_a_start_names_another_location(
    credentials: SourceCredentials,
) -> None:
    made = project(source={**GITHUB, "auth": {"type": "SECRETS_MANAGER", "resource": SECRET}})
    changed = overridden(made, {"sourceLocationOverride": "https://evil.example/o/r"})

    with pytest.raises(Denied, match="goes to that host alone"):
        await shown(credentials, changed)


async def test_connections_and_missing_secrets_are_explained(credentials: SourceCredentials) -> None:
    by_connection = {**GITHUB, "auth": {"type": "CODECONNECTIONS", "resource": "arn:aws:codeconnections:x"}}
    by_nothing = {**GITHUB, "auth": {"type": "SECRETS_MANAGER", "resource": f"{SECRET}x"}}

    with pytest.raises(Denied, match="no connections here"):
        await shown(credentials, project(source=by_connection))
    with pytest.raises(NotFound):
        await shown(credentials, project(source=by_nothing))
