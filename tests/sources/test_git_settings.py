"""A repository's settings, held against git's own reading."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.sources.git_settings import (
    Setting,
    Submodule,
    parse_settings,
    parse_submodules,
    render_settings,
    settings_for_build,
)

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
LINES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=20)
KEYS = st.builds("{}.{}".format, NAMES, NAMES) | st.builds("{}.{}.{}".format, NAMES, LINES, NAMES)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(KEYS, TEXTS | st.none()), max_size=5))
def test_git_reads_back_what_is_written(tmp_path: Path, items: list[Setting]) -> None:
    file = tmp_path / "config"
    file.write_bytes(render_settings(items))

    listing = subprocess.check_output(["git", "config", "--file", str(file), "--no-includes", "--list", "-z"])

    assert parse_settings(listing) == tuple(items)


@pytest.mark.parametrize(
    "key",
    ["core.hookspath", "core.fsmonitor", "core.sshcommand", "core.worktree", "core.pager", "include.path",
     "includeif.gitdir:/.path", "credential.helper", "credential.https://h.username", "http.extraheader",
     "http.https://github.com/.extraheader", "http.proxy", "url.https://t@h/.insteadof", "alias.x", "diff.x.command",
     "remote.origin.uploadpack", "remote.origin.vcs", "remote.origin.proxy", "extensions.worktreeconfig",
     "submodule.x.update", "core.bare"],
)  # fmt: skip
def test_what_could_run_or_tell_is_not_kept(key: str) -> None:
    assert settings_for_build([(key, "anything")]) == ()


def test_urls_are_kept_without_their_credentials() -> None:
    kept = settings_for_build([("remote.a.url", "https://u:p@h/x"), ("submodule.a.b.url", "https://t@h/y")])

    assert kept == (("remote.a.url", "https://h/x"), ("submodule.a.b.url", "https://h/y"))


@given(st.lists(st.tuples(KEYS, TEXTS | st.none()), max_size=8))
def test_only_what_was_there_is_kept(items: list[Setting]) -> None:
    assert {key for key, _ in settings_for_build(items)} <= {key for key, _ in items}


def test_submodules_are_read() -> None:
    said = [
        ("submodule.a.b.path", "libs/a"),
        ("submodule.a.b.url", "../a"),
        ("submodule.off.path", "off"),
        ("submodule.off.url", "../off"),
        ("submodule.off.update", "none"),
        ("submodule.nourl.path", "x"),
        ("other.a.path", "y"),
        ("submodule.recurse", "true"),
    ]

    assert parse_submodules(said) == (Submodule("a.b", "libs/a", "../a"),)


@pytest.mark.parametrize("path", ["../x", "/etc", "a/../b", ".git/x", "a/.GIT", "", "a//b", "."])
def test_a_submodule_whose_path_leads_out_is_none(path: str) -> None:
    assert parse_submodules([("submodule.a.path", path), ("submodule.a.url", "https://h/a")]) == ()
