import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import shapes
from codeyard.aws.json_wire import JSON
from codeyard.aws.shapes import Unreadable
from codeyard.aws.wire import Problem
from codeyard.errors import CodeyardError

BUILDS, SECRETS, LOGS = (shapes.model(name) for name in ("codebuild", "secretsmanager", "logs"))


def decoded(model: shapes.Model, operation: str, given: Any) -> dict[str, Any]:
    return JSON.decode(model.operations[operation], json.dumps(given).encode())


def test_timestamps_are_epoch_seconds_with_milliseconds() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    body = JSON.encode(BUILDS, BUILDS.operations["StartBuild"], {"build": {"startTime": at}}, "an-id")

    assert body == b'{"build":{"startTime":1767323045.679}}'


def test_blobs_are_in_base64() -> None:
    assert decoded(SECRETS, "CreateSecret", {"Name": "n", "SecretBinary": "AP8="})["SecretBinary"] == b"\x00\xff"
    assert JSON.encode(SECRETS, SECRETS.operations["GetSecretValue"], {"SecretBinary": b"\x00\xff"}, "") == (
        b'{"SecretBinary":"AP8="}'
    )


@pytest.mark.parametrize("blob", ["AP8", "*", "A P8=", "é", 7])
def test_what_is_not_base64_is_unreadable(blob: object) -> None:
    with pytest.raises(Unreadable, match="SecretBinary"):
        decoded(SECRETS, "CreateSecret", {"SecretBinary": blob})


def test_a_number_that_is_whole_is_an_integer_however_it_is_written() -> None:
    operation = BUILDS.operations["StartBuild"]

    assert JSON.decode(operation, b'{"timeoutInMinutesOverride": 5.0}') == {"timeoutInMinutesOverride": 5}
    assert JSON.decode(operation, b'{"timeoutInMinutesOverride": 1e2}') == {"timeoutInMinutesOverride": 100}


def test_no_body_is_no_input_and_no_output_no_body() -> None:
    assert JSON.decode(BUILDS.operations["ListBuilds"], b"") == {}
    assert JSON.encode(LOGS, LOGS.operations["CreateLogGroup"], {}, "") == b""
    assert JSON.encode(BUILDS, BUILDS.operations["DeleteProject"], {}, "") == b"{}"


def test_an_error_has_its_type_and_message() -> None:
    assert JSON.refuse(None, Problem("InvalidInputException", "é \ud800", 400), "an-id") == (
        '{"__type":"InvalidInputException","message":"é ?"}'.encode()
    )


@given(st.binary(max_size=60) | st.text("{}[]:,\"'0e-.ntf\\u ", max_size=40).map(str.encode))
def test_any_bytes_are_either_read_or_unreadable(body: bytes) -> None:
    try:
        values = JSON.decode(BUILDS.operations["ListBuilds"], body)
    except Unreadable as wrong:
        values = {}
        told = str(wrong)
    else:
        told = "read"

    assert isinstance(values, dict)
    assert told
    assert not issubclass(Unreadable, CodeyardError)
