"""Executions from their start to their end: real rows, real runners, and clients that all come at once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import event

from codeyard.aws import Refused
from codeyard.pipelines import runs_table
from codeyard.pipelines.actions import Outcome, Revision, Work
from codeyard.store.engine import SqlDatabase
from tests.databases import Forgetful, database, opened
from tests.pipelines.sites import (
    BY,
    NAME,
    OWNER,
    SIMPLE,
    Counted,
    Hold,
    Site,
    a_site,
    act,
    approval,
    asking,
    badly,
    definition,
    stage,
    well,
)

__all__ = ["database"]
T = TypeVar("T")
MODES = ("SUPERSEDED", "QUEUED", "PARALLEL")
ASKS = (stage("Source", act("s")), stage("Build", approval()), stage("Deploy", act("d")))


@pytest.fixture
async def site(database: SqlDatabase) -> AsyncIterator[Site]:
    """On each kind of database."""
    async with a_site(database) as made:
        yield made


@pytest.fixture
async def lone(tmp_path: Path) -> AsyncIterator[Site]:
    """On SQLite alone."""
    for db in opened(f"sqlite:///{tmp_path / 'lone.sqlite'}"):
        async with a_site(db) as made:
            yield made


async def code(work: Any) -> str:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


# ── from the start to the end ──


@pytest.mark.parametrize("mode", MODES)
async def test_an_execution_comes_through_in_each_mode(site: Site, mode: str) -> None:
    first = await site.create(definition(mode, *SIMPLE))

    assert await site.ended(first) == "Succeeded"

    assert [(run.name, run.status.value) for run in await site.runs(first)] == [
        (name, "Succeeded") for name in ("s", "b", "d")
    ]
    trigger = (await site.stored(first)).facts["trigger"]
    assert trigger == {"triggerType": "CreatePipeline", "triggerDetail": "arn:aws:iam::111122223333:root"}


async def test_many_executions_at_once_each_come_to_the_end_that_their_mode_has(lone: Site) -> None:
    await lone.create(definition("QUEUED", *SIMPLE))

    ids = await asyncio.gather(*(lone.start() for _ in range(20)))

    assert [await lone.ended(id) for id in ids] == ["Succeeded"] * 20


async def test_what_happens_is_told_in_its_order(lone: Site) -> None:
    id = await lone.create(definition("SUPERSEDED", stage("Source", act("s")), stage("Build", act("b"))))
    await lone.ended(id)

    told = [event["detail"] for event in await lone.events()]

    assert [(each.get("action") or each.get("stage") or "pipeline", each["state"]) for each in told] == [
        ("pipeline", "STARTED"),
        ("Source", "STARTED"),
        ("s", "STARTED"),
        ("s", "SUCCEEDED"),
        ("Source", "SUCCEEDED"),
        ("Build", "STARTED"),
        ("b", "STARTED"),
        ("b", "SUCCEEDED"),
        ("Build", "SUCCEEDED"),
        ("pipeline", "SUCCEEDED"),
    ]
    assert told[0]["execution-trigger"]["trigger-type"] == "CreatePipeline"


async def test_variables_go_from_action_to_action(lone: Site) -> None:
    seen: list[str] = []

    async def source(work: Work) -> Outcome:
        return Outcome(variables={"Branch": "main"}, revision=Revision("abc", "a change"))

    async def look(work: Work) -> Outcome:
        seen.append(work.declared.configuration["Text"])
        return Outcome()

    lone.script |= {"s": source, "b": look}
    text = "#{Git.Branch} #{variables.TARGET} #{codepipeline.PipelineExecutionId}"
    shape = definition(
        "SUPERSEDED",
        stage("Source", act("s", namespace="Git")),
        stage("Build", act("b", configuration={"Text": text})),
        variables=[{"name": "TARGET", "defaultValue": "test"}],
    )
    first = await lone.create(shape)
    await lone.ended(first)
    second = await lone.start(variables=[{"name": "TARGET", "value": "live"}])
    await lone.ended(second)

    assert seen == [f"main test {first}", f"main live {second}"]
    assert (await lone.stored(first)).facts["revisions"]["s"]["id"] == "abc"


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        ({"Text": "#{Git.Nothing}"}, "could not be resolved"),
        ({f"Key{number}": "#{Git.Long}" for number in range(11)}, "longer than 102400 bytes"),
    ],
)
async def test_a_configuration_that_cannot_be_resolved_fails_its_action(
    lone: Site, configuration: dict[str, str], why: str
) -> None:
    async def source(work: Work) -> Outcome:
        return Outcome(variables={"Long": "x" * 10_000})

    lone.script["s"] = source
    build = act("b", configuration=configuration)
    id = await lone.create(definition("SUPERSEDED", stage("Source", act("s", namespace="Git")), stage("Build", build)))

    assert await lone.ended(id) == "Failed"

    error = (await lone.run(id, "b")).data["error"]
    assert error["code"] == "ConfigurationError"
    assert why in error["message"]


async def test_output_variables_have_a_limit(lone: Site) -> None:
    async def source(work: Work) -> Outcome:
        return Outcome(variables={f"V{number}": "x" * 1000 for number in range(130)})

    lone.script["s"] = source
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))

    assert await lone.ended(id) == "Failed"
    assert (await lone.run(id, "s")).data["error"]["code"] == "ConfigurationError"


@pytest.mark.parametrize(
    ("action", "code_"),
    [
        (act("b", "Build/AWS/Unknown"), "ConfigurationError"),
        (act("b", inputArtifacts=[{"name": "Never"}]), "ConfigurationError"),
    ],
)
async def test_what_nobody_can_do_fails(lone: Site, action: Any, code_: str) -> None:
    id = await lone.create(definition("SUPERSEDED", stage("Source", act("s")), stage("Build", action)))

    assert await lone.ended(id) == "Failed"
    assert (await lone.run(id, "b")).data["error"]["code"] == code_


async def test_a_mistake_of_ours_fails_the_action_and_not_the_runner(lone: Site) -> None:
    async def broken(work: Work) -> Outcome:
        raise KeyError("oh")

    lone.script["b"] = broken
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))

    assert await lone.ended(id) == "Failed"
    assert (await lone.run(id, "b")).data["error"]["code"] == "SystemUnavailable"
    lone.script.clear()
    assert await lone.ended(await lone.start()) == "Succeeded"


# ── starting ──


async def test_the_same_token_begins_one_execution_even_at_the_same_moment(site: Site) -> None:
    await site.create(definition("QUEUED", *SIMPLE))

    ids = await asyncio.gather(*(site.start(clientRequestToken="t") for _ in range(10)))

    assert len(set(ids)) == 1
    assert await code(site.start(clientRequestToken="t", variables=[])) == "ValidationException"


async def test_a_pipeline_has_fifty_executions_at_once(lone: Site) -> None:
    lone.script["s"] = Hold()
    await lone.create(definition("QUEUED", *SIMPLE))
    await asyncio.gather(*(lone.start() for _ in range(49)))

    assert await code(lone.start()) == "ConcurrentPipelineExecutionsLimitExceededException"

    beyond = await lone.start(required=False)
    assert await lone.status(beyond) == "Failed"


async def test_a_variable_with_no_value_is_asked_of_who_starts_by_hand_alone(lone: Site) -> None:
    build = act("b", configuration={"Text": "#{variables.TARGET}"})
    shape = definition("SUPERSEDED", stage("Source", act("s")), stage("Build", build), variables=[{"name": "TARGET"}])
    created = await lone.create(shape)

    assert await code(lone.start()) == "ValidationException"
    assert await code(lone.start(variables=[{"name": "OTHER", "value": "x"}])) == "ValidationException"
    assert await lone.ended(created) == "Failed"
    assert (await lone.run(created, "b")).data["error"]["code"] == "ConfigurationError"
    assert await lone.ended(await lone.start(variables=[{"name": "TARGET", "value": "x"}])) == "Succeeded"


async def test_two_pipelines_of_one_name_are_not_created(site: Site) -> None:
    made = await asyncio.gather(*(site.create(definition("QUEUED", *SIMPLE)) for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(each, str) for each in made) == 1
    assert {each.code for each in made if isinstance(each, Refused)} == {"PipelineNameInUseException"}


async def test_a_revision_that_is_put_twice_begins_one_execution(lone: Site) -> None:
    await lone.create(definition("QUEUED", *SIMPLE))

    put = [await lone.control.put_revision(OWNER, NAME, "Source", "s", ("r1", "c1")) for _ in range(2)]

    assert [new for new, _ in put] == [True, False]
    assert put[0][1] == put[1][1]
    missing = lone.control.put_revision(OWNER, NAME, "Source", "no", ("r", "c"))
    assert await code(missing) == "ActionNotFoundException"
    missing = lone.control.put_revision(OWNER, NAME, "No", "s", ("r", "c"))
    assert await code(missing) == "StageNotFoundException"


# ── runners that die ──


async def test_what_was_written_is_not_written_twice_where_the_answer_was_lost(lone: Site) -> None:
    lone.link.db = db = Forgetful(lone.db)
    await lone.create(definition("SUPERSEDED", *SIMPLE))

    db.lost = True
    await lone.update(definition("SUPERSEDED", *SIMPLE))
    id = await lone.start()
    assert await lone.ended(id) == "Succeeded"
    back = await lone.roll_back("Build", id)

    assert await lone.ended(back) == "Succeeded"
    assert (await lone.pipeline()).version == 2
    assert (await lone.stored(back)).execution.number == 3


async def test_what_was_asked_for_is_not_refused_where_the_answer_was_lost(lone: Site) -> None:
    lone.link.db = Forgetful(lone.db, lost=True)
    lone.script["check"] = badly
    held = stage("Deploy", act("d"), beforeEntry=asking("FAIL", "check"))
    id = await lone.create(definition("SUPERSEDED", ASKS[0], ASKS[1], held))

    await lone.approve(await lone.token(id), approved=False)
    await lone.ended(id)
    await lone.retry(id, "Build")
    await lone.approve(await lone.token(id))
    assert await lone.ended(id) == "Failed"
    await lone.override(id, "Deploy", "BEFORE_ENTRY")
    assert await lone.ended(id) == "Succeeded"
    await lone.stop(other := await lone.start(), abandon=True)
    assert await lone.ended(other) == "Stopped"
    put = (OWNER, NAME, "Source", "s", ("1", "a"))

    assert [(await lone.control.put_revision(*put))[0] for _ in range(2)] == [True, False]
    assert len(await lone.runs(id, "ask")) == 2


async def test_a_runner_reads_nothing_whole_of_a_run_of_which_there_is_no_news(site: Site) -> None:
    hold = Hold()
    site.script["b"] = hold
    id = await site.create(definition("SUPERSEDED", *SIMPLE))
    await site.until(lambda: _came(hold))
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    def looks() -> list[int]:
        return [at for at, each in enumerate(asked) if "length(pipeline_runs.answers)" in each]

    async def enough() -> bool:
        return len(looks()) > 5

    engine = site.db.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", note)
    await site.until(enough)
    event.remove(engine, "before_cursor_execute", note)
    hold.gate.set()

    assert [each for each in asked[looks()[1] : looks()[5]] if "pipeline_runs.data" in each] == []
    assert await site.ended(id) == "Succeeded"


async def test_another_process_goes_on_with_a_run_and_does_no_step_twice(site: Site) -> None:
    steps = Counted(("one", "two", "three"), stop_before="three")
    site.script["b"] = steps
    async with a_site(site.db, "two", site.clock) as other:
        other.script["b"] = steps
        id = await site.create(definition("SUPERSEDED", *SIMPLE))
        await steps.there.wait()
        site.link.state = "dead"
        await other.until(lambda: _generation(other, id, "b", 2))
        steps.gate.set()

        assert await other.ended(id) == "Succeeded"
        assert steps.done[:2] == ["one", "two"]
        assert (await other.run(id, "b")).runner == "two"
        site.link.state = "fine"  # it comes back, and finds that others have done it
        await other.until(lambda: _idle(site))
        assert [run.name for run in await other.runs(id)] == ["s", "b", "d"]


async def _generation(site: Site, id: str, name: str, wanted: int) -> bool:
    runs = await site.runs(id, name)
    return bool(runs) and runs[-1].generation == wanted


async def _idle(site: Site) -> bool:
    return site.runner.running == 0


async def test_a_runner_that_leaves_has_its_runs_gone_on_with_at_once(lone: Site) -> None:
    hold, again = Hold(), Hold()
    async with a_site(lone.db, "two", lone.clock) as other:
        other.script["b"] = hold
        id = await other.create(definition("SUPERSEDED", *SIMPLE))
        await other.until(lambda: _came(hold))
        lone.script["b"] = again

    await lone.until(lambda: _came(again))
    again.gate.set()
    assert await lone.ended(id) == "Succeeded"


async def _came(hold: Hold) -> bool:
    return bool(hold.runs)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "within"])
async def test_a_database_that_is_away_for_a_while_fails_nothing(lone: Site, when: str) -> None:
    hold, steps = Hold(), Counted(("one", "two"))
    lone.script |= {"s": hold, "b": steps}
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))
    await lone.until(lambda: _came(hold))

    if when == "before":
        lone.link.state = "away"
        hold.gate.set()
    else:
        hold.gate.set()
        await asyncio.sleep(0)
        lone.link.state = "away"
    await asyncio.sleep(0.2)
    lone.link.state = "fine"

    assert await lone.ended(id) == "Succeeded"
    assert steps.done == ["one", "two"]


@pytest.mark.slow
async def test_an_action_that_meets_a_database_that_is_away_is_tried_again(lone: Site) -> None:
    came: list[str] = []

    async def asks(work: Work) -> Outcome:
        came.append(work.run)
        if len(came) == 1:
            lone.link.state = "away"
            asyncio.get_running_loop().call_later(0.1, setattr, lone.link, "state", "fine")
        await lone.link.read(lambda tx: None)
        return await well(work)

    lone.script["b"] = asks
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))

    assert await lone.ended(id) == "Succeeded"
    assert len(set(came)) == 1


async def test_an_action_whose_time_is_over_fails(lone: Site) -> None:
    hold = Hold()
    lone.script["b"] = hold
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))
    await lone.until(lambda: _came(hold))

    lone.clock.ahead = timedelta(days=2)

    assert await lone.ended(id) == "Failed"
    error = (await lone.run(id, "b")).data["error"]
    assert error["message"] == "The action execution timed out after 1440 minutes"
    await lone.until(lambda: _idle(lone))


# ── approvals ──


@pytest.mark.parametrize(("approved", "end"), [(True, "Succeeded"), (False, "Failed")])
async def test_an_approval_is_answered_once_however_many_answer_at_once(site: Site, approved: bool, end: str) -> None:
    id = await site.create(definition("QUEUED", *ASKS))
    token = await site.token(id)

    answers = await asyncio.gather(*(site.approve(token, approved=approved) for _ in range(5)), return_exceptions=True)

    assert sum(each is None for each in answers) == 1
    assert {each.code for each in answers if isinstance(each, Refused)} == {"ApprovalAlreadyCompletedException"}
    assert await site.ended(id) == end
    assert (await site.run(id, "ask")).data["updated_by"] == "me"


async def test_a_token_of_an_approval_that_was_asked_anew_is_stale(lone: Site) -> None:
    id = await lone.create(definition("QUEUED", *ASKS))
    first = await lone.token(id)
    await lone.approve(first, approved=False)
    await lone.retry(id, "Build")
    second = await lone.token(id)

    assert second != first
    assert await code(lone.approve(first)) == "InvalidApprovalTokenException"
    await lone.approve(second)
    assert await lone.ended(id) == "Succeeded"


async def test_in_parallel_each_execution_has_a_token_of_its_own(lone: Site) -> None:
    first = await lone.create(definition("PARALLEL", *ASKS))
    second = await lone.start()
    tokens = [await lone.token(each) for each in (first, second)]

    await lone.approve(tokens[0])
    await lone.approve(tokens[1], approved=False)

    assert [await lone.ended(each) for each in (first, second)] == ["Succeeded", "Failed"]
    assert await code(lone.approve(tokens[0])) == "ApprovalAlreadyCompletedException"


async def test_what_began_in_parallel_is_answered_after_the_mode_has_changed(lone: Site) -> None:
    first = await lone.create(definition("PARALLEL", *ASKS))
    second = await lone.start()
    tokens = [await lone.token(each) for each in (first, second)]
    await lone.update(definition("QUEUED", *ASKS))

    for token in tokens:
        await lone.approve(token)

    assert [await lone.ended(each) for each in (first, second)] == ["Succeeded"] * 2


async def test_answers_to_what_nobody_asked_are_refused(lone: Site) -> None:
    id = await lone.create(definition("QUEUED", *ASKS))
    token = await lone.token(id)

    assert await code(lone.approve("made-up")) == "InvalidApprovalTokenException"
    assert await code(lone.approve("made-up", stage="No")) == "StageNotFoundException"
    assert await code(lone.approve("made-up", action="no")) == "ActionNotFoundException"
    await lone.stop(id, abandon=True)
    assert await code(lone.approve(token)) == "InvalidApprovalTokenException"


# ── stopping, updating, deleting ──


async def test_a_stop_while_an_action_ends_comes_to_one_end(site: Site) -> None:
    await site.create(definition("PARALLEL", *SIMPLE))
    ids = await asyncio.gather(*(site.start() for _ in range(10)))

    stops = await asyncio.gather(*(site.stop(id, reason="enough") for id in ids), return_exceptions=True)

    for id, stop in zip(ids, stops, strict=True):
        end = await site.ended(id)
        late = isinstance(stop, Refused)
        assert end == ("Succeeded" if late else "Stopped")
        assert not late or (await site.stored(id)).facts.get("stop") is None
    assert not [run for id in ids for run in await site.runs(id) if run.status.is_running]


async def test_what_is_abandoned_is_let_go_of(lone: Site) -> None:
    hold = Hold()
    lone.script["b"] = hold
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))
    await lone.until(lambda: _came(hold))

    await lone.stop(id, abandon=True, reason="enough")

    assert await lone.status(id) == "Stopped"
    await lone.until(lambda: _idle(lone))
    assert (await lone.run(id, "b")).status.value == "Abandoned"
    stopping = [e["detail"] for e in await lone.events() if e["detail"]["state"] == "STOPPING"]
    assert stopping[0]["stop-execution-comments"] == "enough"


async def test_what_an_action_says_as_it_is_abandoned_is_kept(site: Site) -> None:
    if site.db.dialect == "sqlite":  # type: ignore[attr-defined]
        return  # one writer at a time
    hold = Hold()
    site.script["b"] = hold
    id = await site.create(definition("SUPERSEDED", *SIMPLE))
    await site.until(lambda: _came(hold))

    with site.db.engine.begin() as tx:  # type: ignore[attr-defined]
        run = runs_table.hold(tx, hold.runs[0])
        assert run is not None
        runs_table.save(tx, replace(run, data={**run.data, "external_id": "there"}))
        stopping = asyncio.create_task(site.stop(id, abandon=True))
        await asyncio.sleep(0.3)
    await stopping

    after = await site.run(id, "b")
    assert (after.status.value, after.data.get("external_id")) == ("Abandoned", "there")


@pytest.mark.parametrize(("mode", "end"), [("SUPERSEDED", "Cancelled"), ("PARALLEL", "Succeeded")])
async def test_an_update_meets_what_is_in_flight_as_the_mode_has_it(site: Site, mode: str, end: str) -> None:
    hold = Hold()
    site.script["b"] = hold
    id = await site.create(definition(mode, *SIMPLE))
    await site.until(lambda: _came(hold))

    await site.update(definition(mode, stage("Source", act("s")), stage("New", act("n"))))
    hold.gate.set()

    assert await site.ended(id) == end
    after = await site.start()
    assert await site.ended(after) == "Succeeded"
    assert [run.name for run in await site.runs(after)] == ["s", "n"]


async def test_a_pipeline_is_deleted_with_what_is_in_flight(site: Site) -> None:
    hold = Hold()
    site.script["b"] = hold
    id = await site.create(definition("SUPERSEDED", *SIMPLE))
    await site.until(lambda: _came(hold))

    await site.delete()
    await site.delete()

    await site.until(lambda: _idle(site))
    assert await site.runs(id) == []
    assert await code(site.start()) == "PipelineNotFoundException"
    site.script.clear()
    assert await site.ended(await site.create(definition("QUEUED", *SIMPLE))) == "Succeeded"


# ── again, and back ──


async def test_a_retry_is_the_same_execution_with_new_runs(site: Site) -> None:
    site.script["b"] = badly
    id = await site.create(definition("SUPERSEDED", *SIMPLE))
    assert await site.ended(id) == "Failed"
    site.script.clear()

    await site.retry(id, "Build")

    assert await site.ended(id) == "Succeeded"
    assert [run.name for run in await site.runs(id)] == ["s", "b", "b", "d"]
    resumed = [e["detail"] for e in await site.events() if e["detail"]["state"] == "RESUMED"]
    assert [each.get("stage") for each in resumed] == [None, "Build"]
    assert resumed[0]["pipeline-execution-attempt"] == 2.0


async def _make(work: Work) -> Outcome:
    """An output that tells which execution made it, and what it was started with."""
    bucket = f"of-{work.place.execution}"
    return Outcome(
        tuple(type(each)(each.name, bucket, each.key, there=True) for each in work.outputs),
        {"Made": work.place.execution},
    )


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_rollback_uses_artifacts_and_variables_of_its_target(site: Site, by_hand: bool) -> None:
    seen: list[tuple[str, str, str]] = []
    good = [True]

    async def deploy(work: Work) -> Outcome:
        text = work.declared.configuration["Text"]
        seen.append((work.place.execution, work.inputs[0].bucket, text))
        return await (well if good[0] or "live" not in text else badly)(work)

    site.script |= {"s": _make, "d": deploy}
    put = act("d", configuration={"Text": "#{Src.Made} #{variables.T}"}, inputArtifacts=[{"name": "Src"}])
    shape = definition(
        "SUPERSEDED",
        stage("Source", act("s", outputs="Src", namespace="Src")),
        stage("Deploy", put, **({} if by_hand else {"onFailure": {"result": "ROLLBACK"}})),
        variables=[{"name": "T", "defaultValue": "test"}],
    )
    first = await site.create(shape)
    await site.ended(first)
    good[0] = by_hand
    second = await site.start(variables=[{"name": "T", "value": "live"}])
    await site.ended(second)

    back = await site.roll_back("Deploy", first) if by_hand else await site.until(lambda: _newest(site))

    assert await site.ended(back) == "Succeeded"
    assert seen[-1] == (back, f"of-{first}", f"{first} test")
    stored = await site.stored(back)
    assert stored.execution.target == first
    by_itself = {
        "triggerType": "AutomatedRollback",
        "triggerDetail": f'{{"FailedPipelineExecutionId":"{second}"}}',
    }
    by_somebody = {"triggerType": "ManualRollback", "triggerDetail": BY.detail}
    assert stored.facts["trigger"] == (by_somebody if by_hand else by_itself)
    assert stored.facts["variables"] == {"T": "test"}


async def _newest(site: Site) -> str:
    gate = (await site.pipeline()).line.gate("Deploy")
    assert gate is not None
    newest = gate.latest or ""
    return newest if (await site.stored(newest)).execution.target else ""


async def test_a_rollback_is_refused_to_what_is_no_target(lone: Site) -> None:
    first = await lone.create(definition("SUPERSEDED", *SIMPLE))
    await lone.ended(first)
    lone.script["b"] = badly
    second = await lone.start()
    await lone.ended(second)

    assert await code(lone.roll_back("Deploy", second)) == "UnableToRollbackStageException"
    assert await code(lone.roll_back("Source", first)) == "UnableToRollbackStageException"
    assert await code(lone.roll_back("No", first)) == "StageNotFoundException"
    assert await code(lone.roll_back("Deploy", "nobody")) == "PipelineExecutionNotFoundException"
    back = await lone.roll_back("Deploy", first)
    assert await lone.ended(back) == "Succeeded"
    assert await code(lone.roll_back("Deploy", back)) == "UnableToRollbackStageException"
    await lone.update(definition("SUPERSEDED", *SIMPLE))
    assert await code(lone.roll_back("Deploy", first)) == "PipelineExecutionOutdatedException"


# ── conditions, transitions ──


async def test_rules_are_run_as_actions_are_and_may_be_overridden(lone: Site) -> None:
    lone.script["check"] = badly
    shape = definition(
        "SUPERSEDED", stage("Source", act("s")), stage("Build", act("b"), beforeEntry=asking("FAIL", "check"))
    )
    id = await lone.create(shape)
    assert await lone.ended(id) == "Failed"

    await lone.override(id, "Build", "BEFORE_ENTRY")

    assert await lone.ended(id) == "Succeeded"
    assert await code(lone.override(id, "Build", "BEFORE_ENTRY")) == "ConditionNotOverridableException"


async def test_a_transition_holds_and_lets_go(lone: Site) -> None:
    async def change(stage: str, way: str, *, enabled: bool, reason: str = "") -> None:
        await lone.control.set_transition(OWNER, NAME, stage, way, enabled=enabled, reason=reason, by="me")

    hold = Hold()
    lone.script["s"] = hold
    id = await lone.create(definition("SUPERSEDED", *SIMPLE))
    await change("Source", "Outbound", enabled=False, reason="not now")
    hold.gate.set()
    await lone.until(lambda: _waits(lone, "Build"))

    assert await lone.status(id) == "InProgress"
    assert await code(change("Build", "Inbound", enabled=False, reason="bad;")) == "ValidationException"
    assert await code(change("Deploy", "Outbound", enabled=True)) == "StageNotFoundException"
    await change("Build", "Inbound", enabled=True)
    assert await lone.ended(id) == "Succeeded"


async def _waits(site: Site, stage: str) -> bool:
    gate = (await site.pipeline()).line.gate(stage)
    return gate is not None and bool(gate.waiting)
