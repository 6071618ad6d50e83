"""Repositories on real servers are asked what they have, and give the files of a commit."""

from pathlib import Path

import pytest

from codeyard.errors import NotFound
from codeyard.secrets import Secret
from codeyard.sources import Credential, SourceError
from codeyard.sources.git_history import GitHistories
from tests.sources.servers import GitServer, History


@pytest.fixture
def histories(tmp_path: Path, base: dict[str, str]) -> GitHistories:
    return GitHistories(tmp_path / "cache", base, timeout=60)


async def test_refs_lead_to_commits(histories: GitHistories, server: GitServer, history: History) -> None:
    refs = await histories.refs(f"{server.url}/app", None)
    one = await histories.refs(f"{server.url}/app", None, ("refs/heads/main",))

    assert refs == {
        "refs/heads/feature/x": history.feature,
        "refs/heads/main": history.three,
        "refs/tags/v2": history.two,
        "refs/tags/v3": history.three,
    }
    assert one == {"refs/heads/main": history.three}


async def test_a_private_repository_wants_its_credential_and_no_error_repeats_it(
    histories: GitHistories, private: GitServer, history: History
) -> None:
    url = f"{private.url}/app"

    refs = await histories.refs(url, Credential(Secret("ann"), Secret("s3cr3t-t0ken")))
    with pytest.raises(SourceError) as refused:
        await histories.refs(url, Credential(Secret("ann"), Secret("wrong-t0ken")))

    assert refs["refs/heads/main"] == history.three
    assert "wrong-t0ken" not in str(refused.value)


async def test_the_files_of_a_commit_come_without_git_and_what_is_here_is_not_fetched_again(
    histories: GitHistories, server: GitServer, history: History, tmp_path: Path
) -> None:
    url = f"{server.url}/app"
    facts = await histories.commit(url, None, history.one, None)
    sent = server.sent

    await histories.commit(url, None, history.one, None)
    (tmp_path / "files").mkdir()
    await histories.check_out(url, history.one, tmp_path / "files")

    assert server.sent == sent
    assert facts.message == "file: one"
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["file"]
    assert (tmp_path / "files" / "file").read_text() == "one"
    assert not (tmp_path / "files.index").exists()


async def test_a_short_id_is_enough_and_another_is_not_there(
    histories: GitHistories, server: GitServer, history: History
) -> None:
    facts = await histories.commit(f"{server.url}/app", None, history.two[:10], None)

    assert facts.id == history.two
    for wrong in ("0" * 40, "main", "--exec=x", "../x"):
        with pytest.raises(NotFound):
            await histories.commit(f"{server.url}/app", None, wrong, None)


async def test_what_differs_between_commits(histories: GitHistories, server: GitServer, history: History) -> None:
    history.repo.write("new/a", "1")
    after = history.repo.commit("new/b", "1")
    url = f"{server.url}/app"
    await histories.commit(url, None, after, "refs/heads/main")

    assert await histories.changed(url, history.three, after, 100) == ("new/a", "new/b")
    assert await histories.changed(url, history.three, after, 1) == ("new/a",)
    assert await histories.changed(url, None, after, 100) == ("file", "new/a", "new/b")
    with pytest.raises(SourceError):
        await histories.changed(url, "0" * 40, after, 100)


async def test_a_mirror_that_broke_is_made_anew(
    histories: GitHistories, server: GitServer, history: History, tmp_path: Path
) -> None:
    url = f"{server.url}/app"
    await histories.commit(url, None, history.one, None)
    for pack in (tmp_path / "cache" / "git").glob("*.git/objects/pack/*.pack"):
        pack.chmod(0o600)
        pack.write_bytes(b"nonsense")

    assert (await histories.commit(url, None, history.three, "refs/heads/main")).id == history.three


async def test_a_branch_may_make_way_for_a_directory_of_branches(
    histories: GitHistories, server: GitServer, history: History
) -> None:
    url = f"{server.url}/app"
    history.repo.git("branch", "topic")
    await histories.commit(url, None, history.three, "refs/heads/topic")
    history.repo.git("branch", "-m", "topic", "topic/one")
    history.repo.git("checkout", "--quiet", "topic/one")
    commit = history.repo.commit("file", "four")

    assert (await histories.commit(url, None, commit, "refs/heads/topic/one")).message == "file: four"
