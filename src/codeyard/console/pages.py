"""The console's addresses, and what each of them answers: `console_app` makes the ASGI application."""

import json
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from codeyard.aws import Refused
from codeyard.console import view
from codeyard.console.asking import Asking, Build, Call, Project
from codeyard.console.build_logs import WINDOW, BuildLogs, Part
from codeyard.console.entrance import absent_page, open_routes
from codeyard.console.inside import Inside, once_of, region_of
from codeyard.console.memory import Memory
from codeyard.console.pipeline_asking import PipelineAsking
from codeyard.console.pipelines import ArtifactLink, PipelinePages
from codeyard.console.plain_text import PlainText, plain
from codeyard.console.rendering import INERT, Templates
from codeyard.console.session import LOGIN, Session, Sessions
from codeyard.console.stream import HEADERS, EventStream, Limits, Shown, Streams
from codeyard.console.words import State, build_state
from codeyard.ident import BuildId, project_name
from codeyard.logs import LogFiles
from codeyard.logs.tail import Tail

_PARTS = ("head", "phases", "facts")
_YOUNG = 30  # seconds
_STEP = 5  # seconds between pictures of a build in which nothing changes but the time
_READABLE = 500  # lines that a browser without scripts is shown


@dataclass(frozen=True, slots=True)
class Console:
    """The ASGI application."""

    app: ASGIApp
    streams: Streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def drain(self) -> None:
        """End all live logs, because the server is about to: it would wait for them."""
        self.streams.drain()


def console_app(
    call: Call,
    files: LogFiles,
    tail: Tail,
    *,
    session_key: bytes,
    region: str,
    base_url: str,
    now: Callable[[], datetime],
    artifact_link: ArtifactLink = lambda _region, _bucket, _key: None,
    limits: Limits | None = None,
) -> Console:
    """Answers `/`, `/console` and all below.

    `call` asks an operation of AWS's API as the account's root (Refused, as the gateway does); `region` is that of the
    pages that name none; who has `session_key` lets browsers in. `base_url` is what browsers call the server.
    """
    sessions = Sessions(session_key, now, base_url.startswith("https://"))
    templates, logs = Templates(), BuildLogs(files, tail)
    streams = Streams(logs, limits or Limits())
    inside, memory = Inside(sessions, templates, region, now), Memory()
    pages = _Pages(Asking(call, memory), logs, streams, inside, artifact_link)
    pipelines = PipelinePages(PipelineAsking(call, memory), inside, artifact_link, base_url)
    routes = [*open_routes(sessions, templates, region), *pages.routes(), *pipelines.routes()]
    router = Router(routes, default=absent_page(templates, region))
    return Console(router, streams)


@dataclass(frozen=True, slots=True)
class _Pages:
    """What needs a session."""

    ask: Asking
    logs: BuildLogs
    streams: Streams
    inside: Inside
    artifact_link: ArtifactLink

    def routes(self) -> Iterable[Route]:
        inside, build, project = self.inside, "/console/builds/{region}/{id}", "/console/projects/{region}/{name}"
        yield inside.get("/console", self.overview)
        yield inside.get("/console/builds", self.builds)
        yield inside.get(project, self.project)
        yield inside.get(build, self.build)
        yield inside.get(f"{build}/events", self.events)
        yield inside.get(f"{build}/log", self.log)
        yield inside.get(f"{build}/log/part", self.log_part)
        yield inside.get(f"{build}/artifacts/{{number:int}}", self.artifact)
        yield inside.post(f"{project}/start", self.start)
        yield inside.post(f"{build}/stop", self.stop)
        yield inside.post(f"{build}/retry", self.retry)
        yield inside.post("/console/logout", self.logout)

    # ── pages ──

    async def overview(self, request: Request, session: Session) -> ASGIApp:
        found = await self.ask.overview(self.inside.region, request.query_params.get("after"))
        at = self.inside.now()
        active = [view.build_view(build, at) for build in found.active]
        return self.inside.page(
            "overview.html",
            session,
            projects=[view.project_view(line, at) for line in found.lines],
            next=found.next,
            running=[build for build in active if build.state is not State.QUEUED],
            queued=[build for build in reversed(active) if build.state is State.QUEUED],
            complete=found.complete,
        )

    async def builds(self, request: Request, session: Session) -> ASGIApp:
        wanted = request.query_params.get("status", "")
        state = State(wanted) if wanted in list(State) else None
        found = await self.ask.builds(
            self.inside.region, request.query_params.get("after"), lambda build: state in (None, build_state(build))
        )
        builds = [view.build_view(build, self.inside.now()) for build in found.items]
        return self.inside.page("builds.html", session, builds=builds, next=found.next, state=state, states=list(State))

    async def project(self, request: Request, session: Session) -> ASGIApp:
        region, name = region_of(request), project_name(request.path_params["name"])
        after = request.query_params.get("after")
        project = await self._project(region, name)
        found = await self.ask.builds_of(region, name, after)
        builds = [view.build_view(build, self.inside.now()) for build in found.items]
        return self.inside.page(
            "project.html",
            session,
            region=region,
            name=name,
            project=project,
            source=view.source_link(project.get("source") or {}),
            settings=view.settings(project),
            builds=builds,
            bars=view.bars(builds),
            next=found.next,
            after=after,
            once=secrets.token_urlsafe(16),
        )

    async def build(self, request: Request, session: Session) -> ASGIApp:
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        given = self._build_given(await self._build(region, id), region, session, self.inside.now())
        part = await self.logs.last(id.run, _READABLE)
        readable = plain(part.text.encode()).decode(errors="replace")
        parts = self._parts(given)
        return self.inside.page("build.html", session, **given, parts=parts, readable=readable, cut=part.start > 0)

    async def log(self, request: Request, session: Session) -> ASGIApp:
        """All of it: as text to read, or `?raw` as it was written."""
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        await self._build(region, id)
        raw = "raw" in request.query_params
        shown = f"{'attachment' if raw else 'inline'}; filename={id.project}-{id.run}.log"
        headers = {**INERT, "content-disposition": shown}
        content = self.logs.bytes_of(id.run) if raw else _readable(self.logs.bytes_of(id.run))
        return StreamingResponse(content, 200, headers, "text/plain; charset=utf-8")

    async def log_part(self, request: Request, session: Session) -> ASGIApp:
        """Lines for the page's script: the last ones; from `line` on, `count` of them; from where a `phase` begins."""
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        await self._build(region, id)
        asked = request.query_params
        if "phase" in asked:
            line = await self.logs.line_of_phase(id.run, asked["phase"])
            return _json({"line": line})
        count = min(_number(asked.get("count")) or WINDOW, WINDOW)
        if (line := _number(asked.get("line"))) is not None:
            return _json(_told(await self.logs.from_line(id.run, line, count)))
        return _json(_told(await self.logs.last(id.run, count)))

    async def events(self, request: Request, session: Session) -> ASGIApp:
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        await self._build(region, id)
        if self.streams.full:
            return Response("Too many are looking at builds.\n", 503, {**INERT, "retry-after": "10"}, "text/plain")
        offset = _number(request.headers.get("last-event-id")) or _number(request.query_params.get("from")) or 0
        left = (session.expires - self.inside.now()).total_seconds()

        async def look(fresh: bool) -> Shown | None:
            build = await (self.ask.build_now if fresh else self.ask.build)(region, str(id))
            return None if build is None else self._shown(build, region, session)

        return EventStream(self.streams, id.run, offset, look, left, {**INERT, **HEADERS})

    async def artifact(self, request: Request, session: Session) -> ASGIApp:
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        place = view.artifact_place(await self._build(region, id), request.path_params["number"])
        link = self.artifact_link(region, *place) if place is not None else None
        if link is None:
            return self.inside.problem(404, "This artifact cannot be downloaded here.", f"Try: codeyard artifacts {id}")
        return RedirectResponse(link, 303, INERT)

    # ── what changes something ──

    async def start(self, request: Request, session: Session) -> ASGIApp:
        region, name = region_of(request), project_name(request.path_params["name"])
        form = request.state.form
        version = form.get("version", "").strip() or None
        return _to_build(region, await self.ask.start(region, name, version, once_of(form)))

    async def retry(self, request: Request, session: Session) -> ASGIApp:
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        return _to_build(region, await self.ask.retry(region, str(id), once_of(request.state.form)))

    async def stop(self, request: Request, session: Session) -> ASGIApp:
        region, id = region_of(request), BuildId.parse(request.path_params["id"])
        return _to_build(region, await self.ask.stop(region, str(id)))

    async def logout(self, request: Request, session: Session) -> ASGIApp:
        return RedirectResponse(LOGIN, 303, {**INERT, "set-cookie": self.inside.sessions.ended()})

    # ── what these share ──

    async def _build(self, region: str, id: BuildId) -> Build:
        build = await self.ask.build(region, str(id))
        if build is None:
            raise Refused("ResourceNotFoundException", f"There is no build {id} in {region}.")
        return build

    async def _project(self, region: str, name: str) -> Project:
        project = await self.ask.project(region, name)
        if project is None:
            raise Refused("ResourceNotFoundException", f"There is no project {name} in {region}.")
        return project

    def _build_given(self, shape: Build, region: str, session: Session, at: datetime) -> dict[str, Any]:
        build = view.build_view(shape, at)
        artifacts = view.artifact_views(shape)
        return {
            "region": region,
            "build": build,
            "title": f"{build.state.sign} {build.state.label} · {build.name}",
            "phases": view.phase_views(shape, at),
            "reasons": view.reasons(shape),
            "artifacts": artifacts,
            "links": {a.number for a in artifacts if a.number is not None and self._linked(shape, region, a.number)},
            "source": view.source_link(shape.get("source") or {}),
            "csrf": self.inside.sessions.form_token(session),
            # The same as long as the build is: a second click on "Run again" starts no second build.
            "once": build.run.replace("-", "") + session.id[:16],
            "path": f"/console/builds/{region}/{build.id}",
            "now": at,
        }

    def _linked(self, shape: Build, region: str, number: int) -> bool:
        place = view.artifact_place(shape, number)
        return place is not None and self.artifact_link(region, *place) is not None

    def _shown(self, shape: Build, region: str, session: Session) -> Shown:
        at = self.inside.now()
        # Not another picture each second, but of a build that has just begun: durations go on by themselves.
        begun = shape.get("startTime")
        step = 1 if begun is not None and (at - begun).total_seconds() < _YOUNG else _STEP
        at = at.replace(second=at.second // step * step, microsecond=0)
        given = self._build_given(shape, region, session, at)
        return Shown(given["title"], self._parts(given), bool(shape.get("buildComplete")))

    def _parts(self, given: dict[str, Any]) -> dict[str, str]:
        """The pieces of the build's page that change, by the id of their element."""
        return {name: self.inside.templates.part(f"build_{name}.html", **given) for name in _PARTS}


# ── requests and answers ──


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,15}", text) else None


def _to_build(region: str, build: Build) -> Response:
    return RedirectResponse(f"/console/builds/{region}/{quote(str(build['id']), safe=':')}", 303, INERT)


def _json(value: object) -> Response:
    return Response(json.dumps(value), 200, INERT, "application/json")


def _told(part: Part) -> dict[str, object]:
    return {"line": part.line, "end": part.end, "text": part.text, "last": part.last, "over": part.over}


async def _readable(pieces: Any) -> Any:
    text = PlainText()
    async for piece in pieces:
        if shown := text.feed(piece):
            yield shown
    if rest := text.rest():
        yield rest
