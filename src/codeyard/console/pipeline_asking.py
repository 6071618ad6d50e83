"""What the console asks of CodePipeline's API."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.console.asking import Call, Found
from codeyard.console.memory import Memory

PER_PAGE = 25  # pipelines
RECENT = 12  # executions beside a pipeline's stages
HISTORY = 50  # executions on a page of the history
_PAGE = 100  # the most that AWS's lists give at a time
_PAGES = 10  # of one execution's actions: a thousand attempts


@dataclass(frozen=True, slots=True)
class PipelineLine:
    """A pipeline of the list. `runs`: actions' executions, asked for only where the state does not tell (PARALLEL)."""

    summary: Shape
    state: Shape
    executions: tuple[Shape, ...]
    runs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A pipeline: definition, state, newest executions, and the newest executions of its actions."""

    pipeline: Shape
    metadata: Shape
    state: Shape
    executions: tuple[Shape, ...]
    more: bool
    runs: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class ExecutionPicture:
    """One execution with the definition that it runs by; `summary`: its line of the list, if it is a new one. `state`
    is the pipeline's, which knows how stages stand that no later execution has entered."""

    pipeline: Shape
    execution: Shape
    summary: Shape | None
    runs: tuple[Shape, ...]  # the newest first
    rules: tuple[Shape, ...]
    state: Shape = field(default_factory=dict)


class PipelineAsking:
    """The questions, and what changes something. Refused, as the operations say."""

    def __init__(self, call: Call, memory: Memory) -> None:
        self._call, self._memory = call, memory

    async def pipelines(self, region: str, after: str | None) -> tuple[tuple[PipelineLine, ...], str | None]:
        """A page of them, and the token of the next."""
        return await self._memory.get(("pipelines", region, after), lambda: self._pipelines(region, after))

    async def picture(self, region: str, name: str) -> Picture:
        return await self._memory.get(("pipeline", region, name), lambda: self._picture(region, name))

    async def execution(self, region: str, name: str, id: str) -> ExecutionPicture:
        return await self._memory.get(("execution", region, name, id), lambda: self._execution(region, name, id))

    async def executions(self, region: str, name: str, after: str | None, succeeded_in: str | None = None) -> Found:
        """Of the newest first."""
        within = {"succeededInStage": {"stageName": succeeded_in}} if succeeded_in else None
        page = await self._ask("ListPipelineExecutions", region, pipelineName=name, maxResults=HISTORY,
                               nextToken=after, filter=within)  # fmt: skip
        return Found(tuple(page.get("pipelineExecutionSummaries") or ()), page.get("nextToken"))

    async def outdated(self, region: str, name: str, ids: Iterable[str]) -> Mapping[str, int]:
        """By id the version of those of these executions that are not of the newest one."""
        newest = (await self._ask("GetPipeline", region, name=name))["pipeline"].get("version")
        found = await asyncio.gather(
            *(self._ask("GetPipelineExecution", region, pipelineName=name, pipelineExecutionId=id) for id in ids)
        )
        ran = (each["pipelineExecution"] for each in found)
        return {each["pipelineExecutionId"]: old for each in ran if (old := each.get("pipelineVersion")) != newest}

    async def mode_of(self, region: str, name: str) -> str:
        """The pipeline's execution mode."""
        answer = await self._ask("GetPipeline", region, name=name)
        return str(answer["pipeline"].get("executionMode") or "SUPERSEDED")

    async def change(self, operation: str, region: str, name: str, /, **given: Any) -> Shape:
        """An operation that changes something; what was known of the pipeline is forgotten."""
        answer = await self._ask(operation, region, **given)
        self._memory.forget(("pipeline", region, name))
        self._memory.forget(("pipelines", region, None))
        if id := given.get("pipelineExecutionId"):
            self._memory.forget(("execution", region, name, id))
        return answer

    async def _pipelines(self, region: str, after: str | None) -> tuple[tuple[PipelineLine, ...], str | None]:
        page = await self._ask("ListPipelines", region, maxResults=PER_PAGE, nextToken=after)
        found = [await self._line(region, each) for each in page.get("pipelines") or ()]
        return tuple(each for each in found if each is not None), page.get("nextToken")

    async def _line(self, region: str, summary: Shape) -> PipelineLine | None:
        name = str(summary["name"])
        try:
            state = await self._ask("GetPipelineState", region, name=name)
            page = await self._ask("ListPipelineExecutions", region, pipelineName=name, maxResults=10)
            runs = await self._runs(region, name) if summary.get("executionMode") == "PARALLEL" else ()
        except Refused as error:
            if error.code != "PipelineNotFoundException":
                raise
            return None  # it was deleted meanwhile
        return PipelineLine(summary, state, tuple(page.get("pipelineExecutionSummaries") or ()), runs)

    async def _picture(self, region: str, name: str) -> Picture:
        pipeline, state, page, runs = await asyncio.gather(
            self._ask("GetPipeline", region, name=name),
            self._ask("GetPipelineState", region, name=name),
            self._ask("ListPipelineExecutions", region, pipelineName=name, maxResults=RECENT),
            self._runs(region, name),
        )
        executions = tuple(page.get("pipelineExecutionSummaries") or ())
        more = bool(page.get("nextToken"))
        return Picture(pipeline["pipeline"], pipeline.get("metadata") or {}, state, executions, more, runs)

    async def _runs(self, region: str, name: str) -> tuple[Shape, ...]:
        page = await self._ask("ListActionExecutions", region, pipelineName=name, maxResults=_PAGE)
        return tuple(page.get("actionExecutionDetails") or ())

    async def _execution(self, region: str, name: str, id: str) -> ExecutionPicture:
        answer = await self._ask("GetPipelineExecution", region, pipelineName=name, pipelineExecutionId=id)
        execution = answer["pipelineExecution"]
        version = execution.get("pipelineVersion")
        declared = await self._ask("GetPipeline", region, name=name, version=version)
        page = await self._ask("ListPipelineExecutions", region, pipelineName=name, maxResults=_PAGE)
        listed = page.get("pipelineExecutionSummaries") or ()
        summary = next((each for each in listed if each["pipelineExecutionId"] == id), None)
        runs = await self._all("ListActionExecutions", "actionExecutionDetails", region, name, id)
        conditions = any(_CONDITIONS & stage.keys() for stage in declared["pipeline"]["stages"])
        rules = await self._all("ListRuleExecutions", "ruleExecutionDetails", region, name, id) if conditions else ()
        state = await self._ask("GetPipelineState", region, name=name)
        return ExecutionPicture(declared["pipeline"], execution, summary, runs, rules, state)

    async def _all(self, operation: str, key: str, region: str, name: str, id: str) -> tuple[Shape, ...]:
        found: list[Shape] = []
        token: str | None = None
        for _ in range(_PAGES):
            page = await self._ask(operation, region, pipelineName=name, maxResults=_PAGE, nextToken=token,
                                   filter={"pipelineExecutionId": id})  # fmt: skip
            found += page.get(key) or ()
            token = page.get("nextToken")
            if token is None:
                break
        return tuple(found)

    async def _ask(self, operation: str, region: str, /, **given: Any) -> Mapping[str, Any]:
        return await self._call("codepipeline", operation, {k: v for k, v in given.items() if v is not None}, region)


_CONDITIONS = {"beforeEntry", "onSuccess", "onFailure"}
