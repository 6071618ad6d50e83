"""Clones, from real servers."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

import codeyard
from codeyard.secrets import Secret
from codeyard.sources import Credential, Fetched, SourceError, SourceKind, SourceSpec, parse_location
from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, Repo, git, git_server

Fetch = Callable[..., Fetched]


def quiet(_line: str) -> None:
    pass


@pytest.fixture
def served(tmp_path: Path) -> Path:
    root = tmp_path / "served"
    root.mkdir()
    return root


@pytest.fixture
def server(served: Path) -> Iterator[GitServer]:
    with git_server(served) as running:
        yield running


@pytest.fixture
def source(tmp_path: Path, base: dict[str, str]) -> GitSource:
    return GitSource(tmp_path / "cache", base, timeout=60)


class History:
    """main: one, two, three (tagged v3); feature: from one; a pull request 7 that no branch has."""

    def __init__(self, path: Path) -> None:
        self.repo = Repo(path)
        self.one = self.repo.commit("file", "one")
        self.two = self.repo.commit("file", "two")
        self.repo.git("tag", "v2")
        self.three = self.repo.commit("file", "three")
        self.repo.git("tag", "-a", "v3", "-m", "the third")
        self.repo.git("checkout", "--quiet", "-b", "feature/x", self.one)
        self.feature = self.repo.commit("file", "feature")
        self.repo.git("checkout", "--quiet", "--detach")
        self.pull = self.repo.commit("file", "pull")
        self.repo.git("update-ref", "refs/pull/7/head", self.pull)
        self.repo.git("checkout", "--quiet", "main")


@pytest.fixture
def history(served: Path) -> History:
    return History(served / "app")


def spec_of(server: GitServer, version: str | None = None, name: str = "app", **more: object) -> SourceSpec:
    return replace(SourceSpec(SourceKind.GIT, f"{server.url}/{name}", version), **more)  # type: ignore[arg-type]


# ── versions ──


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize(
    ("version", "content"),
    [
        (None, "three"),
        ("HEAD", "three"),
        ("main", "three"),
        ("feature/x", "feature"),
        ("heads/feature/x", "feature"),
        ("v2", "two"),
        ("v3", "three"),
        ("refs/heads/feature/x", "feature"),
        ("refs/tags/v3", "three"),
        ("refs/pull/7/head", "pull"),
        ("pr/7", "pull"),
    ],
)
async def test_a_version_is_found(
    source: GitSource, server: GitServer, history: History, out: Path, version: str, content: str, depth: int | None
) -> None:
    fetched = await source.fetch(spec_of(server, version, depth=depth), out, quiet)

    assert (out / "file").read_text() == content
    assert fetched.resolved_version == git(out, "rev-parse", "HEAD")
    assert git(out, "status", "--porcelain") == ""
    assert git(out, "fsck", "--strict").strip() == ""


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("form", ["{two}", "{TWO}", "{two:.7}", "refs/heads/main^{{{two}}}", "refs/tags/v3^{{{two}}}"])
async def test_a_commit_is_found_by_its_id(
    source: GitSource, server: GitServer, history: History, out: Path, form: str, depth: int | None
) -> None:
    version = form.format(two=history.two, TWO=history.two.upper())

    fetched = await source.fetch(spec_of(server, version, depth=depth), out, quiet)

    assert fetched.resolved_version == history.two
    assert (out / "file").read_text() == "two"
    assert git(out, "rev-parse", "HEAD") == history.two


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize(
    "version",
    ["nope", "0" * 40, "v", "deadbeef", "refs/heads/nope", "refs/pull/99/head", "pr/99",
     "refs/heads/main^{" + "1" * 40 + "}", "a..b", "main:refs/heads/x", "+main", "*", "main^",
     "@{u}", "refs/heads/a^{nope}"],
)  # fmt: skip
async def test_a_version_that_does_not_exist_is_not_found(
    source: GitSource, server: GitServer, history: History, out: Path, version: str, depth: int | None
) -> None:
    with pytest.raises(SourceError) as error:
        await source.fetch(spec_of(server, version, depth=depth), out, quiet)

    assert error.value.what == "reference not found for primary source"


async def test_the_error_names_a_secondary_source(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    with pytest.raises(SourceError, match="reference not found for secondary source tools"):
        await source.fetch(spec_of(server, "nope", identifier="tools"), out, quiet)


async def test_a_branch_goes_before_a_tag_of_its_name(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    history.repo.git("tag", "feature/x", history.two)

    fetched = await source.fetch(spec_of(server, "feature/x"), out, quiet)

    assert fetched.resolved_version == history.feature
    assert fetched.description == f"branch feature/x at {history.feature[:8]}"


async def test_a_name_that_looks_like_a_commit_is_a_branch_first(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    history.repo.git("branch", history.two[:8], history.feature)

    fetched = await source.fetch(spec_of(server, history.two[:8]), out, quiet)

    assert fetched.resolved_version == history.feature


async def test_a_commit_that_was_pushed_over_is_still_found_beside_its_ref(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    history.repo.git("reset", "--quiet", "--hard", history.one)

    fetched = await source.fetch(spec_of(server, f"refs/heads/main^{{{history.two}}}"), out, quiet)

    assert fetched.resolved_version == history.two


async def test_a_repository_without_commits_has_no_default_branch(
    source: GitSource, server: GitServer, served: Path, out: Path
) -> None:
    Repo(served / "app")

    with pytest.raises(SourceError, match="reference not found for primary source"):
        await source.fetch(spec_of(server), out, quiet)


async def test_a_repository_of_longer_ids_is_cloned(
    source: GitSource, server: GitServer, served: Path, out: Path
) -> None:
    commit = Repo(served / "app", "--object-format=sha256").commit("file", "text")

    fetched = await source.fetch(spec_of(server), out, quiet)

    assert fetched.resolved_version == commit == git(out, "rev-parse", "HEAD")
    assert len(commit) == 64


# ── what lies in the workspace ──


@pytest.mark.parametrize(("depth", "commits"), [(None, "3"), (0, "3"), (1, "1"), (2, "2"), (25, "3"), (26, "3")])
async def test_a_depth_cuts_the_history_off(
    source: GitSource, server: GitServer, history: History, out: Path, depth: int | None, commits: str
) -> None:
    await source.fetch(spec_of(server, "main", depth=depth), out, quiet)

    assert git(out, "rev-list", "--count", "HEAD") == commits


async def test_a_whole_mirror_gives_a_shallow_clone(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    await source.fetch(spec_of(server, "main"), out, quiet)
    await source.fetch(spec_of(server, "main", depth=1), out, quiet)
    shallow = git(out, "rev-list", "--count", "HEAD")
    await source.fetch(spec_of(server, "main"), out, quiet)

    assert (shallow, git(out, "rev-list", "--count", "HEAD")) == ("1", "3")


async def test_the_workspace_knows_branches_tags_and_origin(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    await source.fetch(spec_of(server, "main"), out, quiet)

    assert git(out, "describe", "--tags") == "v3"
    assert git(out, "branch", "--remotes", "--format=%(refname:short)").split() == ["origin/feature/x", "origin/main"]
    assert git(out, "remote", "get-url", "origin") == f"{server.url}/app"
    assert (out / ".git/HEAD").read_text() == f"{history.three}\n"


async def test_what_was_fetched_is_told(source: GitSource, server: GitServer, history: History, out: Path) -> None:
    lines: list[str] = []

    fetched = await source.fetch(spec_of(server, "v2"), out, lines.append)

    assert fetched == Fetched(
        resolved_version=history.two,
        subpath="127.0.0.1/app",
        repo_url=f"{server.url}/app",
        version="v2",
        description=f"tag v2 at {history.two[:8]}",
        files=1,
        bytes=3,
    )
    assert lines[0] == f"Cloning {server.url}/app"


async def test_the_workspace_shares_nothing_with_the_mirror(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path
) -> None:
    await source.fetch(spec_of(server), out, quiet)
    files = [path for path in (*out.rglob("*"), *(tmp_path / "cache").rglob("*")) if path.is_file()]

    assert {path.stat().st_nlink for path in files} == {1}
    assert not (out / ".git/objects/info/alternates").exists()
    assert not (out / ".git/hooks").exists()


async def test_a_build_that_spoils_its_clone_spoils_no_other(
    source: GitSource, server: GitServer, history: History, out: Path
) -> None:
    await source.fetch(spec_of(server), out, quiet)
    pack = next((out / ".git/objects/pack").glob("*.pack"))
    pack.chmod(0o644)
    pack.write_bytes(b"spoilt")
    sent = server.sent

    await source.fetch(spec_of(server), out, quiet)

    assert git(out, "fsck") == ""
    assert server.sent - sent < 2000


async def test_what_lies_in_the_destination_is_cleared_and_no_symlink_followed(
    source: GitSource, server: GitServer, history: History, out: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (out / "link").symlink_to(outside)
    (out / ".git").symlink_to(outside)
    (out / "dir/deep").mkdir(parents=True)

    await source.fetch(spec_of(server), out, quiet)

    assert sorted(os.listdir(out)) == [".git", "file"]
    assert (outside / "kept").read_text() == "kept"


# ── the mirror ──


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

    assert time.monotonic() - start < 10


# ── credentials ──


@pytest.fixture
def private(served: Path) -> Iterator[GitServer]:
    with git_server(served, credential=("ann", "s3cr3t-t0ken")) as running:
        yield running


@pytest.fixture
def watched(base: dict[str, str], tmp_path: Path) -> Path:
    """A file with the arguments of every git that is run from now on."""
    tools, log = tmp_path / "tools", tmp_path / "arguments"
    tools.mkdir()
    real = subprocess.check_output(["which", "git"], text=True).strip()
    (tools / "git").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\nexec {real} "$@"\n')
    (tools / "git").chmod(0o755)
    base["PATH"] = f"{tools}:{base['PATH']}"
    return log


async def test_a_credential_opens_the_door_and_is_seen_nowhere(
    private: GitServer, history: History, out: Path, watched: Path, base: dict[str, str], tmp_path: Path
) -> None:
    lines: list[str] = []
    spec = parse_location(private.url.replace("://", "://ann:s3cr3t-t0ken@") + "/app", Path("/"))

    fetched = await GitSource(tmp_path / "cache", base).fetch(spec, out, lines.append)

    assert fetched.resolved_version == history.three
    assert fetched.repo_url == f"{private.url}/app"
    assert "fetch" in watched.read_text()
    seen = [repr(spec), repr(fetched), watched.read_text(), *lines]
    stored = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    stored.remove(watched.read_text())
    assert not [text for text in (*seen, *stored) if "s3cr3t-t0ken" in text]


@pytest.mark.parametrize("userinfo", ["", "ann:wr0ng-t0ken@", "t0ken-0123456789abcdef@"])
async def test_a_door_that_stays_shut_is_told_without_the_key(
    source: GitSource, private: GitServer, history: History, out: Path, userinfo: str
) -> None:
    spec = parse_location(private.url.replace("://", f"://{userinfo}") + "/app", Path("/"))
    lines: list[str] = []

    with pytest.raises(SourceError, match="Git clone failed: ") as error:
        await source.fetch(spec, out, lines.append)

    assert "t0ken" not in "".join((*map(str, error.value.args), *lines))
    assert "credential helper" in error.value.fix


async def test_a_persons_credential_helper_is_asked(
    source: GitSource, private: GitServer, history: History, out: Path, base: dict[str, str]
) -> None:
    helper = "!f() { grep -q username=ann && echo password=s3cr3t-t0ken; }; f"
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", "credential.helper", helper)
    spec = parse_location(private.url.replace("://", "://ann@") + "/app", Path("/"))

    fetched = await source.fetch(spec, out, quiet)

    assert fetched.resolved_version == history.three


async def test_a_credential_is_not_shown_to_the_server_that_it_is_sent_on_to(
    source: GitSource, history: History, served: Path, out: Path, private: GitServer
) -> None:
    with git_server(served) as first:
        first.redirect = private.url
        spec = spec_of(first, credential=Credential(Secret("ann"), Secret("s3cr3t-t0ken")))
        with pytest.raises(SourceError):
            await source.fetch(spec, out, quiet)

    assert private.authorizations == []


async def test_a_credential_in_a_setting_of_the_person_is_not_told(
    source: GitSource, private: GitServer, history: History, out: Path, base: dict[str, str]
) -> None:
    secret = private.url.replace("://", "://ann:s3cr3t-t0ken@")
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", f"url.{secret}.insteadOf", private.url)
    lines: list[str] = []

    with pytest.raises(SourceError) as error:
        await source.fetch(spec_of(private, name="none"), out, lines.append)

    assert "s3cr3t" not in "".join((*map(str, error.value.args), *lines))


# ── TLS ──


@pytest.fixture
def secure(served: Path, tmp_path: Path) -> Iterator[GitServer]:
    with git_server(served, tls=tmp_path / "tls") as running:
        yield running


async def test_a_certificate_that_nobody_signed_is_refused_as_aws_words_it(
    source: GitSource, secure: GitServer, history: History, out: Path
) -> None:
    with pytest.raises(SourceError, match=r"Git clone failed: Unable to access '.*': .*certificate"):
        await source.fetch(spec_of(secure), out, quiet)


async def test_insecure_ssl_takes_any_certificate(
    source: GitSource, secure: GitServer, history: History, out: Path
) -> None:
    fetched = await source.fetch(spec_of(secure, insecure_ssl=True), out, quiet)

    assert fetched.resolved_version == history.three


async def test_a_persons_certificate_authority_is_trusted(
    source: GitSource, secure: GitServer, history: History, out: Path, base: dict[str, str], tmp_path: Path
) -> None:
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", "http.sslCAInfo", str(tmp_path / "tls/server.crt"))

    fetched = await source.fetch(spec_of(secure), out, quiet)

    assert fetched.resolved_version == history.three


# ── submodules ──


async def test_submodules_are_fetched_with_theirs(
    source: GitSource, secure: GitServer, served: Path, out: Path
) -> None:
    inner = Repo(served / "inner").commit("inner", "i")
    library = Repo(served / "library")
    library.commit("library", "l")
    middle = library.submodule("../inner", "deps/inner", inner)
    app = Repo(served / "app")
    app.commit("app", "a")
    app.submodule(f"{secure.url}/library", "vendor/library", middle)
    app.submodule("./../inner", "other inner", inner)

    await source.fetch(spec_of(secure, insecure_ssl=True, submodules=True), out, quiet)

    assert (out / "vendor/library/deps/inner/inner").read_text() == "i"
    assert (out / "other inner/inner").read_text() == "i"
    assert git(out, "status", "--porcelain") == ""
    assert [line[0] for line in git(out, "submodule", "status", "--recursive").splitlines()] == [" ", " ", " "]
    assert git(out / "vendor/library", "remote", "get-url", "origin") == f"{secure.url}/library"


async def test_submodules_are_left_alone_unless_asked_for(
    source: GitSource, secure: GitServer, served: Path, out: Path
) -> None:
    inner = Repo(served / "inner").commit("inner", "i")
    Repo(served / "app").submodule("../inner", "inner", inner)

    await source.fetch(spec_of(secure, insecure_ssl=True), out, quiet)

    assert os.listdir(out / "inner") == []


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c 'touch /tmp/owned'", "file:///etc", "/etc", "git@host.example:a/b", "ssh://host.example/a",
     "http://host.example/a", "--upload-pack=touch", "https://-oProxyCommand=x/", "git://host.example/a"],
)  # fmt: skip
async def test_a_submodule_that_is_not_https_is_refused(
    source: GitSource, secure: GitServer, served: Path, out: Path, url: str
) -> None:
    Repo(served / "app").submodule(url, "inner", "1" * 40)

    with pytest.raises(SourceError, match="submodule 'inner' has the URL"):
        await source.fetch(spec_of(secure, insecure_ssl=True, submodules=True), out, quiet)


async def test_a_repository_on_disk_cannot_name_its_neighbour(source: GitSource, tmp_path: Path, out: Path) -> None:
    secret = Repo(tmp_path / "secret").commit("secret", "s")
    Repo(tmp_path / "app").submodule("../secret", "inner", secret)
    spec = SourceSpec(SourceKind.GIT, (tmp_path / "app").as_uri(), submodules=True)

    with pytest.raises(SourceError, match="submodule 'inner' has the URL"):
        await source.fetch(spec, out, quiet)


async def test_a_credential_goes_to_a_submodule_of_the_same_server_only(
    source: GitSource, served: Path, out: Path, tmp_path: Path
) -> None:
    inner = Repo(served / "inner").commit("inner", "i")
    app = Repo(served / "app")
    with (
        git_server(served, credential=("ann", "pw-of-ann"), tls=tmp_path / "one") as mine,
        git_server(served, credential=("bob", "pw-of-bob"), tls=tmp_path / "two") as other,
    ):
        app.submodule("../inner", "same", inner)
        app.submodule(f"{other.url}/inner", "other", inner)
        spec = spec_of(
            mine, insecure_ssl=True, submodules=True, credential=Credential(Secret("ann"), Secret("pw-of-ann"))
        )
        with pytest.raises(SourceError, match="Git clone failed"):
            await source.fetch(spec, out, quiet)

    assert (out / "same/inner").read_text() == "i"
    assert other.authorizations == []


async def test_a_submodule_whose_commit_is_gone_is_named(
    source: GitSource, secure: GitServer, served: Path, out: Path
) -> None:
    Repo(served / "inner").commit("inner", "i")
    Repo(served / "app").submodule("../inner", "inner", "1" * 40)

    with pytest.raises(SourceError, match="Git clone failed: submodule 'inner' has no commit 1111"):
        await source.fetch(spec_of(secure, insecure_ssl=True, submodules=True), out, quiet)


# ── hostile repositories ──


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
