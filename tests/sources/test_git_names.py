"""Versions, refs and URLs as git understands them."""

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codeyard.sources.git_names import (
    Wanted,
    hide_credentials,
    is_ref,
    is_shallow,
    parse_version,
    place_of,
    resolve_submodule,
)

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (None, Wanted()),
        ("HEAD", Wanted()),
        ("main", Wanted(("refs/heads/main", "refs/tags/main"))),
        ("tags/v1", Wanted(("refs/heads/tags/v1", "refs/tags/tags/v1", "refs/tags/v1"))),
        ("refs/heads/x", Wanted(("refs/heads/x",))),
        ("refs/pull/1/head", Wanted(("refs/pull/1/head",))),
        ("pr/12", Wanted(("refs/pull/12/head",))),
        (SHA.upper(), Wanted(commit=SHA)),
        ("abcd", Wanted(("refs/heads/abcd", "refs/tags/abcd"), "abcd")),
        ("abc", Wanted(("refs/heads/abc", "refs/tags/abc"))),
        (f"refs/heads/x^{{{SHA}}}", Wanted(("refs/heads/x",), SHA, only=True)),
        (f"refs/heads/x^{{{SHA[:8]}}}", None),
        ("a..b", None),
        ("-x", None),
        ("a:b", None),
        ("", None),
    ],
)
def test_a_version_is_understood(version: str | None, wanted: Wanted | None) -> None:
    assert parse_version(version) == wanted


def test_a_commit_is_short_unless_it_is_whole() -> None:
    assert [Wanted(commit=text).short for text in (SHA, SHA + SHA[:24], SHA[:39], None)] == [False, False, True, False]


@given(st.text(max_size=80))
def test_no_version_becomes_an_option_or_a_refspec(version: str) -> None:
    """Whatever is asked for, what goes to git is a plain ref beneath refs/, or hexadecimal digits."""
    wanted = parse_version(version) or Wanted()

    assert all(ref.startswith("refs/") and not set(ref) & set(":*?[\\^~ \n\0") for ref in wanted.refs)
    assert set(wanted.commit or "") <= set("0123456789abcdef")


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("ab/.@{}-~^:*?[\\ \t\x7f") | st.characters(codec="utf-8"), min_size=1, max_size=12))
@example("a.lock/b")
@example("@")
@example("a.")
@example("a//b")
def test_a_name_is_a_ref_as_git_says(name: str) -> None:
    accepts = "\0" not in name and subprocess.run(["git", "check-ref-format", f"refs/heads/{name}"]).returncode == 0

    assert is_ref(f"refs/heads/{name}") == accepts


@pytest.mark.parametrize(
    ("depth", "shallow"), [(None, False), (0, False), (1, True), (25, True), (26, False), (-1, False)]
)
def test_a_clone_is_shallow_up_to_25(depth: int | None, shallow: bool) -> None:
    assert is_shallow(depth) is shallow


WORDS = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


@given(WORDS, WORDS.map(lambda word: f"S3CR3T{word}"), WORDS, st.text(max_size=20), st.sampled_from(["https", "http"]))
def test_no_password_outlives_hiding(user: str, password: str, host: str, around: str, scheme: str) -> None:
    hidden = hide_credentials(f"{around} '{scheme}://{user}:{password}@{host}/x' {around} {password}", password)

    assert password not in hidden
    assert f"{scheme}://{host}/x" in hidden


@pytest.mark.parametrize(
    ("parent", "url", "resolved"),
    [
        ("https://h/o/app.git", "../lib.git", "https://h/o/lib.git"),
        ("https://h/o/app/", "./sub", "https://h/o/app/sub"),
        ("https://h:8443/o/app", "../../p/lib", "https://h:8443/p/lib"),
        ("https://h/app", "../../x", None),
        ("https://h/app", "..", None),
        ("https://h/app", "../", None),
        ("git@h:o/app.git", "../lib.git", "git@h:o/lib.git"),
        ("git@h:/srv/app.git", "../lib.git", "git@h:/srv/lib.git"),
        ("ssh://git@h/o/app", "../lib", "ssh://git@h/o/lib"),
        ("file:///srv/app", "../lib", None),
        ("file:///srv/app", "https://h/lib", "https://h/lib"),
        ("https://h/app", "http://h/lib", None),
        ("https://h/app", "ext::sh -c x", None),
        ("https://h/app", "/etc", None),
        ("https://h/app", "https:///etc", None),
        ("https://h/app", "https://-x/", None),
        ("https://h/app", "../a\nb", None),
    ],
)
def test_a_submodule_is_found_or_forbidden(parent: str, url: str, resolved: str | None) -> None:
    assert resolve_submodule(parent, url) == resolved


@given(st.lists(st.sampled_from(["..", ".", "a", "b", ""]), max_size=8).map("/".join))
def test_a_relative_submodule_stays_on_its_server(path: str) -> None:
    resolved = resolve_submodule("https://host.example/owner/app", f"../{path}")

    assert resolved is None or resolved.startswith("https://host.example/")
    assert ".." not in (resolved or "").split("/")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://github.com/owner/repo.git", "github.com/owner/repo"),
        ("https://GitHub.com/owner/repo/", "github.com/owner/repo"),
        ("git@github.com:owner/repo.git", "github.com/owner/repo"),
        ("ssh://git@github.com:22/owner/repo", "github.com/owner/repo"),
        (
            "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/app",
            "git-codecommit.eu-west-1.amazonaws.com/v1/repos/app",
        ),
        ("file:///srv/repo", ""),
        ("/srv/repo", ""),
        ("", ""),
        ("https://h/../x", ""),
        ("https://h/a b", ""),
        ("https://h/", ""),
    ],
)
def test_a_repository_has_its_place(url: str, place: str) -> None:
    assert place_of(url) == place


@given(st.text(max_size=60))
def test_a_place_never_leads_out(path: str) -> None:
    parts = place_of(f"https://host.example/{path}".replace("[", "").replace("]", "")).split("/")

    assert ".." not in parts
    assert not any(part.startswith((".", "-")) for part in parts)
