"""Mirrors: deltas, damage, death, and many at once."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import codeyard
from codeyard.sources import SourceError, parse_location
from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, History, git, quiet, spec_of


async def test_the_second_clone_is_a_delta(source: GitSource, server: GitServer, history: History, out: Path) -> None:
    history.repo.commit("large", os.urandom(300_000).hex())
    await source.fetch(spec_of(server), out, quiet)
    first, server.sent = server.sent, 0
    history.repo.commit("file", "four")

    await source.fetch(spec_of(server), out, quiet)

    assert (out / "file").read_text() == "four"
    assert first > 300_000
    assert server.sent < 3000


async def test_the_second_shallow_clone_is_a_delta(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    history.repo.commit("large", os.urandom(300_000).hex())
    await source.fetch(spec_of(server, "main", depth=1), out, quiet)
    first, server.sent = server.sent, 0
    history.repo.commit("file", "four")

    await source.fetch(spec_of(server, "main", depth=1), out, quiet)

    assert (out / "file").read_text() == "four"
    assert first > 300_000
    assert server.sent < 3000


@pytest.mark.parametrize("first", [None, 1])
@pytest.mark.parametrize("second", [None, 1])
@pytest.mark.parametrize("userinfo", ["", "ann:wr0ng-t0ken@"])
async def test_a_mirror_gives_nothing_to_whom_the_server_lets_not_in(
    source: GitSource, private: GitServer, history: History, out: Path,
    first: int | None, second: int | None, userinfo: str,
) -> None:  # fmt: skip
    url = private.url + "/app"
    known = parse_location(url.replace("://", "://ann:s3cr3t-t0ken@"), Path("/"), version=history.three)
    stranger = parse_location(url.replace("://", f"://{userinfo}"), Path("/"), version=history.three)
    await source.fetch(replace(known, depth=first), out, quiet)

    with pytest.raises(SourceError, match="Git clone failed: "):
        await source.fetch(replace(stranger, depth=second), out, quiet)

    assert not (out / "file").exists()


@pytest.mark.parametrize("depth", [None, 1])
async def test_a_branch_that_became_a_directory_of_branches_is_found(
    source: GitSource, server: GitServer, history: History, out: Path, depth: int | None
) -> None:
    history.repo.git("branch", "topic", history.one)
    await source.fetch(spec_of(server, "topic", depth=depth), out, quiet)
    history.repo.git("branch", "-D", "topic")
    history.repo.git("branch", "topic/a", history.two)

    fetched = await source.fetch(spec_of(server, "topic/a", depth=depth), out, quiet)

    assert fetched.resolved_version == history.two


async def test_a_branch_that_is_gone_is_not_found_in_the_mirror(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    await source.fetch(spec_of(server, "feature/x"), out, quiet)
    history.repo.git("branch", "-D", "feature/x")

    with pytest.raises(SourceError, match="reference not found"):
        await source.fetch(spec_of(server, "feature/x"), out, quiet)


def break_pack(mirror: Path) -> None:
    pack = next((mirror / "objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    pack.write_bytes(pack.read_bytes()[:40] + b"\0" * 200)


def lose_pack(mirror: Path) -> None:
    for path in (mirror / "objects/pack").iterdir():
        path.unlink()


def lose_head(mirror: Path) -> None:
    (mirror / "HEAD").unlink()


def break_config(mirror: Path) -> None:
    (mirror / "config").write_text("[[[")


def break_refs(mirror: Path) -> None:
    (mirror / "refs/heads/main").write_text("0123")


@pytest.mark.parametrize("damage", [break_pack, lose_pack, lose_head, break_config, break_refs])
async def test_a_broken_mirror_is_made_anew(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    git(tmp_path, "init", "--quiet")  # git must not take this one for the mirror
    await source.fetch(spec_of(server), out, quiet)
    damage(next((tmp_path / "cache/git").glob("*.git")))

    await source.fetch(spec_of(server), out, quiet)

    assert git(out, "fsck") == ""
    assert (out / "file").read_text() == "three"
    assert git(tmp_path, "for-each-ref") == ""


async def test_locks_that_a_killed_git_left_do_not_matter(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path
) -> None:
    await source.fetch(spec_of(server), out, quiet)
    mirror = next((tmp_path / "cache/git").glob("*.git"))
    for name in ("packed-refs.lock", "refs/heads/main.lock", "HEAD.lock", "shallow.lock", "config.lock"):
        (mirror / name).touch()
    new = history.repo.commit("file", "four")

    fetched = await source.fetch(spec_of(server), out, quiet)

    assert fetched.resolved_version == new


async def test_many_clones_of_one_repository_at_once_all_come(
    source: GitSource, server: GitServer, history: History, tmp_path: Path
) -> None:
    places = [tmp_path / f"w{number}" for number in range(8)]
    depths = [None, 1] * 4

    fetched = await asyncio.gather(
        *(
            source.fetch(spec_of(server, "main", depth=depth), place, quiet)
            for place, depth in zip(places, depths, strict=True)
        )
    )

    assert {each.resolved_version for each in fetched} == {history.three}
    assert [(place / "file").read_text() for place in places] == ["three"] * 8


async def test_many_packs_are_put_together(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeyard.sources.git_mirror.PACKS", 3)
    for number in range(6):
        history.repo.commit("file", f"number {number}")
        await source.fetch(spec_of(server), out, quiet)

    assert len(list((tmp_path / "cache/git").glob("*.git/objects/pack/*.pack"))) <= 4
    assert git(out, "fsck") == ""


SOURCES = str(Path(codeyard.__file__).parents[1])
CLONE = """
import asyncio, os, sys
from pathlib import Path
from codeyard.sources import parse_location
from codeyard.sources.git import GitSource
source = GitSource(Path(sys.argv[2]), os.environ)
asyncio.run(source.fetch(parse_location(sys.argv[1], Path("/")), Path(sys.argv[3]), lambda line: None))
"""


async def test_a_clone_killed_in_the_middle_is_made_by_the_next(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path, base: dict[str, str]
) -> None:
    server.stalls.set()
    url = f"{server.url}/app"
    child = subprocess.Popen(
        [sys.executable, "-c", CLONE, url, str(tmp_path / "cache"), str(out)], env=base | {"PYTHONPATH": SOURCES}
    )
    await asyncio.to_thread(server.asked.wait, 30)
    child.send_signal(signal.SIGKILL)
    child.wait()
    (out / ".git").mkdir(exist_ok=True)
    (out / ".git/HEAD").write_text("half")
    server.stalls.clear()

    fetched = await source.fetch(parse_location(url, Path("/")), out, quiet)

    assert fetched.resolved_version == history.three
    assert git(out, "fsck") == ""


def processes_that_name(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


async def test_a_cancelled_clone_leaves_no_process(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    server.stalls.set()
    task = asyncio.create_task(source.fetch(spec_of(server), out, quiet))
    await asyncio.to_thread(server.asked.wait, 30)
    running = processes_that_name(server.host)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert running != []
    assert processes_that_name(server.host) == []


async def test_a_server_that_never_answers_is_given_up(
    server: GitServer, history: History, out: Path, tmp_path: Path, base: dict[str, str]
) -> None:
    server.stalls.set()
    start = time.monotonic()

    with pytest.raises(SourceError, match="Git clone failed: it took too long"):
        await GitSource(tmp_path / "cache", base, timeout=1).fetch(spec_of(server), out, quiet)

    assert time.monotonic() - start < 45


async def test_a_cache_that_cannot_be_written_to_is_told(
    server: GitServer, history: History, out: Path, tmp_path: Path, base: dict[str, str]
) -> None:
    (tmp_path / "cache").write_text("a file")

    with pytest.raises(SourceError, match=r"cache/git: not a directory"):
        await GitSource(tmp_path / "cache", base).fetch(spec_of(server), out, quiet)
