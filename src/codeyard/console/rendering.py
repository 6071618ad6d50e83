"""How pages are made: templates that escape what they are given, our own files, headers that forbid anything else."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from codeyard.console.words import ago, counted, duration

STATIC = "/console/static"
_TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml"}
_COMMON = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Of what is no page: nothing in it may do anything, whatever a browser takes it for.
INERT = {**_COMMON, "cache-control": "no-store", "content-security-policy": "default-src 'none'; sandbox"}


def page_headers(nonce: str) -> dict[str, str]:
    """Scripts and styles by nonce, and not by origin: objects that builds put are served from the same one."""
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {**_COMMON, "cache-control": "no-store", "content-security-policy": policy}


class Templates:
    """The console's."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("codeyard.console"), autoescape=True,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters |= {"duration": duration, "counted": counted, "iso": _iso, "clock": _clock}
        self._environment.globals |= {"ago": ago, "static": f"{STATIC}/{static_version()}"}

    def page(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **given: Any
    ) -> Response:
        """A page as a response."""
        nonce = secrets.token_urlsafe(16)
        text = self._environment.get_template(template).render(nonce=nonce, **given)
        return HTMLResponse(text, status, {**page_headers(nonce), **(headers or {})})

    def part(self, template: str, **given: Any) -> Markup:
        """A piece of a page."""
        return Markup(self._environment.get_template(template).render(**given).strip())  # noqa: S704 - it was escaped


@cache
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Our own files: content and type, by name."""
    directory = files("codeyard.console") / "static"
    return {
        each.name: (each.read_bytes(), _TYPES[suffix])
        for each in directory.iterdir()
        if (suffix := each.name.rpartition(".")[2]) in _TYPES
    }


@cache
def static_version() -> str:
    """Another one when any of the files is: they may be kept for ever."""
    found = hashlib.sha256()
    for name, (content, _) in sorted(static_files().items()):
        found.update(name.encode() + b"\0" + content)
    return found.hexdigest()[:12]


def static(name: str, version: str) -> Response:
    """One of them."""
    if name not in static_files():
        return Response("There is no such file.\n", 404, INERT, "text/plain")
    content, type = static_files()[name]
    kept = "public, max-age=31536000, immutable" if version == static_version() else "no-store"
    return Response(content, 200, {**INERT, "cache-control": kept, "content-type": type})


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _clock(moment: datetime) -> Markup:
    return Markup("{}").format(moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
