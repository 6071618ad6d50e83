"""What people do to executions and pipelines beside starting them: stop, try again, go back, update, close and open.

Of each call the history has what was answered: it was `done`; it was `refused`; or `perhaps` it was done, for an answer
was lost, and the same call was refused then. A call that was done may have been done once more for each answer that
was lost (`lost`): AWS's clients cannot know it either, for none of these calls has an idempotency token.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.pipelines_people import People
from tests.crash.pipelines_story import Order

# By verb, what is said of a call that was done already, and of nothing else.
_DONE_BEFORE = {"stop": "DuplicatedStopRequestException"}
_DOORS = (
    ("Build", "Inbound"), ("Source", "Outbound"), ("Check", "Inbound"), ("Release", "Inbound"), ("Release", "Outbound"),
)  # fmt: skip
_NEXT = {"Source": "Build", "Release": "After"}
_PATIENCE = 15.0  # seconds for a stage to be left
_REASON = "Somebody looks at it."


@dataclass(slots=True)
class Verbs:
    """See the module. `define` gives the definition of a pipeline by its name and a revision."""

    people: People
    define: Callable[[str, int], dict[str, Any]]
    stopping: threading.Event = field(default_factory=threading.Event)
    tended: set[str] = field(default_factory=set)  # executions that nobody has to look after any more
    _due: list[tuple[float, str, Order]] = field(default_factory=list)  # when to stop which execution
    _revisions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(story.MODES, 0))

    # ── executions ──

    def began(self, id: str, order: Order) -> None:
        """Somebody looks after it from now on, if its order says so."""
        if order.stop:
            self._due.append((time.monotonic() + order.after, id, order))

    def go_on(self) -> None:
        """Until it is told to stop: stop what is due, and try again what has failed."""
        while not self.stopping.wait(0.1):
            due = [each for each in self._due if each[0] <= time.monotonic()]
            for each in due:
                self._due.remove(each)
                self._stop(each[1], each[2])
            for name in story.MODES:
                self._look_after(name)

    def _stop(self, id: str, order: Order) -> None:
        client = self.people.places.second_client("codepipeline")
        for abandon in {"wait": (False,), "abandon": (True,), "both": (False, True)}[order.stop]:
            call = lambda abandon=abandon: client.stop_pipeline_execution(  # noqa: E731
                pipelineName=order.pipeline, pipelineExecutionId=id, abandon=abandon, reason=_REASON
            )["pipelineExecutionId"]
            self._ask("stop", call, execution=id, abandon=abandon)

    def _look_after(self, name: str) -> None:
        mine = {id: order for id, order in [*self.people.orders.items()] if order.again and order.pipeline == name}
        waited = mine.keys() - self.tended
        if not waited:
            return
        client = self.people.places.client("codepipeline")
        ask = lambda: client.list_pipeline_executions(  # noqa: E731
            pipelineName=name, maxResults=40
        )["pipelineExecutionSummaries"]
        for each in self.people.insist("ListPipelineExecutions", ask):
            id, status = each["pipelineExecutionId"], each["status"]
            if id in waited and status not in ("InProgress", "Stopping"):
                if status in ("Failed", "Stopped"):
                    self._retry(id, mine[id])
                self.tended.add(id)

    def _retry(self, id: str, order: Order) -> None:
        client = self.people.places.client("codepipeline")
        filter = {"pipelineExecutionId": id}
        listed = lambda: client.list_action_executions(  # noqa: E731
            pipelineName=order.pipeline, filter=filter
        )["actionExecutionDetails"]
        latest: dict[str, Any] = {}
        for each in self.people.insist("ListActionExecutions", listed):
            latest.setdefault(each["actionName"], each)
        broken = [each for each in latest.values() if each["status"] in ("Failed", "Abandoned")]
        if not broken:
            return
        stage = broken[0]["stageName"]
        call = lambda: client.retry_stage_execution(  # noqa: E731
            pipelineName=order.pipeline, stageName=stage, pipelineExecutionId=id, retryMode=order.again
        )["pipelineExecutionId"]
        names = [each["actionName"] for each in broken]
        self._ask("retry", call, execution=id, stage=stage, mode=order.again, broken=names)

    # ── pipelines ──

    def update(self, name: str) -> None:
        """Another revision of the definition."""
        revision = self._revisions[name] + 1
        self._revisions[name] = revision
        client, definition = self.people.places.client("codepipeline"), self.define(name, revision)
        call = lambda: client.update_pipeline(pipeline=definition)["pipeline"]["version"]  # noqa: E731
        self._ask("update", call, pipeline=name, revision=revision)

    def close(self, name: str, chance: random.Random) -> None:
        """For a while nobody comes through a door."""
        stage, direction = chance.choice(_DOORS)
        self._closed(name, stage, direction)
        time.sleep(chance.uniform(0.3, 1.2))
        self._opened(name, stage, direction)

    def back(self, name: str, chance: random.Random) -> None:
        """Go back in the stage Release, which nobody else enters meanwhile, as soon as nobody is in it."""
        client = self.people.places.client("codepipeline")
        given = {"succeededInStage": {"stageName": "Release"}}
        ask = lambda: client.list_pipeline_executions(  # noqa: E731
            pipelineName=name, filter=given
        )["pipelineExecutionSummaries"]
        found = [each["pipelineExecutionId"] for each in self.people.insist("ListPipelineExecutions", ask)]
        if not found:
            return
        older = chance.choice(found[1:4] or found)  # the newest is there already
        self._closed(name, "Release", "Inbound")
        deadline = time.monotonic() + _PATIENCE
        if self._back(name, older, deadline) == "PipelineExecutionOutdatedException":
            self._back(name, found[0], deadline)
        self._opened(name, "Release", "Inbound")

    def _back(self, name: str, target: str, deadline: float) -> str:
        """What it was refused by in the end; "": it was not."""
        client = self.people.places.client("codepipeline")
        call = lambda: client.rollback_stage(  # noqa: E731
            pipelineName=name, stageName="Release", targetPipelineExecutionId=target
        )["pipelineExecutionId"]
        while True:
            code = self._ask("rollback", call, pipeline=name, target=target)
            if code != "UnableToRollbackStageException" or time.monotonic() > deadline:
                return code
            time.sleep(0.2)

    def _closed(self, name: str, stage: str, direction: str) -> None:
        client, into = self.people.places.second_client("codepipeline"), _into(stage, direction)
        given = {"pipelineName": name, "stageName": stage, "transitionType": direction}
        self.people.counts["asking"] += 1
        self.people.insist("Disable", lambda: client.disable_stage_transition(**given, reason=_REASON))
        closed = time.time()
        states = self.people.insist("GetPipelineState", lambda: client.get_pipeline_state(name=name)["stageStates"])
        (shown,) = [each["inboundTransitionState"] for each in states if each["stageName"] == into]
        told = (shown["enabled"], shown.get("disabledReason"))
        self.people.history.write("closed", pipeline=name, stage=into, wall=closed, shown=told == (False, _REASON))
        self.people.counts["asked"] += 1

    def _opened(self, name: str, stage: str, direction: str) -> None:
        client = self.people.places.client("codepipeline")
        given = {"pipelineName": name, "stageName": stage, "transitionType": direction}
        self.people.history.write("opening", pipeline=name, stage=_into(stage, direction), wall=time.time())
        self.people.insist("Enable", lambda: client.enable_stage_transition(**given))

    def _ask(self, verb: str, call: Callable[[], Any], **about: Any) -> str:
        """What it was refused by; "": it was not. `wall` is the time at which that was known."""
        self.people.counts["asking"] += 1
        answer = self.people.ask(verb, call)
        done = not answer.code or (answer.lost > 0 and answer.code == _DONE_BEFORE.get(verb))
        came = "done" if done else "perhaps" if answer.lost else "refused"
        self.people.history.write(
            "asked", verb=verb, came=came, code=answer.code, lost=answer.lost, given=answer.given, wall=time.time(),
            **about,
        )  # fmt: skip
        self.people.counts["asked"] += done
        return answer.code


def _into(stage: str, direction: str) -> str:
    """The stage that the transition leads into."""
    return stage if direction == "Inbound" else _NEXT[stage]
