"""Versions, and what a clone is, from real servers."""

import os
from pathlib import Path

import pytest

from codeyard.secrets import Secret
from codeyard.sources import Credential, Fetched, SourceError, SourceKind, SourceSpec
from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, History, Repo, git, git_server, quiet, spec_of

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
