"""The HTTP side, as a WSGI application.

GET    /                  the page
GET    /api/links         the newest links
POST   /api/links         {"url": …, "slug": …?} → the link; 201 if new, 200 if it was there
DELETE /api/links/<slug>  204
GET    /<slug>            302 to where it leads
GET    /healthz           200 while the database answers
"""

import json
import mimetypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from shortlinks import __version__
from shortlinks.rules import Refused
from shortlinks.store import Store

BODY_AT_MOST = 16 * 1024  # bytes

_STATIC = files("shortlinks") / "static"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: HTTPStatus
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def application(store: Store) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """The WSGI callable over a store."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            answer = respond(store, environ["REQUEST_METHOD"], environ["PATH_INFO"], lambda: _body(environ))
        except Refused as refused:
            answer = _json(HTTPStatus.BAD_REQUEST, {"error": str(refused)})
        headers = {**_HEADERS, **answer.headers, "Content-Length": str(len(answer.body))}
        start_response(f"{answer.status.value} {answer.status.phrase}", list(headers.items()))
        return [answer.body]

    return app


def respond(store: Store, method: str, path: str, body: Callable[[], dict[str, Any]]) -> Answer:
    """The answer to one request. `body` reads the JSON object that came with it. Refused."""
    match method, path.strip("/").split("/"):
        case "GET", [""]:
            return _static("index.html")
        case "GET", ["static", name]:
            return _static(name)
        case "GET", ["healthz"]:
            store.newest(limit=1)
            return _json(HTTPStatus.OK, {"status": "ok", "version": __version__})
        case "GET", ["api", "links"]:
            return _json(HTTPStatus.OK, [asdict(link) for link in store.newest()])
        case "POST", ["api", "links"]:
            asked = body()
            link, new = store.add(_text(asked, "url") or "", _text(asked, "slug"))
            return _json(HTTPStatus.CREATED if new else HTTPStatus.OK, asdict(link))
        case "DELETE", ["api", "links", slug]:
            return Answer(HTTPStatus.NO_CONTENT) if store.remove(slug) else _not_found()
        case "GET", [slug]:
            url = store.follow(slug)
            return _not_found() if url is None else _moved(url)
        case _:
            return _not_found()


def _body(environ: Mapping[str, Any]) -> dict[str, Any]:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError as error:
        raise Refused("Content-Length is a number") from error
    if not 0 <= length <= BODY_AT_MOST:
        raise Refused(f"a request has at most {BODY_AT_MOST} bytes")
    try:
        value = json.loads(environ["wsgi.input"].read(length))
    except ValueError as error:
        raise Refused(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused("the body is a JSON object")
    return value


def _text(asked: Mapping[str, Any], name: str) -> str | None:
    value = asked.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(f"{name} is a text")
    return value or None


def _static(name: str) -> Answer:
    # The name is compared with what is there, never joined to a path: there is nothing to climb out of.
    found = next((entry for entry in _STATIC.iterdir() if entry.name == name), None)
    if found is None:
        return _not_found()
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Answer(HTTPStatus.OK, found.read_bytes(), {"Content-Type": f"{kind}; charset=utf-8"})


def _json(status: HTTPStatus, value: object) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _moved(url: str) -> Answer:
    # Not permanently: browsers would remember, and neither count nor notice that a link is gone.
    location = quote(url, safe=":/?#[]@!$&'()*+,;=%~")
    return Answer(HTTPStatus.FOUND, url.encode(), {"Location": location, "Content-Type": "text/plain; charset=utf-8"})


def _not_found() -> Answer:
    return _json(HTTPStatus.NOT_FOUND, {"error": "there is nothing here"})
