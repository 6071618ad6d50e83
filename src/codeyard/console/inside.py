"""What all pages behind the login share: who may ask for them, the token of their forms, errors as pages."""

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from codeyard.aws import Refused
from codeyard.console.entrance import read_form, stranger
from codeyard.console.rendering import Templates
from codeyard.console.session import Session, Sessions
from codeyard.errors import CodeyardError, Invalid

Page = Callable[[Request, Session], Awaitable[ASGIApp]]

_log = logging.getLogger(__name__)
_FORM_AT_MOST = 512 * 1024  # bytes: a pipeline has 50 variables of 1,000 characters, each of which may take nine
_NOT_HERE = {
    "ResourceNotFoundException": 404,
    "PipelineNotFoundException": 404,
    "PipelineExecutionNotFoundException": 404,
    "AccessDeniedException": 403,
    "ServiceUnavailableException": 503,
}


@dataclass(frozen=True, slots=True)
class Inside:
    """Makes routes and answers for who has a session."""

    sessions: Sessions
    templates: Templates
    region: str
    now: Callable[[], datetime]

    def get(self, path: str, page: Page) -> Route:
        return Route(path, partial(self._asked, page), methods=["GET"])

    def post(self, path: str, page: Page) -> Route:
        """The page has the form as `request.state.form`; it was sent by one of this session's."""
        return Route(path, partial(self._sent, page), methods=["POST"])

    def page(self, template: str, session: Session, status: int = 200, **given: Any) -> Response:
        common = {"region": self.region, "csrf": self.sessions.form_token(session), "now": self.now(), "inside": True}
        return self.templates.page(template, status, **{**common, **given})

    def problem(self, status: int, what: str, more: str = "", code: str = "", back: str = "") -> Response:
        """A page that says what is wrong; `back`: where it leads, within the console."""
        return self.templates.page(
            "problem.html", status, what=what, more=more, code=code, back=back, inside=True, region=self.region
        )

    def told(self, error: CodeyardError, back: str = "") -> Response:
        """An error as a page."""
        if isinstance(error, Refused):
            return self.problem(_NOT_HERE.get(error.code, error.status), error.message, code=error.code, back=back)
        if isinstance(error, Invalid):
            return self.problem(404, "There is no such page.", str(error), back=back)
        return self.problem(503, str(error), back=back)

    async def _asked(self, page: Page, request: Request) -> ASGIApp:
        session = self.sessions.read(request.cookies.get(self.sessions.cookie))
        if session is None:
            return stranger(request, self.templates, self.region)
        try:
            response = await page(request, session)
        except CodeyardError as error:
            lists = "/console/pipelines"
            return self.told(error, lists if request.url.path.startswith(f"{lists}/") else "")
        except (ClientDisconnect, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the edge: nothing may pass it but as a page
            _log.error("console page failed path=%s", request.url.path, exc_info=error)
            return self.problem(500, "Something went wrong here.", "The server's own log says more.")
        renewed = self.sessions.renewed(session)
        if renewed is not None and isinstance(response, Response) and "set-cookie" not in response.headers:
            response.headers["set-cookie"] = self.sessions.header(renewed)
        return response

    async def _sent(self, page: Page, request: Request) -> ASGIApp:
        async def checked(request: Request, session: Session) -> ASGIApp:
            form = await read_form(request, _FORM_AT_MOST)
            site = request.headers.get("sec-fetch-site", "same-origin")
            if site not in ("same-origin", "none") or not self.sessions.sent(session, form.get("csrf", "")):
                return self.problem(403, "This form is not one of this session's.", "Go back, reload, and try again.")
            request.state.form = form
            return await page(request, session)

        return await self._asked(checked, request)


def region_of(request: Request) -> str:
    """The region in the address. Invalid."""
    region: str = request.path_params["region"]
    if re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", region) is None:
        raise Invalid(f"region {region[:40]!r}", "it is none.", "Go back to the list.")
    return region


def once_of(form: Mapping[str, str]) -> str:
    """An idempotency token: the same form sent twice starts one build."""
    token = form.get("once", "")
    return token if re.fullmatch(r"[A-Za-z0-9_-]{16,64}", token) else secrets.token_urlsafe(16)
