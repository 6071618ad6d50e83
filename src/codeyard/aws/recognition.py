"""Which protocol a request speaks, and which operation of which service it is for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from codeyard.aws import Refused
from codeyard.aws.cbor_wire import CBOR
from codeyard.aws.json_wire import JSON
from codeyard.aws.query_wire import QUERY, fields
from codeyard.aws.shapes import Model, Operation, Unreadable
from codeyard.aws.signing import Request
from codeyard.aws.wire import Wire

_RPC = re.compile(r"/service/([\w.]+)/operation/(\w+)")
_TYPES = {
    id(JSON): ("application/x-amz-json-1.1", "application/x-amz-json-1.0"),
    id(CBOR): ("application/cbor",),
    id(QUERY): ("application/x-www-form-urlencoded",),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """An operation of a service."""

    model: Model
    operation: Operation


def wire_of(request: Request) -> Wire:
    """The protocol in which to answer, whatever else is wrong with the request."""
    kind = (request.header("content-type") or "").lower()
    if request.path.startswith("/service/") or "cbor" in kind or request.header("smithy-protocol") is not None:
        return CBOR
    if request.header("x-amz-target") is not None or "json" in kind:
        return JSON
    return QUERY if request.method == "GET" or "form" in kind else JSON


def for_gateway(method: str, path: str, query: str, header_names: Iterable[str]) -> bool:
    """Whether a request, by its looks, is meant for an AWS service and not for a page of ours at the same port."""
    if method == "POST":
        return path == "/" or path.startswith("/service/") or "x-amz-target" in header_names
    return method == "GET" and path == "/" and "Action=" in query


def recognise(wire: Wire, request: Request, body: bytes, models: Iterable[Model]) -> Asked:
    """What is asked. Refused, or Unreadable: it is none of our operations, or comes in the wrong type of content."""
    if wire is QUERY:
        asked = _by_action(request, body, models)
    elif wire is CBOR:
        match = _RPC.fullmatch(request.path)
        protocol = request.header("smithy-protocol")
        if match is None or protocol not in (None, "rpc-v2-cbor"):
            raise _unknown("The path is not /service/SERVICE/operation/OPERATION, or the protocol not rpc-v2-cbor.")
        asked = _by_prefix(match[1], match[2], "smithy-rpc-v2-cbor", models)
    else:
        targets = [value for name, value in request.headers if name == "x-amz-target"]
        if len(targets) != 1:
            raise _unknown("The request has no X-Amz-Target header, or more than one.")
        prefix, _, name = targets[0].rpartition(".")
        asked = _by_prefix(prefix, name, "json", models)
    if wire is not QUERY and request.method != "POST":
        raise _unknown(f"{wire.content_type} is for POST.")
    _check_content(wire, request, body)
    return asked


def _check_content(wire: Wire, request: Request, body: bytes) -> None:
    kinds = [value for name, value in request.headers if name == "content-type"]
    kind = kinds[0].partition(";")[0].strip().lower() if len(kinds) == 1 else ""
    if body and kind not in _TYPES[id(wire)]:
        raise Unreadable(f"The request's Content-Type is not {_TYPES[id(wire)][0]}")


def _by_prefix(prefix: str, name: str, protocol: str, models: Iterable[Model]) -> Asked:
    for model in models:
        if model.prefix == prefix and protocol in model.protocols and name in model.operations:
            return Asked(model, model.operations[name])
    raise _unknown(f"There is no operation {_shown(name)} of {_shown(prefix)} here.")


def _by_action(request: Request, body: bytes, models: Iterable[Model]) -> Asked:
    form = fields(form_of(request, body))
    action, version = form.get("Action"), form.get("Version")
    if not action:
        raise Refused("MissingAction", "The request is missing an action or a required parameter.")
    for model in models:
        if "query" in model.protocols and version in (None, model.version) and action in model.operations:
            return Asked(model, model.operations[action])
    raise Refused("InvalidAction", f"Could not find operation {_shown(action)} for version {_shown(version or 'none')}")


def form_of(request: Request, body: bytes) -> bytes:
    """The fields of a query, wherever they stand."""
    if not request.query:
        return body
    query = request.query.encode("utf-8", "replace")
    return query + b"&" + body if body else query


def _unknown(why: str) -> Refused:
    return Refused("UnknownOperationException", why)


def _shown(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[:128])
