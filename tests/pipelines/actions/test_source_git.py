"""Git repositories as sources: on real servers, by branch, by commit, as files and as references."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.artifacts import Kind
from codeyard.errors import Denied
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, CloneRef, ErrorCode, SourceOverride
from codeyard.pipelines.actions.remembered import Remembered
from codeyard.pipelines.actions.repositories import Reach, Repositories
from codeyard.pipelines.actions.source_git import Access, GitAction
from codeyard.pipelines.model import Action
from codeyard.secrets import Secret
from codeyard.sources import Credential
from codeyard.sources.git_history import GitHistories
from tests.pipelines.works import OWNER, Bench, action, bench_at
from tests.sources.servers import GitServer, History, git_server

CONNECTION = "arn:aws:codestar-connections:us-east-1:111122223333:connection/aaaa-bbbb"


@pytest.fixture
def history(tmp_path: Path) -> History:
    """main: one, two, three."""
    return History(tmp_path / "served" / "team" / "app")


@pytest.fixture
def server(tmp_path: Path, history: History) -> Iterator[GitServer]:
    with git_server(tmp_path / "served") as running:
        yield running


def git_action(home: Path, setting: str, credential: Credential | None = None, **reach: bool) -> GitAction:
    async def shown(_owner: Owner, _url: str) -> Credential | None:
        return credential

    histories = GitHistories(home / "cache", {"PATH": os.environ["PATH"], "HOME": str(home)}, timeout=60)
    access = Access(histories, Repositories.parse(setting), Reach(**reach, private=home / "cache"), shown)
    return GitAction(access, Remembered(home / "cache" / "commits"), home / "scratch")


def codecommit(**more: str) -> Action:
    given = {"RepositoryName": "team/app", "BranchName": "main", **more}
    return action("Source/AWS/CodeCommit/1", given, outputs=["Source"])


def bench_of(home: Path, declared: Action, run: int = 1, pinned: SourceOverride | None = None) -> Bench:
    return bench_at(home / f"run{run}", declared, pinned=pinned)


async def test_the_tip_of_a_branch_comes_as_files_with_aws_variables(tmp_path: Path, server: GitServer) -> None:
    history = History(tmp_path / "served" / "team" / "lib")
    history.repo.write("run.sh", "#!/bin/sh\n")
    (history.repo.path / "run.sh").chmod(0o755)
    (history.repo.path / "link").symlink_to("run.sh")
    commit = history.repo.commit("file", "four")
    bench = bench_of(tmp_path, codecommit(RepositoryName="team/lib"))

    outcome = await git_action(tmp_path, f"codecommit={server.url}/{{repository}}").run(bench)

    tree = {entry.path: (entry.kind, entry.target) for entry in bench.tree(outcome.outputs[0]).entries}
    assert tree == {
        "file": (Kind.FILE, ""),
        "link": (Kind.LINK, "run.sh"),
        "run.sh": (Kind.EXECUTABLE, ""),
    }
    assert outcome.variables == {
        "AuthorDate": "2024-01-01T00:00:00Z",
        "BranchName": "main",
        "CommitId": commit,
        "CommitMessage": "file: four",
        "CommitterDate": "2024-01-01T00:00:00Z",
        "RepositoryName": "team/lib",
    }
    assert outcome.revision is not None
    assert (outcome.revision.id, outcome.revision.summary, outcome.external_id) == (commit, "file: four", commit)
    assert bench.permitted[0] == ("codecommit:GetBranch", "arn:aws:codecommit:us-east-1:111122223333:team/lib")


async def test_the_second_execution_on_a_commit_brings_nothing(
    tmp_path: Path, server: GitServer, history: History
) -> None:
    git = git_action(tmp_path, f"*={server.url}/{{repository}}")
    first, second = bench_of(tmp_path, codecommit()), bench_of(tmp_path, codecommit(), 2)
    shared = first.blobs
    second.blobs = shared
    one = await git.run(first)
    sent = server.sent
    shutil.rmtree(tmp_path / "cache" / "git")  # were it needed, all would have to be fetched again

    two = await git.run(second)

    assert (one.outputs[0].tree, one.variables) == (two.outputs[0].tree, two.variables)
    assert server.sent - sent < 2000  # the list of refs
    assert not list((tmp_path / "cache" / "git").glob("*.git"))


async def test_an_execution_that_goes_on_keeps_the_commit_it_found(
    tmp_path: Path, server: GitServer, history: History
) -> None:
    git = git_action(tmp_path, f"*={server.url}/{{repository}}")
    bench = bench_of(tmp_path, codecommit())
    first = await git.run(bench)
    history.repo.commit("file", "later")

    again = await git.run(bench.again())

    assert again == first


async def test_a_connection_gives_its_own_variables_and_a_reference_to_clone(
    tmp_path: Path, server: GitServer, history: History
) -> None:
    given = {
        "ConnectionArn": CONNECTION,
        "FullRepositoryId": "team/app",
        "BranchName": "feature/x",
        "OutputArtifactFormat": "CODEBUILD_CLONE_REF",
    }
    bench = bench_of(tmp_path, action("Source/AWS/CodeStarSourceConnection/1", given, outputs=["Source"]))

    outcome = await git_action(tmp_path, f"aaaa-bbbb={server.url}/{{repository}}").run(bench)

    assert outcome.outputs[0].clone == CloneRef(f"{server.url}/team/app", history.feature, "feature/x")
    assert (outcome.outputs[0].tree, outcome.outputs[0].revision) == (None, history.feature)
    assert set(outcome.variables) == set(
        "AuthorDate BranchName CommitId CommitMessage ConnectionArn FullRepositoryName".split()
    )
    assert bench.permitted == [("codestar-connections:UseConnection", CONNECTION)]


async def test_github_by_its_token(tmp_path: Path, history: History) -> None:
    with git_server(tmp_path / "served", credential=("x-access-token", "s3cret")) as server:
        git = git_action(tmp_path, f"github={server.url}/{{repository}}")
        given = {"Owner": "team", "Repo": "app", "Branch": "main", "OAuthToken": "s3cret"}
        bench = bench_of(tmp_path, action("Source/ThirdParty/GitHub/1", given, outputs=["Source"]))

        outcome = await git.run(bench)

    assert outcome.variables["CommitUrl"] == f"{server.url}/team/app/commit/{history.three}"
    assert "s3cret" not in repr(outcome) + repr(git)


@pytest.mark.parametrize("which", ["one", "pull"])
async def test_a_pinned_commit_is_looked_up_in_the_whole_repository(
    tmp_path: Path, server: GitServer, history: History, which: str
) -> None:
    history.repo.git("config", "uploadpack.allowAnySHA1InWant", "true")
    commit = getattr(history, which)
    bench = bench_of(tmp_path, codecommit(BranchName="no-more"), pinned=SourceOverride(commit=commit))

    outcome = await git_action(tmp_path, f"*={server.url}/{{repository}}").run(bench)

    assert outcome.external_id == commit
    assert bench.files(outcome.outputs[0]) == {"file": which.encode()}


REFUSALS = [
    ({"BranchName": "nowhere"}, None, ErrorCode.CONFIGURATION, "no branch named nowhere was found"),
    ({"BranchName": "--all"}, None, ErrorCode.CONFIGURATION, "no branch named --all"),
    ({"BranchName": "a..b"}, None, ErrorCode.CONFIGURATION, "not a name that a branch can have"),
    ({}, "f" * 40, ErrorCode.UNAVAILABLE_REVISION, "was not found in the repository"),
    ({}, "--upload-pack=x", ErrorCode.UNAVAILABLE_REVISION, "was not found in the repository"),
    ({"RepositoryName": "team/none"}, None, ErrorCode.JOB_FAILED, "Could not access the CodeCommit repository"),
]


@pytest.mark.parametrize(("given", "pinned", "code", "text"), REFUSALS)
async def test_what_is_not_there_fails_the_action_in_aws_words(
    tmp_path: Path, server: GitServer, given: dict[str, str], pinned: str | None, code: ErrorCode, text: str
) -> None:
    bench = bench_of(tmp_path, codecommit(**given), pinned=SourceOverride(commit=pinned) if pinned else None)

    with pytest.raises(ActionFailed, match=text) as refused:
        await git_action(tmp_path, f"*={server.url}/{{repository}}").run(bench)

    assert refused.value.code is code


async def test_what_was_remembered_is_not_for_those_whom_the_server_refuses(tmp_path: Path, history: History) -> None:
    with git_server(tmp_path / "served", credential=("ann", "right")) as server:
        setting = f"*={server.url}/{{repository}}"
        allowed = git_action(tmp_path, setting, Credential(Secret("ann"), Secret("right")))
        await allowed.run(bench_of(tmp_path, codecommit()))
        pinned = bench_of(tmp_path, codecommit(), 2, pinned=SourceOverride(commit=history.three))

        with pytest.raises(ActionFailed) as refused:
            await git_action(tmp_path, setting, Credential(Secret("ann"), Secret("wrong-one"))).run(pinned)

    assert refused.value.code is ErrorCode.PERMISSION
    assert "wrong-one" not in refused.value.message


async def test_a_repository_on_the_servers_disk_needs_leave(tmp_path: Path, history: History) -> None:
    declared = codecommit(RepositoryName=history.repo.path.as_uri())

    with pytest.raises(Denied, match="local_sources"):
        await git_action(tmp_path, "").run(bench_of(tmp_path, declared))
    outcome = await git_action(tmp_path, "", local_sources=True).run(bench_of(tmp_path, declared))

    assert outcome.external_id == history.three
    assert OWNER.account not in outcome.variables["RepositoryName"]
