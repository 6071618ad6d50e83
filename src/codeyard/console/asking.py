"""What the console asks of CodeBuild's API."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.console.memory import Memory

Call = Callable[[str, str, Shape, str], Awaitable[Shape]]  # service, operation, input, region → the output
Build = Mapping[str, Any]  # the shape `Build`
Project = Mapping[str, Any]

PER_PAGE = 50  # projects
RECENT = 10  # builds of a project that its line shows
_AT_ONCE = 100  # what BatchGet… takes
_SCANNED = 5  # pages of ids that are looked through for a page of builds of one sort
_ACTIVE_SCANNED = 2  # the same for builds that have not ended


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a list, and the token of the next."""

    items: tuple[Mapping[str, Any], ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A project with its newest builds, the newest first."""

    project: Project
    builds: tuple[Build, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows. `complete`: all that have not ended are among `active`."""

    lines: tuple[Line, ...]
    next: str | None
    active: tuple[Build, ...]
    complete: bool


class Asking:
    """The questions. Refused, as the operations say."""

    def __init__(self, call: Call, memory: Memory | None = None) -> None:
        self._call = call
        self._memory = memory or Memory()

    async def build(self, region: str, id: str) -> Build | None:
        """None: there is no such build."""
        return await self._memory.get(("build", region, id), lambda: self._build(region, id))

    async def build_now(self, region: str, id: str) -> Build | None:
        """The same, certainly as it is now."""
        self._memory.forget(("build", region, id))
        return await self.build(region, id)

    async def project(self, region: str, name: str) -> Project | None:
        found = (await self._codebuild("BatchGetProjects", region, names=[name])).get("projects") or ()
        return found[0] if found else None

    async def overview(self, region: str, after: str | None) -> Overview:
        return await self._memory.get(("overview", region, after), lambda: self._overview(region, after))

    async def builds(self, region: str, after: str | None, wanted: Callable[[Build], bool]) -> Found:
        """Builds of all projects, the newest first; of a few pages those that are wanted."""
        found: list[Build] = []
        for _ in range(_SCANNED):
            page = await self._builds_page(region, after)
            found += [build for build in page.items if wanted(build)]
            after = page.next
            if found or after is None:
                break
        return Found(tuple(found), after)

    async def builds_of(self, region: str, project: str, after: str | None) -> Found:
        """Builds of a project, the newest first."""
        page = await self._codebuild("ListBuildsForProject", region, projectName=project, nextToken=after)
        return Found(await self._load(region, page.get("ids", ())), page.get("nextToken"))

    async def start(self, region: str, project: str, version: str | None, token: str) -> Build:
        given = {"projectName": project, "sourceVersion": version, "idempotencyToken": token}
        return _build_of(await self._codebuild("StartBuild", region, **given))

    async def retry(self, region: str, id: str, token: str) -> Build:
        return _build_of(await self._codebuild("RetryBuild", region, id=id, idempotencyToken=token))

    async def stop(self, region: str, id: str) -> Build:
        stopped = _build_of(await self._codebuild("StopBuild", region, id=id))
        self._memory.forget(("build", region, id))
        return stopped

    async def _build(self, region: str, id: str) -> Build | None:
        found = await self._load(region, [id])
        return found[0] if found else None

    async def _overview(self, region: str, after: str | None) -> Overview:
        page = await self._codebuild("ListProjects", region, nextToken=after)
        names = list(page.get("projects", ()))
        projects = {
            each["name"]: each
            for start in range(0, len(names), _AT_ONCE)
            for each in (await self._codebuild("BatchGetProjects", region, names=names[start : start + _AT_ONCE])).get(
                "projects", ()
            )
        }
        ids = [await self._newest(region, name) for name in projects]
        flat = [id for each in ids for id in each]
        builds = {build["id"]: build for build in await self._load(region, flat)}
        lines = tuple(
            Line(project, tuple(builds[id] for id in each if id in builds))
            for project, each in zip(projects.values(), ids, strict=True)
        )
        active, complete = await self._active(region)
        return Overview(lines, page.get("nextToken"), active, complete)

    async def _newest(self, region: str, project: str) -> list[str]:
        try:
            page = await self._codebuild("ListBuildsForProject", region, projectName=project)
        except Refused:  # it was deleted meanwhile
            return []
        return list(page.get("ids", ()))[:RECENT]

    async def _active(self, region: str) -> tuple[tuple[Build, ...], bool]:
        """Of the newest builds those that have not ended, the oldest of them last; whether these are all."""
        found: list[Build] = []
        after: str | None = None
        for _ in range(_ACTIVE_SCANNED):
            page = await self._builds_page(region, after)
            found += [build for build in page.items if not build.get("buildComplete")]
            after = page.next
            if after is None:
                break
        older = bool(found) and bool(page.items) and found[-1]["id"] == page.items[-1]["id"]
        return tuple(found), after is None or not older

    async def _builds_page(self, region: str, after: str | None) -> Found:
        page = await self._codebuild("ListBuilds", region, nextToken=after)
        return Found(await self._load(region, page.get("ids", ())), page.get("nextToken"))

    async def _load(self, region: str, ids: Sequence[str]) -> tuple[Build, ...]:
        """Those that are there, in this order."""
        found: dict[str, Build] = {}
        for start in range(0, len(ids), _AT_ONCE):
            answer = await self._codebuild("BatchGetBuilds", region, ids=list(ids[start : start + _AT_ONCE]))
            found |= {build["id"]: build for build in answer.get("builds", ())}
        return tuple(found[id] for id in ids if id in found)

    async def _codebuild(self, operation: str, region: str, **given: Any) -> Shape:
        return await self._call("codebuild", operation, {k: v for k, v in given.items() if v is not None}, region)


def _build_of(answer: Shape) -> Build:
    build: Build = answer["build"]
    return build
