"""Deployments that actions begin: what they ask for, what they tell meanwhile, and what is read of one that failed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from codeyard.artifacts import Digest
from codeyard.deploys import ErrorCode, EventReport, EventStatus, targets_table
from codeyard.deploys.control import DeployControl
from codeyard.deploys.model import Deployment, DeploymentRequest, Target
from codeyard.deploys.targets_table import Enrolled
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, Outcome
from codeyard.pipelines.actions.deploy import CodeDeployAction, ReleaseAction, live_targets
from codeyard.pipelines.model import Action
from tests.databases import opened
from tests.deploys.deployments import WEB, event, request
from tests.pipelines.works import BUCKET, NOON, OWNER, Bench, a_tree, action, bench_at

RELEASE = action("Deploy/Custom/Codeyard-Release/1", {"Targets": "role=web", "Path": "/srv"}, inputs=["App"])
IN_PLACE = action("Deploy/AWS/CodeDeploy/1", {"ApplicationName": "a", "DeploymentGroupName": "g"}, inputs=["App"])
PLACE = {"revisionType": "S3", "s3Location": {"bucket": BUCKET, "key": "Pipeline/App/abcdefg", "bundleType": "zip"}}


class Deploying:
    """An action that deploys to one machine, whose part the test plays."""

    def __init__(self, control: DeployControl, home: Path) -> None:
        self.control, self._home = control, home

    async def to_group(
        self, owner: Owner, application: str, group: str, tree: Digest, revision: Mapping[str, Any], about: str
    ) -> DeploymentRequest:
        return request(tree, owner=owner, application=application, group=group, revision=revision, description=about)

    def begin(self, declared: Action) -> "asyncio.Task[Outcome]":
        self.bench: Bench = bench_at(self._home, declared, [a_tree(self._home, "App", {"a": b"x"})])
        acts = ReleaseAction(self.control) if declared is RELEASE else CodeDeployAction(self.control, self.to_group)
        return asyncio.create_task(acts.run(self.bench))

    async def begun(self) -> Deployment:
        async with asyncio.timeout(10):
            while not self.bench.told:
                await asyncio.sleep(0.005)
        id = self.bench.told[0].external_id
        assert id is not None
        return await self.control.get(OWNER, id)


@pytest.fixture
async def deploying(tmp_path: Path) -> AsyncIterator[Deploying]:
    machine = Enrolled(Target("t0", OWNER, "web-0", WEB, NOON, NOON), "0" * 64)
    for database in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        await database.write(lambda tx: targets_table.put(tx, machine))
        yield Deploying(DeployControl(database, lambda: NOON), tmp_path)


@pytest.mark.parametrize("declared", [RELEASE, IN_PLACE])
async def test_a_deployment_is_of_the_artifact_at_its_place_in_the_bucket(
    deploying: Deploying, declared: Action
) -> None:
    running = deploying.begin(declared)
    begun = await deploying.begun()
    await deploying.control.done("t0", begun.id, True)
    outcome = await running

    assert begun.request.revision == PLACE
    assert (outcome.external_id, outcome.summary) == (begun.id, "Deployment Succeeded")


async def test_the_events_of_its_targets_are_seen_while_they_happen(deploying: Deploying) -> None:
    running = deploying.begin(RELEASE)
    begun = await deploying.begun()
    await deploying.control.reported("t0", begun.id, event("Verify", EventStatus.IN_PROGRESS))
    target = (await live_targets(deploying.control, OWNER, begun.id))[0]
    await deploying.control.done("t0", begun.id, True)
    await running

    assert (target["targetId"], target["events"][0]) == ("web-0", {"name": "Verify", "status": "InProgress"})
    assert await live_targets(deploying.control, OWNER, "d-NOBODYS00") == ()


async def test_what_a_failed_script_printed_last_is_read_where_the_action_failed(deploying: Deploying) -> None:
    why = "Script at specified location: h.sh failed with exit code 1"
    log = f"LifecycleEvent - AfterSwitch\nScript - h.sh\n[stdout]no database\n[stderr]\n[stderr]{why}\n"
    message = f"{why}. Switched back to releases/1"
    failed = EventReport(
        "AfterSwitch", EventStatus.FAILED, error_code=ErrorCode.SCRIPT_FAILED, message=message, log_tail=log
    )
    running = deploying.begin(RELEASE)
    begun = await deploying.begun()
    await deploying.control.reported("t0", begun.id, failed)
    await deploying.control.done("t0", begun.id, False)

    with pytest.raises(ActionFailed, match=rf"web-0: AfterSwitch: {message} \(no database\)"):
        await running
