"""Directories of developers."""

import asyncio
import hashlib
import os
import socket
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.copying import Copier, clear
from codeyard.sources.directory import DirectorySource
from tests.sources.servers import Repo, git


def quiet(_line: str) -> None:
    pass


@pytest.fixture
def source(base: dict[str, str]) -> DirectorySource:
    return DirectorySource(base)


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """Committed: kept, changed, deleted, .gitignore; then changed, deleted, and with a new and an ignored file."""
    repo = Repo(tmp_path / "app")
    for name in ("kept", "changed", "deleted"):
        repo.write(name, "committed")
    repo.write("dir/deep/file", "committed")
    repo.commit(".gitignore", "ignored\nnode_modules/\n")
    repo.git("tag", "v1")
    repo.write("changed", "changed")
    repo.write("new/file", "new")
    repo.write("ignored", "ignored")
    repo.write("node_modules/x/y", "ignored")
    (repo.path / "deleted").unlink()
    return repo


def spec_of(path: Path) -> SourceSpec:
    return SourceSpec(SourceKind.DIRECTORY, str(path))


def names(directory: Path) -> list[str]:
    """All files beneath it but those of .git."""
    found = [path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir()]
    return sorted(name for name in found if ".git" not in name.split("/"))


def everything(directory: Path) -> dict[str, tuple[object, ...]]:
    """All that can be told of what lies there: kinds, modes, times, contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [directory, *directory.rglob("*")]:
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_ctime_ns, status.st_size, content)
    return found


@pytest.mark.parametrize("is_repository", [True, False])
async def test_our_own_directory_is_no_part_of_a_source(
    base: dict[str, str], repo: Repo, tmp_path: Path, is_repository: bool
) -> None:
    repo.write("state/vault/key", "secret")
    repo.write("state/runs/1/app/main", "old")
    git(repo.path / "state/runs/1/app", "init", "-q")
    repo.write("states/x", "not ours")
    (repo.path / ".git").rename(repo.path / (".git" if is_repository else "was.git"))

    lines: list[str] = []
    source = DirectorySource(base, repo.path / "state")
    await source.fetch(spec_of(repo.path), tmp_path / "out", lines.append)

    assert not (tmp_path / "out/state").exists()
    assert (tmp_path / "out/states/x").exists()
    assert f"{repo.path}/state is Codeyard's own, and is left out" in lines


async def test_what_git_ignores_stays_and_what_is_new_comes(source: DirectorySource, repo: Repo, out: Path) -> None:
    fetched = await source.fetch(spec_of(repo.path), out, quiet)

    assert names(out) == [".gitignore", "changed", "dir/deep/file", "kept", "new/file"]
    assert (out / "changed").read_text() == "changed"
    assert fetched == Fetched(
        resolved_version=repo.git("rev-parse", "HEAD"),
        subpath="",
        repo_url="",
        version="",
        description=f"directory at {repo.git('rev-parse', 'HEAD')[:8]}",
        files=5,
        bytes=sum((out / name).stat().st_size for name in names(out)),
    )


async def test_git_works_in_the_copy(source: DirectorySource, repo: Repo, out: Path) -> None:
    await source.fetch(spec_of(repo.path), out, quiet)

    assert git(out, "status", "--porcelain") == repo.git("status", "--porcelain") != ""
    assert git(out, "describe", "--tags", "--dirty") == "v1-dirty"
    assert git(out, "log", "--format=%H %D") == repo.git("log", "--format=%H %D")
    assert git(out, "fsck") == ""


async def test_the_directory_is_left_as_it_was(source: DirectorySource, repo: Repo, out: Path) -> None:
    time.sleep(0.02)
    (repo.path / "kept").touch()  # its entry in the index is stale now: git would like to refresh it
    before = everything(repo.path)

    await source.fetch(spec_of(repo.path), out, quiet)

    assert everything(repo.path) == before


async def test_the_copy_shares_nothing_with_the_directory(source: DirectorySource, repo: Repo, out: Path) -> None:
    await source.fetch(spec_of(repo.path), out, quiet)
    before = everything(repo.path)
    for path in [*out.rglob("*")]:
        if path.is_file():
            path.chmod(0o600)
            path.write_text("spoilt")

    assert everything(repo.path) == before


async def test_modes_times_and_symlinks_are_kept(source: DirectorySource, repo: Repo, out: Path) -> None:
    (repo.path / "run").write_text("#!/bin/sh\n")
    (repo.path / "run").chmod(0o4755)
    os.utime(repo.path / "run", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    (repo.path / "read").write_text("only")
    (repo.path / "read").chmod(0o444)
    (repo.path / "passwd").symlink_to("/etc/passwd")
    (repo.path / "dangling").symlink_to("nowhere")

    await source.fetch(spec_of(repo.path), out, quiet)

    assert stat.S_IMODE((out / "run").stat().st_mode) == 0o755
    assert (out / "run").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert stat.S_IMODE((out / "read").stat().st_mode) == 0o444
    assert (out / "passwd").readlink() == Path("/etc/passwd")
    assert (out / "dangling").readlink() == Path("nowhere")


async def test_pipes_and_sockets_are_left_out_and_told(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    place = tmp_path / "plain"
    place.mkdir()
    os.mkfifo(place / "pipe")
    (place / "file").write_text("x")
    lines: list[str] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "sock"))
        await source.fetch(spec_of(place), out, lines.append)

    assert names(out) == ["file"]
    assert "Left out 2 sockets, pipes or devices" in lines


async def test_a_directory_of_no_repository_is_taken_whole(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    place = tmp_path / "plain"
    (place / "a/b").mkdir(parents=True)
    (place / "empty").mkdir()
    (place / ".gitignore").write_text("*\n")
    (place / "a/b/c").write_text("c")
    lines: list[str] = []

    fetched = await source.fetch(spec_of(place), out, lines.append)

    assert names(out) == [".gitignore", "a/b/c"]
    assert (out / "empty").is_dir()
    assert fetched.resolved_version is None
    assert lines == ["The directory is part of no git repository: everything in it is copied"]


async def test_without_git_everything_is_taken(repo: Repo, out: Path, tmp_path: Path) -> None:
    lines: list[str] = []

    fetched = await DirectorySource({"PATH": str(tmp_path)}).fetch(spec_of(repo.path), out, lines.append)

    assert (out / "node_modules/x/y").exists()
    assert (out / ".git/HEAD").exists()
    assert fetched.resolved_version is None
    assert lines == ["git is not installed: everything in the directory is copied, ignored files too"]


async def test_a_repository_before_its_first_commit_is_taken(
    source: DirectorySource, tmp_path: Path, out: Path
) -> None:
    repo = Repo(tmp_path / "app")
    repo.write("file", "x")

    fetched = await source.fetch(spec_of(repo.path), out, quiet)

    assert fetched.resolved_version is None
    assert git(out, "status", "--porcelain") == "?? file"


async def test_a_directory_within_a_repository_is_the_root_and_has_no_history(
    source: DirectorySource, repo: Repo, out: Path
) -> None:
    repo.write("dir/ignored", "x")
    repo.write("dir/new", "x")

    fetched = await source.fetch(spec_of(repo.path / "dir"), out, quiet)

    assert sorted(path.name for path in out.iterdir()) == ["deep", "new"]
    assert fetched.resolved_version == repo.git("rev-parse", "HEAD")


async def test_an_ignored_directory_belongs_to_no_repository(source: DirectorySource, repo: Repo, out: Path) -> None:
    fetched = await source.fetch(spec_of(repo.path / "node_modules"), out, quiet)

    assert names(out) == ["x/y"]
    assert fetched.resolved_version is None


async def test_a_linked_work_tree_gets_a_repository_of_its_own(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    (tmp_path / "side/kept").write_text("on the side")
    before = everything(repo.path)

    fetched = await source.fetch(spec_of(tmp_path / "side"), out, quiet)

    assert git(out, "status", "--porcelain", "--branch") == "## side\n M kept"
    assert (out / ".git").is_dir()
    assert fetched.resolved_version == repo.git("rev-parse", "side")
    assert everything(repo.path) == before


async def test_submodules_and_other_repositories_come_with_their_changes(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    library = Repo(tmp_path / "library")
    library.write(".gitignore", "hidden\n")
    library.commit("lib", "committed")
    repo.git("submodule", "--quiet", "add", str(library.path), "vendor/lib")
    repo.git("submodule", "--quiet", "add", str(library.path), "vendor/absent")
    repo.git("commit", "--quiet", "-m", "submodules")
    repo.git("submodule", "--quiet", "deinit", "--force", "vendor/absent")
    (repo.path / "vendor/lib/lib").write_text("changed")
    (repo.path / "vendor/lib/hidden").write_text("x")
    other = Repo(repo.path / "cloned")
    other.commit("other", "o")
    before = everything(repo.path)

    await source.fetch(spec_of(repo.path), out, quiet)

    assert everything(repo.path) == before
    assert [name for name in names(out) if "/" in name] == [
        "cloned/other", "dir/deep/file", "new/file", "vendor/lib/.gitignore", "vendor/lib/lib",
    ]  # fmt: skip
    assert os.listdir(out / "vendor/absent") == []
    assert git(out / "vendor/lib", "status", "--porcelain") == " M lib"
    assert git(out / "cloned", "status", "--porcelain") == ""
    assert git(out, "status", "--porcelain") == repo.git("status", "--porcelain")


async def test_borrowed_objects_come_along(source: DirectorySource, repo: Repo, out: Path, tmp_path: Path) -> None:
    repo.git("stash", "--quiet")
    git(tmp_path, "clone", "--quiet", "--shared", str(repo.path), "borrower")
    (tmp_path / "borrower/staged").write_text("staged")
    git(tmp_path / "borrower", "add", "staged")

    await source.fetch(spec_of(tmp_path / "borrower"), out, quiet)
    repo.path.rename(tmp_path / "gone")

    assert git(out, "fsck") == ""
    assert git(out, "status", "--porcelain") == "A  staged"
    assert not (out / ".git/objects/info/alternates").exists()


async def test_no_credential_hook_or_command_of_the_developer_is_copied(
    source: DirectorySource, repo: Repo, out: Path
) -> None:
    for key, value in (
        ("remote.origin.url", "https://ann:s3cr3t@github.com/owner/repo.git"),
        ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
        ("http.https://github.com/.extraheader", "AUTHORIZATION: basic s3cr3t"),
        ("credential.helper", "store --file=s3cr3t"),
        ("core.sshCommand", "ssh -i s3cr3t"),
        ("url.https://s3cr3t@x/.insteadOf", "https://x/"),
        ("core.hooksPath", "s3cr3t"),
        ("branch.main.remote", "origin"),
    ):
        repo.git("config", key, value)
    (repo.path / ".git/hooks").mkdir(exist_ok=True)
    (repo.path / ".git/hooks/pre-commit").write_text("s3cr3t")

    fetched = await source.fetch(spec_of(repo.path), out, quiet)

    texts = [path.read_bytes() for path in (out / ".git").rglob("*") if path.is_file()]
    assert not [text for text in texts if b"s3cr3t" in text]
    assert git(out, "remote", "get-url", "origin") == "https://github.com/owner/repo.git"
    assert (fetched.repo_url, fetched.subpath) == ("https://github.com/owner/repo.git", "github.com/owner/repo")
    assert git(out, "config", "branch.main.remote") == "origin"


async def test_names_of_any_kind_are_kept(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    repo = Repo(tmp_path / "app")
    wanted = sorted(["a\nb", "-rf", "\udcff\udcfe", " ", "ü", ":(top)x", "tab\t", '"quoted"'])
    for name in wanted[:4]:
        repo.write(name, "x")
    repo.commit("file", "x")
    for name in wanted[4:]:
        repo.write(name, "x")

    await source.fetch(spec_of(repo.path), out, quiet)

    assert names(out) == sorted([*wanted, "file"])


async def test_a_directory_whose_name_holds_a_newline_is_taken(
    source: DirectorySource, tmp_path: Path, out: Path
) -> None:
    repo = Repo(tmp_path / "a\nb")
    commit = repo.commit("file", "x")

    fetched = await source.fetch(SourceSpec(SourceKind.DIRECTORY, str(repo.path)), out, quiet)

    assert fetched.resolved_version == commit
    assert names(out) == ["file"]


async def test_it_can_be_repeated_over_what_a_death_left(source: DirectorySource, repo: Repo, out: Path) -> None:
    await source.fetch(spec_of(repo.path), out, quiet)
    (out / "rubbish/deep").mkdir(parents=True)
    (out / "rubbish/deep/link").symlink_to(repo.path)
    (out / "kept").unlink()

    await source.fetch(spec_of(repo.path), out, quiet)

    assert names(out) == [".gitignore", "changed", "dir/deep/file", "kept", "new/file"]
    assert (repo.path / "kept").exists()


async def test_a_workspace_within_the_directory_is_not_copied_into_itself(
    source: DirectorySource, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    inside = tmp_path / "builds/1/src"
    inside.mkdir(parents=True)

    await source.fetch(spec_of(tmp_path), inside, quiet)

    assert sorted(names(inside)) == ["file"]
    assert not (inside / "builds/1/src").exists()


async def test_a_deep_tree_is_taken_and_cleared(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    deep = str(tmp_path / "plain")
    for _ in range(1200):  # deeper than Python recurses
        Path(deep).mkdir()
        deep += "/d"
    Path(deep).write_text("x")

    await source.fetch(spec_of(tmp_path / "plain"), out, quiet)
    fetched = await source.fetch(spec_of(tmp_path / "plain"), out, quiet)
    clear(tmp_path / "plain")
    clear(out)

    assert fetched.files == 1


async def test_a_directory_that_went_away_is_told(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match="it is no directory any more"):
        await source.fetch(spec_of(tmp_path / "gone"), out, quiet)


async def test_a_cancelled_copy_stops(
    source: DirectorySource, repo: Repo, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, seen = threading.Event(), []
    copy = Copier.file

    def slow(self: Copier, source: str, target: str) -> bool:
        started.set()
        seen.append(source)
        time.sleep(0.1)
        return copy(self, source, target)

    monkeypatch.setattr(Copier, "file", slow)
    task = asyncio.create_task(source.fetch(spec_of(repo.path), out, quiet))
    await asyncio.to_thread(started.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    after = len(seen)
    await asyncio.sleep(0.3)

    assert len(seen) == after < 5


async def test_a_repository_that_is_tidied_up_meanwhile_is_copied_whole(
    source: DirectorySource, repo: Repo, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As git does by itself, behind a commit: loose objects go away, and are in a pack."""
    for number in range(30):
        repo.commit("changed", f"number {number}")
    copy = Copier.file
    tidied: list[str] = []

    def tidy(self: Copier, source: str, target: str) -> bool:
        if "/.git/objects/" in source and not tidied:
            tidied.append(repo.git("gc", "--quiet", "--prune=now"))
        return copy(self, source, target)

    monkeypatch.setattr(Copier, "file", tidy)
    await source.fetch(spec_of(repo.path), out, quiet)

    assert tidied == [""]
    assert git(out, "fsck", "--no-dangling") == ""
    assert git(out, "rev-list", "--count", "HEAD") == "31"


# ── hostile directories ──


async def test_a_directory_that_became_a_symlink_is_not_followed(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/file").write_text("secret")
    (repo.path / "dir").rename(tmp_path / "elsewhere")
    (repo.path / "dir").symlink_to(outside)

    await source.fetch(spec_of(repo.path), out, quiet)

    assert (out / "dir").readlink() == Path(str(outside))
    assert "dir/deep/file" not in names(out)


async def test_a_git_file_that_names_somebody_elses_repository_brings_no_history(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "file").write_text("x")
    (hostile / ".git").write_text(f"gitdir: {repo.path}/.git\n")
    lines: list[str] = []

    await source.fetch(spec_of(hostile), out, lines.append)

    assert sorted(os.listdir(out)) == ["file"]
    assert any("does not name it back" in line for line in lines)


async def test_a_git_that_is_a_symlink_is_not_followed(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    (hostile / "file").write_text("x")
    (hostile / ".git").symlink_to(repo.path / ".git")

    await source.fetch(spec_of(hostile), out, quiet)

    assert (out / ".git").readlink() == Path(str(repo.path / ".git"))
    assert sorted(os.listdir(out)) == [".git", "file"]


async def test_symlinks_within_git_are_not_followed(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    (repo.path / ".git/info").mkdir(exist_ok=True)
    for name in ("refs/secret", "objects/secret", "info/exclude", "ORIG_HEAD"):
        (repo.path / ".git" / name).unlink(missing_ok=True)
        (repo.path / ".git" / name).symlink_to(outside / "secret")
    (repo.path / ".git/objects/ff").rename(tmp_path / "ff") if (repo.path / ".git/objects/ff").exists() else None
    (repo.path / ".git/objects/ff").symlink_to(outside)

    await source.fetch(spec_of(repo.path), out, quiet)

    assert not [path for path in (out / ".git").rglob("*") if path.is_symlink() or path.name == "secret"]
    assert os.listdir(outside) == ["secret"]


async def test_a_forged_index_does_not_lead_out(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    repo = Repo(tmp_path / "app")
    repo.commit("XX/secret", "x")
    index = (repo.path / ".git/index").read_bytes()[:-20].replace(b"XX/secret", b"../secret").replace(b"XX", b"..")
    (repo.path / ".git/index").write_bytes(index + hashlib.sha1(index).digest())

    with suppress(SourceError):
        await source.fetch(spec_of(repo.path), out, quiet)

    assert "secret" not in [path.read_text() for path in out.rglob("secret")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "home", "secret", "workspace"]


async def test_nothing_that_a_repositorys_settings_name_is_run(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    mark = tmp_path / "ran"
    touch = f"touch {mark}"
    for key, value in (
        ("core.fsmonitor", touch), ("core.hooksPath", str(tmp_path)), ("core.sshCommand", touch),
        ("core.pager", touch), ("core.editor", touch), ("filter.evil.clean", touch), ("filter.evil.process", touch),
        ("extensions.partialClone", "origin"), ("remote.origin.promisor", "true"),
        ("remote.origin.url", f"ext::sh -c '{touch}'"), ("protocol.ext.allow", "always"), ("protocol.allow", "always"),
        ("core.repositoryformatversion", "1"), ("core.gitProxy", touch), ("credential.helper", f"!{touch}"),
    ):  # fmt: skip
        repo.git("config", key, value)
    repo.write(".gitattributes", "* filter=evil\n")
    (repo.path / ".git/refs/heads/main").write_text("1" * 40 + "\n")  # an object that only the remote could have

    await source.fetch(spec_of(repo.path), out, quiet)

    assert not mark.exists()
    assert "kept" in names(out)


async def test_a_repository_whose_work_tree_is_elsewhere_is_no_repository(
    source: DirectorySource, repo: Repo, out: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret").write_text("x")
    repo.git("config", "core.worktree", str(tmp_path / "elsewhere"))

    await source.fetch(spec_of(repo.path), out, quiet)

    assert "secret" not in names(out)
    assert "kept" in names(out)


async def test_a_file_that_cannot_be_read_is_named(
    source: DirectorySource, repo: Repo, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open

    def refuse(path: str, flags: int, mode: int = 0o777, **more: int) -> int:
        if str(path).endswith("/app/kept"):
            raise PermissionError(13, "Permission denied")
        return open_file(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(SourceError, match=r"Unable to copy .*/app/kept: permission denied. Make it readable"):
        await source.fetch(spec_of(repo.path), out, quiet)


@pytest.mark.slow
async def test_twelve_thousand_files_take_seconds(source: DirectorySource, tmp_path: Path, out: Path) -> None:
    repo = Repo(tmp_path / "large")
    for folder in range(120):
        for number in range(100):
            repo.write(f"{folder}/{number}", f"{folder} {number}\n" * 50)
    repo.git("add", "--all")
    repo.git("commit", "--quiet", "-m", "large")
    start = time.monotonic()

    fetched = await source.fetch(spec_of(repo.path), out, quiet)

    assert fetched.files == 12_000
    assert time.monotonic() - start < 40  # about one, on a machine that does nothing else
