"""What clients ask of executions, answered in botocore's shapes, page by page."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from codeyard.aws import Caller, Refused
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Revision, Told, Work
from codeyard.pipelines.api_executions import ExecutionOperations
from tests.calls import call
from tests.databases import opened
from tests.pipelines.outputs import errors, faults
from tests.pipelines.sites import (
    NAME,
    OWNER,
    SIMPLE,
    Hold,
    Site,
    a_site,
    act,
    approval,
    asking,
    badly,
    definition,
    stage,
)

ME = Caller(OWNER.account, f"arn:aws:iam::{OWNER.account}:root", OWNER.account)


async def live(_owner: Owner, id: str) -> tuple[dict[str, str], ...]:
    """The targets of a deployment that runs."""
    return tuple({"targetId": id, "targetType": "INSTANCE", "status": each} for each in ("Succeeded", "InProgress"))


class Asked:
    """A site, and clients who ask of it."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._operations = ExecutionOperations(site.db, site.control, Pages(b"k" * 32), site.clock.now, live)
        self._methods = {
            "StartPipelineExecution": self._operations.start,
            "StopPipelineExecution": self._operations.stop,
            "RetryStageExecution": self._operations.retry,
            "RollbackStage": self._operations.roll_back,
            "OverrideStageCondition": self._operations.override,
            "EnableStageTransition": self._operations.enable,
            "DisableStageTransition": self._operations.disable,
            "PutApprovalResult": self._operations.approve,
            "PutActionRevision": self._operations.put_revision,
            "GetPipelineState": self._operations.get_state,
            "GetPipelineExecution": self._operations.get_execution,
            "ListPipelineExecutions": self._operations.list_executions,
            "ListActionExecutions": self._operations.list_actions,
            "ListRuleExecutions": self._operations.list_rules,
            "ListDeployActionExecutionTargets": self._operations.list_targets,
        }

    async def ask(self, operation: str, **given: Any) -> Any:
        """The answer, which is of the model's shape; an error is one that the operation has."""
        try:
            output = await self._methods[operation](call("codepipeline", operation, OWNER.region, ME, **given))
        except Refused as refused:
            known = refused.code in errors(operation)
            raise refused if known else AssertionError(f"{operation} has no {refused.code}") from None
        assert faults(operation, output) == []
        return output

    async def state(self) -> dict[str, Any]:
        """The stages' states by their names."""
        output = await self.ask("GetPipelineState", name=NAME)
        return {each["stageName"]: each for each in output["stageStates"]}

    async def all(self, operation: str, member: str, **given: Any) -> list[Any]:
        """Of all pages."""
        found, token = [], None
        for _ in range(100):
            output = await self.ask(operation, pipelineName=NAME, nextToken=token, **given)
            found += output[member]
            token = output["nextToken"]
            if token is None:
                return found
        raise AssertionError("the pages do not end")


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        async with a_site(db) as site:
            yield Asked(site)


async def code(work: Any) -> str:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


async def source(work: Work) -> Outcome:
    revision = Revision("abc", "a change", url="https://example.com/abc", created=work.began)
    return Outcome(work.outputs, {"Branch": "main"}, revision, external_id="abc", external_url="https://example.com")


async def test_the_targets_of_a_deployment_that_runs_are_seen(asked: Asked) -> None:
    told = asyncio.Event()

    async def deploy(work: Work) -> Outcome:
        await work.tell(Told(external_id="d-123456789"))
        told.set()
        await asyncio.Event().wait()
        raise AssertionError

    asked.site.script["b"] = deploy
    id = await asked.site.create(definition("QUEUED", *SIMPLE))
    await told.wait()
    run = await asked.site.run(id, "b")

    output = await asked.ask("ListDeployActionExecutionTargets", actionExecutionId=run.id)
    wanted = [{"name": "TARGET_STATUS", "values": ["InProgress"]}]
    some = await asked.ask("ListDeployActionExecutionTargets", actionExecutionId=run.id, filters=wanted)

    assert [each["status"] for each in output["targets"]] == ["Succeeded", "InProgress"]
    assert [each["targetId"] for each in some["targets"]] == ["d-123456789"]


async def test_all_that_is_shown_of_an_execution_is_in_the_shapes_of_the_model(asked: Asked) -> None:
    site = asked.site
    target = {"targetId": "i-1", "targetType": "INSTANCE", "status": "Succeeded"}

    async def build(work: Work) -> Outcome:
        stream = "arn:aws:logs:us-east-1:111122223333:log-group:g:log-stream:s"
        more = {"log_stream": stream, "entity_url": "https://example.com/of"}
        await work.tell(Told("id", "https://example.com", "busy", 50, targets=(target,), **more))
        raise ActionFailed(ErrorCode.JOB_FAILED, "the build failed", "no")

    site.script |= {"s": source, "b": build, "check": badly}
    shape = definition(
        "QUEUED",
        stage("Source", act("s", outputs="Src", namespace="Git")),
        stage("Build", act("b", inputArtifacts=[{"name": "Src"}], outputs="App"), beforeEntry=asking("FAIL", "ready")),
        stage("Deploy", approval(), onSuccess=asking("FAIL", "check")),
        variables=[{"name": "T", "defaultValue": "test"}],
    )
    id = await site.create(shape)
    assert await site.ended(id) == "Failed"
    failed = await site.run(id, "b")

    state = await asked.state()
    assert state["Build"]["latestExecution"] == {"pipelineExecutionId": id, "status": "Failed", "type": "STANDARD"}
    shown = state["Build"]["actionStates"][0]["latestExecution"]
    assert (shown["actionExecutionId"], shown["status"]) == (failed.id, "Failed")
    assert shown["errorDetails"] == {"code": "JobFailed", "message": "the build failed"}
    assert shown["externalExecutionUrl"] == "https://example.com"
    assert state["Build"]["actionStates"][0]["entityUrl"] == "https://example.com/of"
    ready = state["Build"]["beforeEntryConditionState"]
    assert ready["latestExecution"] == {"status": "Succeeded"}
    (one,) = ready["conditionStates"]
    assert one["latestExecution"]["lastStatusChange"] == one["ruleStates"][0]["latestExecution"]["lastStatusChange"]
    assert state["Source"]["actionStates"][0]["currentRevision"]["revisionId"] == "abc"
    assert "latestExecution" not in state["Deploy"]

    execution = (await asked.ask("GetPipelineExecution", pipelineName=NAME, pipelineExecutionId=id))[
        "pipelineExecution"
    ]
    assert execution["artifactRevisions"][0]["name"] == "Src"
    assert execution["variables"] == [{"name": "T", "resolvedValue": "test"}]
    actions = await asked.all("ListActionExecutions", "actionExecutionDetails")
    assert [each["actionName"] for each in actions] == ["b", "s"]
    assert [[made["name"] for made in each["output"]["outputArtifacts"]] for each in actions] == [[], ["Src"]]
    assert actions[1]["output"]["outputVariables"] == {"Branch": "main"}
    rules = await asked.all("ListRuleExecutions", "ruleExecutionDetails")
    assert [each["ruleName"] for each in rules] == ["ready"]
    targets = await asked.ask("ListDeployActionExecutionTargets", actionExecutionId=failed.id)
    assert [each["targetId"] for each in targets["targets"]] == ["i-1"]

    site.script.pop("b")
    again = {"pipelineName": NAME, "stageName": "Build", "pipelineExecutionId": id, "retryMode": "FAILED_ACTIONS"}
    assert (await asked.ask("RetryStageExecution", **again))["pipelineExecutionId"] == id
    token = await site.token(id)
    state = await asked.state()
    assert state["Build"]["retryStageMetadata"]["latestRetryTrigger"] == "ManualStageRetry"
    waits = state["Deploy"]["actionStates"][0]["latestExecution"]
    assert (waits["status"], waits["token"]) == ("InProgress", token)
    answer = {"pipelineName": NAME, "stageName": "Deploy", "actionName": "ask", "token": token}
    approved = await asked.ask("PutApprovalResult", **answer, result={"summary": "", "status": "Approved"})
    assert approved["approvedAt"].tzinfo is not None
    assert await site.ended(id) == "Failed"
    state = await asked.state()
    assert state["Deploy"]["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0]["ruleName"] == "check"
    assert "token" not in state["Deploy"]["actionStates"][0]["latestExecution"]
    over = {"pipelineName": NAME, "stageName": "Deploy", "pipelineExecutionId": id, "conditionType": "ON_SUCCESS"}
    await asked.ask("OverrideStageCondition", **over)
    assert await site.ended(id) == "Succeeded"
    state = await asked.state()
    assert state["Deploy"]["onSuccessConditionState"]["latestExecution"]["status"] == "Overridden"


async def test_a_pipeline_that_nothing_happened_to_shows_its_stages(asked: Asked) -> None:
    asked.site.script["s"] = Hold()
    await asked.site.create(definition("SUPERSEDED", *SIMPLE))

    state = await asked.state()

    assert list(state) == ["Source", "Build", "Deploy"]
    assert all(each["inboundTransitionState"]["enabled"] for each in state.values())
    assert [each["actionName"] for each in state["Build"]["actionStates"]] == ["b"]


async def test_who_waits_is_shown_as_inbound(asked: Asked) -> None:
    site = asked.site
    site.script["s"] = Hold()
    first = await site.create(definition("QUEUED", *SIMPLE))
    waiting = [(await asked.ask("StartPipelineExecution", name=NAME))["pipelineExecutionId"] for _ in range(2)]

    source = (await asked.state())["Source"]
    assert source["latestExecution"]["pipelineExecutionId"] == first
    assert [each["pipelineExecutionId"] for each in source["inboundExecutions"]] == waiting
    assert source["inboundExecution"]["status"] == "InProgress"

    for each in waiting:
        await asked.ask("StopPipelineExecution", pipelineName=NAME, pipelineExecutionId=each)
    source = (await asked.state())["Source"]
    assert source["inboundExecution"] == {"pipelineExecutionId": waiting[1], "status": "Stopped", "type": "STANDARD"}


async def test_a_disabled_transition_says_who_and_why(asked: Asked) -> None:
    await asked.site.create(definition("QUEUED", *SIMPLE))
    door = {"pipelineName": NAME, "stageName": "Build"}

    await asked.ask("DisableStageTransition", **door, transitionType="Outbound", reason="not now")
    shut = (await asked.state())["Deploy"]["inboundTransitionState"]
    assert (shut["enabled"], shut["disabledReason"], shut["lastChangedBy"]) == (False, "not now", ME.arn)

    await asked.ask("EnableStageTransition", **door, transitionType="Outbound")
    assert (await asked.state())["Deploy"]["inboundTransitionState"]["enabled"]


async def test_in_parallel_mode_the_state_shows_no_executions(asked: Asked) -> None:
    id = await asked.site.create(definition("PARALLEL", *SIMPLE))
    await asked.site.ended(id)

    for each in (await asked.state()).values():
        assert "latestExecution" not in each
        assert all(list(action) == ["actionName"] for action in each["actionStates"])


async def test_in_parallel_mode_the_token_is_in_the_list_of_actions(asked: Asked) -> None:
    id = await asked.site.create(definition("PARALLEL", stage("Source", act("s")), stage("Build", approval())))
    token = await asked.site.token(id)

    actions = await asked.all("ListActionExecutions", "actionExecutionDetails", filter={"pipelineExecutionId": id})

    assert actions[0]["output"]["executionResult"]["externalExecutionId"] == token


async def test_lists_come_in_pages_the_newest_first(asked: Asked) -> None:
    site = asked.site
    await site.create(definition("QUEUED", *SIMPLE))
    ids = await asyncio.gather(*(site.start() for _ in range(4)))
    for id in ids:
        await site.ended(id)

    whole = await asked.all("ListPipelineExecutions", "pipelineExecutionSummaries")
    paged = await asked.all("ListPipelineExecutions", "pipelineExecutionSummaries", maxResults=2)
    assert len(whole) == 5
    assert paged == whole
    assert whole == sorted(whole, key=lambda each: each["startTime"], reverse=True)

    whole = await asked.all("ListActionExecutions", "actionExecutionDetails")
    assert len({each["actionExecutionId"] for each in whole}) == 15
    assert await asked.all("ListActionExecutions", "actionExecutionDetails", maxResults=4) == whole


async def test_of_an_execution_the_latest_attempts_alone_may_be_listed_page_by_page(asked: Asked) -> None:
    site = asked.site
    site.script["b"] = badly
    id = await site.create(definition("QUEUED", *SIMPLE))
    await site.ended(id)
    await site.retry(id, "Build", "ALL_ACTIONS")
    await site.ended(id)
    site.script.clear()
    await site.retry(id, "Build")
    await site.ended(id)

    async def names(which: str, size: int) -> list[str]:
        latest = {"latestInPipelineExecution": {"pipelineExecutionId": id, "startTimeRange": which}}
        details = await asked.all("ListActionExecutions", "actionExecutionDetails", filter=latest, maxResults=size)
        return [each["actionName"] for each in details]

    assert await names("Latest", 1) == ["d", "b", "s"]
    assert await names("All", 2) == ["d", "b", "b", "b", "s"]


async def test_executions_that_succeeded_in_a_stage_are_listed_for_a_rollback(asked: Asked) -> None:
    site = asked.site
    first = await site.create(definition("SUPERSEDED", *SIMPLE))
    await site.ended(first)
    site.script["d"] = badly
    await site.ended(await site.start())
    wanted = {"succeededInStage": {"stageName": "Deploy"}}

    found = await asked.all("ListPipelineExecutions", "pipelineExecutionSummaries", filter=wanted)
    assert [each["pipelineExecutionId"] for each in found] == [first]

    site.script.clear()
    given = {"pipelineName": NAME, "stageName": "Deploy", "targetPipelineExecutionId": first}
    back = (await asked.ask("RollbackStage", **given))["pipelineExecutionId"]
    await site.ended(back)
    newest = (await asked.all("ListPipelineExecutions", "pipelineExecutionSummaries"))[0]
    assert (newest["pipelineExecutionId"], newest["executionType"]) == (back, "ROLLBACK")
    assert newest["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": first}
    assert (await asked.state())["Deploy"]["latestExecution"]["type"] == "ROLLBACK"


@pytest.mark.parametrize("operation", ["ListPipelineExecutions", "ListActionExecutions", "ListRuleExecutions"])
async def test_a_token_that_is_none_is_refused(asked: Asked, operation: str) -> None:
    site = asked.site
    await site.ended(await site.create(definition("QUEUED", *SIMPLE)))
    other = (await asked.ask("ListActionExecutions", pipelineName=NAME, maxResults=1))["nextToken"]
    tokens = ["x", "é", ""] if operation == "ListActionExecutions" else ["x", other]

    for token in tokens:
        given = {"pipelineName": NAME, "nextToken": token}
        assert await code(asked.ask(operation, **given)) == "InvalidNextTokenException"


@pytest.mark.parametrize(
    "operation",
    ["GetPipelineExecution", "ListPipelineExecutions", "ListActionExecutions", "ListRuleExecutions",
     "StartPipelineExecution", "GetPipelineState", "StopPipelineExecution", "RetryStageExecution", "RollbackStage",
     "EnableStageTransition", "PutApprovalResult", "PutActionRevision", "OverrideStageCondition"],
)  # fmt: skip
async def test_of_a_pipeline_that_is_not_there_nothing_is_told(asked: Asked, operation: str) -> None:
    given = {
        "pipelineName": "none",
        "name": "none",
        "pipelineExecutionId": "x",
        "stageName": "Build",
        "actionName": "b",
        "transitionType": "Inbound",
        "token": "t",
        "result": {"summary": "", "status": "Approved"},
        "actionRevision": {"revisionId": "r", "revisionChangeId": "c"},
        "retryMode": "ALL_ACTIONS",
        "targetPipelineExecutionId": "x",
        "conditionType": "ON_SUCCESS",
    }

    assert await code(asked.ask(operation, **given)) == "PipelineNotFoundException"


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("GetPipelineExecution", "PipelineExecutionNotFoundException"),
        ("StopPipelineExecution", "PipelineExecutionNotStoppableException"),
        ("RetryStageExecution", "ValidationException"),
        ("OverrideStageCondition", "ValidationException"),
    ],
)
async def test_of_an_execution_that_is_not_there_nothing_is_told(asked: Asked, operation: str, expected: str) -> None:
    await asked.site.create(definition("QUEUED", *SIMPLE))
    given = {"stageName": "Build", "retryMode": "ALL_ACTIONS", "conditionType": "ON_SUCCESS"}

    assert await code(asked.ask(operation, pipelineName=NAME, pipelineExecutionId="x", **given)) == expected


async def test_runs_of_another_owner_are_not_shown(asked: Asked) -> None:
    id = await asked.site.create(definition("QUEUED", *SIMPLE))
    await asked.site.ended(id)
    run = await asked.site.run(id, "d")
    stranger = Caller("444455556666", "arn:aws:iam::444455556666:root", "444455556666")
    operations = ExecutionOperations(asked.site.db, asked.site.control, Pages(b"k" * 32), asked.site.clock.now, live)

    foreign = call("codepipeline", "ListDeployActionExecutionTargets", caller=stranger, actionExecutionId=run.id)

    assert await code(operations.list_targets(foreign)) == "ActionExecutionNotFoundException"
    foreign = call("codepipeline", "GetPipelineExecution", caller=stranger, pipelineName=NAME, pipelineExecutionId=id)
    assert await code(operations.get_execution(foreign)) == "PipelineNotFoundException"
