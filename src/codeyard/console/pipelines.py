"""The addresses of the pipelines' pages, and what each of them answers."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from codeyard.aws import Refused
from codeyard.console.execution_view import artifact_of, execution_view
from codeyard.console.inside import Inside, region_of
from codeyard.console.pipeline_asking import Picture, PipelineAsking
from codeyard.console.pipeline_changes import CHANGES, Asked, Change, execution_id
from codeyard.console.pipeline_view import (
    ExecutionRow,
    Segment,
    Sight,
    execution_row,
    parallel_segments,
    pipeline_row,
)
from codeyard.console.pipeline_words import APPROVAL
from codeyard.console.rendering import INERT
from codeyard.console.session import Session
from codeyard.console.stage_view import stage_views
from codeyard.errors import Invalid

# region, bucket, key → an address where the object can be fetched for a while; None: there is none.
ArtifactLink = Callable[[str, str, str], str | None]

_NAME = re.compile(r"[A-Za-z0-9.@_-]{1,100}")
_STEP = 5  # seconds between pictures in which nothing changes but the time
_EVERY = 1  # seconds between looks while something goes on
_SELDOM = 5  # while nothing does


@dataclass(frozen=True, slots=True)
class PipelinePages:
    """What needs a session."""

    ask: PipelineAsking
    inside: Inside
    artifact_link: ArtifactLink
    base_url: str

    def routes(self) -> Iterable[Route]:
        inside, one = self.inside, "/console/pipelines/{region}/{name}"
        yield inside.get("/console/pipelines", self.pipelines)
        yield inside.get(one, self.pipeline)
        yield inside.get(f"{one}/executions", self.executions)
        yield inside.get(f"{one}/rollback", self.targets)
        yield inside.get(f"{one}/{{execution}}", self.execution)
        yield inside.get(f"{one}/{{execution}}/artifacts/{{run}}/{{artifact}}", self.artifact)
        # The address that the message about an approval bears.
        yield inside.get(f"{one}/{{stage}}/{{action}}/approve/{{token}}", self.review)
        for name, change in CHANGES.items():
            yield inside.post(f"{one}/{name}", partial(self._changed, change))

    # ── pages ──

    async def pipelines(self, request: Request, session: Session) -> ASGIApp:
        after, region = request.query_params.get("after"), self.inside.region
        lines, next = await self.ask.pipelines(region, after)
        at = self._at()
        sight = Sight(at, self.base_url)
        rows = [pipeline_row(line.summary, line.state, line.executions, line.runs, sight) for line in lines]
        given = {"pipelines": rows, "next": next, "after": after, "now": at,
                 "every": 2 if any(row.live for row in rows) else 10}  # fmt: skip
        return self._live(request, session, "pipelines", given)

    async def pipeline(self, request: Request, session: Session) -> ASGIApp:
        region, name = _place(request)
        found = await self.ask.picture(region, name)
        sight = Sight(self._at(), self.base_url)
        stages = stage_views(found.pipeline, found.state, found.runs, sight)
        executions = [execution_row(each, sight) for each in found.executions]
        parallel = found.pipeline.get("executionMode") == "PARALLEL"
        asking = any(stage.shown is APPROVAL for stage in stages)
        running = [row for row in executions if row.standing.live]
        given = {
            "name": name, "pipeline": found.pipeline, "metadata": found.metadata, "stages": stages,
            "lanes": _lanes(found, running) if parallel else (),
            "executions": executions, "more": found.more, "running": running, "parallel": parallel,
            "latest": executions[0] if executions else None, "asking": asking, "now": sight.now,
            # The same until there is another execution: a second click starts nothing more.
            "once": _token(session, name, executions[0].id if executions else ""),
            "every": _EVERY if running else _SELDOM,
        }  # fmt: skip
        return self._live(request, session, "pipeline", self._given(given, region, name))

    async def execution(self, request: Request, session: Session) -> ASGIApp:
        region, name = _place(request)
        id = execution_id(request.path_params["execution"])
        found = await self.ask.execution(region, name, id)
        sight = Sight(self._at(), self.base_url)
        shown = execution_view(found, sight)
        links = {each.run + each.name for _, each in shown.artifacts
                 if self.artifact_link(region, each.bucket, each.key) is not None}  # fmt: skip
        asking = any(action.now.approval for stage in shown.stages for action in stage.actions)
        live = shown.row.standing.live
        given = {"name": name, "view": shown, "row": shown.row, "links": links, "asking": asking, "now": sight.now,
                 "every": _EVERY if live else _SELDOM}  # fmt: skip
        return self._live(request, session, "execution", self._given(given, region, name))

    async def executions(self, request: Request, session: Session) -> ASGIApp:
        region, name = _place(request)
        found = await self.ask.executions(region, name, request.query_params.get("after"))
        sight = Sight(self._at(), self.base_url)
        rows = [execution_row(each, sight) for each in found.items]
        given = self._given({"name": name, "rows": rows, "next": found.next}, region, name)
        return self.inside.page("pipeline_executions.html", session, **given)

    async def targets(self, request: Request, session: Session) -> ASGIApp:
        """The executions that a stage can go back to."""
        region, name = _place(request)
        stage = _name(request.query_params.get("stage", ""))
        found = await self.ask.executions(region, name, request.query_params.get("after"), stage)
        sight = Sight(self._at(), self.base_url)
        rows = [row for each in found.items if (row := execution_row(each, sight)).target is None]
        outdated = await self.ask.outdated(region, name, [row.id for row in rows])
        given = {"name": name, "stage": stage, "rows": rows, "next": found.next, "outdated": outdated}
        return self.inside.page("pipeline_rollback.html", session, **self._given(given, region, name))

    async def artifact(self, request: Request, session: Session) -> ASGIApp:
        region, name = _place(request)
        id, asked = execution_id(request.path_params["execution"]), request.path_params
        found = artifact_of(await self.ask.execution(region, name, id), asked["run"], asked["artifact"])
        link = self.artifact_link(region, found[1], found[2]) if found is not None else None
        if link is None:
            back = f"{_address(region, name)}/{id}"
            return self.inside.problem(404, "This artifact cannot be downloaded here.", back=back)
        return RedirectResponse(link, 303, INERT)

    async def review(self, request: Request, session: Session) -> ASGIApp:
        """To where this approval is answered: in PARALLEL mode that is its execution's page."""
        region, name = _place(request)
        asked = request.path_params
        stage, action = _name(asked["stage"]), _name(asked["action"])
        found = await self.ask.picture(region, name)
        path = _address(region, name)
        if found.pipeline.get("executionMode") == "PARALLEL":
            result = ((run, (run.get("output") or {}).get("executionResult") or {}) for run in found.runs)
            id = next((run["pipelineExecutionId"] for run, each in result
                       if each.get("externalExecutionId") == asked["token"]), None)  # fmt: skip
            path = f"{path}/{id}" if id else path
        return RedirectResponse(f"{path}#action-{quote(stage)}-{quote(action)}", 303, INERT)

    # ── what these share ──

    async def _changed(self, change: Change, request: Request, session: Session) -> ASGIApp:
        """What a form asked for; its page again, or why not."""
        region, name = _place(request)
        asked = Asked(self.ask, region, name, request.state.form)
        back = _address(region, name)
        if (origin := request.state.form.get("from", "")) and _uuid(origin):
            back = f"{back}/{origin}"
        try:
            target = await change(asked)
        except (Refused, Invalid) as error:
            return self.inside.told(error, back)
        return RedirectResponse(f"{_address(region, name)}/{target}" if target else back, 303, INERT)

    def _live(self, request: Request, session: Session, page: str, given: dict[str, Any]) -> Response:
        """A page, or with `?live` the part of it that changes, if the browser has not got it."""
        given = {"region": self.inside.region, "csrf": self.inside.sessions.form_token(session), **given}
        content = self.inside.templates.part(f"{page}_live.html", **given)
        if "live" not in request.query_params:
            return self.inside.page(f"{page}.html", session, **{**given, "content": content})
        tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:32]}"'
        headers = {**INERT, "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(None, 304, headers)
        return Response(content, 200, headers, "text/html; charset=utf-8")

    def _given(self, given: dict[str, Any], region: str, name: str) -> dict[str, Any]:
        return {"region": region, "path": _address(region, name), **given}

    def _at(self) -> datetime:
        """The time in steps, so that a picture in which nothing else changes is the same for a while."""
        at = self.inside.now()
        return at.replace(second=at.second // _STEP * _STEP, microsecond=0)


def _place(request: Request) -> tuple[str, str]:
    """The region and the pipeline's name. Invalid."""
    return region_of(request), _name(request.path_params["name"])


def _name(text: str) -> str:
    """Of a pipeline, a stage or an action. Invalid."""
    if _NAME.fullmatch(text) is None:
        raise Invalid(f"name {text[:40]!r}", "it is none.", "Go back to the list.")
    return text


def _address(region: str, name: str) -> str:
    return f"/console/pipelines/{region}/{quote(name, safe='@')}"


def _lanes(found: Picture, running: Sequence[ExecutionRow]) -> list[tuple[ExecutionRow, list[Segment]]]:
    """Of PARALLEL mode: the executions in progress, each with its stages."""
    own = {row.id: [run for run in found.runs if run.get("pipelineExecutionId") == row.id] for row in running}
    return [(row, parallel_segments(found.state, own[row.id])) for row in running]


def _uuid(text: str) -> bool:
    return re.fullmatch(r"[0-9a-f-]{36}", text) is not None


def _token(session: Session, *parts: str) -> str:
    return hashlib.sha256("\0".join((session.id, *parts)).encode()).hexdigest()[:32]
