"""Repositories that mean harm."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.sources import SourceError, parse_location
from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, History, Repo, git, quiet, spec_of


def forged(repo: Repo, *entries: tuple[str, str, str]) -> None:
    """Commit a tree of (mode, name, object) as no git would make it."""
    raw = b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    tree = repo.git("hash-object", "-t", "tree", "-w", "--stdin", "--literally", stdin=raw)
    commit = repo.git("commit-tree", tree, "-m", "forged")
    repo.git("update-ref", "refs/heads/main", commit)


@pytest.mark.parametrize("name", [".git", ".GIT", "git~1", "..", ".", "a/../../b", ".git\u200c"])
async def test_a_tree_that_would_write_outside_or_into_git_is_refused(
    source: GitSource, server: GitServer, served: Path, out: Path, name: str
) -> None:
    repo = Repo(served / "app")
    hook = repo.git("hash-object", "-w", "--stdin", stdin=b"#!/bin/sh\ntouch owned\n")
    inner = repo.git("mktree", stdin=f"100755 blob {hook}\tpost-checkout\n".encode())
    outer = repo.git("mktree", stdin=f"040000 tree {inner}\thooks\n".encode())
    forged(repo, ("40000", name, outer))

    with pytest.raises(SourceError, match="Git clone failed: "):
        await source.fetch(spec_of(server), out, quiet)

    assert not list(out.parent.rglob("post-checkout"))


async def test_a_symlink_in_the_tree_is_not_written_through(
    source: GitSource, server: GitServer, served: Path, out: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    repo = Repo(served / "app")
    link = repo.git("hash-object", "-w", "--stdin", stdin=str(outside).encode())
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"owned")
    inner = repo.git("mktree", stdin=f"100644 blob {blob}\towned\n".encode())
    forged(repo, ("120000", "a", link), ("40000", "a", inner))

    with suppress(SourceError):
        await source.fetch(spec_of(server), out, quiet)

    assert os.listdir(outside) == []


async def test_a_symlink_named_git_is_refused(
    source: GitSource, server: GitServer, served: Path, out: Path, tmp_path: Path
) -> None:
    repo = Repo(served / "app")
    forged(repo, ("120000", ".git", repo.git("hash-object", "-w", "--stdin", stdin=str(tmp_path).encode())))

    with pytest.raises(SourceError, match="Git clone failed: "):
        await source.fetch(spec_of(server), out, quiet)


async def test_nothing_of_the_person_runs_on_what_a_repository_says(
    source: GitSource, server: GitServer, served: Path, out: Path, base: dict[str, str], tmp_path: Path
) -> None:
    """Hooks, templates, filters and line ends of the person's settings do not reach a checkout."""
    repo = Repo(served / "app")
    repo.write(".gitattributes", "* filter=evil\n*.txt text\n")
    repo.commit("a.txt", "one\ntwo\n")
    mark, hooks, settings = tmp_path / "ran", tmp_path / "hooks", f"{base['HOME']}/.gitconfig"
    (hooks / "hooks").mkdir(parents=True)
    for place in (hooks / "post-checkout", hooks / "hooks/post-checkout", hooks / "reference-transaction"):
        place.write_text(f"#!/bin/sh\ntouch {mark}\n")
        place.chmod(0o755)
    for key, value in (
        ("core.hooksPath", str(hooks)), ("init.templateDir", str(hooks)), ("core.autocrlf", "true"),
        ("filter.evil.smudge", f"touch {mark}; cat"), ("core.fsmonitor", f"touch {mark}"),
    ):  # fmt: skip
        git(out, "config", "--file", settings, key, value)

    await source.fetch(spec_of(server), out, quiet)

    assert (out / "a.txt").read_bytes() == b"one\ntwo\n"
    assert not mark.exists()


async def test_names_with_newlines_and_odd_bytes_are_files(
    source: GitSource, server: GitServer, served: Path, out: Path
) -> None:
    names = ["a\nb", "-rf", "\udcff", " ", "ü", ":(top)x", "--"]
    repo = Repo(served / "app")
    for name in names:
        (repo.path / name).write_text("x")
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "names")

    fetched = await source.fetch(spec_of(server, submodules=True), out, quiet)

    assert sorted(os.listdir(out)) == sorted([".git", *names])
    assert fetched.files == len(names)


async def test_variables_of_the_caller_lead_git_nowhere_else(
    server: GitServer, history: History, out: Path, base: dict[str, str], tmp_path: Path
) -> None:
    other = Repo(tmp_path / "other")
    other.commit("other", "o")
    before = other.git("for-each-ref")
    led = base | {
        "GIT_DIR": str(other.path / ".git"),
        "GIT_WORK_TREE": str(other.path),
        "GIT_INDEX_FILE": str(other.path / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(other.path / ".git/objects"),
        "GIT_TRACE": str(tmp_path / "trace"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.worktree",
        "GIT_CONFIG_VALUE_0": str(other.path),
        "GIT_ALLOW_PROTOCOL": "none",
    }

    await GitSource(tmp_path / "cache", led).fetch(spec_of(server), out, quiet)

    assert (out / "file").read_text() == "three"
    assert other.git("for-each-ref") == before
    assert other.git("status", "--porcelain") == ""
    assert not (tmp_path / "trace").exists()


async def test_a_repository_on_disk_is_cloned_and_not_touched(source: GitSource, tmp_path: Path, out: Path) -> None:
    history = History(tmp_path / "with space" / "app")
    files = {path: path.lstat().st_mtime_ns for path in history.repo.path.rglob("*")}

    fetched = await source.fetch(parse_location(f"{history.repo.path.as_uri()}#v2", Path("/")), out, quiet)

    assert (fetched.resolved_version, fetched.subpath) == (history.two, "")
    assert {path: path.lstat().st_mtime_ns for path in history.repo.path.rglob("*")} == files


async def test_a_repository_that_is_not_there_is_told(source: GitSource, server: GitServer, out: Path) -> None:
    with pytest.raises(SourceError, match=r"Git clone failed: Repository '.*/none/?' not found"):
        await source.fetch(spec_of(server, name="none"), out, quiet)


async def test_a_machine_without_git_is_told(server: GitServer, out: Path, tmp_path: Path) -> None:
    source = GitSource(tmp_path / "cache", {"PATH": str(tmp_path)})

    with pytest.raises(SourceError, match="git is not installed"):
        await source.fetch(spec_of(server), out, quiet)
