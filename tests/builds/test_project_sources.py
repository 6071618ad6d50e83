"""What a project's sources mean to the part that brings them, and whom a token may be shown to."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.members import from_members
from codeyard.builds.project_parts import ProjectSource
from codeyard.builds.project_sources import auth_of, credential_of, spec_of, takes_tokens
from codeyard.errors import Denied, Invalid
from codeyard.sources import SourceKind, SourceSpec

TOKEN = credential_of("GITHUB", None, "token")
DATA = Path("/var/lib/codeyard")


def source(kind: str, location: str | None = None, **given: Any) -> ProjectSource:
    return from_members(ProjectSource, {"type": kind, "location": location, **given})


def test_a_repository_with_all_that_goes_with_it() -> None:
    given = source(
        "GITHUB",
        "https://github.com/o/r.git",
        gitCloneDepth=1,
        gitSubmodulesConfig={"fetchSubmodules": True},
        insecureSsl=True,
        sourceIdentifier="other",
    )

    spec = spec_of(given, "pr/7", TOKEN)

    assert spec == SourceSpec(
        SourceKind.GIT, "https://github.com/o/r.git", "pr/7", 1, True, True, "other", credential=TOKEN
    )


@pytest.mark.parametrize(
    ("location", "kind", "expected"),
    [
        ("bucket/a/b.zip", SourceKind.S3_ZIP, "s3://bucket/a/b.zip"),
        ("bucket/a/", SourceKind.S3_FOLDER, "s3://bucket/a/"),
        ("bucket/", SourceKind.S3_FOLDER, "s3://bucket/"),
        ("arn:aws:s3:::bucket/b.zip", SourceKind.S3_ZIP, "s3://bucket/b.zip"),
    ],
)
def test_a_zip_or_a_folder_of_a_bucket(location: str, kind: SourceKind, expected: str) -> None:
    spec = spec_of(source("S3", location), None, TOKEN)

    assert (spec.kind, spec.location, spec.credential) == (kind, expected, None)


def test_a_zip_has_versions() -> None:
    assert spec_of(source("S3", "bucket/a.zip"), "v1").version == "v1"


def test_no_source_is_an_empty_directory_whatever_else_is_given() -> None:
    assert spec_of(source("NO_SOURCE", "ignored"), "main", TOKEN) == SourceSpec(SourceKind.NONE, "")


def test_what_a_pipeline_brings_nobody_else_does() -> None:
    with pytest.raises(Invalid, match="pipeline"):
        spec_of(source("CODEPIPELINE"), None)


@pytest.mark.parametrize("url", ["file:///srv/r.git", "ssh://git@example.com/r", "git@example.com:r"])
def test_a_token_goes_over_the_web_only(url: str) -> None:
    assert spec_of(source("GITHUB_ENTERPRISE", url), None, TOKEN).credential is None


def test_the_user_in_bitbuckets_clone_url_is_left_out() -> None:
    spec = spec_of(source("BITBUCKET", "https://me@bitbucket.org/o/r.git"), None)

    assert (spec.location, spec.credential) == ("https://bitbucket.org/o/r.git", None)


@pytest.mark.parametrize(
    "url",
    [
        "file:///var/lib/codeyard/mirrors/a",
        "file:///var/lib/codeyard",
        "file:///var/lib/../lib/codeyard/x",
        "file:///var/lib/code%79ard/x",
        "file:////var/lib/codeyard/x",
    ],
)
def test_the_servers_own_directory_is_no_source(url: str) -> None:
    with pytest.raises(Denied, match="the server's own directory"):
        spec_of(source("GITHUB", url), None, private=DATA)


def test_a_directory_beside_the_servers_is_one() -> None:
    assert spec_of(source("GITHUB", "file:///var/lib/codeyard-x/r"), None, private=DATA).kind is SourceKind.GIT


@pytest.mark.parametrize(
    ("kind", "location", "taken"),
    [
        ("GITHUB", "https://github.com/o/r", True),
        ("GITHUB", "https://GitHub.com/o/r", True),
        ("GITHUB", "http://github.com/o/r", False),
        ("GITHUB", "https://github.com.evil.example/o/r", False),
        ("GITHUB", "https://github.com@evil.example/o/r", False),
        ("GITHUB", "file:///srv/r", False),
        ("GITLAB", "https://gitlab.com/o/r", True),
        ("GITLAB", "https://github.com/o/r", False),
        ("BITBUCKET", "https://me@bitbucket.org/o/r", True),
        ("GITHUB_ENTERPRISE", "https://git.example.com/o/r", True),
        ("GITLAB_SELF_MANAGED", "http://127.0.0.1:8080/o/r", True),
        ("GITHUB_ENTERPRISE", "ssh://git.example.com/o/r", False),
        ("CODECOMMIT", "https://git-codecommit.us-east-1.amazonaws.com/v1/repos/r", False),
    ],
)
def test_a_token_goes_to_the_host_it_is_for(kind: str, location: str, taken: bool) -> None:
    assert takes_tokens(source(kind, location)) is taken


@pytest.mark.parametrize(
    ("server", "username"),
    [
        ("GITHUB", "x-access-token"),
        ("GITHUB_ENTERPRISE", "x-access-token"),
        ("GITLAB", "oauth2"),
        ("GITLAB_SELF_MANAGED", "oauth2"),
        ("BITBUCKET", "x-token-auth"),
    ],
)
def test_each_host_has_a_name_for_its_tokens(server: str, username: str) -> None:
    credential = credential_of(server, None, "token")

    assert credential.username.reveal() == username
    assert credential_of(server, "me", "token").username.reveal() == "me"
    assert "token" not in repr(credential)


def test_a_sources_own_auth_wins_over_that_of_a_primary_that_has_no_source() -> None:
    by_secret = {"type": "SECRETS_MANAGER", "resource": "a"}
    own = source("GITHUB", "https://github.com/o/r", auth={"type": "SECRETS_MANAGER", "resource": "b"})
    bare = source("GITHUB", "https://github.com/o/r")
    primary = source("NO_SOURCE", auth=by_secret)

    assert auth_of(own, primary) == own.auth
    assert auth_of(bare, primary) == primary.auth
    assert auth_of(bare, own) is None


@given(
    st.sampled_from(["GITHUB", "S3", "BITBUCKET", "GITLAB_SELF_MANAGED"]),
    st.text(max_size=50) | st.text("htpsfile:/.@%#-a", max_size=30),
    st.none() | st.text(max_size=10),
)
def test_whatever_the_location_the_answer_is_a_spec_or_an_error_that_explains(
    kind: str, location: str, version: str | None
) -> None:
    try:
        spec = spec_of(source(kind, location), version, private=DATA)
    except (Invalid, Denied):
        return

    assert not spec.location.startswith("-")
    assert spec.kind in (SourceKind.GIT, SourceKind.S3_ZIP, SourceKind.S3_FOLDER)
