"""A server for tests of the console: projects and builds in memory, logs in files, the real console before them."""

import asyncio
import http.client
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from codeyard.aws import Refused, Shape
from codeyard.console.pages import console_app
from codeyard.console.session import link_key, login_link
from codeyard.console.stream import Limits
from codeyard.logs.files import LocalLogs
from codeyard.logs.tail import Tail
from tests.logs.written import BuildLog
from tests.wire.served import serving

REGION = "eu-central-1"
KEY = b"k" * 32
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
_PHASES = ("SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
           "UPLOAD_ARTIFACTS", "FINALIZING")  # fmt: skip
_LENGTHS = (0, 3, 2, 4, 11, 1, 47, 2, 3, 1)


def entry(url: str = "") -> str:
    """The link that lets browsers in."""
    return login_link(url, link_key(KEY), NOW)


def phases(upto: str, start: datetime, failed: str | None = None, context: Shape | None = None) -> list[dict[str, Any]]:
    """Those of a build that is in this phase, or ended with it ("COMPLETED")."""
    found: list[dict[str, Any]] = []
    at = start
    for name, seconds in zip(_PHASES, _LENGTHS, strict=True):
        if name == upto:
            return [*found, {"phaseType": name, "startTime": at}]
        ended = at + timedelta(seconds=seconds)
        status = "FAILED" if name == failed else "SUCCEEDED"
        contexts = [context] if name == failed else [{"statusCode": "", "message": ""}]
        found.append({"phaseType": name, "phaseStatus": status, "startTime": at, "endTime": ended,
                      "durationInSeconds": seconds, "contexts": contexts})  # fmt: skip
        at = ended
    return [*found, {"phaseType": "COMPLETED", "startTime": at}]


def project(name: str, **members: Any) -> dict[str, Any]:
    """The shape `Project`."""
    return {
        "name": name,
        "arn": f"arn:aws:codebuild:{REGION}:000000000000:project/{name}",
        "source": {"type": "GITHUB", "location": f"https://github.com/example/{name}.git"},
        "artifacts": {"type": "S3", "location": "releases"},
        "cache": {"type": "NO_CACHE"},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": False,
            "environmentVariables": [{"name": "STAGE", "value": "beta", "type": "PLAINTEXT"}],
        },
        "serviceRole": "arn:aws:iam::000000000000:role/builds",
        "timeoutInMinutes": 60,
        "queuedTimeoutInMinutes": 480,
    } | members


def build(
    project: str, number: int, status: str = "SUCCEEDED", ago: float = 600, phase: str = "COMPLETED", **members: Any
) -> dict[str, Any]:
    """The shape `Build`, started so many seconds ago."""
    start = NOW - timedelta(seconds=ago)
    failed = "BUILD" if status == "FAILED" else None
    context = {
        "statusCode": "COMMAND_EXECUTION_ERROR",
        "message": "Error while executing command: make test. Reason: exit status 2",
    }
    found = phases(phase, start, failed, context)
    run = str(uuid.UUID(int=number + zlib.crc32(project.encode()) * 10**9))
    shape = {
        "id": f"{project}:{run}",
        "arn": f"arn:aws:codebuild:{REGION}:000000000000:build/{project}:{run}",
        "buildNumber": number,
        "startTime": start,
        "currentPhase": phase,
        "buildStatus": status,
        "buildComplete": phase == "COMPLETED",
        "initiator": "root",
        "projectName": project,
        "phases": found,
        "sourceVersion": "main",
        "resolvedSourceVersion": "4f1c5d2a9be04d7b8c6e1f00a7d3b95e2c8f6a41",
        "source": {"type": "GITHUB", "location": f"https://github.com/example/{project}.git"},
        "artifacts": {"location": f"arn:aws:s3:::releases/{project}.zip", "sha256sum": "9f" * 32},
        "environment": {
            "type": "LINUX_CONTAINER",
            "image": "aws/codebuild/standard:7.0",
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": False,
            "environmentVariables": [
                {"name": "STAGE", "value": "beta", "type": "PLAINTEXT"},
                {"name": "TOKEN", "value": "/app/token", "type": "PARAMETER_STORE"},
            ],
        },
        "serviceRole": "arn:aws:iam::000000000000:role/builds",
        "timeoutInMinutes": 60,
        "queuedTimeoutInMinutes": 480,
        "exportedEnvironmentVariables": [{"name": "VERSION", "value": "1.4.2"}],
    }
    if phase == "COMPLETED":
        shape["endTime"] = found[-1]["startTime"]
    return shape | members


def queued(project: str, number: int, position: int, ago: float = 40) -> dict[str, Any]:
    """A build that waits."""
    shape = build(project, number, "IN_PROGRESS", ago, "QUEUED", resolvedSourceVersion=None, artifacts=None)
    text = f"Waiting for 2 CPUs and 4 GiB of memory: {position - 1} builds before it. Position {position} in the queue."
    shape["phases"][-1]["contexts"] = [{"statusCode": "QUEUED", "message": text}]
    return shape


@dataclass
class Yard:
    """What there is, and what was asked of it."""

    data: Path
    projects: dict[str, dict[str, Any]] = field(default_factory=dict)
    builds: list[dict[str, Any]] = field(default_factory=list)  # the newest first
    asked: list[tuple[str, Shape]] = field(default_factory=list)
    refused: Refused | None = None  # what each call that changes something is answered
    now: Callable[[], datetime] = lambda: NOW
    limits: Limits = field(default_factory=Limits)
    base_url: str = "http://127.0.0.1"
    linked: bool = True

    def __post_init__(self) -> None:
        self.files = LocalLogs(self.data)
        self.tail = Tail(self.files)

    def add(self, *builds: dict[str, Any]) -> None:
        for each in builds:
            self.projects.setdefault(each["projectName"], project(each["projectName"]))
            self.builds.append(each)

    def log(self, build: dict[str, Any], content: bytes = b"", closed: bool = True) -> BuildLog:
        """The build's log with this content; without its end the test closes it."""
        log = BuildLog(self.data, build["id"].rpartition(":")[2])
        log.prints(0, content)
        if closed:
            log.close()
        return log

    def prints(self, log: BuildLog, at: int, content: bytes) -> None:
        log.prints(at, content)
        self.tail.grew(log.run)

    @contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        """The console's address."""
        app = console_app(
            self.call,
            self.files,
            self.tail,
            session_key=KEY,
            region=REGION,
            base_url=self.base_url,
            now=self.now,
            artifact_link=self._link,
            limits=self.limits,
        )
        with serving(app, port) as url:
            try:
                yield url
            finally:
                app.drain()

    def _link(self, region: str, bucket: str, key: str) -> str | None:
        return f"https://objects.test/{region}/{bucket}/{key}" if self.linked else None

    async def call(self, service: str, operation: str, given: Shape, region: str) -> Shape:
        """As the gateway answers."""
        assert service == "codebuild"
        self.asked.append((operation, given))
        await asyncio.sleep(0)
        here = region == REGION
        if operation == "ListProjects":
            return self._page("projects", sorted(self.projects) if here else [], given)
        if operation == "BatchGetProjects":
            return {"projects": [self.projects[name] for name in given["names"] if name in self.projects and here]}
        if operation == "ListBuilds":
            return self._page("ids", [each["id"] for each in self.builds], given)
        if operation == "ListBuildsForProject":
            if given["projectName"] not in self.projects:
                raise Refused("ResourceNotFoundException", "The project cannot be found.")
            ids = [each["id"] for each in self.builds if each["projectName"] == given["projectName"]]
            return self._page("ids", ids, given)
        if operation == "BatchGetBuilds":
            return {"builds": [_plain(each) for each in self.builds if each["id"] in given["ids"] and here]}
        return self._change(operation, given)

    def _page(self, key: str, found: list[str], given: Shape) -> Shape:
        start = int(given.get("nextToken") or 0)
        more = {"nextToken": str(start + 100)} if len(found) > start + 100 else {}
        return {key: found[start : start + 100], **more}

    def _change(self, operation: str, given: Shape) -> Shape:
        if self.refused is not None:
            raise self.refused
        if operation == "StartBuild":
            made = queued(given["projectName"], len(self.builds) + 1, 1, 0)
        else:
            was = next(each for each in self.builds if each["id"] == given["id"])
            if operation == "StopBuild":
                was |= {"buildStatus": "STOPPED", "currentPhase": "COMPLETED", "buildComplete": True, "endTime": NOW}
                return {"build": was}
            made = queued(was["projectName"], len(self.builds) + 1, 1, 0)
        self.builds.insert(0, made)
        return {"build": made}


def _plain(build: dict[str, Any]) -> dict[str, Any]:
    """Without Nones, as a gateway's outputs are."""
    return {name: value for name, value in build.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]  # by their names in lower case
    text: str


class Visitor:
    """Asks as a browser would that has no scripts and follows no redirects, with its cookies."""

    def __init__(self, url: str, cookie: str = "") -> None:
        self.url, self.cookie = url, cookie

    def log_in(self) -> "Visitor":
        answer = self.get(entry())
        self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return self

    def get(self, path: str, **headers: str) -> Answer:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, form: dict[str, str], **headers: str) -> Answer:
        return self._ask("POST", path, urlencode(form), headers)

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of a page's forms."""
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.get(path).text))

    def _ask(self, method: str, path: str, body: str | None, given: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        headers = {"accept": "text/html"} | {name.replace("_", "-"): value for name, value in given.items()}
        if self.cookie:
            headers["cookie"] = self.cookie
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read().decode())
        finally:
            connection.close()
