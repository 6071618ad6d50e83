"""Which server a command's client speaks to, by which key, and what its refusals become."""

import pytest
from botocore.exceptions import ClientError

from codeyard.cli.endpoint import asking, client, endpoint
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound


def refused(code: str, text: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "StartBuild")


@pytest.mark.parametrize(
    ("code", "text", "kind", "fix"),
    [
        ("InvalidSignatureException", "Signature expired: 20200101T000000Z is now …", Denied, "Set them right."),
        ("SignatureDoesNotMatch", "Signature not yet current: …", Denied, "Set them right."),
        ("RequestTimeTooSkewed", "The difference …", Denied, "Set them right."),
        ("UnrecognizedClientException", "The security token …", Denied, "codeyard env"),
        ("SignatureDoesNotMatch", "The request signature …", Denied, "codeyard env"),
        ("AccessDeniedException", "User: … is not authorized", Denied, "policy"),
        ("ResourceNotFoundException", "The provided project …", NotFound, "codeyard projects"),
        ("AccountLimitExceededException", "Cannot have more …", Conflict, "codeyard builds"),
        ("InvalidInputException", "Invalid …", Invalid, "Correct the request."),
    ],
)
def test_a_refusal_says_what_helps(code: str, text: str, kind: type[CodeyardError], fix: str) -> None:
    with pytest.raises(kind) as raised, asking():
        raise refused(code, text, 400)

    assert fix in raised.value.fix
    assert code in raised.value.why or text in raised.value.why


def test_what_breaks_on_the_server_is_a_fault() -> None:
    with pytest.raises(Fault), asking():
        raise refused("InternalServerException", "", 500)


@pytest.mark.parametrize("url", ["notaurl", "127.0.0.1:4599", "ftp://host"])
def test_an_address_that_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    with pytest.raises(Invalid, match="it is no URL"):
        endpoint()


def test_buckets_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:9000"
    assert client("codebuild").meta.endpoint_url == "http://127.0.0.1:4599"


def test_buckets_are_the_servers_own_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:4599"
