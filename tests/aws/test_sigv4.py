"""Signatures, made by AWS's own signers and by ours, and what is said to those that are wrong."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import signing, sigv4
from codeyard.aws.sigv4 import Dialect, Request
from tests.aws.signed import EMPTY, KEY, S3_DAY, SESSION, SUITE, TOKEN, ask, of, refusal
from tests.aws.test_signing import PUBLISHED_LINK, VANILLA


def clients(service: str, sent: list[Request], **more: Any) -> Any:
    """A client of boto3 that keeps what it would send, and gets an empty answer."""
    session = boto3.session.Session(KEY.id, KEY.secret, region_name="us-east-1", **more)
    client = session.client(
        service, endpoint_url="http://127.0.0.1:9", config=Config(retries={"total_max_attempts": 1})
    )

    def keep(request: Any, **_: Any) -> None:
        body = request.body.read() if hasattr(request.body, "read") else request.body or b""
        headers = {k: v.decode() if isinstance(v, bytes) else v for k, v in request.headers.items()}
        sent.append(of(request.method, request.url, headers, body.encode() if isinstance(body, str) else body))
        raise InterruptedError

    client.meta.events.register("before-send", keep)
    return client


CALLS: dict[str, tuple[str, str, dict[str, Any], Dialect]] = {
    "codebuild": ("codebuild", "batch_get_builds", {"ids": ["a:b", "ü"]}, Dialect.JSON),
    "ssm": ("ssm", "get_parameter", {"Name": "/a b"}, Dialect.JSON),
    "sts": ("sts", "get_caller_identity", {}, Dialect.QUERY),
    "iam": ("iam", "get_role", {"RoleName": "r"}, Dialect.QUERY),
    "object": ("s3", "get_object", {"Bucket": "bucket", "Key": "a b/../c//ü+(1)'*~%2F.txt"}, Dialect.S3),
    "put": (
        "s3",
        "put_object",
        {"Bucket": "bucket", "Key": "k", "Body": b"text", "Metadata": {"a": " x  y "}},
        Dialect.S3,
    ),
    "list": ("s3", "list_objects_v2", {"Bucket": "bucket", "Prefix": "a b+c/ü&=", "Delimiter": "/"}, Dialect.S3),
}


@pytest.mark.parametrize("name", CALLS)
async def test_what_boto3_signs_is_right(name: str) -> None:
    service, method, arguments, dialect = CALLS[name]
    sent: list[Request] = []
    with pytest.raises(InterruptedError):
        getattr(clients(service, sent), method)(**arguments)
    verified = await ask(sent[0], datetime.now(UTC), dialect, service)

    assert verified.key == KEY
    assert sigv4.scope_of(sent[0]) == verified.scope


@pytest.mark.parametrize("name", CALLS)
async def test_what_was_changed_on_the_way_is_refused(name: str) -> None:
    service, method, arguments, dialect = CALLS[name]
    sent: list[Request] = []
    with pytest.raises(InterruptedError):
        getattr(clients(service, sent), method)(**arguments)
    now, request = datetime.now(UTC), sent[0]
    code = "InvalidSignatureException" if dialect is Dialect.JSON else "SignatureDoesNotMatch"
    changed = (
        replace(request, method="PATCH"),
        replace(request, path=request.path + "x"),
        replace(request, query=request.query + "&x"),
        replace(request, headers=tuple((k, "elsewhere" if k == "host" else v) for k, v in request.headers)),
    )

    assert [(await refusal(each, now=now, dialect=dialect))[0] for each in changed] == [code] * 4


async def test_another_body_than_the_signed_one_is_refused() -> None:
    request = replace(VANILLA, body_sha256=hashlib.sha256(b"other").hexdigest())

    assert (await refusal(request))[0] == "InvalidSignatureException"


@pytest.mark.parametrize("name", ["object", "put"])
async def test_an_object_whose_body_is_not_as_announced_is_refused(name: str) -> None:
    service, method, arguments, _ = CALLS[name]
    sent: list[Request] = []
    client = clients(service, sent)
    client.meta.events.register(
        "before-sign", lambda request, **_: request.context.update(payload_signing_enabled=True)
    )
    with pytest.raises(InterruptedError):
        getattr(client, method)(**arguments)
    headers = tuple(
        (k, v) for k, v in sent[0].headers if k not in ("authorization", "x-amz-content-sha256", "x-amz-date")
    )
    plain = Request(sent[0].method, sent[0].path, sent[0].query, headers, EMPTY)
    signed = replace(plain, headers=sigv4.sign(plain, KEY, "us-east-1", "s3", SUITE))
    other = hashlib.sha256(b"other").hexdigest()

    assert (await ask(replace(signed, body_sha256=""), dialect=Dialect.S3)).payload == EMPTY
    assert (await refusal(replace(signed, body_sha256=other), dialect=Dialect.S3))[0] == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("dialect", [Dialect.S3, Dialect.QUERY])
async def test_a_link_that_botocore_signs_is_right_for_its_time(dialect: Dialect) -> None:
    service = "s3" if dialect is Dialect.S3 else "sts"
    session = boto3.session.Session(SESSION.id, SESSION.secret, TOKEN, region_name="us-east-1")
    client = session.client(service, config=Config(signature_version="s3v4" if service == "s3" else "v4"))
    call = ("get_object", {"Bucket": "b", "Key": "a b/ü"}) if service == "s3" else ("get_caller_identity", {})
    request = of("GET", client.generate_presigned_url(*call, ExpiresIn=1800, HttpMethod="GET"), {})
    now = datetime.now(UTC)
    late = await refusal(request, now=now + timedelta(minutes=31), dialect=dialect)

    assert (await ask(request, now + timedelta(minutes=29), dialect, service)).key == SESSION
    assert late[0] == ("AccessDenied" if dialect is Dialect.S3 else "SignatureDoesNotMatch")


async def test_a_session_is_known_by_its_token_which_is_signed_with_the_rest() -> None:
    request = AWSRequest(
        "POST", "http://127.0.0.1/", data=b"{}", headers={"x-amz-target": "CodeBuild_20161006.ListBuilds"}
    )
    botocore.auth.SigV4Auth(Credentials(SESSION.id, SESSION.secret, TOKEN), "codebuild", "us-east-1").add_auth(request)
    seen = of("POST", request.url, request.headers, b"{}")
    without = replace(seen, headers=tuple(h for h in seen.headers if h[0] != "x-amz-security-token"))
    expired = replace(without, headers=(*without.headers, ("x-amz-security-token", "expired")))
    named = replace(
        expired,
        headers=tuple(
            (k, v.replace("x-amz-date", "x-amz-date;x-amz-security-token") if "Signed" in v else v)
            for k, v in expired.headers
        ),
    )
    now = datetime.now(UTC)

    assert (await ask(seen, now)).key == SESSION
    assert (await refusal(without, now=now))[0] == "UnrecognizedClientException"
    assert (await refusal(expired, now=now))[0] == "ExpiredTokenException"
    assert (await refusal(named, now=now))[0] == "ExpiredTokenException"


PLAIN = Request("POST", "/", "", (("host", "localhost:8080"), ("x-amz-target", "Logs_20140328.PutLogEvents")), EMPTY)
SIGNED = replace(PLAIN, headers=sigv4.sign(PLAIN, KEY, "us-east-1", "logs", SUITE))
S3_PLAIN = Request("GET", "/b/k", "", (("host", "localhost:8080"),), EMPTY)
S3_SIGNED = replace(S3_PLAIN, headers=sigv4.sign(S3_PLAIN, KEY, "us-east-1", "s3", SUITE))


def proof(change: str, to: str, request: Request = SIGNED) -> Request:
    return replace(request, headers=tuple((k, v.replace(change, to)) for k, v in request.headers))


WRONG: dict[str, tuple[Request, str, str]] = {
    "missing": (PLAIN, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    "signature": (
        proof("Signature=", "Signature=0"),
        "InvalidSignatureException",
        "signature we calculated does not match",
    ),
    "not ascii": (
        proof("Signature=", "Signature=é"),
        "InvalidSignatureException",
        "signature we calculated does not match",
    ),
    "key": (
        proof("AKID", "AKIX"),
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
    ),
    "another region": (
        replace(PLAIN, headers=sigv4.sign(PLAIN, KEY, "eu-west-1", "logs", SUITE)),
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'eu-west-1'.",
    ),
    "another service": (
        replace(PLAIN, headers=sigv4.sign(PLAIN, KEY, "us-east-1", "s4", SUITE)),
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'logs'.",
    ),
    "terminator": (
        proof("aws4_request", "aws5_request"),
        "InvalidSignatureException",
        "valid terminator: 'aws4_request'",
    ),
    "date": (proof("/20150830/", "/20150829/"), "InvalidSignatureException", "Date in Credential scope does not match"),
    "unsigned host": (
        proof("=host;", "="),
        "InvalidSignatureException",
        "'Host' or ':authority' must be a 'SignedHeader'",
    ),
    "unsigned target": (
        proof(";x-amz-target", ""),
        "InvalidSignatureException",
        "'x-amz-target' must be a 'SignedHeader'",
    ),
    "no signature": (proof("Signature=", "S="), "IncompleteSignatureException", "requires 'Signature' parameter."),
    "no credential": (proof("Credential=", "C="), "IncompleteSignatureException", "requires 'Credential' parameter."),
    "credential": (proof("/20150830/", "-"), "IncompleteSignatureException", "at least 5 slash-delimited elements"),
    "no date": (
        replace(SIGNED, headers=tuple(h for h in SIGNED.headers if h[0] != "x-amz-date")),
        "IncompleteSignatureException",
        "existence of either a 'X-Amz-Date' or a 'Date' header.",
    ),
    "odd date": (proof("20150830T", "20159930T"), "InvalidSignatureException", "Date in Credential"),
    "bearer": (
        proof("AWS4-HMAC-SHA256 ", "Bearer "),
        "IncompleteSignatureException",
        "Unsupported AWS 'algorithm': 'Bearer'.",
    ),
}


@pytest.mark.parametrize("name", WRONG)
async def test_each_wrong_signature_gets_the_words_of_aws(name: str) -> None:
    request, code, text = WRONG[name]
    found = await refusal(request, service="logs")

    assert found[0] == code
    assert text in found[1]


S3_WRONG: dict[str, tuple[Request, str]] = {
    "missing": (S3_PLAIN, "AccessDenied"),
    "signature": (proof("Signature=", "Signature=0", S3_SIGNED), "SignatureDoesNotMatch"),
    "key": (proof("AKID", "AKIX", S3_SIGNED), "InvalidAccessKeyId"),
    "region": (
        replace(S3_PLAIN, headers=sigv4.sign(S3_PLAIN, KEY, "eu-west-1", "s3", SUITE)),
        "AuthorizationHeaderMalformed",
    ),
    "no digest": (
        replace(S3_SIGNED, headers=tuple(h for h in S3_SIGNED.headers if h[0] != "x-amz-content-sha256")),
        "InvalidRequest",
    ),
    "odd digest": (proof(EMPTY, "abc", S3_SIGNED), "InvalidArgument"),
    "unsigned header": (replace(S3_SIGNED, headers=(*S3_SIGNED.headers, ("x-amz-acl", "public-read"))), "AccessDenied"),
    "both ways": (replace(S3_SIGNED, query="X-Amz-Algorithm=AWS4-HMAC-SHA256"), "InvalidArgument"),
    "half a link": (replace(S3_PLAIN, query="X-Amz-Signature=1"), "AuthorizationQueryParametersError"),
}


@pytest.mark.parametrize("name", S3_WRONG)
async def test_each_wrong_signature_gets_the_code_of_s3(name: str) -> None:
    request, code = S3_WRONG[name]

    assert (await refusal(request, dialect=Dialect.S3, service="s3"))[0] == code


@pytest.mark.parametrize(
    ("dialect", "minutes", "code"),
    [
        (Dialect.JSON, 5, "InvalidSignatureException"),
        (Dialect.QUERY, 5, "SignatureDoesNotMatch"),
        (Dialect.S3, 15, "RequestTimeTooSkewed"),
    ],
)
async def test_clocks_may_differ_by_so_much(dialect: Dialect, minutes: int, code: str) -> None:
    request = S3_SIGNED if dialect is Dialect.S3 else SIGNED
    within, beyond = timedelta(minutes=minutes), timedelta(minutes=minutes, seconds=1)

    assert [(await ask(request, SUITE + by, dialect)).key for by in (within, -within)] == [KEY, KEY]
    assert [(await refusal(request, now=SUITE + by, dialect=dialect))[0] for by in (beyond, -beyond)] == [code, code]


async def test_a_clock_that_is_off_is_told_by_how_much() -> None:
    late = await refusal(SIGNED, now=SUITE + timedelta(minutes=6))
    early = await refusal(SIGNED, now=SUITE - timedelta(minutes=6))

    assert (
        late[1]
        == "Signature expired: 20150830T123600Z is now earlier than 20150830T123700Z (20150830T124200Z - 5 min.)"
    )
    assert early[1] == (
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123500Z (20150830T123000Z + 5 min.)"
    )


@pytest.mark.parametrize(("expires", "code"), [("604801", 1), ("-1", 1), ("x", 1), ("9" * 5000, 1), ("604800", 0)])
async def test_a_link_is_good_for_a_week_at_the_most(expires: str, code: int) -> None:
    link = of("GET", PUBLISHED_LINK.replace("=86400", f"={expires}"), {})
    found = await refusal(link, now=S3_DAY, dialect=Dialect.S3)

    assert found[0] == ("AuthorizationQueryParametersError" if code else "SignatureDoesNotMatch")


async def test_a_time_in_the_words_of_http_will_do() -> None:
    plain = Request("GET", "/", "", (("host", "h"), ("date", "Sun, 30 Aug 2015 12:36:00 GMT")), EMPTY)
    scope = sigv4.Scope("20150830", "us-east-1", "logs")
    canonical = signing.canonical_request(plain, ("host", "date"), EMPTY, Dialect.JSON)
    right = signing.request_signature(signing.signing_key(KEY.secret, scope), "20150830T123600Z", scope, canonical)
    header = f"AWS4-HMAC-SHA256 Credential={KEY.id}/{scope}, SignedHeaders=date;host, Signature={right}"

    assert (await ask(replace(plain, headers=(*plain.headers, ("authorization", header))))).stamp == "20150830T123600Z"


async def test_secrets_do_not_show() -> None:
    verified = await ask(SIGNED)

    assert KEY.secret not in repr(verified)
    assert repr(verified.signing_key) not in repr(verified)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    texts,
    texts,
    st.dictionaries(st.sampled_from(["authorization", "x-amz-date", "host", "x-amz-content-sha256"]), texts),
    st.sampled_from(Dialect),
)
async def test_no_request_is_more_than_refused(
    path: str, query: str, headers: dict[str, str], dialect: Dialect
) -> None:
    """Whatever comes, it is Refused: nothing else is raised."""
    request = Request("GET", path, query, tuple(headers.items()), EMPTY)

    assert (await refusal(request, dialect=dialect))[2] in (400, 403)


PARTS = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires")
likely = st.sampled_from(
    ["AWS4-HMAC-SHA256", f"{KEY.id}/20150830/us-east-1/s3/aws4_request", "20150830T123600Z", "host", "900", "-1", "é"]
)


@given(st.dictionaries(st.sampled_from(PARTS), likely | texts, min_size=4), st.sampled_from(Dialect))
async def test_no_link_is_more_than_refused(query: dict[str, str], dialect: Dialect) -> None:
    raw = "&".join(f"{name}={value}" for name, value in query.items())

    assert (await refusal(Request("GET", "/", raw, (("host", "h"),), EMPTY), dialect=dialect))[2] in (400, 403)


async def test_a_header_that_is_not_ascii_is_signed_as_its_bytes() -> None:
    plain = AWSRequest("GET", "http://127.0.0.1/", headers={"x-amz-meta-name": "ü  é"})
    botocore.auth.SigV4Auth(Credentials(KEY.id, KEY.secret), "logs", "us-east-1").add_auth(plain)
    headers = {name: value.encode().decode("latin-1") for name, value in plain.headers.items()}

    assert (await ask(of("GET", plain.url, headers), datetime.now(UTC))).key == KEY
