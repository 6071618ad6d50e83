"""The console's addresses, and what each of them answers: `console_app` makes the ASGI application."""

import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from codeyard.aws import Refused
from codeyard.console import view
from codeyard.console.asking import Asking, Build, Call, Project
from codeyard.console.build_logs import WINDOW, BuildLogs, Part
from codeyard.console.entrance import absent_page, open_routes, read_form, stranger
from codeyard.console.plain_text import PlainText, plain
from codeyard.console.rendering import INERT, Templates
from codeyard.console.session import LOGIN, Session, Sessions
from codeyard.console.stream import HEADERS, EventStream, Limits, Shown, Streams
from codeyard.console.words import State, build_state
from codeyard.errors import CodeyardError, Invalid
from codeyard.ident import BuildId, project_name
from codeyard.logs import LogFiles
from codeyard.logs.tail import Tail

# region, bucket, key → an address where the object can be fetched for a while; None: there is none.
ArtifactLink = Callable[[str, str, str], str | None]
_Page = Callable[[Request, Session], Awaitable[ASGIApp]]

_log = logging.getLogger(__name__)
_PARTS = ("head", "phases", "facts")
_YOUNG = 30  # seconds
_STEP = 5  # seconds between pictures of a build in which nothing changes but the time
_READABLE = 500  # lines that a browser without scripts is shown
_NOT_HERE = {"ResourceNotFoundException": 404, "AccessDeniedException": 403, "ServiceUnavailableException": 503}


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
    pages = _Pages(Asking(call), logs, streams, sessions, templates, region, now, artifact_link)
    router = Router(
        [*open_routes(sessions, templates, region), *pages.routes()], default=absent_page(templates, region)
    )
    return Console(router, streams)


@dataclass(frozen=True, slots=True)
class _Pages:
    """What needs a session."""

    ask: Asking
    logs: BuildLogs
    streams: Streams
    sessions: Sessions
    templates: Templates
    region: str
    now: Callable[[], datetime]
    artifact_link: ArtifactLink

    def routes(self) -> Iterable[Route]:
        build, project = "/console/builds/{region}/{id}", "/console/projects/{region}/{name}"
        yield self._get("/console", self.overview)
        yield self._get("/console/builds", self.builds)
        yield self._get(project, self.project)
        yield self._get(build, self.build)
        yield self._get(f"{build}/events", self.events)
        yield self._get(f"{build}/log", self.log)
        yield self._get(f"{build}/log/part", self.log_part)
        yield self._get(f"{build}/artifacts/{{number:int}}", self.artifact)
        yield self._post(f"{project}/start", self.start)
        yield self._post(f"{build}/stop", self.stop)
        yield self._post(f"{build}/retry", self.retry)
        yield self._post("/console/logout", self.logout)

    # ── pages ──

    async def overview(self, request: Request, session: Session) -> ASGIApp:
        found = await self.ask.overview(self.region, request.query_params.get("after"))
        at = self.now()
        active = [view.build_view(build, at) for build in found.active]
        return self._page(
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
            self.region, request.query_params.get("after"), lambda build: state in (None, build_state(build))
        )
        builds = [view.build_view(build, self.now()) for build in found.items]
        return self._page("builds.html", session, builds=builds, next=found.next, state=state, states=list(State))

    async def project(self, request: Request, session: Session) -> ASGIApp:
        region, name = _region(request), project_name(request.path_params["name"])
        after = request.query_params.get("after")
        project = await self._project(region, name)
        found = await self.ask.builds_of(region, name, after)
        builds = [view.build_view(build, self.now()) for build in found.items]
        return self._page(
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
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        given = self._build_given(await self._build(region, id), region, session, self.now())
        part = await self.logs.last(id.run, _READABLE)
        readable = plain(part.text.encode()).decode(errors="replace")
        parts = self._parts(given)
        return self._page("build.html", session, **given, parts=parts, readable=readable, cut=part.start > 0)

    async def log(self, request: Request, session: Session) -> ASGIApp:
        """All of it: as text to read, or `?raw` as it was written."""
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        await self._build(region, id)
        raw = "raw" in request.query_params
        shown = f"{'attachment' if raw else 'inline'}; filename={id.project}-{id.run}.log"
        headers = {**INERT, "content-disposition": shown}
        content = self.logs.bytes_of(id.run) if raw else _readable(self.logs.bytes_of(id.run))
        return StreamingResponse(content, 200, headers, "text/plain; charset=utf-8")

    async def log_part(self, request: Request, session: Session) -> ASGIApp:
        """Lines for the page's script: the last ones; from `line` on, `count` of them; from where a `phase` begins."""
        region, id = _region(request), BuildId.parse(request.path_params["id"])
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
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        await self._build(region, id)
        if self.streams.full:
            return Response("Too many are looking at builds.\n", 503, {**INERT, "retry-after": "10"}, "text/plain")
        offset = _number(request.headers.get("last-event-id")) or _number(request.query_params.get("from")) or 0
        left = (session.expires - self.now()).total_seconds()

        async def look(fresh: bool) -> Shown | None:
            build = await (self.ask.build_now if fresh else self.ask.build)(region, str(id))
            return None if build is None else self._shown(build, region, session)

        return EventStream(self.streams, id.run, offset, look, left, {**INERT, **HEADERS})

    async def artifact(self, request: Request, session: Session) -> ASGIApp:
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        place = view.artifact_place(await self._build(region, id), request.path_params["number"])
        link = self.artifact_link(region, *place) if place is not None else None
        if link is None:
            return self._problem(404, "This artifact cannot be downloaded here.", f"Try: codeyard artifacts {id}")
        return RedirectResponse(link, 303, INERT)

    # ── what changes something ──

    async def start(self, request: Request, session: Session) -> ASGIApp:
        region, name = _region(request), project_name(request.path_params["name"])
        form = request.state.form
        version = form.get("version", "").strip() or None
        return _to_build(region, await self.ask.start(region, name, version, _once(form)))

    async def retry(self, request: Request, session: Session) -> ASGIApp:
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        return _to_build(region, await self.ask.retry(region, str(id), _once(request.state.form)))

    async def stop(self, request: Request, session: Session) -> ASGIApp:
        region, id = _region(request), BuildId.parse(request.path_params["id"])
        return _to_build(region, await self.ask.stop(region, str(id)))

    async def logout(self, request: Request, session: Session) -> ASGIApp:
        return RedirectResponse(LOGIN, 303, {**INERT, "set-cookie": self.sessions.ended()})

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
            "csrf": self.sessions.form_token(session),
            # The same as long as the build is: a second click on "Run again" starts no second build.
            "once": build.run.replace("-", "") + session.id[:16],
            "path": f"/console/builds/{region}/{build.id}",
            "now": at,
        }

    def _linked(self, shape: Build, region: str, number: int) -> bool:
        place = view.artifact_place(shape, number)
        return place is not None and self.artifact_link(region, *place) is not None

    def _shown(self, shape: Build, region: str, session: Session) -> Shown:
        at = self.now()
        # Not another picture each second, but of a build that has just begun: durations go on by themselves.
        begun = shape.get("startTime")
        step = 1 if begun is not None and (at - begun).total_seconds() < _YOUNG else _STEP
        at = at.replace(second=at.second // step * step, microsecond=0)
        given = self._build_given(shape, region, session, at)
        return Shown(given["title"], self._parts(given), bool(shape.get("buildComplete")))

    def _parts(self, given: dict[str, Any]) -> dict[str, str]:
        """The pieces of the build's page that change, by the id of their element."""
        return {name: self.templates.part(f"build_{name}.html", **given) for name in _PARTS}

    def _page(self, template: str, session: Session, **given: Any) -> Response:
        common = {"region": self.region, "csrf": self.sessions.form_token(session), "now": self.now(), "inside": True}
        return self.templates.page(template, **{**common, **given})

    def _problem(self, status: int, what: str, more: str = "", code: str = "") -> Response:
        return self.templates.page(
            "problem.html", status, what=what, more=more, code=code, inside=True, region=self.region
        )

    # ── who may ask ──

    def _get(self, path: str, page: _Page) -> Route:
        return Route(path, partial(self._asked, page), methods=["GET"])

    def _post(self, path: str, page: _Page) -> Route:
        return Route(path, partial(self._sent, page), methods=["POST"])

    async def _asked(self, page: _Page, request: Request) -> ASGIApp:
        session = self.sessions.read(request.cookies.get(self.sessions.cookie))
        if session is None:
            return stranger(request, self.templates, self.region)
        try:
            response = await page(request, session)
        except CodeyardError as error:
            return self._told(error)
        except (ClientDisconnect, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing may pass it but as a page
            _log.error("console page failed path=%s", request.url.path, exc_info=error)
            return self._problem(500, "Something went wrong here.", "The server's own log says more.")
        renewed = self.sessions.renewed(session)
        if renewed is not None and isinstance(response, Response) and "set-cookie" not in response.headers:
            response.headers["set-cookie"] = self.sessions.header(renewed)
        return response

    async def _sent(self, page: _Page, request: Request) -> ASGIApp:
        async def checked(request: Request, session: Session) -> ASGIApp:
            form = await read_form(request)
            site = request.headers.get("sec-fetch-site", "same-origin")
            if site not in ("same-origin", "none") or not self.sessions.sent(session, form.get("csrf", "")):
                return self._problem(403, "This form is not one of this session's.", "Go back, reload, and try again.")
            request.state.form = form
            return await page(request, session)

        return await self._asked(checked, request)

    def _told(self, error: CodeyardError) -> Response:
        if isinstance(error, Refused):
            return self._problem(_NOT_HERE.get(error.code, error.status), error.message, code=error.code)
        if isinstance(error, Invalid):
            return self._problem(404, "There is no such page.", str(error))
        return self._problem(503, str(error))


# ── requests and answers ──


def _region(request: Request) -> str:
    region: str = request.path_params["region"]
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", region) is None:
        raise Invalid(f"region {region[:40]!r}", "it is none.", "Go back to the list.")
    return region


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,15}", text) else None


def _once(form: dict[str, str]) -> str:
    """An idempotency token: the same form sent twice starts one build."""
    token = form.get("once", "")
    return token if re.fullmatch(r"[A-Za-z0-9_-]{16,64}", token) else secrets.token_urlsafe(16)


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
