"""Smithy's RPC v2 over CBOR: the operation in the path, blobs as byte strings, timestamps as tag 1.

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

import io
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import cbor2

from codeyard.aws import shapes
from codeyard.aws.shapes import DEPTH, Model, Operation, Sort, Unreadable, found
from codeyard.aws.wire import Problem, Wire, aware, epoch_seconds, flag, leaves, real, text, whole, written

_EPOCH_TIME = 1
# All others that the library would act on: shared and cyclic values, regular expressions, numbers of any size.
_OTHER_TAGS = (0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799)


def _time(given: Any) -> datetime:
    if not isinstance(given, datetime):
        raise Unreadable(found(given, "a timestamp"))
    return given


def _blob(given: Any) -> bytes:
    if not isinstance(given, bytes):
        raise Unreadable(found(given, "a Blob"))
    return given


def _no_tag(_value: Any, _immutable: bool) -> Any:
    raise ValueError("the protocol has no such tag")


_READ = leaves(
    text=text, integer=whole(Sort.INTEGER), long=whole(Sort.LONG), real=real, flag=flag, blob=_blob, time=_time
)
_TAGS = dict.fromkeys(_OTHER_TAGS, _no_tag) | {_EPOCH_TIME: lambda value, _immutable: epoch_seconds(value)}
_WRITE = leaves(
    text=written(str, str),
    integer=written(int),
    long=written(int),
    real=written((int, float), float),
    flag=written(bool),
    blob=written(bytes),
    time=lambda value: cbor2.CBORTag(_EPOCH_TIME, round(aware(value).timestamp(), 3)),
)


def _decode(operation: Operation, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        decoder = cbor2.CBORDecoder(
            io.BytesIO(body), semantic_decoders=_TAGS, max_depth=DEPTH, strict_hashable_types=True
        )
        given = decoder.decode()
        whole_body = _ended(decoder)
    # The library's own, and what it lets through: hash() of a map as a key, texts that are not UTF-8.
    except (cbor2.CBORError, ValueError, TypeError, RecursionError, OverflowError, MemoryError):
        raise Unreadable("The request's body is not a CBOR document that can be read") from None
    if not isinstance(given, dict) or not whole_body:
        raise Unreadable("The request's body is not one CBOR map")
    values: dict[str, Any] = shapes.read(operation.input, given, _READ)
    return values


def _ended(decoder: cbor2.CBORDecoder) -> bool:
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return True
    return False


def _encode(_model: Model, operation: Operation, output: Mapping[str, Any], _request_id: str) -> bytes:
    if operation.output is None:
        return b""
    return cbor2.dumps(shapes.write(operation.output, output, _WRITE))


def _refuse(_model: Model | None, problem: Problem, _request_id: str) -> bytes:
    message = problem.message.encode("utf-8", "replace").decode()
    return cbor2.dumps({"__type": problem.code, "message": message})


CBOR = Wire(
    _decode, _encode, _refuse, "SerializationException", "application/cbor", ((b"smithy-protocol", b"rpc-v2-cbor"),)
)
