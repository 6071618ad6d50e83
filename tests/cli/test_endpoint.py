"""Which server a command's client speaks to, and by which key."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.endpoint import Endpoint, asking, client, data_directory, endpoint, local_endpoint
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what whoever runs the tests has set."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "CODEYARD_"))]:
        monkeypatch.delenv(name)


def started(data: Path, **told: Any) -> Path:
    """A directory in which a server was started."""
    (data / "keys").mkdir(parents=True)
    (data / "server.json").write_text(json.dumps({"url": "http://127.0.0.1:4599", "region": "eu-west-1"} | told))
    (data / "keys" / "root").write_text(json.dumps({"id": "AKIA1", "secret": "s3cret"}))
    return data


def test_buckets_may_be_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:9000"
    assert client("codebuild").meta.endpoint_url == "http://127.0.0.1:4599"


def test_buckets_are_the_servers_own_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")

    assert client("s3").meta.endpoint_url == "http://127.0.0.1:4599"


def test_the_server_that_was_started_here_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEYARD_DATA", str(started(tmp_path / "data")))

    assert endpoint() == Endpoint("http://127.0.0.1:4599", "eu-west-1", "AKIA1", "s3cret")
    assert "s3cret" not in repr(endpoint())


def test_the_environment_goes_before_it_with_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEYARD_DATA", str(started(tmp_path / "data")))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://ci.example.com")

    assert endpoint() == Endpoint("https://ci.example.com", "us-east-1")


def test_the_root_key_is_shown_to_its_own_server_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODEYARD_DATA", str(started(tmp_path / "data")))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")

    assert client("codebuild")._request_signer._credentials.access_key == "AKIA1"
    assert client("s3")._request_signer._credentials.access_key == "AKIA2"


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "eu-west-2"),
    ],
)
def test_the_region_is_the_environments(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4599")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert endpoint().region == region


@pytest.mark.parametrize("url", ["127.0.0.1:4599", "ftp://x", "/tmp/x"])
def test_what_is_no_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    with pytest.raises(Invalid, match="AWS_ENDPOINT_URL"):
        endpoint()


def test_where_none_was_started_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="none was started there"):
        local_endpoint(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "null", '"text"', "\xff\xfe"])
@pytest.mark.parametrize("name", ["server.json", "keys/root"])
def test_nor_is_one_where_a_file_is_broken(tmp_path: Path, name: str, content: str) -> None:
    (started(tmp_path / "data") / name).write_text(content, encoding="latin-1")

    with pytest.raises(NotFound):
        local_endpoint(tmp_path / "data")


def test_another_users_server_needs_a_key(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (started(tmp_path / "data") / "keys" / "root").chmod(0)

    with pytest.raises(Denied, match="its owner alone"):
        local_endpoint(tmp_path / "data")


def test_the_directory_is_what_is_named_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CODEYARD_DATA", "from-environment")

    assert data_directory(Path("given")) == tmp_path / "given"
    assert data_directory() == tmp_path / "from-environment"

    monkeypatch.delenv("CODEYARD_DATA")

    assert data_directory().name == "server"


def refusal(code: str, text: str = "text", status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "StartBuild")


def in_our_words(error: Exception) -> CodeyardError:
    with pytest.raises(CodeyardError) as found, asking():
        raise error
    return found.value


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (refusal("InvalidInputException"), Invalid),
        (refusal("ResourceNotFoundException"), NotFound),
        (refusal("AccessDeniedException", status=403), Denied),
        (refusal("AccessDenied", status=403), Denied),
        (refusal("UnrecognizedClientException"), Denied),
        (refusal("SignatureDoesNotMatch", status=403), Denied),
        (refusal("InvalidSignatureException", "Signature expired: 1 is now earlier than 2"), Denied),
        (refusal("RequestTimeTooSkewed", status=403), Denied),
        (refusal("AccountLimitExceededException"), Conflict),
        (refusal("ServiceUnavailableException", status=503), Fault),
        (NoCredentialsError(), Denied),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), Fault),
    ],
)
def test_what_a_client_raises_is_of_one_of_our_kinds(error: Exception, kind: type[CodeyardError]) -> None:
    found = in_our_words(error)

    assert type(found) is kind
    assert found.fix


@given(st.text(), st.text(), st.sampled_from([400, 403, 404, 409, 500, 503]))
def test_whatever_a_server_refuses_it_is_an_error_of_ours(code: str, text: str, status: int) -> None:
    found = in_our_words(refusal(code, text, status))

    assert isinstance(found, Fault) == (status >= 500)
    assert code in str(found) or text in str(found)
