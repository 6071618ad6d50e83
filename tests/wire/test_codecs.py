"""What our printers write, botocore's own parsers read: for each operation of CodeBuild, in both of its protocols."""

from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings

from codeyard.aws import shapes
from codeyard.aws.cbor_wire import CBOR as CBOR_WIRE
from codeyard.aws.json_wire import JSON as JSON_WIRE
from codeyard.aws.query_wire import QUERY as QUERY_WIRE
from codeyard.aws.validation import violations
from tests.wire.generate import same, valid
from tests.wire.served import CBOR, JSON, QUERY, Answer, service_model

WIRES = {JSON: JSON_WIRE, CBOR: CBOR_WIRE, QUERY: QUERY_WIRE}
CASES = [
    (protocol, service, operation)
    for protocol, service in (
        (JSON, "codebuild"),
        (CBOR, "codebuild"),
        (JSON, "logs"),
        (JSON, "ssm"),
        (JSON, "secretsmanager"),
        (QUERY, "sts"),
        (QUERY, "iam"),
        (QUERY, "sns"),
        (QUERY, "rds"),
        (QUERY, "sdb"),
    )
    for at, operation in enumerate(service_model(service).operation_names)
    if service == "codebuild" or at % 7 == 0
]
_FEW = settings(max_examples=3, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize(("protocol", "service", "operation"), CASES)
def test_botocore_reads_the_outputs_as_they_were_given(protocol: str, service: str, operation: str) -> None:
    shape = service_model(service).operation_model(operation).output_shape
    if shape is None or getattr(shape, "event_stream_name", None):
        pytest.skip("it gives nothing, or a stream")

    @_FEW
    @given(valid(shape, full=protocol == QUERY))
    def check(value: Any) -> None:
        model = shapes.model(service)
        body = WIRES[protocol].encode(model, model.operations[operation], value, "an-id")
        read = Answer(200, {}, body).parsed(protocol, service, operation)
        read.pop("ResponseMetadata")
        assert same(value, read)

    check()


@pytest.mark.parametrize(("protocol", "service", "operation"), CASES)
def test_the_inputs_that_botocore_writes_are_read_as_they_were_given(
    protocol: str, service: str, operation: str
) -> None:
    described = service_model(service).operation_model(operation)
    if described.input_shape is None:
        pytest.skip("it takes nothing")

    @_FEW
    @given(valid(described.input_shape, full=protocol == QUERY))
    def check(value: Any) -> None:
        body = create_serializer(protocol, include_validation=False).serialize_to_request(value, described)["body"]
        raw = body if isinstance(body, bytes) else _form(body)
        read = WIRES[protocol].decode(shapes.model(service).operations[operation], raw)
        assert same(value, read)
        assert violations(shapes.model(service).operations[operation].input, read) is None

    check()


def _form(fields: Any) -> bytes:
    return urlencode(fields).encode()
