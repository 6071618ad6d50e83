"""Builds that actions start: what goes in, what comes out, and one build whatever is killed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codeyard.builds import projects_table
from codeyard.builds.model import Outcome as Ended
from codeyard.builds.model import Phase, Status
from codeyard.builds.stored import StoredBuild
from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, ErrorCode
from codeyard.pipelines.actions.build import CodeBuildAction, CommandsAction
from codeyard.pipelines.model import Output, Variable
from tests.builds.projects import project
from tests.builds.service import Builds, Service, a_service
from tests.databases import opened
from tests.pipelines.works import NOON, OWNER, Bench, a_tree, action, bench_at

TYPE, COMMANDS = "Build/AWS/CodeBuild/1", "Compute/AWS/Commands/1"


class Making(Builds):
    """Builds that make these trees, and export this."""

    trees: dict[str, str] = {}  # noqa: RUF012 - each test sets its own
    rows: list[StoredBuild] = []  # noqa: RUF012 - the same

    async def _do(self, row: StoredBuild, phase: Phase, stop: asyncio.Event) -> Answer:
        answer = await super()._do(row, phase, stop)
        if phase is Phase.BUILD:
            self.rows.append(row)
            facts = {"trees": self.trees, "exported": {"TAG": "v1", "OTHER": "x"}}
            return {**answer, "facts": facts}
        return answer


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        made = a_service(db)
        making = Making(made.clock)
        making.trees, making.rows = {}, []
        made.builds = making
        await db.write(lambda tx: projects_table.insert_project(tx, OWNER, project(name="app")))
        async with made.working():
            yield made


def url(build: StoredBuild) -> str:
    return f"https://yard/{build.run}"


def a_build(service: Service) -> CodeBuildAction:
    return CodeBuildAction(service.control(), url)


def a_bench(home: Path, inputs: str = "Src", outputs: str = "", **configuration: str) -> Bench:
    declared = action(TYPE, {"ProjectName": "app", **configuration}, inputs=inputs.split(), outputs=outputs.split())
    return bench_at(home, declared, [a_tree(home, each, {"file": each.encode()}) for each in inputs.split()])


async def failure(work: Any) -> ActionFailed:
    with pytest.raises(ActionFailed) as failed:
        await work
    return failed.value


async def test_a_build_has_the_inputs_and_gives_its_trees_and_exports(service: Service, tmp_path: Path) -> None:
    assert isinstance(service.builds, Making)
    tree = str(a_tree(tmp_path, "x", {"made": b"it"}).tree)
    service.builds.trees = {"Out": tree}
    given = json.dumps([{"name": "A", "value": "1", "type": "PLAINTEXT"}])
    bench = a_bench(tmp_path, "Src Lib", "Out", PrimarySource="Lib", EnvironmentVariables=given)

    outcome = await a_build(service).run(bench)

    assert str(outcome.outputs[0].tree) == tree
    assert outcome.variables == {"TAG": "v1", "OTHER": "x"}
    [row] = service.builds.rows
    assert outcome.external_id == str(row.id) == bench.told[0].external_id
    handed = row.handed
    assert handed is not None
    assert handed.primary.tree == bench.inputs[1].tree
    assert [(each.identifier, each.tree) for each in handed.secondary] == [("Src", bench.inputs[0].tree)]
    assert [(each.name, each.value) for each in row.variables] == [("A", "1")]
    assert bench.permitted == [("codebuild:StartBuild", OWNER.arn("project/app"))]


async def test_after_a_crash_it_is_the_same_build(service: Service, tmp_path: Path) -> None:
    service.builds.open = False
    bench = a_bench(tmp_path)
    first = asyncio.create_task(a_build(service).run(bench))
    await service.until(lambda: bool(service.builds.gates))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    for gate in service.builds.gates.values():
        gate.set()
    await a_build(service).run(bench.again())

    assert len(service.builds.gates) == 1


async def test_a_build_that_fails_fails_the_action(service: Service, tmp_path: Path) -> None:
    service.builds.outcomes["app"] = Ended(Status.FAILED)

    failed = await failure(a_build(service).run(a_bench(tmp_path)))

    assert failed.code is ErrorCode.JOB_FAILED
    assert failed.message.startswith("Build terminated with state: FAILED")


async def test_a_build_that_made_no_output_fails_the_action(service: Service, tmp_path: Path) -> None:
    failed = await failure(a_build(service).run(a_bench(tmp_path, "Src", "Out")))

    assert failed.code is ErrorCode.CONFIGURATION
    assert "Out" in failed.message


@pytest.mark.parametrize(
    "configuration",
    [
        {"ProjectName": "none"},
        {"BatchEnabled": "true"},
        {"PrimarySource": "Other"},
        {"EnvironmentVariables": "{"},
        {"EnvironmentVariables": '{"name": "A"}'},
        {"EnvironmentVariables": '[{"value": "A"}]'},
        {"EnvironmentVariables": "1"},
    ],
)
async def test_a_configuration_that_cannot_be_is_told(
    service: Service, tmp_path: Path, configuration: dict[str, str]
) -> None:
    failed = await failure(a_build(service).run(a_bench(tmp_path, **configuration)))

    assert failed.code is ErrorCode.CONFIGURATION


async def test_a_role_that_may_not_start_builds_starts_none(service: Service, tmp_path: Path) -> None:
    bench = a_bench(tmp_path)
    bench.denied = ["codebuild:StartBuild"]

    failed = await failure(a_build(service).run(bench))

    assert failed.code is ErrorCode.PERMISSION
    assert service.builds.begun == []


async def test_commands_are_one_phase_of_a_build_that_is_in_no_project(service: Service, tmp_path: Path) -> None:
    assert isinstance(service.builds, Making)
    tree = str(a_tree(tmp_path, "x", {"made": b"it"}).tree)
    service.builds.trees = {"Out": tree}
    declared = action(
        COMMANDS,
        inputs=["Src"],
        outputs=[Output("Out", ("**/*",))],
        environment=[Variable("A", "1"), Variable("B", "secret:key", "SECRETS_MANAGER")],
        commands=("make", "make test"),
        output_variables=("TAG", "NEVER"),
    )
    bench = bench_at(tmp_path, declared, [a_tree(tmp_path, "Src", {"file": b""})])

    outcome = await CommandsAction(service.control(), url, lambda: NOON).run(bench)

    assert outcome.variables == {"TAG": "v1"}
    spec = json.loads(service.builds.rows[0].project.source.buildspec or "")
    assert spec["phases"] == {"build": {"on-failure": "ABORT", "commands": ["make", "make test"]}}
    assert spec["env"]["secrets-manager"] == {"B": "secret:key"}
    assert spec["artifacts"] == {"files": ["**/*"]}
