"""The programs on a build's PATH, run by each shell with its own find, awk, sed and sort."""

import hashlib
import os
import subprocess
from itertools import chain
from pathlib import Path

import pytest

from codeyard.builds.programs import PROGRAMS, write_programs
from tests.builds.shells import SHELLS, Shell


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> Shell:
    found: Shell = request.param
    found.require()
    return found


class Place:
    """A source directory, and the programs to run there."""

    def __init__(self, shell: Shell, root: Path) -> None:
        self.shell, self.root = shell, root
        self.source, self.bin = root / "source", root / "user"
        self.source.mkdir()
        self.bin.mkdir()
        write_programs(self.bin)

    def files(self, *paths: str) -> None:
        for path in paths:
            (self.source / path).parent.mkdir(parents=True, exist_ok=True)
            (self.source / path).write_text(path)

    def run(self, name: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        applets = self.root / "applets"
        first = f"{applets}:" if self.shell.name == "busybox" else ""
        path = f"{first}{os.environ['PATH']}:{self.bin}"
        given = {"CODEBUILD_SRC_DIR": str(self.source), "PATH": path, **env}
        return self.shell.run(self.bin / name, *arguments, bin=applets, cwd=self.source, env=given)

    def lines(self, name: str, *arguments: str, **env: str) -> list[str]:
        ended = self.run(name, *arguments, **env)
        assert ended.returncode == 0, ended.stdout
        return ended.stdout.splitlines()


@pytest.fixture
def place(shell: Shell, tmp_path: Path) -> Place:
    return Place(shell, tmp_path)


def test_all_are_executable_and_for_sh(tmp_path: Path) -> None:
    write_programs(tmp_path)

    assert {path.name for path in tmp_path.iterdir()} == set(PROGRAMS)
    assert all(path.read_text().startswith("#!/bin/sh\n") and path.stat().st_mode & 0o777 == 0o755
               for path in tmp_path.iterdir())  # fmt: skip


@pytest.mark.parametrize("name", ["codebuild-breakpoint", "codebuild-resume"])
def test_without_a_debug_session_both_do_nothing(place: Place, name: str) -> None:
    assert place.lines(name) == []


FILES = ("a.lock", "sub/a.lock", "sub/deep/a.lock", "sub/b.txt", "a+b(c){d}[e]|^$.x", "aXlock", ".hidden/h.lock", "o'q")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["*.lock"], ["a.lock"]),
        (["./*.lock"], ["a.lock"]),
        (["**/*.lock"], [".hidden/h.lock", "a.lock", "sub/a.lock", "sub/deep/a.lock"]),
        (["sub/*"], ["sub/a.lock", "sub/b.txt"]),
        (["sub/**"], ["sub/a.lock", "sub/b.txt", "sub/deep/a.lock"]),
        (["sub/?.txt"], ["sub/b.txt"]),
        (["sub/*.txt", "*.lock", "sub/b*"], ["a.lock", "sub/b.txt"]),
        (["a+b(c){d}[e]|^$.x"], ["a+b(c){d}[e]|^$.x"]),
        (["o'q"], ["o'q"]),
    ],
)
def test_globs_stay_within_directories_and_stars_do_not(place: Place, patterns: list[str], expected: list[str]) -> None:
    place.files(*FILES)

    assert place.lines("codebuild-glob-search", *patterns) == expected


def test_no_match_is_told_and_no_failure(place: Place) -> None:
    ended = place.run("codebuild-glob-search", "nothing")

    assert (ended.returncode, ended.stdout) == (0, "No files found for: nothing\n")


@pytest.mark.parametrize("name", ["codebuild-glob-search", "codebuild-hash-files", "codebuild-tests-run"])
def test_no_arguments_is_a_mistake(place: Place, name: str) -> None:
    ended = place.run(name)

    assert ended.returncode == 2
    assert ended.stdout.startswith(f"usage: {name}")


def test_the_hash_is_the_same_for_the_same_files_wherever_it_is_asked(place: Place) -> None:
    place.files("package.json", "sub/package.json", "other")
    inner = "".join(
        f"{hashlib.sha256(path.encode()).hexdigest()}  {path}\n" for path in ("package.json", "sub/package.json")
    )

    assert place.lines("codebuild-hash-files", "**/package.json") == [hashlib.sha256(inner.encode()).hexdigest()]


def test_the_hash_changes_with_a_content(place: Place) -> None:
    place.files("a")
    before = place.lines("codebuild-hash-files", "a")
    (place.source / "a").write_text("else")

    assert place.lines("codebuild-hash-files", "a") != before


def _shards(place: Place, strategy: str, total: int) -> list[list[str]]:
    found = []
    for index in range(total):
        lines = place.lines(
            "codebuild-tests-run",
            *("--test-command", "printf '%s\\n'", "--sharding-strategy", strategy),
            *("--files-search", "codebuild-glob-search '**/*.test'"),
            CODEBUILD_FANOUT_SHARD_TOTAL=str(total),
            CODEBUILD_FANOUT_SHARD_INDEX=str(index),
        )
        found.append([line for line in lines if not line.startswith("No test files")])
    return found


def test_equal_shards_are_neighbours_and_differ_by_one(place: Place) -> None:
    names = [f"t/{n:02}.test" for n in range(12)]
    place.files(*names)
    shards = _shards(place, "equal-distribution", 5)

    assert [*chain(*shards)] == names
    assert [len(shard) for shard in shards] == [3, 3, 2, 2, 2]


def test_with_stability_each_file_has_one_shard_and_another_file_moves_none(place: Place) -> None:
    names = [f"t/{n:02}.test" for n in range(6)]
    place.files(*names)
    before = _shards(place, "stability", 3)
    place.files("t/new.test")
    after = [[name for name in shard if name != "t/new.test"] for shard in _shards(place, "stability", 3)]

    assert sorted(chain(*before)) == names
    assert after == before


def test_more_shards_than_files_leaves_some_without(place: Place) -> None:
    place.files("a.test")

    assert _shards(place, "equal-distribution", 3) == [["a.test"], [], []]


def test_a_command_may_name_the_files_itself(place: Place) -> None:
    place.files("a.test", "it's.test", "with space.test")
    lines = place.lines(
        "codebuild-tests-run",
        *("--test-command", 'echo "$CODEBUILD_CURRENT_SHARD_FILES" | cat -'),
        *("--files-search", "codebuild-glob-search '*.test'"),
    )

    assert lines == ["a.test", "it's.test", "with space.test"]


def test_file_names_reach_the_command_whole(place: Place) -> None:
    place.files("a.test", "it's.test", "with space.test")
    lines = place.lines(
        "codebuild-tests-run", "--test-command", "printf '<%s>\\n'", "--files-search", "codebuild-glob-search '*.test'"
    )

    assert lines == ["<a.test>", "<it's.test>", "<with space.test>"]


def test_the_status_of_the_tests_is_the_status(place: Place) -> None:
    place.files("a.test")
    ended = place.run("codebuild-tests-run", "--test-command", "sh -c 'exit 5'", "--files-search", "echo a.test")

    assert ended.returncode == 5
