"""The state machine of a pipeline: random lives that keep every promise, and the timelines of AWS's own pages."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from codeyard.aws import Refused
from codeyard.pipelines.happenings import RunEnded, Started, StartRun
from codeyard.pipelines.model import Declaration, ExecutionMode, Stage
from codeyard.pipelines.state import Status
from tests.pipelines.lines import OneLine, plan, stage

THREE = (stage("Source", "s"), stage("Build", "b"), stage("Deploy", "d"))
TURN = ("SUPERSEDED", "QUEUED")  # modes in which executions take turns


def line_of(mode: str, *stages: Stage) -> OneLine:
    return OneLine(plan(mode, *(stages or THREE)))


def refusal(work: Any, *given: Any, **more: Any) -> str:
    with pytest.raises(Refused) as refused:
        work(*given, **more)
    return refused.value.code


# ── random lives ──

_RESULTS = [None, None, "FAIL", "SKIP"], [None, None, "FAIL", "ROLLBACK"]
_FAILURES = [None, None, "RETRY", "RETRY ALL", "ROLLBACK", "ROLLBACK?"]


@st.composite
def plans(draw: st.DrawFn, version: int, modes: tuple[str, ...]) -> Declaration:
    """Of one to four stages, whose names may come in another order than in the version before."""
    names = draw(st.permutations(["A", "B", "C", "D"]))[: draw(st.integers(1, 4))]
    stages = []
    for at, name in enumerate(names):
        orders = draw(st.lists(st.integers(1, 3), min_size=1, max_size=7 if "PARALLEL" in modes else 3))
        actions = [f"a{number}:{order}" for number, order in enumerate(orders)]
        entry, success = (draw(st.sampled_from(each)) if at else None for each in _RESULTS)
        failure = draw(st.sampled_from(_FAILURES if at else [None, "RETRY"]))
        rules = draw(st.integers(1, 2))
        stages.append(stage(name, *actions, entry=entry, success=success, failure=failure, rules=rules))
    return plan(draw(st.sampled_from(modes)), *stages, version=version)


class Lives(RuleBasedStateMachine):
    """`OneLine` looks at the promises after each event; the end looks that all comes to an end."""

    modes: tuple[str, ...] = ("SUPERSEDED", "QUEUED", "PARALLEL")

    def __init__(self) -> None:
        super().__init__()
        self.one = line_of("SUPERSEDED")
        self.number, self.version = 0, 1

    @initialize(data=st.data())
    def a_pipeline(self, data: st.DataObject) -> None:
        self.one = OneLine(data.draw(plans(1, self.modes)))

    def new(self) -> str:
        self.number += 1
        return f"E{self.number}"

    def some_execution(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.one.rows)))

    def some_stage(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([gate.stage for gate in self.one.line().gates]))

    def may(self, work: Any, *given: Any, **more: Any) -> None:
        """It is done or refused; `OneLine` looks by which code."""
        with suppress(Refused):
            work(*given, **more)

    @rule()
    def somebody_starts(self) -> None:
        self.may(self.one.start, self.new())

    @precondition(lambda self: self.one.running)
    @rule(data=st.data(), good=st.sampled_from([True, True, False]))
    def a_run_ends(self, data: st.DataObject, good: bool) -> None:
        run = self.one.running[data.draw(st.sampled_from(sorted(self.one.running)))]
        self.one.do(RunEnded(run.execution, run.run, good))

    @precondition(lambda self: self.one.running)
    @rule(good=st.sampled_from([True, True, True, False]))
    def all_runs_end(self, good: bool) -> None:
        for run in list(self.one.running.values()):
            if run.run in self.one.running:
                self.one.do(RunEnded(run.execution, run.run, good))

    @precondition(lambda self: self.one.over)
    @rule(data=st.data(), good=st.booleans())
    def news_comes_late_or_twice(self, data: st.DataObject, good: bool) -> None:
        run = data.draw(st.sampled_from(self.one.over))
        if run.execution in self.one.rows:
            assert self.one.do(RunEnded(run.execution, run.run, good)) == ()

    @rule()
    def news_comes_of_what_nobody_knows(self) -> None:
        assert self.one.do(RunEnded("nobody", "nothing", True)) == ()

    @precondition(lambda self: self.one.rows)
    @rule(data=st.data(), abandon=st.booleans())
    def somebody_stops(self, data: st.DataObject, abandon: bool) -> None:
        self.may(self.one.stop, self.some_execution(data), abandon=abandon)

    @precondition(lambda self: self.one.rows)
    @rule(data=st.data(), mode=st.sampled_from(["FAILED_ACTIONS", "ALL_ACTIONS"]))
    def somebody_retries(self, data: st.DataObject, mode: str) -> None:
        self.may(self.one.retry, self.some_execution(data), self.some_stage(data), mode)

    @precondition(lambda self: self.one.rows)
    @rule(data=st.data())
    def somebody_retries_what_failed(self, data: st.DataObject) -> None:
        broken = [each for each in self.one.executions() if each.status in (Status.FAILED, Status.STOPPED)]
        for each in broken:
            self.may(self.one.retry, each.id, self.one.plans[each.version].stages[each.at].name)

    @precondition(lambda self: self.one.rows)
    @rule(data=st.data())
    def somebody_rolls_back(self, data: st.DataObject) -> None:
        self.may(self.one.roll_back, self.new(), self.some_stage(data), self.some_execution(data))

    @precondition(lambda self: self.one.rows)
    @rule(data=st.data(), moment=st.sampled_from(["BEFORE_ENTRY", "ON_SUCCESS"]))
    def somebody_overrides(self, data: st.DataObject, moment: str) -> None:
        for each in self.one.executions():
            self.may(self.one.override, each.id, self.some_stage(data), moment)

    @rule(data=st.data(), enabled=st.booleans())
    def a_transition_changes(self, data: st.DataObject, enabled: bool) -> None:
        self.one.door(self.some_stage(data), enabled=enabled)

    @rule(data=st.data())
    def the_definition_changes(self, data: st.DataObject) -> None:
        self.version += 1
        self.one.update(data.draw(plans(self.version, self.modes)))

    def teardown(self) -> None:
        for gate in self.one.line().gates:
            self.one.door(gate.stage, enabled=True)
        for _ in range(2000):
            if not self.one.running:
                break
            run = next(iter(self.one.running.values()))
            self.one.do(RunEnded(run.execution, run.run, True))
        assert not any(each.live for each in self.one.executions()), "every execution ends"
        assert all(gate.holder is None and not gate.waiting for gate in self.one.line().gates), "every lock is let go"


class TurnsLives(Lives):
    modes = TURN


@pytest.mark.slow
@pytest.mark.parametrize("lives", [Lives, TurnsLives])
def test_whatever_happens_every_promise_is_kept_and_all_comes_to_an_end(lives: type[Lives]) -> None:
    kept = settings(
        max_examples=100,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],  # what fails is long; to make it short takes for ever
    )
    run_state_machine_as_test(lives, settings=kept)


# ── superseding, queueing, side by side (User Guide, "How pipeline executions work"; "Execution modes") ──


def test_a_newer_execution_supersedes_the_one_that_waits_and_enters_when_the_stage_is_free() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")
    one.ends("E1", "s")
    for newer in ("E2", "E3"):
        one.start(newer)
        one.ends(newer, "s")

    assert one.places("E1", "E2", "E3") == ["Build", "Superseded", "<Build"]

    one.ends("E1", "b")
    assert one.places("E1", "E3") == ["Deploy", "Build"]

    one.ends("E3", "b")
    assert one.places("E1", "E3") == ["Deploy", "<Deploy"]

    one.ends("E1", "d")
    assert one.places("E1", "E3") == ["Succeeded", "Deploy"]


def test_a_failure_frees_the_stage_at_once_and_who_failed_is_then_not_to_be_retried() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")
    one.ends("E1", "s")
    one.start("E2")
    one.ends("E2", "s")

    one.fails("E1", "b")

    assert one.places("E1", "E2") == ["Failed", "Build"]
    assert refusal(one.retry, "E1", "Build") == "NotLatestPipelineExecutionException"


@pytest.mark.parametrize(("mode", "then"), [("SUPERSEDED", "Superseded"), ("QUEUED", "<Deploy")])
def test_in_front_of_a_disabled_transition_executions_wait_as_their_mode_has_it(mode: str, then: str) -> None:
    one = line_of(mode)
    one.door("Deploy", enabled=False)
    one.start("E1")
    one.through("E1", "Source", "Build")
    one.start("E2")
    one.through("E2", "Source", "Build")

    assert one.places("E1", "E2") == [then, "<Deploy"]

    one.door("Deploy", enabled=True)
    first = "E2" if mode == "SUPERSEDED" else "E1"
    assert one.where(first) == "Deploy"


def test_triggers_while_the_source_stage_is_busy_collapse_to_the_newest() -> None:
    one = line_of("SUPERSEDED")

    one.start("E1", "E2", "E3", "E4")

    assert one.places("E1", "E2", "E3", "E4") == ["Source", "Superseded", "Superseded", "<Source"]
    assert one.states("E2") == ["SUPERSEDED"]


def test_a_queue_keeps_its_order_and_nobody_is_superseded() -> None:
    one = line_of("QUEUED")
    one.start("E1", "E2", "E3")
    for each in ("E1", "E2", "E3"):
        one.ends(each, "s")

    assert one.places("E1", "E2", "E3") == ["Build", "<Build", "<Build"]

    one.fails("E1", "b")
    assert one.places("E1", "E2", "E3") == ["Failed", "Build", "<Build"]
    assert refusal(one.retry, "E1", "Build") == "NotLatestPipelineExecutionException"


def test_in_parallel_executions_pass_each_other_and_no_transition_holds_them() -> None:
    one = line_of("PARALLEL")
    one.door("Build", enabled=False)

    one.start("E1", "E2")
    one.through("E2", "Source", "Build", "Deploy")

    assert one.places("E1", "E2") == ["Source", "Succeeded"]


def test_in_parallel_five_actions_of_an_execution_run_at_once() -> None:
    one = line_of("PARALLEL", stage("Source", "s"), stage("Build", *"abcdefg"))
    one.start("E1")
    one.ends("E1", "s")

    assert one.under_way("E1") == list("abcde")

    one.ends("E1", "c")
    assert sorted(one.under_way("E1")) == list("abdef")


@pytest.mark.parametrize("mode", ["QUEUED", "PARALLEL"])
def test_the_fifty_first_execution_is_refused_or_fails_when_nobody_asked_for_it(mode: str) -> None:
    one = line_of(mode)
    one.start(*(f"E{number}" for number in range(50)))

    assert refusal(one.start, "E50") == "ConcurrentPipelineExecutionsLimitExceededException"

    one.do(Started("E51", by_hand=False))
    assert one.where("E51") == "Failed"
    assert one.execution("E51").summary == ""


def test_superseding_has_no_limit() -> None:
    one = line_of("SUPERSEDED")

    one.start(*(f"E{number}" for number in range(60)))

    assert one.where("E59") == "<Source"


# ── inside a stage ──


def test_a_group_begins_when_all_of_the_one_before_succeeded() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Build", "a", "b", "c:5"))
    one.start("E1")
    one.ends("E1", "s")
    one.ends("E1", "a")

    assert one.under_way("E1") == ["b"]

    one.ends("E1", "b")
    assert one.under_way("E1") == ["c"]


def test_after_a_failure_what_runs_is_left_to_finish_and_then_the_stage_fails() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Build", "a", "b", "c:2"))
    one.start("E1")
    one.ends("E1", "s")

    one.fails("E1", "a")
    assert (one.where("E1"), one.under_way("E1")) == ("Build", ["b"])

    one.ends("E1", "b")
    assert one.where("E1") == "Failed"
    assert one.states("E1", "Build") == ["STARTED", "FAILED"]


def test_who_comes_through_all_stages_has_succeeded() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")

    one.through("E1", "Source", "Build", "Deploy")

    assert one.where("E1") == "Succeeded"
    assert one.states("E1") == ["STARTED", "SUCCEEDED"]
    assert one.states("E1", "Deploy") == ["STARTED", "SUCCEEDED"]


# ── stop (User Guide, "Stop a pipeline execution") ──


def stopped(abandon: bool) -> OneLine:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Build", "a", "b", "c:2"), stage("Deploy", "d"))
    one.start("E1")
    one.ends("E1", "s")
    one.stop("E1", abandon=abandon)
    return one


def test_stop_and_wait_lets_actions_end_and_begins_nothing_more() -> None:
    one = stopped(abandon=False)
    assert one.execution("E1").status is Status.STOPPING

    one.ends("E1", "a")
    assert one.under_way("E1") == ["b"]

    one.ends("E1", "b")
    assert one.where("E1") == "Stopped"
    assert one.states("E1") == ["STARTED", "STOPPING", "STOPPED"]
    assert one.states("E1", "Build") == ["STARTED", "STOPPING", "STOPPED"]


def test_stop_and_abandon_waits_for_nothing() -> None:
    one = stopped(abandon=True)

    assert one.where("E1") == "Stopped"
    assert [run.status.value for run in one.execution("E1").stages["Build"].runs] == ["Abandoned", "Abandoned"]


def test_a_stop_that_waits_may_still_be_turned_into_one_that_abandons_but_not_twice() -> None:
    one = stopped(abandon=False)

    assert refusal(one.stop, "E1") == "DuplicatedStopRequestException"

    one.stop("E1", abandon=True)
    assert one.where("E1") == "Stopped"
    assert refusal(one.stop, "E1", abandon=True) == "PipelineExecutionNotStoppableException"


def test_who_waits_is_stopped_at_once_and_stays_shown_until_another_comes() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1", "E2")

    one.stop("E2")

    assert one.where("E2") == "Stopped"
    assert one.line().gates[0].stopped == "E2"
    one.ends("E1", "s")
    assert one.where("E2") == "Stopped"
    one.start("E3")
    assert one.line().gates[0].stopped is None


def test_a_stop_lets_in_who_waits() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1", "E2")

    one.stop("E1", abandon=True)

    assert one.places("E1", "E2") == ["Stopped", "Source"]


def test_what_was_abandoned_may_be_retried_and_what_only_stopped_may_not() -> None:
    abandoned, waited = stopped(abandon=True), stopped(abandon=False)
    waited.ends("E1", "a", "b")

    abandoned.retry("E1", "Build")
    assert sorted(abandoned.under_way("E1")) == ["a", "b"]
    assert refusal(waited.retry, "E1", "Build") == "StageNotRetryableException"


# ── retry (User Guide, "Retry a failed stage") ──


def broken(good: tuple[str, ...] = ("b",)) -> OneLine:
    """E1 is in Build, where `a` has failed."""
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Build", "a", "b", "c:2"), stage("Deploy", "d"))
    one.start("E1")
    one.ends("E1", "s")
    one.fails("E1", "a")
    one.ends("E1", *good)
    return one


def test_failed_actions_are_retried_while_their_siblings_run() -> None:
    one = broken(good=())

    assert refusal(one.retry, "E1", "Build", "ALL_ACTIONS") == "StageNotRetryableException"
    one.retry("E1", "Build")

    assert sorted(one.under_way("E1")) == ["a", "b"]
    one.ends("E1", "b")
    assert one.under_way("E1") == ["a"]
    one.ends("E1", "a")
    assert one.under_way("E1") == ["c"]


@pytest.mark.parametrize(("mode", "again"), [("FAILED_ACTIONS", ["c"]), ("ALL_ACTIONS", ["a", "b"])])
def test_a_retry_is_of_the_failed_actions_or_of_all(mode: str, again: list[str]) -> None:
    one = broken()
    one.retry("E1", "Build")
    one.ends("E1", "a")
    one.fails("E1", "c")
    was = {run.id for run in one.execution("E1").stages["Build"].runs}

    one.retry("E1", "Build", mode)

    assert sorted(one.under_way("E1")) == again
    assert not was & set(one.running), "they are new action executions"
    entered = one.execution("E1").stages["Build"]
    assert (entered.manual_retries, entered.last_retry) == (2, "ManualStageRetry")
    assert one.states("E1")[-1] == "RESUMED"


@pytest.mark.parametrize(
    ("stage_", "code"),
    [("Nowhere", "StageNotFoundException"), ("Source", "StageNotRetryableException")],
)
def test_only_the_stage_that_it_failed_in_is_retried(stage_: str, code: str) -> None:
    one = broken()
    one.start("E2")  # so that Source's latest is another
    one.stop("E2", abandon=True)

    expected = {"Source": "NotLatestPipelineExecutionException"}.get(stage_, code)
    assert refusal(one.retry, "E1", stage_) == expected


def test_a_stage_of_another_structure_is_not_retried() -> None:
    one = broken()

    one.update(plan("SUPERSEDED", *one.declared.stages, version=2))

    assert refusal(one.retry, "E1", "Build") == "StageNotRetryableException"


def test_a_stage_with_nothing_failed_is_not_retried() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")

    assert refusal(one.retry, "E1", "Source") == "StageNotRetryableException"
    one.through("E1", "Source", "Build", "Deploy")
    assert refusal(one.retry, "E1", "Deploy") == "StageNotRetryableException"


def test_who_is_being_stopped_is_not_retried() -> None:
    one = broken(good=())
    one.stop("E1")

    assert refusal(one.retry, "E1", "Build") == "ConflictException"


def test_a_stage_retries_itself_once_if_it_is_told_to() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Build", "a", "b", failure="RETRY"))
    one.start("E1")
    one.ends("E1", "s")
    one.fails("E1", "a")
    one.ends("E1", "b")

    assert one.under_way("E1") == ["a"]
    assert one.execution("E1").stages["Build"].last_retry == "AutomatedStageRetry"

    one.fails("E1", "a")
    assert one.where("E1") == "Failed"
    one.retry("E1", "Build")
    one.fails("E1", "a")
    assert one.where("E1") == "Failed"
    assert one.execution("E1").stages["Build"].automatic_retries == 1


def test_a_retry_counts_as_an_execution_that_begins() -> None:
    one = line_of("PARALLEL")
    one.start("E1")
    one.fails("E1", "s")
    one.start(*(f"N{number}" for number in range(50)))

    assert refusal(one.retry, "E1", "Source") == "ConcurrentPipelineExecutionsLimitExceededException"


# ── rollback (User Guide, "Roll back a stage") ──


def deployed(*, failure: str | None = None, success: str | None = None) -> OneLine:
    """E1 came through; E2 is in Deploy."""
    stages = (stage("Source", "s"), stage("Deploy", "d", failure=failure, success=success), stage("After", "a"))
    one = line_of("SUPERSEDED", *stages)
    one.start("E1")
    one.through("E1", "Source", "Deploy", "After")
    one.start("E2")
    one.ends("E2", "s")
    return one


def test_a_rollback_runs_in_its_stage_alone_and_ends_there() -> None:
    one = deployed()
    one.fails("E2", "d")

    one.roll_back("R", "Deploy", "E1")

    assert (one.where("R"), one.execution("R").target) == ("Deploy", "E1")
    one.ends("R", "d")
    assert one.where("R") == "Succeeded"
    assert "After" not in one.execution("R").stages


def test_a_rollback_locks_its_stage_as_any_execution_does() -> None:
    one = deployed()
    one.fails("E2", "d")
    one.roll_back("R", "Deploy", "E1")

    one.start("E3")
    one.ends("E3", "s")

    assert one.places("R", "E3") == ["Deploy", "<Deploy"]
    assert refusal(one.retry, "E2", "Deploy") == "NotLatestPipelineExecutionException"


@pytest.mark.parametrize(
    ("stage_", "code"),
    [
        ("Deploy", "UnableToRollbackStageException"),  # E2 is in it
        ("Source", "UnableToRollbackStageException"),
        ("Nowhere", "StageNotFoundException"),
    ],
)
def test_a_rollback_is_refused_where_it_may_not_be(stage_: str, code: str) -> None:
    assert refusal(deployed().roll_back, "R", stage_, "E1") == code


def test_there_is_no_rollback_in_parallel_mode() -> None:
    one = line_of("PARALLEL")
    one.start("E1")
    one.through("E1", "Source", "Build", "Deploy")

    assert refusal(one.roll_back, "R", "Deploy", "E1") == "UnableToRollbackStageException"


def test_a_stage_that_fails_goes_back_by_itself_if_it_is_told_to_and_does_not_cascade() -> None:
    one = deployed(failure="ROLLBACK")

    one.fails("E2", "d")

    back = one.rolled_back()
    assert back is not None
    assert (back.target, back.failed, one.where("E2"), one.where(back.id)) == ("E1", "E2", "Failed", "Deploy")
    one.fails(back.id, "d")
    assert one.rolled_back() is None
    assert one.where(back.id) == "Failed"


def test_with_nothing_to_go_back_to_the_stage_just_fails() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Deploy", "d", failure="ROLLBACK"))
    one.start("E1")
    one.ends("E1", "s")

    one.fails("E1", "d")

    assert (one.where("E1"), one.rolled_back()) == ("Failed", None)


def test_what_succeeded_under_another_definition_is_nothing_to_go_back_to() -> None:
    one = deployed(failure="ROLLBACK")
    one.update(plan("SUPERSEDED", *one.declared.stages, version=2))
    one.ends("E2", "d")
    one.start("E3")
    one.ends("E3", "s")

    one.fails("E3", "d")

    assert one.rolled_back() is None


# ── conditions (User Guide, "How do stage conditions work?") ──


def conditioned(**results: Any) -> OneLine:
    """E1 arrives at Deploy, which has these conditions."""
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Deploy", "d", **results), stage("After", "a"))
    one.start("E1")
    one.ends("E1", "s")
    return one


def test_the_way_in_is_asked_before_actions_begin_and_the_stage_is_locked_meanwhile() -> None:
    one = conditioned(entry="FAIL", rules=2)

    assert (one.where("E1"), one.under_way("E1")) == ("Deploy", ["rule0", "rule1"])

    one.ends("E1", "rule0", "rule1")
    assert one.under_way("E1") == ["d"]


@pytest.mark.parametrize(("result", "then", "shown"), [("FAIL", "Failed", "Failed"), ("SKIP", "After", "Skipped")])
def test_a_way_in_that_is_not_open_fails_or_skips_the_stage(result: str, then: str, shown: str) -> None:
    one = conditioned(entry=result, rules=2)

    one.fails("E1", "rule0")
    one.ends("E1", "rule1")

    assert one.where("E1") == then
    entered = one.execution("E1").stages["Deploy"]
    assert (entered.status.value, dict(entered.actions)) == (shown, {})


@pytest.mark.parametrize(("result", "good", "then"), [("FAIL", False, "Failed"), ("FAIL", True, "After")])
def test_a_success_is_looked_at_before_it_counts(result: str, good: bool, then: str) -> None:
    one = conditioned(success=result)
    one.ends("E1", "d")

    one.ends("E1", "rule0", good=good)

    assert one.where("E1") == then


def test_a_success_that_is_none_rolls_back() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Deploy", "d", success="ROLLBACK"), stage("After", "a"))
    one.start("E1")
    one.through("E1", "Source", "Deploy", "After")
    one.start("E2")
    one.ends("E2", "s")
    one.ends("E2", "d")

    one.fails("E2", "rule0")

    back = one.rolled_back()
    assert back is not None
    assert back.target == "E1"
    assert refusal(one.override, "E2", "Deploy", "ON_SUCCESS") == "NotLatestPipelineExecutionException"


@pytest.mark.parametrize("met", [True, False])
def test_a_failure_rolls_back_if_its_rules_see_the_bad_sign(met: bool) -> None:
    one = deployed(failure="ROLLBACK?")
    one.fails("E2", "d")
    assert one.under_way("E2") == ["rule0"]
    assert refusal(one.retry, "E2", "Deploy") == "ConflictException"

    one.ends("E2", "rule0", good=met)

    assert one.where("E2") == "Failed"
    assert (one.rolled_back() is not None) == met


@pytest.mark.parametrize("ended", [True, False])
def test_an_override_of_the_way_in_lets_the_stage_go_on(ended: bool) -> None:
    one = conditioned(entry="FAIL")
    if ended:
        one.fails("E1", "rule0")

    one.override("E1", "Deploy", "BEFORE_ENTRY")

    assert one.under_way("E1") == ["d"]
    condition = next(iter(one.execution("E1").stages["Deploy"].conditions.values()))
    assert condition.status.value == "Overridden"
    assert condition.rules["rule0"].status.value == ("Failed" if ended else "Abandoned")


def test_an_override_of_a_success_that_was_none_lets_the_execution_go_on() -> None:
    one = conditioned(success="FAIL")
    one.ends("E1", "d")
    one.fails("E1", "rule0")

    one.override("E1", "Deploy", "ON_SUCCESS")

    assert one.where("E1") == "After"


def test_a_condition_that_skips_or_that_passed_is_not_overridden() -> None:
    skipping, passed = conditioned(entry="SKIP"), conditioned(entry="FAIL")
    passed.ends("E1", "rule0")

    assert refusal(skipping.override, "E1", "Deploy", "BEFORE_ENTRY") == "ConditionNotOverridableException"
    assert refusal(passed.override, "E1", "Deploy", "BEFORE_ENTRY") == "ConditionNotOverridableException"
    assert refusal(passed.override, "E1", "Nowhere", "BEFORE_ENTRY") == "StageNotFoundException"


def test_a_condition_of_another_definition_is_not_overridden() -> None:
    one = conditioned(entry="FAIL")
    one.fails("E1", "rule0")

    one.update(plan("SUPERSEDED", *one.declared.stages, version=2))

    assert refusal(one.override, "E1", "Deploy", "BEFORE_ENTRY") == "ConditionNotOverridableException"


def test_a_retry_asks_the_way_in_again_if_it_was_not_open() -> None:
    one = conditioned(entry="FAIL")
    one.fails("E1", "rule0")

    one.retry("E1", "Deploy")

    assert one.under_way("E1") == ["rule0"]


def test_a_rollback_asks_no_conditions() -> None:
    one = line_of("SUPERSEDED", stage("Source", "s"), stage("Deploy", "d", entry="FAIL", success="FAIL"))
    one.start("E1")
    one.through("E1", "Source", "Deploy")

    one.roll_back("R", "Deploy", "E1")
    one.ends("R", "d")

    assert one.where("R") == "Succeeded"


# ── the definition changes (User Guide, "Execution modes") ──


@pytest.mark.parametrize("mode", TURN)
@pytest.mark.parametrize("then", ["SUPERSEDED", "QUEUED", "PARALLEL"])
def test_an_update_cancels_who_waits_at_once_and_who_is_inside_once_its_actions_end(mode: str, then: str) -> None:
    one = line_of(mode)
    one.start("E1", "E2")

    one.update(plan(then, *THREE, version=2))
    assert one.places("E1", "E2") == ["Source", "Cancelled"]
    assert one.states("E2") == ["CANCELED"]

    one.ends("E1", "s")
    assert one.where("E1") == "Cancelled"
    assert one.execution("E1").stages["Source"].status is Status.CANCELLED


@pytest.mark.parametrize("then", ["SUPERSEDED", "QUEUED", "PARALLEL"])
def test_what_runs_in_parallel_finishes_on_its_own_definition(then: str) -> None:
    one = line_of("PARALLEL")
    one.start("E1")

    one.update(plan(then, stage("Other", "o"), version=2))
    one.through("E1", "Source", "Build", "Deploy")

    assert one.where("E1") == "Succeeded"


def test_what_still_runs_in_parallel_is_no_stages_latest_among_those_that_take_turns() -> None:
    one = OneLine(plan("PARALLEL", stage("Source", "a"), stage("Build", "b")))
    one.start("E1")
    one.update(plan("QUEUED", stage("Source", "a"), stage("Build", "b"), version=2))
    one.start("E2")
    one.ends("E2", "a")
    one.ends("E2", "b", good=False)
    one.ends("E1", "a")

    one.retry("E2", "Build")

    assert (one.where("E1"), one.where("E2")) == ("Build", "Build")


def test_after_an_update_a_stage_is_locked_until_who_was_inside_has_ended() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")
    one.update(plan("SUPERSEDED", *THREE, version=2))

    one.start("E2")
    assert one.where("E2") == "<Source"

    one.ends("E1", "s")
    assert one.where("E2") == "Source"


def test_a_stage_that_went_and_came_back_is_locked_by_who_is_still_in_it() -> None:
    one = line_of("SUPERSEDED")
    one.start("E1")
    one.ends("E1", "s")
    one.update(plan("SUPERSEDED", stage("Source", "s"), version=2))
    one.update(plan("SUPERSEDED", *THREE, version=3))
    one.start("E2")
    one.ends("E2", "s")

    assert one.places("E1", "E2") == ["Build", "<Build"]


def test_a_disabled_transition_outlives_an_update() -> None:
    one = line_of("SUPERSEDED")
    one.door("Deploy", enabled=False)

    one.update(plan("QUEUED", *THREE, version=2))

    door = one.line().gates[2].transition
    assert (door.enabled, door.reason) == (False, "shut")


def test_a_deleted_pipeline_leaves_nothing_running() -> None:
    one = line_of("QUEUED")
    one.start("E1", "E2")

    one.delete()

    assert one.running == {}


def test_the_transition_into_the_first_stage_holds_nobody() -> None:
    one = line_of("SUPERSEDED")
    one.door("Source", enabled=False)

    one.start("E1")

    assert one.where("E1") == "Source"


def test_each_execution_remembers_the_mode_that_it_began_with() -> None:
    one = line_of("PARALLEL")
    one.start("E1")
    one.update(plan("QUEUED", *THREE, version=2))
    one.start("E2")

    assert [one.execution(id).mode for id in ("E1", "E2")] == [ExecutionMode.PARALLEL, ExecutionMode.QUEUED]


def test_a_run_is_begun_with_all_that_its_row_needs() -> None:
    one = line_of("SUPERSEDED")

    one.start("E1")

    assert StartRun("E1", "Source", "s", "run0") in one.effects
