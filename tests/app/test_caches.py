"""Caches in buckets, asked for by the service role's rights."""

from pathlib import Path

import pytest

from codeyard.app.caches import PermittedCache
from codeyard.artifacts.cache import Action, Part, Wanted
from codeyard.errors import Denied

WANTED = Wanted("namespace:shared", ("kept/**/*",))


class Role:
    """A service role that may do these actions, and what it was asked for."""

    def __init__(self, *allowed: str) -> None:
        self.allowed, self.asked = allowed, list[tuple[str, str]]()

    def permit(self, action: str, arn: str) -> None:
        self.asked.append((action, arn))
        if action not in self.allowed:
            raise Denied(f"{action} on {arn}", "the service role does not allow it.", "Allow it.")


def _parts(directory: Path) -> list[Part]:
    (directory / "kept").mkdir(parents=True, exist_ok=True)
    (directory / "kept" / "file").write_text("x")
    return [Part(directory, ("kept/**/*",), "source")]


def test_who_may_do_both_finds_what_he_left(tmp_path: Path) -> None:
    role = Role("s3:GetObject", "s3:PutObject")
    cache = PermittedCache(tmp_path / "cache", "bucket/prefix", role.permit)

    cache.save(WANTED, _parts(tmp_path / "work"))

    assert cache.lookup(WANTED) is not None
    assert [action for action, _ in role.asked] == ["s3:PutObject", "s3:GetObject"]
    assert {arn.rpartition("/")[0] for _, arn in role.asked} == {"arn:aws:s3:::bucket/prefix"}


def test_who_may_not_read_finds_nothing(tmp_path: Path) -> None:
    PermittedCache(tmp_path / "cache", "bucket", Role("s3:PutObject").permit).save(WANTED, _parts(tmp_path / "work"))

    with pytest.raises(Denied, match="s3:GetObject"):
        PermittedCache(tmp_path / "cache", "bucket", Role("s3:PutObject").permit).lookup(WANTED)


def test_who_may_not_write_leaves_nothing(tmp_path: Path) -> None:
    role = Role("s3:GetObject")
    cache = PermittedCache(tmp_path / "cache", "bucket", role.permit)

    with pytest.raises(Denied, match="s3:PutObject"):
        cache.save(WANTED, _parts(tmp_path / "work"))

    assert cache.lookup(WANTED) is None


def test_scopes_are_asked_for_apart(tmp_path: Path) -> None:
    role = Role("s3:GetObject")
    cache = PermittedCache(tmp_path / "cache", "bucket", role.permit)

    for scope in ("project:one", "project:two", "namespace:one"):
        cache.lookup(Wanted(scope, ("x",), action=Action.RESTORE))

    assert len({arn for _, arn in role.asked}) == 3
