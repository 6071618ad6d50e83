"""AWS JSON 1.1: the operation in X-Amz-Target, blobs in base64, timestamps in epoch seconds with milliseconds."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from codeyard.aws import shapes
from codeyard.aws.shapes import Model, Operation, Sort, Unreadable
from codeyard.aws.wire import (
    Problem,
    Wire,
    aware,
    blob_in_text,
    epoch_seconds,
    flag,
    leaves,
    real,
    text,
    whole,
    written,
)  # fmt: skip

_READ = leaves(
    text=text, integer=whole(Sort.INTEGER), long=whole(Sort.LONG), real=real, flag=flag, blob=blob_in_text,
    time=epoch_seconds,
)  # fmt: skip
_WRITE = leaves(
    text=written(str, str),
    integer=written(int),
    long=written(int),
    real=written((int, float)),
    flag=written(bool),
    blob=written(bytes, lambda value: base64.b64encode(value).decode()),
    time=lambda value: round(aware(value).timestamp(), 3),
)


def _no_number(_name: str) -> Any:
    raise ValueError("NaN and Infinity are not JSON's")


# One of each, made once: `json.loads` with an option makes a decoder for each call.
_DECODER = json.JSONDecoder(parse_constant=_no_number)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def _decode(operation: Operation, body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        given = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):  # not UTF-8, not JSON, a number of thousands of digits, too deep
        raise Unreadable("The request's body is not a JSON document that can be read") from None
    if not isinstance(given, dict):
        raise Unreadable("The request's body is not a JSON object")
    values: dict[str, Any] = shapes.read(operation.input, given, _READ)
    return values


def _encode(_model: Model, operation: Operation, output: Mapping[str, Any], _request_id: str) -> bytes:
    if operation.output is None:
        return b""
    return _ENCODER.encode(shapes.write(operation.output, output, _WRITE)).encode()


def _refuse(_model: Model | None, problem: Problem, _request_id: str) -> bytes:
    return _ENCODER.encode({"__type": problem.code, "message": problem.message}).encode("utf-8", "replace")


JSON = Wire(_decode, _encode, _refuse, "SerializationException", "application/x-amz-json-1.1")
