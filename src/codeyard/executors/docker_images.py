"""Gets the image that a build asks for: what its name means, whose password its registry wants, how the pull goes."""

import asyncio
import base64
import json
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any, Self

from codeyard.errors import CodeyardError, Invalid
from codeyard.executors import NoImage
from codeyard.executors.docker_engine import Engine, docker_config

_HUB = "docker.io"
_HUB_KEY = "https://index.docker.io/v1/"  # what the docker command calls Docker Hub in its settings
_QUIET = 900  # seconds without a word from a pull until it is given up
_TOLD_EVERY = 2.0
_LINE = 1024 * 1024

# https://github.com/distribution/reference/blob/main/reference.go
_NAME = re.compile(
    r"(?:(?P<registry>localhost(?::\d+)?|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?|[A-Za-z0-9-]+:\d+|\[[0-9a-fA-F:]+\](?::\d+)?)/)?"
    r"(?P<path>[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,128}))?",
    re.ASCII,
)

# CodeBuild's own image names. AWS publishes those with Amazon Linux at https://gallery.ecr.aws/codebuild, and keeps the
# Ubuntu ones to itself: https://github.com/aws/aws-codebuild-docker-images/issues/411.
_CURATED = "aws/codebuild/"
_PUBLISHED = re.compile(r"aws/codebuild/(amazonlinux2?-[a-z0-9_.-]+:[\w.-]+)", re.ASCII)
_STAND_IN = "public.ecr.aws/codebuild/amazonlinux-x86_64-standard:5.0"


@dataclass(frozen=True, slots=True)
class ImageName:
    """An image's full name, checked."""

    registry: str
    path: str
    version: str  # `:tag`, `@digest` or both

    @classmethod
    def parse(cls, text: str) -> Self:
        """`name`, `name:tag`, `registry/name@sha256:…`; the tag is `latest` unless there is one. Invalid."""
        match = _NAME.fullmatch(text) if len(text) < 512 else None
        if match is None:
            raise Invalid(
                unable_to_pull(f"invalid reference format: {text[:200]!r}"),
                "that is no image's name.",
                "Write it as registry/name:tag; a name has small letters only.",
            )
        version = (f":{match['tag']}" if match["tag"] else "") + (f"@{match['digest']}" if match["digest"] else "")
        registry, path = match["registry"] or _HUB, match["path"]
        if registry == "index.docker.io":
            registry = _HUB
        if registry == _HUB and "/" not in path:
            path = f"library/{path}"
        return cls(registry, path, version or ":latest")

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}{self.version}"


@dataclass(frozen=True, slots=True)
class Login:
    """What a registry is shown: a name and a password, or a token alone. Never printed."""

    username: str
    password: str
    token: str = ""

    def __repr__(self) -> str:
        return "Login(***)"

    def header(self, registry: str) -> str:
        """The engine's X-Registry-Auth."""
        told = {"identitytoken": self.token} if self.token else {"username": self.username, "password": self.password}
        return base64.urlsafe_b64encode(json.dumps({**told, "serveraddress": registry}).encode()).decode()


def names(image: str) -> tuple[str, ...]:
    """What an image may be called here, the name it was asked by first and the one to pull it by last."""
    match = _PUBLISHED.fullmatch(image)
    return (image,) if match is None else (image, f"public.ecr.aws/codebuild/{match[1]}")


def unable_to_pull(why: str) -> str:
    """AWS's words for an image that cannot be had, by which BUILD_CONTAINER_UNABLE_TO_PULL_IMAGE is told."""
    return f"Unable to pull customer's container image. CannotPullContainerError: Error response from daemon: {why}"


async def docker_login(registry: str) -> Login | None:
    """What `docker login` left for this registry in config.json, or in the keeper of passwords that it names."""
    config = docker_config()
    key = _HUB_KEY if registry == _HUB else registry
    helpers = config.get("credHelpers")
    helper = helpers.get(registry) if isinstance(helpers, dict) else None
    helper = helper or config.get("credsStore")
    if isinstance(helper, str) and (found := await _ask_helper(helper, key)) is not None:
        return found
    auths = config.get("auths")
    for name, entry in auths.items() if isinstance(auths, dict) else ():
        if isinstance(entry, dict) and _host(str(name)) == _host(key) and (found := _stored(entry)) is not None:
            return found
    return None


def _host(key: str) -> str:
    return re.sub(r"^https?://", "", key).split("/")[0]


def _stored(entry: dict[str, Any]) -> Login | None:
    if token := entry.get("identitytoken"):
        return Login("", "", str(token))
    try:
        name, separator, password = base64.b64decode(str(entry.get("auth", ""))).decode().partition(":")
    except ValueError:
        return None
    return Login(name, password.rstrip("\0")) if separator else None


async def _ask_helper(helper: str, key: str) -> Login | None:
    """See https://github.com/docker/docker-credential-helpers."""
    if re.fullmatch(r"[\w.-]+", helper) is None:
        return None
    try:
        asked = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        printed, _ = await asyncio.wait_for(asked.communicate(key.encode()), 30)
        told = json.loads(printed)
        name, secret = str(told["Username"]), str(told["Secret"])
    except (TimeoutError, ValueError, KeyError, TypeError):
        return None
    finally:
        if asked.returncode is None:
            asked.kill()
            await asked.wait()
    return Login("", "", secret) if name == "<token>" else Login(name, secret)


async def pull(
    engine: Engine, image: str, login: Callable[[str], Awaitable[Login | None]], progress: Callable[[str], None]
) -> None:
    """Have the engine fetch it. `progress` is told now and then. NoImage, Invalid, Fault.

    When cancelled, the engine stops too.
    """
    name = ImageName.parse(image)
    if image.startswith(_CURATED):
        raise NoImage(
            unable_to_pull(f"{image} is not published"),
            "AWS keeps this image to itself: only those with Amazon Linux are on public.ecr.aws/codebuild.",
            f"Use {_STAND_IN}, or build it from github.com/aws/aws-codebuild-docker-images and tag it {image}.",
        )
    progress(f"Pulling {image}")
    shown = await login(name.registry)
    query = {"fromImage": f"{name.registry}/{name.path}", "tag": name.version.lstrip(":")}
    if "@" in name.version:
        query["tag"] = name.version.partition("@")[2]
    headers = {"X-Registry-Auth": shown.header(_HUB_KEY if name.registry == _HUB else name.registry)} if shown else {}
    loop = asyncio.get_running_loop()
    told = Pull(image)

    def read(response: HTTPResponse) -> str | None:
        last = time.monotonic()
        for line in _lines(response):
            told.hear(line)
            if time.monotonic() - last > _TOLD_EVERY:
                last = time.monotonic()
                loop.call_soon_threadsafe(progress, told.state())
        return told.failed or (None if response.status < 400 else f"status {response.status}")

    failed = await engine.stream("POST", "/images/create", query, read, body=b"", headers=headers, silence=_QUIET)
    if failed is not None:
        raise _failure(name, failed, known=shown is not None)
    progress(told.state(done=True))


class Pull:
    """Adds up what the engine says of a pull's layers (the JSON lines of POST /images/create)."""

    def __init__(self, image: str) -> None:
        self._image = image
        self._layers: dict[str, tuple[int, int]] = {}  # bytes here, bytes in all
        self._done: set[str] = set()
        self.failed: str | None = None

    def hear(self, line: bytes) -> None:
        """One line; whatever it is not sense of is passed over."""
        try:
            told = json.loads(line)
        except ValueError:
            return
        if not isinstance(told, dict):
            return
        if error := told.get("error") or told.get("message"):
            self.failed = " ".join(str(error).split())[:1000]
        layer, status, detail = str(told.get("id", "")), str(told.get("status", "")), told.get("progressDetail")
        if not layer or status.startswith("Pulling from") or len(self._layers) > 10_000:
            return
        here, total = self._layers.get(layer, (0, 0))
        if status == "Downloading" and isinstance(detail, dict):
            here, total = (value if isinstance(value := detail.get(key), int) else 0 for key in ("current", "total"))
        elif status in {"Download complete", "Pull complete", "Already exists"}:
            here = total
            self._done.update({layer} if status != "Download complete" else ())
        self._layers[layer] = (here, total)

    def state(self, *, done: bool = False) -> str:
        here, total = (sum(layer[i] for layer in self._layers.values()) for i in (0, 1))
        if done:
            return f"Pulled {self._image}: {len(self._layers)} layers, {total / 1e6:.1f} MB"
        return (
            f"Pulling {self._image}: {len(self._done)} of {len(self._layers)} layers, "
            f"{here / 1e6:.1f} of {total / 1e6:.1f} MB"
        )


def _lines(response: HTTPResponse) -> Iterator[bytes]:
    while line := response.readline(_LINE):
        yield line


def _failure(name: ImageName, said: str, *, known: bool) -> CodeyardError:
    """What the engine's words mean. They differ from registry to registry; AWS shows them as they are."""
    what, low = unable_to_pull(said), said.lower()
    if "toomanyrequests" in low:
        return NoImage(what, "the registry serves you no more for now.", "Log in (`docker login`), or use a mirror.")
    if any(sign in low for sign in ("unauthorized", "denied", "authentication required", "no basic auth")):
        shown = "it refused the password it was shown" if known else "it was shown no password"
        return NoImage(
            what,
            f"there is no such image on {name.registry}, or it is private: {shown}.",
            f"Check the name, or run `docker login {name.registry}` as the user who runs builds.",
        )
    if any(sign in low for sign in ("not found", "manifest unknown", "name unknown", "no such image")):
        return NoImage(what, f"{name.registry} has no such image, or not with this tag.", "Check its name and tag.")
    if "invalid reference" in low:
        return Invalid(what, "that is no image's name.", "Write it as registry/name:tag.")
    return NoImage(
        what,
        f"{name.registry} could not be reached, or broke off.",
        "Check the engine's network and proxy, or put the image there by hand: `docker load`.",
    )
