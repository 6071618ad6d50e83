"""What a build's role may do, and what its project may have the server reach."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.app.allowing import check_log_group, check_reach, check_role, on_threads, permission
from codeyard.aws import Caller, Key, Refused, Said
from codeyard.builds import life
from codeyard.builds.stored import StoredBuild
from codeyard.builds.tools import Sources
from codeyard.config import Config
from codeyard.errors import Denied
from codeyard.sources import SourceKind, SourceSpec
from tests.builds.projects import NOW, OWNER, ROLE, project
from tests.calls import ROOT

HTTPS = SourceSpec(SourceKind.GIT, "https://example.com/a.git")


class Readers:
    """Identities that let everybody read, and do nothing else."""

    async def key(self, id: str, token: str | None) -> Key:
        raise AssertionError("nobody signs here")

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        if action != "s3:GetObject":
            raise Refused("AccessDeniedException", f"{caller.arn} is not authorized to perform: {action}")


class Permits:
    """Allows what it is told to; `asked` is what it was asked."""

    def __init__(self, *allowed: str) -> None:
        self._allowed = allowed
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, action: str, arn: str) -> None:
        self.asked.append((action, arn))
        if action not in self._allowed:
            raise Denied(f"AccessDenied: {action}", "the service role does not allow it.", "Allow it.")


def build(**given: Any) -> StoredBuild:
    return life.started(OWNER, project(**given), (), "root", 1, NOW)


def test_a_build_that_may_not_have_its_role_does_not_begin() -> None:
    check_role(build(), ROOT)

    with pytest.raises(Denied, match=f"not authorized to perform: sts:AssumeRole on {ROLE}"):
        check_role(build(), None)


def logging_to(group: str | None, status: str = "ENABLED") -> StoredBuild:
    named = {} if group is None else {"groupName": group}
    return build(logsConfig={"cloudWatchLogs": {"status": status, **named}})


async def test_the_role_decides() -> None:
    permit = permission(Readers(), ROOT)

    await permit("s3:GetObject", "arn:aws:s3:::a/b")
    with pytest.raises(Denied, match=r"AccessDeniedException: .* s3:PutObject"):
        await permit("s3:PutObject", "arn:aws:s3:::a/b")


async def test_a_role_that_is_gone_may_do_nothing() -> None:
    with pytest.raises(Denied, match="gone"):
        await permission(Readers(), None)("s3:GetObject", "arn:aws:s3:::a/b")


async def test_threads_are_told_the_same() -> None:
    permits = Permits("s3:GetObject")
    ask = on_threads(permits, asyncio.get_running_loop())

    await asyncio.to_thread(ask, "s3:GetObject", "a")
    with pytest.raises(Denied):
        await asyncio.to_thread(ask, "s3:PutObject", "b")

    assert permits.asked == [("s3:GetObject", "a"), ("s3:PutObject", "b")]


@pytest.mark.parametrize(
    "stored", [logging_to(None), logging_to("/aws/codebuild/site"), logging_to("other", "DISABLED"), build()]
)
async def test_a_projects_own_log_group_needs_no_permission(stored: StoredBuild) -> None:
    permits = Permits()
    await check_log_group(stored, permits)

    assert permits.asked == []


@pytest.mark.parametrize("group", ["other", "/aws/codebuild/site2", "/aws/codebuild/sit"])
async def test_another_group_needs_the_roles(group: str) -> None:
    stored = logging_to(group)
    permits = Permits("logs:CreateLogStream", "logs:PutLogEvents")
    await check_log_group(stored, permits)

    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}:log-stream:{stored.run}"
    assert permits.asked == [("logs:CreateLogStream", arn), ("logs:PutLogEvents", arn)]


@pytest.mark.parametrize("allowed", [(), ("logs:CreateLogStream",), ("logs:PutLogEvents",)])
async def test_and_is_refused_in_awss_words_without(allowed: tuple[str, ...]) -> None:
    stored = logging_to("other")

    with pytest.raises(Denied) as refused:
        await check_log_group(stored, Permits(*allowed))

    assert refused.value.what.startswith(
        f"ACCESS_DENIED: Service role {ROLE} does not allow AWS CodeBuild to create Amazon CloudWatch Logs log streams "
        f"for build {stored.arn}. Error message: AccessDenied"
    )


def reach(location: str, kind: SourceKind = SourceKind.GIT, second: bool = False, **settings: bool) -> None:
    spec = SourceSpec(kind, location, identifier="more" if second else None)
    sources = Sources(HTTPS, (spec,)) if second else Sources(spec)
    check_reach(sources, Config(data=Path("/nowhere"), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("location", ["file:///srv/a.git", "FILE:///srv/a.git", "file://localhost/srv/a.git"])
def test_the_servers_disk_is_not_for_projects(location: str, second: bool) -> None:
    with pytest.raises(Denied, match="own disk"):
        reach(location, second=second)
    with pytest.raises(Denied, match="own disk"):
        reach(location, second=second, host_git=True)

    reach(location, second=second, local_sources=True)


@pytest.mark.parametrize("location", ["/srv/a.git", "./a.git", "../a.git", "a.git", "/srv/a:b.git"])
def test_nor_by_a_path(location: str) -> None:
    with pytest.raises(Denied):
        reach(location)
    with pytest.raises(Denied, match="own disk"):
        reach(location, host_git=True)


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("location", ["ssh://git@example.com/a.git", "SSH://example.com/a", "git@example.com:a.git"])
def test_nor_are_its_users_keys(location: str, second: bool) -> None:
    with pytest.raises(Denied, match="ssh keys"):
        reach(location, second=second)
    with pytest.raises(Denied, match="ssh keys"):
        reach(location, second=second, local_sources=True)

    reach(location, second=second, host_git=True)


@given(st.booleans(), st.booleans(), st.sampled_from(["https://example.com/a.git", "http://example.com/a"]))
def test_what_anybody_may_reach_is_reached(local: bool, keys: bool, location: str) -> None:
    reach(location, local_sources=local, host_git=keys)
    reach("s3://bucket/key.zip", SourceKind.S3_ZIP, local_sources=local, host_git=keys)
    reach("s3://bucket/key/", SourceKind.S3_FOLDER, second=True, local_sources=local, host_git=keys)
    reach("", SourceKind.NONE, local_sources=local, host_git=keys)


@given(st.text("fileFILE:/.@a-", min_size=1, max_size=20), st.booleans(), st.booleans())
def test_what_is_reached_with_less_is_reached_with_more(location: str, local: bool, keys: bool) -> None:
    try:
        reach(location)
    except Exception:  # noqa: BLE001 - of any kind: then nothing is asked of it
        return

    reach(location, local_sources=local, host_git=keys)


def test_what_the_servers_settings_name_may_be_reached() -> None:
    spec = SourceSpec(SourceKind.GIT, "file:///srv/a.git", identifier="more")
    config = Config(data=Path("/nowhere"))

    check_reach(Sources(HTTPS, (spec,), allowed=frozenset({"more"})), config)
    with pytest.raises(Denied):
        check_reach(Sources(HTTPS, (spec,), allowed=frozenset({None})), config)
