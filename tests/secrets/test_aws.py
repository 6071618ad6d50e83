"""What AWS says when it does not answer, and what a build is told then."""

import socket
import sys

import pytest

from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.secrets import SecretReference
from codeyard.secrets.aws import AwsSecrets
from tests.secrets.aws_servers import refusing_server, use_endpoint

NOT_ALLOWED = "User: arn:aws:sts::1:assumed-role/r/b is not authorized to perform: ssm:GetParameters on resource: *"


async def test_a_refusal_keeps_awss_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_server(400, "AccessDeniedException", NOT_ALLOWED) as url:
        use_endpoint(monkeypatch, url)
        with pytest.raises(Denied) as caught:
            await AwsSecrets().parameter("/app/token")

    assert caught.value.why == f"AccessDeniedException: {NOT_ALLOWED}"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "AccessDeniedException", Denied),
        (400, "UnrecognizedClientException", Denied),
        (400, "DecryptionFailure", Denied),
        (400, "ResourceNotFoundException", NotFound),
        (400, "InvalidRequestException", Invalid),
        (400, "ValidationException", Invalid),
    ],
)
async def test_each_error_of_aws_is_one_of_our_kinds(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, error: type[CodeyardError]
) -> None:
    with refusing_server(status, code, "because") as url:
        use_endpoint(monkeypatch, url)
        with pytest.raises(error, match="prod/db"):
            await AwsSecrets().secret(SecretReference.parse("prod/db"))


async def test_an_endpoint_that_is_broken_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_server(500, "InternalServerError", "because") as url:
        use_endpoint(monkeypatch, url)
        with pytest.raises(Fault, match="InternalServerError: because"):
            await AwsSecrets().parameter("token")


async def test_an_endpoint_that_is_not_there_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        use_endpoint(monkeypatch, f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Fault, match="AWS_ENDPOINT_URL"):
            await AwsSecrets().parameter("token")


async def test_a_service_may_have_an_endpoint_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_server(400, "AccessDeniedException", "the one for ssm") as url:
        use_endpoint(monkeypatch, "http://127.0.0.1:9")
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", url)
        with pytest.raises(Denied, match="the one for ssm"):
            await AwsSecrets().parameter("token")


async def test_a_missing_region_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(Denied, match="AWS_REGION"):
        await AwsSecrets().parameter("token")


async def test_a_name_that_aws_would_not_take_is_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    use_endpoint(monkeypatch, "http://127.0.0.1:9")

    with pytest.raises(Invalid, match="Parameter validation failed"):
        await AwsSecrets().parameter("")


async def test_without_boto3_one_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)

    with pytest.raises(Invalid, match="pip install boto3"):
        await AwsSecrets().parameter("token")
