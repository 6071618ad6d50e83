"""Sources that change start executions: once, whoever looks, whatever fails and whenever somebody dies."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from codeyard.artifacts.buckets import Note
from codeyard.aws import Refused
from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.objects.buckets import embedded
from codeyard.objects.directory import ObjectDirectory
from codeyard.pipelines import polling_table
from codeyard.pipelines.actions.repositories import Reach, Repositories
from codeyard.pipelines.actions.source_git import Access
from codeyard.pipelines.changes import Begin, Seen, Source, Watched, sources
from codeyard.pipelines.looking import Found, Looking
from codeyard.pipelines.model import parse
from codeyard.pipelines.pipelines_table import Current
from codeyard.pipelines.polling import AT_ONCE, LEASE, Polling
from codeyard.sources import Credential
from codeyard.sources.git_history import GitHistories
from codeyard.store.engine import SqlDatabase
from tests.databases import database
from tests.pipelines.documents import OWNER, ROLE, STORE, action
from tests.pipelines.works import NOON
from tests.sources.servers import Repo

__all__ = ["database"]
CONNECTION = "arn:aws:codestar-connections:us-east-1:111122223333:connection/0b1c"


async def no_credential(_owner: Owner, _url: str) -> Credential | None:
    return None


@dataclass
class World:
    """Pipelines, their sources, and what was started; several servers may look at once."""

    home: Path
    database: SqlDatabase
    time: datetime = NOON
    pipelines: list[Watched] = field(default_factory=list)
    started: list[Begin] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    failing: Exception | None = None

    def __post_init__(self) -> None:
        self.objects = ObjectDirectory(self.home / "objects", None)
        self.objects.create(OWNER.account, "bucket", OWNER.region)
        self.repo = Repo(self.home / "repo")
        histories = GitHistories(self.home / "cache", {"PATH": os.environ["PATH"], "HOME": str(self.home)}, 60)
        access = Access(histories, Repositories(), Reach(local_sources=True), no_credential)
        self.looking = Looking(access, lambda _watched, _action: embedded(self.objects, OWNER.account))

    def server(self) -> Polling:
        return Polling(self.database, lambda: self.time, self, self.looking.look, self._start, every=60)

    async def names(self) -> list[Current]:
        found = [each for each in self.pipelines if sources(each.declaration)]
        return [Current(each.owner, each.pipeline, NOON, 1) for each in found]

    async def watched(self, name: Current) -> Watched | None:
        return next((each for each in self.pipelines if each.pipeline == name.pipeline), None)

    async def _start(self, watched: Watched, begin: Begin) -> None:
        if self.failing is not None:
            raise self.failing
        await asyncio.sleep(0)
        if begin.token not in self.tokens:
            self.tokens.add(begin.token)
            self.started.append(begin)

    def pipeline(self, *sources: dict[str, Any], name: str = "P", identity: str = "1", **more: Any) -> None:
        approval = {"name": "Ask", "actions": [action("Ask", "Approval/AWS/Manual")]}
        shape = {
            "name": name,
            "roleArn": ROLE,
            "artifactStore": STORE,
            "stages": [{"name": "Source", "actions": list(sources)}, approval],
            **more,
        }
        self.pipelines = [each for each in self.pipelines if each.pipeline != name]
        self.pipelines.append(Watched(OWNER, name, identity, parse(shape)))

    def put(self, key: str, content: bytes) -> None:
        embedded(self.objects, OWNER.account)("s3://bucket").write(key, content, Note())

    async def later(self, *servers: Polling, seconds: float = 61) -> None:
        """Time goes by, and each server looks."""
        self.time += timedelta(seconds=seconds)
        await asyncio.gather(*(server.once() for server in servers))

    async def row(self, pipeline: str) -> polling_table.Poll:
        found = await self.database.read(lambda tx: polling_table.load(tx, OWNER, pipeline))
        assert found is not None
        return found

    @property
    def commits(self) -> list[str]:
        return [commit for begin in self.started for commit in begin.pinned.values()]


@pytest.fixture
def world(tmp_path: Path, database: SqlDatabase) -> World:
    return World(tmp_path, database)


def s3(name: str = "Fetch", key: str = "app.zip", **more: str) -> dict[str, Any]:
    given = {"S3Bucket": "bucket", "S3ObjectKey": key, **more}
    return action(name, "Source/AWS/S3", "", f"Out{name}", configuration=given)


def git(world: World, name: str = "Fetch", **more: str) -> dict[str, Any]:
    given = {"ConnectionArn": CONNECTION, "FullRepositoryId": world.repo.path.as_uri(), "BranchName": "main", **more}
    return action(name, "Source/AWS/CodeStarSourceConnection", "", f"Out{name}", configuration=given)


def trigger(**git: Any) -> dict[str, Any]:
    return {"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": "Fetch", **git}}


async def test_a_change_of_an_object_starts_one_execution_however_many_servers_look(world: World) -> None:
    world.pipeline(s3(), s3("Other", "other.zip"), s3("Silent", "app.zip", PollForSourceChanges="false"))
    world.put("app.zip", b"1")
    servers = [world.server() for _ in range(3)]
    await world.later(*servers)
    await world.later(*servers)
    assert world.started == []
    world.put("app.zip", b"2")
    world.put("other.zip", b"1")

    await world.later(*servers)
    await world.later(*servers)

    assert [(begin.kind, begin.pinned) for begin in world.started] == [("PollForSourceChanges", {})]


async def test_a_push_to_the_branch_of_a_connection_starts_it_unless_it_does_not_detect(world: World) -> None:
    world.repo.commit("a", "1")
    world.pipeline(git(world))
    world.pipeline(git(world, DetectChanges="false"), name="Deaf")
    server = world.server()
    await world.later(server)
    commit = world.repo.commit("a", "2")

    await world.later(server, server)

    assert [(begin.kind, begin.pinned) for begin in world.started] == [("WebhookV2", {})]
    assert commit in world.started[0].detail


async def test_filters_choose_refs_and_files_and_pin_the_pushed_commit(world: World) -> None:
    world.repo.commit("src/a", "1")
    world.repo.git("branch", "other")
    filters = [
        {"branches": {"includes": ["main", "new/*"]}, "filePaths": {"includes": ["src/**"]}},
        {"tags": {"includes": ["v*"]}},
        {"branches": {"includes": ["any/*"]}},
    ]
    world.pipeline(git(world), pipelineType="V2", triggers=[trigger(push=filters)])
    server = world.server()
    await world.later(server)
    world.repo.commit("docs/a", "1")  # main, but another file
    await world.later(server)
    world.repo.git("checkout", "--quiet", "other")
    world.repo.commit("src/a", "2")  # the file, but another branch
    world.repo.git("branch", "new/one")  # a new branch fires no filter with files
    await world.later(server)
    assert world.started == []
    world.repo.git("tag", "-a", "v1", "-m", "first")
    world.repo.git("tag", "w1")
    tagged = world.repo.git("rev-parse", "HEAD")
    await world.later(server)
    world.repo.git("checkout", "--quiet", "main")
    pushed = world.repo.commit("src/a", "3")
    await world.later(server)
    world.repo.git("branch", "any/one")
    await world.later(server)

    assert world.commits == [tagged, pushed, pushed]
    assert world.started[1].given["sourceRevisions"] == [
        {"actionName": "Fetch", "revisionType": "COMMIT_ID", "revisionValue": pushed}
    ]
    assert '"tag-name": "v1"' in world.started[0].detail


async def test_what_was_forced_away_does_not_hide_what_came(world: World) -> None:
    filters = [{"branches": {"includes": ["main"]}, "filePaths": {"includes": ["src/**"]}}]
    world.repo.commit("docs/a", "1")
    world.repo.commit("docs/b", "1")
    world.pipeline(git(world), pipelineType="V2", triggers=[trigger(push=filters)])
    server = world.server()
    await world.later(server)
    world.repo.git("reset", "--quiet", "--hard", "HEAD~1")
    pushed = world.repo.commit("src/a", "1")
    world.repo.git("reflog", "expire", "--expire=now", "--all")
    world.repo.git("gc", "--quiet", "--prune=now")

    await world.later(server)

    assert world.commits == [pushed]


@pytest.mark.parametrize("again", ["source", "pipeline"])
async def test_the_first_look_after_another_source_or_pipeline_only_remembers(world: World, again: str) -> None:
    world.put("app.zip", b"1")
    world.put("new.zip", b"1")
    world.pipeline(s3())
    server = world.server()
    await world.later(server)
    world.put("app.zip", b"2")
    changes: Mapping[str, Mapping[str, Any]] = {"source": {"key": "new.zip"}, "pipeline": {}}
    world.pipeline(s3(**changes[again]), identity="2" if again == "pipeline" else "1")

    await world.later(server)
    first = list(world.started)
    world.put("new.zip" if again == "source" else "app.zip", b"3")
    await world.later(server)

    assert first == []
    assert len(world.started) == 1


async def test_a_source_that_fails_is_asked_less_often_and_hides_no_other(world: World) -> None:
    world.put("app.zip", b"1")
    world.pipeline(s3())
    world.pipeline(git(world, FullRepositoryId="https://127.0.0.1:9/none"), name="Broken")
    server = world.server()
    await world.later(server)
    world.put("app.zip", b"2")

    await world.later(server, seconds=121)

    assert len(world.started) == 1
    good, bad = await world.row("P"), await world.row("Broken")
    assert (good.failures, bad.failures) == (0, 2)
    assert good.due == world.time + timedelta(seconds=60)
    assert bad.due == world.time + timedelta(seconds=240)
    world.pipelines = []
    await world.later(server)
    assert await world.database.read(polling_table.dues) == {}


@pytest.mark.parametrize("failure", [Fault("the database", "it is away.", "Wait."), asyncio.CancelledError()])
async def test_what_could_not_be_started_is_started_later_with_the_same_token(
    world: World, failure: BaseException
) -> None:
    world.put("app.zip", b"1")
    world.pipeline(s3())
    server = world.server()
    await world.later(server)
    world.put("app.zip", b"2")
    world.failing = failure  # type: ignore[assignment]
    with suppress(asyncio.CancelledError):  # as if killed between writing it down and starting it
        await world.later(server)
    assert world.started == []
    world.failing = None

    await world.later(server, world.server(), seconds=LEASE.total_seconds() + 1)
    await world.later(server)

    assert len(world.started) == 1


async def test_a_start_that_is_refused_for_good_is_let_go(world: World) -> None:
    world.put("app.zip", b"1")
    world.pipeline(s3())
    server = world.server()
    await world.later(server)
    world.put("app.zip", b"2")
    world.failing = Refused("ValidationException", "no")
    await world.later(server)
    world.failing = None
    world.put("app.zip", b"3")

    await world.later(server)

    assert len(world.started) == 1


async def test_sources_that_do_not_answer_hold_up_no_other(world: World) -> None:
    async def look(watched: Watched, source: Source, seen: Seen | None) -> Found:
        if watched.pipeline != "Well":
            await asyncio.sleep(0 if seen is None and world.time == NOON else 3600)
            raise Fault("the host", "it does not answer.", "Wait.")
        return await world.looking.look(watched, source, seen)

    async def starts(number: int) -> None:
        world.time += timedelta(seconds=61)
        world.put("app.zip", str(number).encode())
        while len(world.started) < number:
            await asyncio.sleep(0.01)

    for name in (*(f"Silent{number}" for number in range(AT_ONCE + 1)), "Well"):
        world.pipeline(s3(), name=name)
    polling = Polling(world.database, lambda: world.time, world, look, world._start, every=0.2)
    await polling.once()

    running = asyncio.create_task(polling.run())
    async with asyncio.timeout(20):
        await starts(1)
        await starts(2)
    running.cancel()

    assert len(world.started) == 2


async def test_the_loop_goes_on_whatever_breaks(world: World) -> None:
    calls = asyncio.Queue[int]()

    class Broken(World):
        async def names(self) -> list[Current]:
            calls.put_nowait(1)
            raise RuntimeError("nobody expected this")

    broken = Broken(world.home / "broken", world.database)
    polling = Polling(world.database, lambda: world.time, broken, world.looking.look, world._start, every=0.05)
    running = asyncio.create_task(polling.run())
    await calls.get()
    await calls.get()
    running.cancel()

    assert not running.done()
