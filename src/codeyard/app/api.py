"""The ASGI application of a server: AWS's API, S3, the console, builds' credentials, and what operators ask for."""

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from codeyard.access import container_credentials
from codeyard.access.service import services as access_services
from codeyard.app.deploying import Deploys
from codeyard.app.parts import Parts, build_url, now, public_url
from codeyard.app.pipelining import Pipelines
from codeyard.aws import Caller, Key, Service, Shape
from codeyard.aws.gateway import Gateway
from codeyard.aws.recognition import for_gateway
from codeyard.builds import lines_table, workers_table
from codeyard.builds.api_builds import BuildOperations
from codeyard.builds.api_projects import project_handlers
from codeyard.builds.condition_keys import condition_keys
from codeyard.builds.control import BuildControl, StartLimits
from codeyard.builds.declined import DECLINED, OTHER
from codeyard.console.pages import Console, console_app
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.ident import Owner
from codeyard.logs.api import logs_service
from codeyard.logs.remote import PATH as LOGS
from codeyard.logs.remote import LogEndpoint
from codeyard.metrics import CONTENT_TYPE, Metrics
from codeyard.objects import Encryption
from codeyard.objects.links import download_link
from codeyard.objects.wire import S3, is_for_s3, request_of
from codeyard.pipelines import executions_table
from codeyard.pipelines.api_webhooks import PATH as WEBHOOKS
from codeyard.secrets.service import services as secret_services

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# As S3 seals what does not ask for it. What a worker puts here over HTTP, artifacts above all, has no other way to ask.
_SEALED = Encryption("AES256", "")
_ERRORS: dict[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "InvalidInputException",
    NotFound: "ResourceNotFoundException",
    Conflict: "ResourceAlreadyExistsException",
    Denied: ("AccessDeniedException", 403),
    Fault: ("ServiceUnavailableException", 503),
}


def codebuild_service(parts: Parts, control: BuildControl) -> Service:
    """CodeBuild: projects, builds, and why the rest is declined."""
    identities, base = parts.identities, public_url(parts.config)

    async def require(owner: Owner, role: str, source: str) -> None:
        await identities.require_service_role(owner, role, source_arn=source)

    builds = BuildOperations(control, identities, require, parts.pages, lambda stored: build_url(base, stored))
    projects = project_handlers(parts.database, identities, require, parts.key, parts.pages, now)
    return Service("codebuild", (builds, *projects), _ERRORS, DECLINED, OTHER, said=condition_keys)


def gateway(parts: Parts, control: BuildControl, pipelines: Pipelines, deploys: Deploys) -> Gateway:
    """Every service that speaks one of AWS's RPC protocols."""
    database = parts.database
    return Gateway(
        (
            codebuild_service(parts, control),
            pipelines.service,
            deploys.service,
            logs_service(database, parts.logs, parts.local_logs.streams, parts.pages, now),
            *secret_services(database, parts.key, now, parts.pages, parts.identities),
            *access_services(database, parts.identities, now, parts.pages),
        ),
        parts.identities,
        now,
        observe=_observe(parts.metrics),
    )


def _observe(metrics: Metrics) -> Callable[[str, str, str, float], None]:
    def told(service: str, operation: str, code: str, seconds: float) -> None:
        metrics.called(service, operation, code or "OK", seconds)
        if code == "InternalFailure":
            metrics.failed("api")

    return told


def console_key(parts: Parts) -> bytes:
    """Who has it lets browsers in."""
    return hmac.digest(parts.key.secret, b"codeyard console 1", "sha256")


def console_of(parts: Parts, calls: Gateway) -> Console:
    """The console, which asks the API within this process as the account's root."""
    config, account = parts.config, parts.root.account
    root = Caller(account, f"arn:aws:iam::{account}:root", account)
    signer, base = Key(parts.root.id, parts.root.secret, root), public_url(config)

    def artifact_link(region: str, bucket: str, key: str) -> str | None:
        if parts.objects is None:
            return None
        return download_link(base, bucket, key, signer, now(), region=region)

    async def call(service: str, operation: str, input: Shape, region: str) -> Shape:
        return await calls.call(service, operation, input, root, region)

    return console_app(
        call, parts.logs, parts.tail, session_key=console_key(parts), region=config.region, base_url=base, now=now,
        artifact_link=artifact_link,
    )  # fmt: skip


def control_of(parts: Parts, wake: Callable[[], None]) -> BuildControl:
    """What clients do with builds; `wake` calls the worker of this process, if it has one."""
    config = parts.config
    limits = StartLimits(config.account_limit or None, config.over_limit)
    return BuildControl(parts.database, now, limits, wake, ends=parts.ends)


class Operations:
    """What operators ask: /healthz, /readyz, /metrics; and other machines: the logs that are here."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._logs = LogEndpoint(parts.local_logs, parts.internal_token)
        self.draining = False

    def answers(self, path: str) -> bool:
        return path in ("/healthz", "/readyz", "/metrics") or path.startswith(LOGS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(LOGS):
            await self._logs(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await answer(send, 405, b"GET only\n")
        elif path == "/healthz":
            await answer(send, 200, b"ok\n")
        elif path == "/readyz":
            await self._ready(send)
        else:
            await self._metrics(send)

    async def _ready(self, send: Send) -> None:
        if self.draining:
            await answer(send, 503, b"ending\n")
            return
        try:
            await self._parts.database.read(lines_table.anybody_waits)
        except CodeyardError as error:
            await answer(send, 503, f"{error.what}: {error.why}\n".encode())
            return
        await answer(send, 200, b"ready\n")

    async def _metrics(self, send: Send) -> None:
        at = now()
        try:
            counts, workers, executions = await self._parts.database.read(
                lambda tx: (
                    lines_table.totals(tx),
                    workers_table.counted(tx, at),
                    sum(executions_table.counts(tx).values()),
                )
            )
            self._parts.metrics.stored(counts, workers, executions)
        except CodeyardError:
            self._parts.metrics.failed("database")
        self._parts.metrics.lag(sum(max(0, behind()) for behind in tuple(self._parts.behind.values())))
        await answer(send, 200, self._parts.metrics.text(), CONTENT_TYPE)


class Server:
    """Which part of the server answers a request."""

    def __init__(
        self, parts: Parts, calls: Gateway, console: App | None, pipelines: Pipelines, deploys: Deploys
    ) -> None:
        self.operations, self._deploys = Operations(parts), deploys
        self._webhooks = pipelines.webhooks
        self._calls, self._console, self._credentials = calls, console, parts.container_credentials
        self._s3 = (
            S3(parts.objects, parts.identities, usual=_SEALED, now=now, absent=pipelines.absent)
            if parts.objects is not None
            else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # lifespan and websockets are not spoken
            return
        path = scope["path"]
        if self._s3 is not None and is_for_s3(request_of(scope)):
            await self._s3(scope, receive, send)  # before our own pages: a bucket may be called `metrics`
        elif self.operations.answers(path):
            await self.operations(scope, receive, send)
        elif path.startswith(container_credentials.PATH):
            await self._credentials(scope, receive, send)
        elif _is_call(scope):
            await self._calls(scope, receive, send)
        elif self._deploys.answers(path):
            await self._deploys.agents(scope, receive, send)
        elif path == WEBHOOKS:
            await self._webhooks(scope, receive, send)
        elif self._console is not None and (path in ("/", "/console") or path.startswith("/console/")):
            await self._console(scope, receive, send)
        elif self._s3 is not None and scope["method"] != "POST":
            await self._s3(scope, receive, send)  # an object, asked for by who signs nothing: refused in S3's words
        else:
            await self._calls(scope, receive, send)


def _is_call(scope: Scope) -> bool:
    """Whether it is for one of AWS's services."""
    names = (name.decode("latin-1") for name, _ in scope["headers"])
    return for_gateway(scope["method"], scope["path"], scope["query_string"].decode("latin-1"), tuple(names))


async def answer(send: Send, status: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
    """One small response."""
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
