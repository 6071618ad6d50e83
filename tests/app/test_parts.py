"""What every process of a server is made of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.access.identities import new_role_id
from codeyard.access.model import Role, RoleArn
from codeyard.access.table import add_role
from codeyard.app.api import console_key
from codeyard.app.building import Door, Means
from codeyard.app.machine import Capacity
from codeyard.app.parts import Parts, build_url, opened, public_url
from codeyard.artifacts.buckets import Note
from codeyard.builds import life, table
from codeyard.builds.stored import StoredBuild
from codeyard.config import Config
from codeyard.errors import NotFound
from codeyard.ident import Owner
from codeyard.objects.directory import ObjectDirectory
from tests.access.cloud import trust
from tests.builds.projects import NOW, OWNER, ROLE, project

DOOR = Door("http://127.0.0.1:1", "127.0.0.1", 1)


def config(tmp_path: Path, **given: Any) -> Config:
    return Config(data=tmp_path / "data", **given)


@asynccontextmanager
async def parts(config: Config) -> AsyncIterator[Parts]:
    async with opened(config) as found:
        yield found


def means(parts: Parts) -> Means:
    return parts.means(Capacity(1, 1 << 30), DOOR)


def a_build(**given: Any) -> StoredBuild:
    return life.started(OWNER, project(**given), (), "root", 1, NOW)


@pytest.fixture(autouse=True)
def data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)


async def test_the_next_process_has_the_same_keys_and_tokens(tmp_path: Path) -> None:
    async with parts(config(tmp_path)) as one, parts(config(tmp_path)) as two:
        assert one.key == two.key
        assert one.root == two.root
        assert one.internal_token == two.internal_token
        assert console_key(one) == console_key(two)
        assert one.container_credentials.token("run") == two.container_credentials.token("run")


async def test_no_key_is_another_and_none_is_shown(tmp_path: Path) -> None:
    async with parts(config(tmp_path)) as found:
        keys = {found.internal_token, console_key(found).hex(), found.key.secret.hex(), found.root.secret,
                found.container_credentials.token("run"), found.container_credentials.token("other")}  # fmt: skip

        assert len(keys) == 6
        assert not [key for key in keys if key in repr(found)]


async def test_buckets_are_the_accounts_own_and_asked_for(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    async with parts(config(tmp_path)) as found:
        assert isinstance(found.objects, ObjectDirectory)
        found.objects.create(OWNER.account, "code", OWNER.region)
        bucket = means(found).open_bucket(OWNER, lambda action, arn: asked.append((action, arn)))("s3://code")
        bucket.write("a", b"1", Note())

        assert asked == [("s3:PutObject", "arn:aws:s3:::code/a")]
        assert found.objects.head(OWNER.account, "code", "a").size == 1


async def test_another_accounts_bucket_is_not_there(tmp_path: Path) -> None:
    async with parts(config(tmp_path)) as found:
        assert found.objects is not None
        found.objects.create(OWNER.account, "code", OWNER.region)
        stranger = Owner("111122223333", OWNER.region)

        with (
            pytest.raises(NotFound),
            means(found).open_bucket(stranger, lambda _action, _arn: None)("s3://code").read("a"),
        ):
            pass


async def test_buckets_may_be_elsewhere(tmp_path: Path) -> None:
    async with parts(config(tmp_path, objects="http://127.0.0.1:9000")) as found:
        assert found.objects is None


async def test_a_role_that_is_gone_has_no_session(tmp_path: Path) -> None:
    async with parts(config(tmp_path)) as found:
        assert await found.session_caller(ROLE, "codepipeline") is None


@pytest.mark.parametrize(("trusted", "has_one"), [("codebuild.amazonaws.com", True), ("ec2.amazonaws.com", False)])
async def test_a_build_has_its_role_only_while_that_trusts_codebuild(
    trusted: str, has_one: bool, tmp_path: Path
) -> None:
    of_project = {"StringEquals": {"aws:SourceArn": OWNER.arn("project/site")}}
    role = Role(new_role_id(), RoleArn(OWNER.account, "/", "builds"), NOW, trust(service=trusted, Condition=of_project))
    build = a_build(serviceRole=str(role.arn))
    async with parts(config(tmp_path)) as found:
        await found.database.write(lambda tx: add_role(tx, role))

        caller = await means(found).build_caller(build)

    assert (caller is not None) is has_one


async def test_the_log_of_a_build_that_wrote_nothing_closes_all_the_same(tmp_path: Path) -> None:
    async with parts(config(tmp_path)) as found:
        means(found).close_log(a_build().run)
        await means(found).archive(a_build().run)


async def test_credentials_are_for_builds_that_run(tmp_path: Path) -> None:
    waits = a_build()
    async with parts(config(tmp_path)) as found:
        await found.database.write(lambda tx: table.insert(tx, waits))
        waiting, absent = await _credentials(found, waits.run), await _credentials(found, a_build().run)

        assert (waiting, absent) == (404, 404)


async def _credentials(parts: Parts, run: str) -> int:
    """The status of the answer to who shows this build's token."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    token = parts.container_credentials.token(run).encode()
    scope = {"type": "http", "method": "GET", "path": f"/container-credentials/{run}",
             "headers": [(b"authorization", token)]}  # fmt: skip
    await parts.container_credentials(scope, receive, send)
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({}, "http://127.0.0.1:4599"),
        ({"url": "https://ci.example.com/"}, "https://ci.example.com"),
        ({"url": "http://a", "listen": "0.0.0.0:80"}, "http://a"),
        ({"listen": "0.0.0.0:80"}, "http://127.0.0.1:80"),
        ({"listen": "[::]:80"}, "http://[::1]:80"),
        ({"listen": "ci.example.com:80"}, "http://ci.example.com:80"),
    ],
)
def test_clients_call_it_by_its_url_or_where_it_listens(tmp_path: Path, given: dict[str, str], shown: str) -> None:
    assert public_url(config(tmp_path, **given)) == shown


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{1,30}", fullmatch=True), st.sampled_from(["us-east-1", "eu-west-1"]))
def test_a_builds_address_is_one_that_needs_no_escapes(name: str, region: str) -> None:
    stored = replace(a_build(name=name), owner=Owner(OWNER.account, region))
    parsed = urlsplit(build_url("http://127.0.0.1:4599", stored))

    assert parsed.path == f"/console/builds/{region}/{stored.id}"
    assert (parsed.query, parsed.fragment) == ("", "")
