"""What one build keeps must not harm the next, nor another project."""

import pytest

from tests.acceptance.harness import Result, Yard


def build(yard: Yard, command: str, key: str | None, project: str = "acceptance") -> Result:
    cache = {"paths": ["kept/**/*"], **({} if key is None else {"key": key})}
    spec = {"phases": {"build": {"commands": ["cat kept/file || echo cold", command]}}, "cache": cache}
    return yard.build(spec, cache=str(yard.root / "cache"), project=project)


HALF = "mkdir -p kept && echo half >kept/file && exit 1"
WHOLE = "mkdir -p kept && echo whole >kept/file"


def test_a_failed_build_makes_no_cache_that_never_changes(yard: Yard) -> None:
    failed = build(yard, HALF, "key")
    build(yard, WHOLE, "key")
    third = build(yard, "true", "key")

    assert "Cache not saved: the build failed, and a cache with a key does not change" in failed.said
    assert third.printed[-1] == "whole"


def test_a_failed_build_keeps_what_the_next_replaces(yard: Yard) -> None:
    build(yard, HALF, None)

    assert build(yard, WHOLE, None).printed[-1] == "half"
    assert build(yard, "true", None).printed[-1] == "whole"


@pytest.mark.parametrize("key", ["key", None])
def test_another_project_gets_nothing_of_it(yard: Yard, key: str | None) -> None:
    build(yard, WHOLE, key)

    assert "cold" in build(yard, "true", key, project="other").printed


def test_no_mode_that_gives_rights_is_kept(yard: Yard) -> None:
    command = "mkdir -p kept && echo x >kept/file && chmod 6755 kept/file && chmod 1777 kept"
    spec = {
        "phases": {"build": {"commands": [command]}},
        "artifacts": {"files": ["kept/**/*"]},
        "cache": {"paths": ["kept/**/*"]},
    }
    result = yard.build(spec, cache=str(yard.root / "cache"))
    found = [*(result.home / "artifacts").rglob("*"), *yard.state.rglob("*"), *(yard.root / "cache").rglob("*")]

    assert result.artifact() == {"kept/file": "x\n"}
    assert [path for path in found if path.lstat().st_mode & 0o6000 and path.is_file()] == []
