"""Builds that a pipeline starts, from the row to the tree, in real sandboxes: one's output is another's input."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeyard.access import table as roles
from codeyard.access.identities import new_role_id
from codeyard.access.model import Role, RoleArn
from codeyard.app.api import control_of
from codeyard.app.building import Building, Door
from codeyard.app.machine import Capacity
from codeyard.app.parts import Parts, now, opened
from codeyard.artifacts import Digest, Tree
from codeyard.artifacts.transfer import everything, load_manifest, place_tree, save_manifest, store_tree
from codeyard.builds import projects_table
from codeyard.builds.build_wire import log_stream
from codeyard.builds.control import BuildControl
from codeyard.builds.handed import Clone, Handed, HandedSource, outputs_of
from codeyard.builds.managed import managed_project
from codeyard.builds.model import Phase, Status
from codeyard.builds.project_parts import ProjectEnvironment
from codeyard.builds.stored import StoredBuild
from codeyard.builds.worker import Worker
from codeyard.builds.workers_table import WorkerRow
from codeyard.config import Config
from codeyard.ident import Owner
from tests.access.cloud import allowing, trust
from tests.artifacts.files import contents, lay
from tests.builds.projects import project
from tests.builds.service import GIB, SMALL, Process, Workflows
from tests.machines import EXECUTORS
from tests.sources.servers import History, git

WITHOUT_IMAGE = [machine for machine in EXECUTORS if machine.name in ("bubblewrap", "process")]
ENVIRONMENT = ProjectEnvironment("LINUX_CONTAINER", "image", "BUILD_GENERAL1_SMALL")
BOTH = """
version: 0.2
env: {exported-variables: [TOLD]}
phases:
  build:
    commands:
      - export TOLD="$CODEBUILD_INITIATOR $CODEBUILD_SOURCE_VERSION ${CODEBUILD_RESOLVED_SOURCE_VERSION-none}"
      - mkdir -p out/logs && cp "$CODEBUILD_SRC_DIR_my_lib/lib.txt" out/ && ln -s lib.txt out/link
      - printf '#!/bin/sh' > out/run && chmod +x out/run
artifacts:
  secondary-artifacts:
    app: {files: ['**/*'], base-directory: out}
    notes: {files: [README]}
"""


@pytest.fixture(params=WITHOUT_IMAGE, ids=lambda machine: machine.name)
def config(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    request.param.require()
    (tmp_path / "data").mkdir(mode=0o700)
    return Config(data=tmp_path / "data", executor=request.param.name, unsafe_process=True)


@asynccontextmanager
async def working(config: Config) -> AsyncIterator[tuple[Parts, BuildControl, Owner]]:
    """All that a server has but its door: a worker, and who starts builds."""
    async with opened(config) as parts:
        building = Building(parts.means(Capacity(2, 4 * GIB), Door("http://127.0.0.1:1", "127.0.0.1", 1)))
        process = Process(Workflows())
        worker = Worker(
            parts.database, process.start, building.perform, WorkerRow("one", "here", "", SMALL, 10, now()), now,
            kill=building.kill, over=parts.ends.tell,
        )  # fmt: skip
        process.body = worker.run
        async with worker:
            yield parts, control_of(parts, worker.wake), Owner(parts.root.account, config.region)
            await process.kill()


def stored(parts: Parts, root: Path, files: dict[str, str]) -> Digest:
    lay(root, files)
    return save_manifest(store_tree(root, everything(root), parts.blobs), parts.blobs)


def handed(tree: Digest, *outputs: str, **more: Any) -> Handed:
    return Handed("release", HandedSource("arn:aws:s3:::b/release/Source/x", tree=tree), outputs=outputs, **more)


async def created(parts: Parts, owner: Owner, **given: Any) -> None:
    made = project(**{"source": {"type": "CODEPIPELINE"}, "artifacts": {"type": "CODEPIPELINE"}, **given})
    await parts.database.write(lambda tx: projects_table.insert_project(tx, owner, made))
    await a_role(parts, owner, "builds", "logs:*", service="codebuild")


def tree_of(parts: Parts, build: StoredBuild, name: str) -> Tree:
    return load_manifest(outputs_of(build.facts)[name], parts.blobs)


async def test_a_build_hands_on_what_the_next_one_gets(config: Config, tmp_path: Path) -> None:
    async with working(config) as (parts, control, owner):
        await created(parts, owner)
        source = stored(parts, tmp_path / "source", {"buildspec.yml": BOTH, "README": "read"})
        library = HandedSource("arn:lib", "my-lib", stored(parts, tmp_path / "lib", {"lib.txt": "lib"}))
        given = handed(source, "app", "notes", secondary=(library,))

        first = await control.start_handed(owner, "site", {}, given, "one")
        first = await control.ended(owner, first.id)
        app = outputs_of(first.facts)["app"]
        check = "version: 0.2\nphases: {build: {commands: [test -x run, test -L link, test -d logs, ls > list]}}\n"
        again = {"buildspecOverride": f"{check}artifacts: {{files: ['**/*']}}"}
        second = await control.start_handed(owner, "site", again, handed(app, "all"), "two")
        second = await control.ended(owner, second.id)
        place_tree(tree_of(parts, second, "all"), parts.blobs, tmp_path / "placed")

    assert (first.build.status, second.build.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert first.facts["exported"] == {"TOLD": "codepipeline/release arn:aws:s3:::b/release/Source/x none"}
    assert contents(tmp_path / "placed") == {
        "lib.txt": "lib", "link": "-> lib.txt", "run": "#!/bin/sh", "logs": "/",
        "list": "lib.txt\nlink\nlist\nlogs\nrun\n",
    }  # fmt: skip
    assert os.access(tmp_path / "placed/run", os.X_OK)


async def test_a_clone_and_its_history_go_on_to_the_next_build(config: Config, tmp_path: Path) -> None:
    """Git metadata is an artifact's like all else: of what a build handed on, the next one sees the log."""
    history = History(tmp_path / "origin")
    log = "version: 0.2\nphases: {build: {commands: [git log --format=%s > log, git status --porcelain > status]}}\n"
    given = {"buildspecOverride": f"{log}artifacts: {{files: ['**/*']}}"}
    async with working(config) as (parts, control, owner):
        await created(parts, owner)
        clone = HandedSource("arn:c", clone=Clone(history.repo.path.as_uri(), history.two, known=True))

        first = await control.start_handed(owner, "site", given, Handed("p", clone, outputs=("all",)), "one")
        first = await control.ended(owner, first.id)
        second = await control.start_handed(owner, "site", given, handed(outputs_of(first.facts)["all"], "all"), "two")
        second = await control.ended(owner, second.id)
        place_tree(tree_of(parts, second, "all"), parts.blobs, tmp_path / "placed")

    assert (first.build.status, second.build.status) == (Status.SUCCEEDED, Status.SUCCEEDED)
    assert first.facts["source"]["resolved"] == history.two
    assert git(tmp_path / "placed", "rev-parse", "HEAD") == history.two
    assert (tmp_path / "placed/log").read_text().count("\n") == 2


async def test_an_input_that_is_gone_fails_the_build_with_what_is_wrong(config: Config, tmp_path: Path) -> None:
    async with working(config) as (parts, control, owner):
        await created(parts, owner)

        build = await control.start_handed(owner, "site", {}, handed(Digest("0" * 64)), "one")
        build = await control.ended(owner, build.id)

    failed = next(record for record in build.build.history if record.phase is Phase.DOWNLOAD_SOURCE)
    assert (build.build.status, failed.status) == (Status.FAILED, Status.FAILED)
    assert failed.contexts[0].message.startswith(f"Unable to bring the artifact: blob {'0' * 64}")


async def a_role(parts: Parts, owner: Owner, name: str, *actions: str, service: str = "codepipeline") -> str:
    """The ARN of a role that the service takes on, and that may do this."""
    trusts = trust(service=f"{service}.amazonaws.com")
    made = Role(new_role_id(), RoleArn(owner.account, "/", name), now(), trusts)
    await parts.database.write(lambda tx: roles.add_role(tx, made))
    await parts.database.write(lambda tx: roles.put_inline(tx, made, "p", allowing(*actions)))
    return str(made.arn)


async def test_a_pipelines_own_compute_works_as_its_role_may(config: Config, tmp_path: Path) -> None:
    spec = "version: 0.2\nphases: {build: {commands: [echo hello > out]}}\nartifacts: {files: [out]}"
    async with working(config) as (parts, control, owner):
        may, may_not = [await a_role(parts, owner, name, f"{name}:*") for name in ("logs", "s3")]
        source = stored(parts, tmp_path / "source", {"a": "1"})

        ready = managed_project("re.lease", may, spec, ENVIRONMENT, now())
        build = await control.start_managed(owner, ready, handed(source, "out"), "one")
        build = await control.ended(owner, build.id)
        denied = await control.start_managed(owner, replace(ready, service_role=may_not), handed(source, "out"), "two")
        denied = await control.ended(owner, denied.id)

    assert build.build.status is Status.SUCCEEDED
    assert tree_of(parts, build, "out").files == 1
    assert log_stream(build) == ("/aws/codepipeline/re.lease", build.run)
    assert "ACCESS_DENIED" in str(denied.build.history)
