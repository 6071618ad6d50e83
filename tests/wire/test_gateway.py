"""The gateway over HTTP: what boto3 sees, what every operation of every service makes of made-up inputs, and what
comes of requests that no client of AWS's would send."""

import asyncio
import http.client
import json
import logging
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import cbor2
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.aws import Call, Caller, Refused, Said, Service, Shape, operation
from codeyard.aws.bodies import Limits
from codeyard.aws.gateway import Gateway
from codeyard.errors import Conflict, NotFound
from tests.calls import ROOT
from tests.wire.generate import survives
from tests.wire.served import CBOR, JSON, KEY_ID, QUERY, SECRET, Asker, RootOnly, answering, client, serving

SERVICES = ("codebuild", "logs", "secretsmanager", "ssm", "sts", "iam")
LIMITS = Limits(body=300_000, seconds=0.5)


class Projects:
    """A few operations of CodeBuild that do as the tests need."""

    @operation("ListProjects")
    async def list_projects(self, call: Call) -> Shape:
        return {"projects": [call.region, call.caller.account, call.request_id], "nextToken": None}

    @operation("StartBuild")
    async def start_build(self, call: Call) -> Shape:
        raise NotFound("project x", "it is not there.", "Create it.")

    @operation("CreateProject")
    async def create_project(self, call: Call) -> Shape:
        raise Refused("AccountLimitExceededException", "Cannot have more than 5,000 projects")

    @operation("StopBuild")
    async def stop_build(self, call: Call) -> Shape:
        raise ValueError("the password is hunter2")

    @operation("DeleteProject")
    async def delete_project(self, call: Call) -> Shape:
        raise Conflict("project x", "this kind is in no table.", "Fix it.")


class Roles:
    @operation("GetRole")
    async def get_role(self, call: Call) -> Shape:
        raise Refused("NoSuchEntityException", f"The role with name {call.input['RoleName']} cannot be found.")


def gateway(*services: Service) -> Gateway:
    return Gateway(services, RootOnly(), lambda: datetime.now(UTC), LIMITS)


class Asked(RootOnly):
    """Identities that keep what conditions could ask for."""

    def __init__(self) -> None:
        self.context: Said = {}

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        self.context = context


async def test_conditions_may_ask_for_what_a_service_says_of_a_call() -> None:
    people = Asked()
    said = Service("codebuild", (Projects(),), {}, other="later.", said=lambda call: {"codebuild:x": call.operation})
    await Gateway((said,), people, lambda: datetime.now(UTC)).call("codebuild", "ListProjects", {}, ROOT, "eu-west-1")

    assert people.context["codebuild:x"] == "ListProjects"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A gateway with handlers that fail in all ways there are."""
    codebuild = Service("codebuild", (Projects(),), {NotFound: "ResourceNotFoundException"}, other="it is to come.")
    iam = Service("iam", (Roles(),), {}, other="there are no users.")
    with serving(gateway(codebuild, iam, answering("sts", lambda _call: {"Account": "000000000000"}))) as served:
        yield served


@pytest.fixture(scope="module")
def answers_all() -> Iterator[str]:
    """A gateway that answers everything with nothing."""
    with serving(gateway(*(answering(service, lambda _call: {}) for service in SERVICES))) as served:
        yield served


@pytest.fixture
def asker(url: str) -> Iterator[Asker]:
    found = Asker(url)
    yield found
    found.close()


def error_of(asked: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as refused:
        asked()
    return dict(refused.value.response["Error"])


def test_a_client_of_aws_is_answered_by_region_and_account(url: str) -> None:
    output = client(url, "codebuild", region="eu-west-3").list_projects()

    assert output["projects"] == ["eu-west-3", "000000000000", output["ResponseMetadata"]["RequestId"]]


def test_the_same_is_answered_in_cbor(asker: Asker) -> None:
    answer = asker.ask(CBOR, "codebuild", "ListProjects", cbor2.dumps({}, indefinite_containers=True))

    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"
    assert answer.parsed(CBOR, "codebuild", "ListProjects")["projects"][0] == "us-east-1"


def test_a_query_is_answered_to_post_and_to_get(asker: Asker) -> None:
    post = client(asker.url, "sts").get_caller_identity()
    get = asker.send("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", {}, b"", "sts")

    assert post["Account"] == "000000000000"
    assert get.parsed(QUERY, "sts", "GetCallerIdentity")["Account"] == "000000000000"


def test_an_error_of_ours_is_told_by_the_services_table(url: str) -> None:
    error = error_of(lambda: client(url, "codebuild").start_build(projectName="xx"))

    assert error == {"Code": "ResourceNotFoundException", "Message": "project x: it is not there. Create it."}


def test_an_error_of_the_model_has_the_models_code_and_status(url: str) -> None:
    with pytest.raises(ClientError) as refused:
        client(url, "iam").get_role(RoleName="nobody")

    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert refused.value.response["Error"] == {
        "Type": "Sender", "Code": "NoSuchEntity", "Message": "The role with name nobody cannot be found.",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["stop_build", "delete_project"])
def test_what_nobody_foresaw_is_logged_once_and_not_told(url: str, name: str, caplog: pytest.LogCaptureFixture) -> None:
    given = {"stop_build": {"id": "x"}, "delete_project": {"name": "xx"}}[name]
    with caplog.at_level(logging.ERROR), pytest.raises(ClientError) as refused:
        getattr(client(url, "codebuild"), name)(**given)

    told = refused.value.response
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert told["Error"]["Code"] == "InternalFailure"
    assert "hunter2" not in str(told)
    assert [told["ResponseMetadata"]["RequestId"] in record.getMessage() for record in caplog.records] == [True]


def test_all_violations_are_told_at_once_in_awss_words(url: str) -> None:
    unchecked = client(url, "codebuild", checked=False)
    error = error_of(lambda: unchecked.create_project(name="x", artifacts={"type": "NONE"}))

    assert error["Code"] == "InvalidInputException"
    assert error["Message"].startswith("6 validation errors detected: Value null at 'source' failed to satisfy")
    assert "Value 'x' at 'name' failed to satisfy constraint: Member must have length greater" in error["Message"]
    assert "Value 'NONE' at 'artifacts.type' failed to satisfy constraint: Member must satisfy enum" in error["Message"]


def test_a_declined_operation_says_why(url: str) -> None:
    json_error = error_of(lambda: client(url, "codebuild").list_fleets())
    query_error = error_of(lambda: client(url, "iam").create_user(UserName="me"))

    why = "ListFleets is not supported here: it is to come."
    assert json_error == {"Code": "UnsupportedOperationException", "Message": why}
    assert query_error["Code"] == "UnsupportedOperation"


@pytest.mark.parametrize(
    ("service", "name", "key", "code", "status"),
    [
        ("codebuild", "list_projects", {"secret": "wrong"}, "InvalidSignatureException", 400),
        ("codebuild", "list_projects", {"key_id": "AKIANOBODY"}, "UnrecognizedClientException", 400),
        ("codebuild", "list_projects", {"token": "forged"}, "UnrecognizedClientException", 400),
        ("sts", "get_caller_identity", {"secret": "wrong"}, "SignatureDoesNotMatch", 403),
        ("sts", "get_caller_identity", {"key_id": "AKIANOBODY"}, "InvalidClientTokenId", 403),
    ],
)
def test_a_wrong_key_gets_awss_error(
    url: str, service: str, name: str, key: dict[str, Any], code: str, status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(url, service, **key), name)()

    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


LARGE = [pytest.param(service, marks=pytest.mark.slow) for service in ("logs", "ssm", "iam")]


@pytest.mark.parametrize("service", ["codebuild", "secretsmanager", "sts", *LARGE])
def test_every_operation_survives_whatever_it_is_asked(answers_all: str, service: str) -> None:
    survives(answers_all, service, examples=4)


HOSTILE = [
    (JSON, b"{"),
    (JSON, b"[]"),
    (JSON, b'"x"'),
    (JSON, b"null"),
    (JSON, b"\xff\xfe"),
    (JSON, b'{"sortBy": NaN}'),
    (JSON, b'{"sortBy": ' + b"9" * 5000 + b"}"),
    (JSON, b'{"nextToken": "\\ud800"}'),
    (JSON, b'{"nextToken": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    (JSON, b'{"nextToken": {"a": 1}}'),
    (JSON, b'{"nextToken": [1]}'),
    (JSON, b'{"nextToken": true}'),
    (CBOR, b"{}"),
    (CBOR, b"\xa0\xa0"),
    (CBOR, b"\x80"),
    (CBOR, b"\x9f" * 100_000),
    (CBOR, b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff"),
    (CBOR, b"\xa1" * 100_000),
    (CBOR, b"\xd8\x1c\xa1\x61a\xd8\x1d\x00"),  # a map that contains itself
    (CBOR, b"\xa1\x69nextToken\xc4\x82\x1a\x3b\x9a\xca\x00\x01"),  # 10 ** 1,000,000,000
    (CBOR, b"\xa1\x69nextToken\xd8\x23\x62(a"),  # a regular expression
    (CBOR, b"\xa1\x69nextToken\xf9\x7e\x00"),  # not a number
    (CBOR, b"\xa1\x69nextToken\x61\xff"),
    (CBOR, b"\xa1\x81\x01\x02"),
]


@pytest.mark.parametrize(("protocol", "body"), HOSTILE)
def test_a_body_that_cannot_be_read_is_a_serialization_exception(asker: Asker, protocol: str, body: bytes) -> None:
    answer = asker.ask(protocol, "codebuild", "ListProjects", body)

    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "SerializationException"
    assert answer.parsed(protocol, "codebuild", "ListProjects")["Error"]["Message"]


@pytest.mark.parametrize(
    "body",
    [
        b"Action=GetRole&Version=2010-05-08&RoleName=x&RoleName=y",
        b"Action=GetRole&Version=2010-05-08&RoleName.a=x&RoleName=y",
        b"Action=GetRole&Version=2010-05-08&RoleName=x&RoleName.a=y",
        b"Action=GetRole&Version=2010-05-08&RoleName=%ff",
        b"Action=GetRole&Version=2010-05-08&RoleName.member.1=x",
        b"Action=GetRole&Version=2010-05-08&" + b"&".join(b"a%d=1" % number for number in range(20_100)),
        b"Action=GetRole&Version=2010-05-08&" + b"a." * 500 + b"b=1",
    ],
)
def test_a_form_that_cannot_be_read_is_malformed_input(asker: Asker, body: bytes) -> None:
    answer = asker.ask(QUERY, "iam", "GetRole", body)

    assert answer.status == 400
    assert answer.parsed(QUERY, "iam", "GetRole")["Error"]["Code"] == "MalformedInput"


@pytest.mark.parametrize(
    ("headers", "protocol", "code"),
    [
        ({"X_Amz_Target": "CodeBuild_20161006.Nothing"}, JSON, "UnknownOperationException"),
        ({"X_Amz_Target": "CodeBuild_20161006"}, JSON, "UnknownOperationException"),
        ({"X_Amz_Target": "Nothing.ListProjects"}, JSON, "UnknownOperationException"),
        ({"X_Amz_Target": ""}, JSON, "UnknownOperationException"),
        ({"Content_Type": "text/plain"}, JSON, "SerializationException"),
        ({"Content_Type": "application/json"}, JSON, "SerializationException"),
        ({"Content_Type": ""}, JSON, "SerializationException"),
        ({"Content_Type": "application/json"}, CBOR, "SerializationException"),
        ({"smithy_protocol": "rpc-v3-xml"}, CBOR, "UnknownOperationException"),
    ],
)
def test_a_wrong_header_is_told_in_the_requests_protocol(
    asker: Asker, headers: dict[str, str], protocol: str, code: str
) -> None:
    body = b"{}" if protocol == JSON else b"\xa0"
    answer = asker.ask(protocol, "codebuild", "ListProjects", body, **headers)

    assert answer.status == 400
    assert answer.parsed(protocol, "codebuild", "ListProjects")["Error"]["Code"] == code


@pytest.mark.parametrize("header", ["X-Amz-Target", "Content-Type", "Authorization"])
def test_a_header_that_is_there_twice_is_refused(url: str, header: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.putrequest("POST", "/")
    for name, value in (
        ("Content-Type", "application/x-amz-json-1.1"), ("X-Amz-Target", "CodeBuild_20161006.ListProjects"),
        ("Content-Length", "2"), (header, "CodeBuild_20161006.ListBuilds"),
    ):  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders(b"{}")
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()

    assert 400 <= answer.status < 500
    assert told["__type"] in ("UnknownOperationException", "SerializationException", "IncompleteSignatureException")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method_is_taken(asker: Asker, method: str) -> None:
    target = {"X-Amz-Target": "CodeBuild_20161006.ListProjects", "Content-Type": "application/x-amz-json-1.1"}
    answer = asker.raw(method, "/", target, b"{}")

    assert answer.status == 400
    assert json.loads(answer.body)["__type"] == "UnknownOperationException"


@pytest.mark.parametrize("protocol", [JSON, CBOR, QUERY])
def test_an_unsigned_request_lacks_its_token(asker: Asker, protocol: str) -> None:
    service, name = ("iam", "GetRole") if protocol == QUERY else ("codebuild", "ListProjects")
    prefix = "CodeBuild_20161006"
    paths = {CBOR: f"/service/{prefix}/operation/{name}"}
    headers = {
        JSON: {"X-Amz-Target": f"{prefix}.{name}", "Content-Type": "application/x-amz-json-1.1"},
        CBOR: {"Content-Type": "application/cbor"},
        QUERY: {"Content-Type": "application/x-www-form-urlencoded"},
    }
    body = {JSON: b"{}", CBOR: b"\xa0", QUERY: b"Action=GetRole&Version=2010-05-08"}
    answer = asker.raw("POST", paths.get(protocol, "/"), headers[protocol], body[protocol])

    assert answer.status == 403
    assert answer.parsed(protocol, service, name)["Error"]["Code"].startswith("MissingAuthenticationToken")


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("protocol", [JSON, CBOR, QUERY])
def test_too_long_a_body_is_told_so(url: str, protocol: str, announced: bool) -> None:
    asker = Asker(url)
    kinds = {JSON: "application/x-amz-json-1.1", CBOR: "application/cbor", QUERY: "application/x-www-form-urlencoded"}
    body: Any = b"x" * 1_000_000 if announced else iter([b"x" * 10_000] * 100)
    answer = asker.raw("POST", "/", {"Content-Type": kinds[protocol]}, body)
    asker.close()

    assert answer.status == 413
    service, name = ("iam", "GetRole") if protocol == QUERY else ("codebuild", "ListProjects")
    parsed = answer.parsed(protocol, service, name)
    assert parsed["Error"]["Code"] == "RequestEntityTooLargeException"


def test_a_body_that_trickles_in_is_given_up(url: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: a.b\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            slow.sendall(b"1\r\n{\r\n")
            time.sleep(0.05)
        answer = slow.recv(65536)
        closed = slow.recv(65536)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'{"__type":"RequestTimeout"' in answer + closed
    assert time.monotonic() - started < 5


def test_a_client_that_goes_away_leaves_nothing_behind(asker: Asker, caplog: pytest.LogCaptureFixture) -> None:
    host, port = urlsplit(asker.url).netloc.split(":")
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with socket.create_connection((host, int(port)), timeout=10) as hasty:
                hasty.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: a.b\r\nContent-Length: 500\r\n\r\n{")
        answer = asker.ask(JSON, "codebuild", "ListProjects", b"{}")

    assert answer.status == 200
    assert not caplog.records


def test_a_large_body_does_not_hold_up_the_others(answers_all: str) -> None:
    many = json.dumps({"names": ["x" * 5] * 30_000}).encode()
    asker = Asker(answers_all)
    answer = asker.ask(JSON, "codebuild", "BatchGetProjects", many)
    asker.close()

    assert json.loads(answer.body)["message"].startswith("1 validation error detected: Value '[xxxxx, xxxxx")
    assert len(answer.body) < 1000


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
    st.dictionaries(
        st.sampled_from(["X-Amz-Target", "Content-Type", "Authorization", "X-Amz-Date", "smithy-protocol"]),
        st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60)
        | st.sampled_from(["application/cbor", "CodeBuild_20161006.ListBuilds", "application/x-amz-json-1.1"]),
    ),
    st.binary(max_size=60),
)
def test_any_request_at_all_is_answered_with_an_error(
    answers_all: str, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    """Whatever comes, no answer is a 5xx, and none is a success: it is not signed."""
    asker = Asker(answers_all)
    answer = asker.raw(method, "/" + path, {name: value.strip() for name, value in headers.items()}, body)
    asker.close()

    assert 400 <= answer.status < 500


async def test_a_call_within_the_process_is_checked_and_answered_alike() -> None:
    codebuild = Service("codebuild", (Projects(),), {NotFound: "ResourceNotFoundException"}, other="it is to come.")
    within = gateway(codebuild)
    caller = (await RootOnly().key(KEY_ID, None)).caller
    output = await within.call("codebuild", "ListProjects", {}, caller, "us-east-1")
    with pytest.raises(Refused) as invalid:
        await within.call("codebuild", "StartBuild", {"projectName": ""}, caller, "us-east-1")
    with pytest.raises(Refused) as missing:
        await within.call("codebuild", "StartBuild", {"projectName": "xx"}, caller, "us-east-1")
    with pytest.raises(Refused) as unreadable:
        await within.call("codebuild", "StartBuild", {"projectName": 3}, caller, "us-east-1")

    assert output["projects"][:2] == ["us-east-1", "000000000000"]
    assert "nextToken" not in output
    assert invalid.value.code == "InvalidInputException"
    assert missing.value.code == "ResourceNotFoundException"
    assert unreadable.value.code == "SerializationException"


async def test_many_calls_at_once_are_each_answered_with_their_own() -> None:
    within = gateway(answering("codebuild", lambda call: {"projects": [call.region]}))
    caller = (await RootOnly().key(KEY_ID, None)).caller
    regions = [f"region-{number}" for number in range(200)]
    outputs = await asyncio.gather(*(within.call("codebuild", "ListProjects", {}, caller, one) for one in regions))

    assert [output["projects"] for output in outputs] == [[one] for one in regions]


def test_a_service_that_leaves_an_operation_undecided_is_not_served() -> None:
    with pytest.raises(ValueError, match=r"undecided=.*'BatchGetBuilds'"):
        gateway(Service("codebuild", (Projects(),), {}))
    with pytest.raises(ValueError, match=r"unknown=.*'Nothing'"):
        gateway(Service("codebuild", (Projects(),), {}, {"Nothing": "no"}, other="no"))


def test_the_secret_of_the_tests_key_is_not_shown() -> None:
    assert SECRET not in repr(Asker("http://127.0.0.1:1"))
