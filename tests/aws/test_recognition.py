import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused, shapes
from codeyard.aws.cbor_wire import CBOR
from codeyard.aws.json_wire import JSON
from codeyard.aws.query_wire import QUERY
from codeyard.aws.recognition import for_gateway, recognise, wire_of
from codeyard.aws.shapes import Unreadable
from codeyard.aws.signing import Request
from codeyard.aws.wire import Wire

MODELS = tuple(shapes.model(name) for name in ("codebuild", "logs", "sts", "iam"))
FORM = "application/x-www-form-urlencoded; charset=utf-8"


def request(method: str = "POST", path: str = "/", query: str = "", **headers: str) -> Request:
    return Request(method, path, query, tuple((name.replace("_", "-"), value) for name, value in headers.items()), "")


@pytest.mark.parametrize(
    ("asked", "wire"),
    [
        (request(x_amz_target="a.b"), JSON),
        (request(content_type="application/x-amz-json-1.1"), JSON),
        (request(path="/service/a/operation/b"), CBOR),
        (request(content_type="application/cbor"), CBOR),
        (request(smithy_protocol="rpc-v2-cbor"), CBOR),
        (request(content_type=FORM), QUERY),
        (request("GET", query="Action=GetCallerIdentity"), QUERY),
        (request(), JSON),
    ],
)
def test_the_protocol_is_told_by_the_headers(asked: Request, wire: Wire) -> None:
    assert wire_of(asked) is wire


@pytest.mark.parametrize(
    ("asked", "body", "service", "operation"),
    [
        (request(x_amz_target="CodeBuild_20161006.StartBuild", content_type="application/x-amz-json-1.1"), b"{}",
         "codebuild", "StartBuild"),
        (request(x_amz_target="Logs_20140328.PutLogEvents", content_type="Application/X-Amz-JSON-1.1; charset=utf-8"),
         b"{}", "logs", "PutLogEvents"),
        (request(path="/service/CodeBuild_20161006/operation/ListBuilds", content_type="application/cbor"), b"\xa0",
         "codebuild", "ListBuilds"),
        (request(content_type=FORM), b"Action=GetCallerIdentity&Version=2011-06-15", "sts", "GetCallerIdentity"),
        (request(content_type=FORM), b"Action=GetRole", "iam", "GetRole"),
        (request("GET", query="Action=GetRole&Version=2010-05-08"), b"", "iam", "GetRole"),
    ],
)  # fmt: skip
def test_an_operation_is_found(asked: Request, body: bytes, service: str, operation: str) -> None:
    found = recognise(wire_of(asked), asked, body, MODELS)

    assert (found.model.service, found.operation.name) == (service, operation)


@pytest.mark.parametrize(
    ("asked", "body", "code"),
    [
        (request(x_amz_target="CodeBuild_20161006.Nothing"), b"", "UnknownOperationException"),
        (request(path="/service/Logs_20140328/operation/GetLogEvents"), b"", "UnknownOperationException"),
        (request(path="/service/CodeBuild_20161006"), b"", "UnknownOperationException"),
        (request(content_type=FORM), b"Action=Nothing&Version=2011-06-15", "InvalidAction"),
        (request(content_type=FORM), b"Action=GetRole&Version=2011-06-15", "InvalidAction"),
        (request(content_type=FORM), b"Version=2011-06-15", "MissingAction"),
    ],
)
def test_what_is_not_here_is_refused(asked: Request, body: bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        recognise(wire_of(asked), asked, body, MODELS)

    assert refused.value.code == code


def test_an_action_of_no_version_is_named_in_awss_words() -> None:
    with pytest.raises(Refused) as refused:
        recognise(QUERY, request(content_type=FORM), b"Action=Nothing&Version=2011-06-15", MODELS)

    assert refused.value.message == "Could not find operation Nothing for version 2011-06-15"


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "expected"),
    [
        ("POST", "/", "", [], True),
        ("POST", "/service/CodeBuild_20161006/operation/ListBuilds", "", [], True),
        ("POST", "/anything", "", ["x-amz-target"], True),
        ("GET", "/", "Action=GetCallerIdentity", [], True),
        ("GET", "/", "", [], False),
        ("GET", "/projects", "Action=x", [], False),
        ("POST", "/login", "", ["cookie"], False),
    ],
)
def test_pages_at_the_same_port_are_told_apart(
    method: str, path: str, query: str, headers: list[str], expected: bool
) -> None:
    assert for_gateway(method, path, query, headers) is expected


@given(
    st.sampled_from(["GET", "POST"]),
    st.text(max_size=20),
    st.text(max_size=20),
    st.dictionaries(st.sampled_from(["x_amz_target", "content_type", "smithy_protocol"]), st.text(max_size=20)),
    st.binary(max_size=20),
)
def test_anything_is_either_found_or_refused(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    asked = request(method, path, query, **headers)
    try:
        name = recognise(wire_of(asked), asked, body, MODELS).operation.name
    except (Refused, Unreadable) as refused:
        name = str(refused)

    assert name
