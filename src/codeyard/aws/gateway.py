"""The door for AWS's clients: recognise → read → authenticate → check → authorise → handle → answer.

One ASGI application for all services. A request is answered in its own protocol, whatever is wrong with it; what nobody
foresaw is logged here, once, and told to the caller as nothing but an InternalFailure with the request's id.
"""

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.aws import Call, Caller, Handler, Identities, Refused, Resources, Service, Shape, shapes, sigv4
from codeyard.aws.bodies import Bodies, Gone, Limits, Receive
from codeyard.aws.query_wire import QUERY
from codeyard.aws.recognition import Asked, form_of, recognise, wire_of
from codeyard.aws.request_context import request_context
from codeyard.aws.shapes import Model, Unreadable
from codeyard.aws.signing import Dialect, Request
from codeyard.aws.validation import violations
from codeyard.aws.wire import PLAIN, PLAIN_OUT, Problem, Wire
from codeyard.errors import CodeyardError, Fault

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Observe = Callable[[str, str, str, float], None]

_log = logging.getLogger(__name__)
# What a service calls an input that breaks its model's rules, as its own answers show.
_INVALID = {
    "codebuild": "InvalidInputException",
    "logs": "InvalidParameterException",
    "iam": "ValidationError",
    "sts": "ValidationError",
}
# "No permissions are required to perform this operation", says the STS API reference of both.
_FREE = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
_GLOBAL = {"iam": "us-east-1"}
_REGION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LARGE = 256 * 1024  # bytes, from which on reading an input would hold up all other requests
_FAILURE = "The request processing has failed because of an unknown error, exception or failure."


@dataclass(frozen=True, slots=True)
class _Served:
    """A service with its model and its handlers by operation."""

    service: Service
    model: Model
    operations: Mapping[str, tuple[Handler, Resources]]


class Gateway:
    """Serves AWS's protocols over ASGI, and the same operations to callers within this process.

    `observe` is told of each answer: service and operation ("" if unknown), the error's code ("" if none), seconds.
    """

    def __init__(
        self,
        services: Sequence[Service],
        identities: Identities,
        now: Callable[[], datetime],
        limits: Limits | None = None,
        observe: Observe = lambda _service, _operation, _code, _seconds: None,
    ) -> None:
        """ValueError: an operation is neither handled nor declined, or is not of its model."""
        self._served = {service.name: _served(service) for service in services}
        self._models = tuple(served.model for served in self._served.values())
        self._identities = identities
        self._now = now
        self._bodies = Bodies(limits or Limits())
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "only HTTP comes here"
        started, request_id = time.perf_counter(), str(uuid.uuid4())
        request = _request(scope)
        wire = wire_of(request)
        asked: Asked | None = None
        try:
            async with self._bodies.read(receive, request.header("content-length")) as body:
                asked, problem, answer = await self._answer(wire, scope, request, body, request_id)
            close = False
        except Gone:
            return
        except Refused as error:
            problem, close = Problem(error.code, error.message, error.status, error.status >= 500), True
            answer = wire.refuse(None, problem, request_id)
        status, code = (200, "") if problem is None else (problem.status, problem.code)
        await _send(send, status, answer, _headers(wire, request_id, code, close))
        service, operation = (asked.model.service, asked.operation.name) if asked is not None else ("", "")
        self._observe(service, operation, code, time.perf_counter() - started)

    async def call(self, service: str, operation: str, input: Shape, caller: Caller, region: str) -> Shape:
        """The same, for who is known already: checked and authorised, not signed. The output without its Nones.

        Refused, by AWS's code; what nobody foresaw is raised as it is.
        """
        served = self._served[service]
        if operation not in served.model.operations:
            raise Refused("UnknownOperationException", f"There is no operation {operation} of {service} here.")
        asked, request_id = Asked(served.model, served.model.operations[operation]), str(uuid.uuid4())
        try:
            self._check_declined(asked)
            values = _checked(asked, shapes.read(asked.operation.input, input, PLAIN))
            output = await self._perform(asked, values, caller, region, request_id, {})
        except Unreadable as error:
            raise Refused("SerializationException", str(error)) from None
        except CodeyardError as error:
            if (problem := self._told(error, asked)) is None:
                raise
            raise Refused(problem.code, problem.message, problem.status) from error
        if asked.operation.output is None:
            return {}
        plain: Shape = shapes.write(asked.operation.output, output, PLAIN_OUT)
        return plain

    async def _answer(
        self, wire: Wire, scope: Scope, request: Request, body: bytes, request_id: str
    ) -> tuple[Asked | None, Problem | None, bytes]:
        """What was asked, what was wrong with it, and the body of the answer."""
        asked: Asked | None = None
        try:
            asked = recognise(wire, request, body, self._models)
            caller, region = await self._authenticated(wire, asked.model, request, body)
            self._check_declined(asked)
            values = await _decoded(wire, asked, request, body)
            client, secure = (scope.get("client") or ("",))[0], scope.get("scheme") == "https"
            context = request_context(request, region, self._now(), client, secure=secure)
            output = await self._perform(asked, values, caller, region, request_id, context)
            return asked, None, wire.encode(asked.model, asked.operation, output, request_id)
        except Unreadable as error:
            problem = Problem(wire.unreadable, f"{error}.", 400)
        except CodeyardError as error:
            told = self._told(error, asked)
            if told is not None and isinstance(error, Fault):
                _log.error("request failed request_id=%s code=%s why=%s", request_id, told.code, error)
            problem = told or _unforeseen(error, asked, request_id)
        except Exception as error:  # noqa: BLE001 - the edge: nothing may pass it but as an answer
            problem = _unforeseen(error, asked, request_id)
        problem = _in_words_of(wire, problem)
        return asked, problem, wire.refuse(asked.model if asked is not None else None, problem, request_id)

    async def _authenticated(self, wire: Wire, model: Model, request: Request, body: bytes) -> tuple[Caller, str]:
        signed = Request(request.method, request.path, request.query, request.headers, hashlib.sha256(body).hexdigest())
        dialect = Dialect.QUERY if wire is QUERY else Dialect.JSON
        verified = await sigv4.verify(signed, self._identities.key, model.signing_name, None, self._now(), dialect)
        if _REGION.fullmatch(verified.region) is None:
            code = "SignatureDoesNotMatch" if wire is QUERY else "InvalidSignatureException"
            raise Refused(code, "Credential should be scoped to a valid region.", 403 if wire is QUERY else 400)
        return verified.key.caller, verified.region

    async def _perform(
        self, asked: Asked, values: Shape, caller: Caller, region: str, request_id: str, context: Mapping[str, str]
    ) -> Shape:
        """Authorise, handle."""
        service, name = asked.model.service, asked.operation.name
        handler, resources = self._served[service].operations[name]
        call = Call(service, name, values, caller, _GLOBAL.get(service, region), request_id, context)
        action = f"{asked.model.signing_name}:{name}"
        if action not in _FREE:
            resource = resources(call)
            arns = (resource,) if isinstance(resource, str) else resource
            if (exact := self._served[service].service.exact) is not None:
                arns = await exact(call, arns)
            said = self._served[service].service.said(call)
            await self._identities.authorise(caller, action, arns, {**said, **context} if said else context)
        return await handler(call) or {}

    def _check_declined(self, asked: Asked) -> None:
        served, name = self._served[asked.model.service], asked.operation.name
        if name not in served.operations:
            why = served.service.declined.get(name) or served.service.other or ""
            raise Refused("UnsupportedOperationException", f"{name} is not supported here: {why}")

    def _told(self, error: CodeyardError, asked: Asked | None) -> Problem | None:
        """An error in AWS's terms, or None: nobody foresaw it."""
        if isinstance(error, Refused):
            failure = asked.model.failures.get(error.code) if asked is not None else None
            if failure is None:
                return Problem(error.code, error.message, error.status, error.status >= 500)
            status = failure.status if error.status == 400 else error.status
            return Problem(failure.code, error.message, status, failure.fault or status >= 500)
        table = self._served[asked.model.service].service.errors if asked is not None else {}
        entry = next((table[kind] for kind in type(error).__mro__ if kind in table), None)
        if entry is None:
            return None
        code, given = entry if isinstance(entry, tuple) else (entry, 400)
        return self._told(Refused(code, str(error), given), asked)


async def _decoded(wire: Wire, asked: Asked, request: Request, body: bytes) -> dict[str, Any]:
    """The input's values, checked. A large one is read by a thread."""
    form = form_of(request, body) if wire is QUERY else body

    def work() -> dict[str, Any]:
        return _checked(asked, wire.decode(asked.operation, form))

    return await asyncio.to_thread(work) if len(form) > _LARGE else work()


def _checked(asked: Asked, values: dict[str, Any]) -> dict[str, Any]:
    """The values themselves. Refused: they break rules of the model."""
    if (wrong := violations(asked.operation.input, values)) is not None:
        raise Refused(_INVALID.get(asked.model.service, "ValidationException"), wrong)
    return values


def _served(service: Service) -> _Served:
    model = shapes.model(service.name)
    handled = service.operations()
    decided = {*handled, *service.declined}
    unknown = sorted(decided - set(model.operations))
    undecided = sorted(set(model.operations) - decided) if service.other is None else []
    twice = sorted(set(handled) & set(service.declined))
    if unknown or undecided or twice:
        raise ValueError(f"{service.name}: {unknown=} {undecided=} {twice=}")
    return _Served(service, model, handled)


def _request(scope: Scope) -> Request:
    raw: Iterable[tuple[bytes, bytes]] = scope["headers"]
    headers = tuple((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw)
    path, query = scope.get("raw_path") or scope["path"].encode(), scope.get("query_string", b"")
    return Request(scope["method"], path.decode("latin-1"), query.decode("latin-1"), headers, "")


def _unforeseen(error: Exception, asked: Asked | None, request_id: str) -> Problem:
    what = f"{asked.model.service}.{asked.operation.name}" if asked is not None else "unknown"
    _log.error("request failed operation=%s request_id=%s", what, request_id, exc_info=error)
    return Problem("InternalFailure", _FAILURE, 500, fault=True)


def _in_words_of(wire: Wire, problem: Problem) -> Problem:
    """Some codes have no `Exception` in the query protocol, and a status of their own."""
    if wire is QUERY and problem.code == "AccessDeniedException":
        return Problem("AccessDenied", problem.message, 403)
    if wire is QUERY and problem.code == "UnsupportedOperationException":
        return Problem("UnsupportedOperation", problem.message, problem.status)
    if wire is not QUERY and problem.code == "AccessDenied":
        return Problem("AccessDeniedException", problem.message, 400)
    return problem


def _headers(wire: Wire, request_id: str, code: str, close: bool) -> list[tuple[bytes, bytes]]:
    """`code` is the error's, "" if there is none; `close`: some of the body may still be on its way."""
    headers = [(b"x-amzn-requestid", request_id.encode()), (b"content-type", wire.content_type.encode()), *wire.headers]
    if code and wire is not QUERY:
        headers.append((b"x-amzn-errortype", code.encode("ascii", "replace")))
    if close:
        headers.append((b"connection", b"close"))
    return headers


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
