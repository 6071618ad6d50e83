"""Before there is a session: the login, our own files, and what a browser without one is told."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from codeyard.aws import Refused
from codeyard.console.rendering import INERT, STATIC, Templates, static
from codeyard.console.session import LOGIN, Sessions, local_path

_FORM_AT_MOST = 64 * 1024  # bytes
_FIELDS = 80


def open_routes(sessions: Sessions, templates: Templates, region: str) -> Iterable[Route]:
    """What anybody may ask for."""

    async def home(request: Request) -> Response:
        return RedirectResponse("/console", 303, INERT)

    async def file(request: Request) -> Response:
        return static(request.path_params["name"], request.path_params["version"])

    async def login(request: Request) -> Response:
        key = request.query_params.get("key")
        if key is None:
            return _login_page(templates, "/console", region)
        return entered(key, request.query_params.get("next", ""))

    async def log_in(request: Request) -> Response:
        try:
            form = await read_form(request)
        except Refused:
            form = {}
        return entered(form.get("key", ""), form.get("next", ""))

    def entered(key: str, target: str) -> Response:
        target = local_path(target)
        if not sessions.admits(key):
            return _login_page(templates, target, region, 403, wrong=True)
        # The key leaves the address.
        return RedirectResponse(target, 303, {**INERT, "set-cookie": sessions.header(sessions.begin())})

    yield Route("/", home)
    yield Route(f"{STATIC}/{{version}}/{{name}}", file)
    yield Route(LOGIN, login, methods=["GET"])
    yield Route(LOGIN, log_in, methods=["POST"])


def absent_page(templates: Templates, region: str) -> ASGIApp:
    async def absent(scope: Any, receive: Any, send: Any) -> None:
        page = templates.page(
            "problem.html", 404, what="There is no such page.", more="", code="", inside=True, region=region
        )
        await page(scope, receive, send)

    return absent


def stranger(request: Request, templates: Templates, region: str) -> Response:
    """A browser that has no session, or did not send it: it does not when another site's link led here."""
    page = (
        request.headers.get("accept", "").startswith("text/html") or request.headers.get("sec-fetch-dest") == "document"
    )
    if not page:
        return Response("Log in first.\n", 401, INERT, "text/plain")
    if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
        return templates.page("again.html", headers={"refresh": "0"}, inside=False)
    return _login_page(templates, local_path(request.url.path), region, 401)


def _login_page(templates: Templates, target: str, region: str, status: int = 200, *, wrong: bool = False) -> Response:
    return templates.page("login.html", status, target=target, wrong=wrong, inside=False, region=region)


async def read_form(request: Request, at_most: int = _FORM_AT_MOST) -> dict[str, str]:
    """The fields of a form. Refused: it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > at_most:
            raise Refused("RequestEntityTooLargeException", "The form is too long.", 413)
    try:
        fields = parse_qs(body.decode(errors="replace"), max_num_fields=_FIELDS, keep_blank_values=True)
    except ValueError:
        raise Refused("InvalidInputException", "The form has too many fields.") from None
    return {name: values[0] for name, values in fields.items()}
