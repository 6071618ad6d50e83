"""Asks a registry of container images what a tag means now. https://github.com/opencontainers/distribution-spec

Plain HTTP is spoken to this machine alone, as Docker does, unless the address says http://. Blocks.
"""

import base64
import hashlib
import http.client
import json
import re
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from typing import Any

from codeyard.errors import Denied, Fault, Invalid, NotFound
from codeyard.secrets import Secret

_TIMEOUT = 30.0  # seconds of silence
_WHOLE = 60.0  # seconds of one request
_MANIFEST_LIMIT = 4 << 20  # bytes: the least that a registry must take, and as much as most take
_TOKEN_LIMIT = 1 << 20
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ACCEPT = ", ".join(
    (*_INDEXES, "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
)
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*")
_REFERENCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[0-9a-f]{64}")
_PART = re.compile(r'([a-zA-Z]+)="([^"]*)"')
_DOCKER_HUB = "registry-1.docker.io"  # which answers for docker.io
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Login:
    """Who asks."""

    username: str
    password: Secret


LoginFor = Callable[[str], Login | None]  # of a registry's HOST[:PORT]


@dataclass(frozen=True, slots=True)
class Name:
    """A repository of images in a registry."""

    host: str  # with its port
    repository: str
    plain: bool = False  # by http

    @property
    def base(self) -> str:
        host = _DOCKER_HUB if self.host in ("docker.io", "index.docker.io") else self.host
        return f"{'http' if self.plain else 'https'}://{host}/v2/{self.repository}"

    def __str__(self) -> str:
        return f"{self.host}/{self.repository}"


@dataclass(frozen=True, slots=True)
class Image:
    """What a tag or a digest leads to: its digest, the bytes that it takes packed, and when it was put, if told."""

    digest: str
    size: int
    put: str = ""


def name_of(repository: str, registry: str | None) -> Name:
    """The repository that this name means: HOST:PORT/NAME itself, else NAME in `registry` ([http://]HOST[/PREFIX],
    `{repository}` standing for the name). Invalid."""
    first, slash, rest = repository.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return _name(first, rest, plain=None)
    if registry is None:
        raise Invalid(
            f"repository {repository[:256]}", "this server has not been told which registry it is in.",
            "Set repositories to ecr=HOST, or write HOST/NAME for its name.",
        )  # fmt: skip
    scheme, mark, address = registry.rpartition("://")
    host, _, prefix = address.partition("/")
    whole = prefix.replace("{repository}", repository) if "{repository}" in prefix else f"{prefix}/{repository}"
    return _name(host, whole.strip("/"), plain=scheme == "http" if mark else None)


def image(name: Name, reference: str, login: Login | None = None) -> Image:
    """What a tag, or a digest, is in the registry now. NotFound, Denied, Fault; Invalid: it is no tag."""
    if _REFERENCE.fullmatch(reference) is None:
        raise Invalid(f"image tag {reference[:128]!r}", "it is neither a tag nor a digest.", "Correct it.")
    url = f"{name.base}/manifests/{reference}"
    headers, body = _manifest(name, url, login)
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    told = headers.get("docker-content-digest")
    if (reference.startswith("sha256:") and reference != digest) or (told or digest) != digest:
        raise Fault(f"image {name}:{reference}", "the registry's answer is not of its digest.", "Push it again.")
    return Image(digest, _size(body), headers.get("last-modified") or "")


def _name(host: str, repository: str, plain: bool | None) -> Name:
    if _HOST.fullmatch(host) is None or _REPOSITORY.fullmatch(repository) is None:
        raise Invalid(f"repository {host[:200]}/{repository[:256]}", "no registry has such a name.", "Correct it.")
    local = host.rpartition(":")[0] if host.rpartition(":")[0] and not host.endswith("]") else host
    return Name(host, repository, local in _LOOPBACK if plain is None else plain)


def _manifest(name: Name, url: str, login: Login | None) -> tuple[Mapping[str, str], bytes]:
    headers = {"Accept": _ACCEPT}
    status, told, body = _get(name, url, headers)
    if status == 401:
        authorization = _authorization(name, told.get("www-authenticate") or "", login)
        status, told, body = _get(name, url, {**headers, "Authorization": authorization})
    if status == 200:
        return told, body
    if status == 404:
        raise NotFound(f"image {url.removeprefix(name.base)}", f"{name} does not have it.", "Push it.")
    if status in (401, 403):
        raise Denied(f"registry {name.host}", f"it does not let us read {name.repository}.", "Check who may.")
    raise Fault(f"registry {name.host}", f"it answers with status {status}.", "Try again.")


def _authorization(name: Name, challenge: str, login: Login | None) -> str:
    """What the registry wants to see: a password, or a token that somebody it trusts gives out for one.
    https://distribution.github.io/distribution/spec/auth/token/"""
    basic = None
    if login is not None:
        pair = f"{login.username}:{login.password.reveal()}"
        basic = "Basic " + base64.b64encode(pair.encode()).decode()
    kind, _, rest = challenge.partition(" ")
    if kind.lower() != "bearer":
        if basic is None:
            raise Denied(f"registry {name.host}", "it wants a password, and has none.", "Give it one.")
        return basic
    parts = {key.lower(): value for key, value in _PART.findall(rest)}
    realm = urllib.parse.urlsplit(parts.get("realm", ""))
    if realm.scheme != "https" and not (name.plain and realm.scheme == "http"):
        raise Denied(f"registry {name.host}", "it sends us to an address that is not https.", "Use another.")
    asked = {"scope": f"repository:{name.repository}:pull"} | {
        key: parts[key] for key in ("service", "scope") if key in parts
    }
    query = "&".join(filter(None, (realm.query, urllib.parse.urlencode(asked))))
    # A password goes to whom the registry names, as every client of registries has it.
    headers = {"Authorization": basic} if basic is not None else {}
    status, _, body = _get(name, urllib.parse.urlunsplit(realm._replace(query=query)), headers, _TOKEN_LIMIT)
    if status != 200:
        raise Denied(f"registry {name.host}", f"it gives us no token for {name.repository}.", "Check who may.")
    try:
        answer = json.loads(body)
        token = answer.get("token") or answer["access_token"]
    except (ValueError, KeyError, AttributeError, RecursionError):
        raise Fault(f"registry {name.host}", "its token cannot be read.", "Try again.") from None
    if not isinstance(token, str) or re.fullmatch(r"[\x21-\x7e]+", token) is None:
        raise Fault(f"registry {name.host}", "its token cannot be read.", "Try again.")
    return f"Bearer {token}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """No redirect is followed: a manifest is where it is asked for, and what is shown is for nobody else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Bounded(http.client.HTTPConnection):
    """Ended after a while, however often a byte comes: else a registry could hold a thread for ever."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        connect: Callable[..., socket.socket] = self._create_connection  # type: ignore[has-type]

        def bounded(*where: Any, **how: Any) -> socket.socket:
            made = connect(*where, **how)
            timer = threading.Timer(_WHOLE, _end, (made.dup(),))  # of its own: TLS takes the other one over
            timer.daemon = True
            timer.start()
            return made

        self._create_connection = bounded


class _BoundedTls(_Bounded, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, asked: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Bounded, asked)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, asked: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_BoundedTls, asked)


def _end(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _get(
    name: Name, url: str, headers: Mapping[str, str], limit: int = _MANIFEST_LIMIT
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers by names in lower case, and body. Fault."""
    opener = urllib.request.build_opener(_NoRedirect, _Http, _Https)
    try:
        try:
            answer = opener.open(urllib.request.Request(url, headers=dict(headers)), timeout=_TIMEOUT)  # noqa: S310
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            body = answer.read(limit + 1)
            told: Message = answer.headers
            status = int(answer.status)
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Fault(f"registry {name.host}", f"it cannot be reached: {str(reason)[:200]}.", "Check it.") from None
    if len(body) > limit:
        raise Fault(f"registry {name.host}", f"its answer has more than {limit} bytes.", "Use a smaller image.")
    return status, {key.lower(): value for key, value in told.items()}, body


def _size(body: bytes) -> int:
    """Bytes of an image's layers and configuration; of an index nothing is known but its own."""
    try:
        manifest = json.loads(body)
        pieces = [manifest["config"], *manifest["layers"]]
        return sum(int(piece["size"]) for piece in pieces)
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
