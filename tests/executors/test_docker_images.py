import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.executors import NoImage
from codeyard.executors.docker_images import ImageName, Login, Pull, _failure, docker_login, names


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("team/image:1.2", "docker.io/team/image:1.2"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("localhost/image", "localhost/image:latest"),
        ("localhost:5000/a/b:x", "localhost:5000/a/b:x"),
        ("host:5000/image", "host:5000/image:latest"),
        ("a.example.com/b/c__d@sha256:" + "0" * 64, "a.example.com/b/c__d@sha256:" + "0" * 64),
        ("image:1@sha256:" + "0" * 64, "docker.io/library/image:1@sha256:" + "0" * 64),
        (
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/image:1",
            "111122223333.dkr.ecr.eu-west-1.amazonaws.com/image:1",
        ),
    ],
)
def test_a_name_is_read_as_docker_reads_it(text: str, full: str) -> None:
    assert str(ImageName.parse(text)) == full


@pytest.mark.parametrize(
    "text", ["", "Busybox", "a b", "a:", "a/", "-a", "a@sha256:0", "https://a.example.com/b", "a" * 600, "a\n"]
)
def test_what_is_no_name_is_told_in_awss_words(text: str) -> None:
    with pytest.raises(Invalid, match=r"^Unable to pull customer's container image\. CannotPullContainerError: "):
        ImageName.parse(text)


@given(st.text(max_size=60))
def test_a_full_name_is_its_own(text: str) -> None:
    try:
        name = ImageName.parse(text)
    except Invalid:
        return

    assert ImageName.parse(str(name)) == name


def test_curated_names_with_amazon_linux_are_published() -> None:
    assert names("aws/codebuild/amazonlinux-x86_64-standard:5.0") == (
        "aws/codebuild/amazonlinux-x86_64-standard:5.0",
        "public.ecr.aws/codebuild/amazonlinux-x86_64-standard:5.0",
    )
    assert names("aws/codebuild/standard:7.0") == ("aws/codebuild/standard:7.0",)
    assert names("busybox") == ("busybox",)


def test_a_pull_is_added_up() -> None:
    pull = Pull("image")
    for told in (
        {"status": "Pulling from library/image", "id": "latest"},
        {"status": "Already exists", "id": "a"},
        {"status": "Downloading", "progressDetail": {"current": 1_000_000, "total": 4_000_000}, "id": "b"},
        {"status": "Downloading", "progressDetail": {"current": 3_000_000, "total": 4_000_000}, "id": "b"},
    ):
        pull.hear(json.dumps(told).encode())

    assert pull.state() == "Pulling image: 1 of 2 layers, 3.0 of 4.0 MB"
    assert pull.failed is None


@given(
    st.lists(
        st.binary(max_size=80)
        | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(
            lambda value: json.dumps({"status": "Downloading", "id": "x", "progressDetail": value}).encode()
        )
    )
)
def test_whatever_an_engine_says_a_pull_goes_on(lines: list[bytes]) -> None:
    pull = Pull("image")
    for line in lines:
        pull.hear(line)

    assert pull.state().startswith("Pulling image: ")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("pull access denied for x, repository does not exist or may require 'docker login'", NoImage),
        ("manifest for localhost:5000/x:1 not found: manifest unknown", NoImage),
        ("toomanyrequests: You have reached your pull rate limit.", NoImage),
        ("Get https://registry-1.docker.io/v2/: dial tcp: lookup registry-1.docker.io: no such host", NoImage),
    ],
)
def test_why_a_pull_failed(said: str, kind: type[Exception]) -> None:
    failed = _failure(ImageName.parse("x"), said, known=False)

    assert type(failed) is kind
    assert failed.what.startswith(
        f"Unable to pull customer's container image. CannotPullContainerError: Error response from daemon: {said}"
    )


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path / "config.json"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_stored_login_is_found_by_its_registry(config: Path) -> None:
    auths = {"https://index.docker.io/v1/": {"auth": encoded("me:pass:word")}, "a.example.com": {"identitytoken": "t"}}
    config.write_text(json.dumps({"auths": auths}))

    assert await docker_login("docker.io") == Login("me", "pass:word")
    assert await docker_login("a.example.com") == Login("", "", "t")
    assert await docker_login("b.example.com") is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"auths": []}', '{"auths": {"docker.io": {"auth": "*"}}}'])
async def test_a_broken_config_is_no_login(config: Path, text: str) -> None:
    config.write_text(text)

    assert await docker_login("docker.io") is None


async def test_a_helper_is_asked(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text('#!/bin/sh\nread key\necho "{\\"Username\\": \\"me\\", \\"Secret\\": \\"for $key\\"}"\n')
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    config.write_text('{"credHelpers": {"a.example.com": "test", "b.example.com": "missing", "c": "../evil"}}')

    assert await docker_login("a.example.com") == Login("me", "for a.example.com")
    assert await docker_login("b.example.com") is None
    assert await docker_login("c") is None


def test_a_login_is_never_printed() -> None:
    assert "secret" not in repr(Login("me", "secret"))
