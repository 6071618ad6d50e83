"""Alarms at moto's CloudWatch."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from codeyard.pipelines.actions import ActionFailed, ErrorCode
from codeyard.pipelines.actions.alarm import CloudWatchAlarmRule, states, waiting
from codeyard.pipelines.model import Moment
from tests.pipelines.actions.services import Outside
from tests.pipelines.works import NOON, Bench, action, bench_at


class Clock:
    """Each look at it is a minute later."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        self.at += timedelta(minutes=1)
        return self.at


def an_alarm(outside: Outside, name: str, state: str) -> None:
    client = outside.plain("cloudwatch")
    client.put_metric_alarm(
        AlarmName=name, MetricName="m", Namespace="n", Period=60, EvaluationPeriods=1, Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
    )  # fmt: skip
    client.set_alarm_state(AlarmName=name, StateValue=state, StateReason="so it is")


def a_bench(home: Path, moment: Moment = Moment.ON_SUCCESS, **given: str) -> Bench:
    bench = bench_at(home, action("Rule/AWS/CloudWatchAlarm/1", given))
    bench.place = replace(bench.place, moment=moment)
    return bench


@pytest.mark.parametrize(
    ("state", "given", "quiet"),
    [
        ("OK", {}, True),
        ("OK", {"AlarmStates": "OK,ALARM"}, True),
        ("INSUFFICIENT_DATA", {}, True),
        ("INSUFFICIENT_DATA", {"AlarmStates": "ALARM,INSUFFICIENT_DATA"}, False),
        ("ALARM", {"AlarmStates": "INSUFFICIENT_DATA"}, True),
        ("ALARM", {}, False),
        ("ALARM", {"WaitTime": "5"}, False),
    ],
)
@pytest.mark.parametrize("moment", [Moment.ON_SUCCESS, Moment.ON_FAILURE])
async def test_a_quiet_alarm_passes_but_on_failure(
    outside: Outside, tmp_path: Path, state: str, given: dict[str, str], quiet: bool, moment: Moment
) -> None:
    an_alarm(outside, "a", state)
    bench = a_bench(tmp_path, moment, AlarmName="a", **given)
    try:
        outcome = await CloudWatchAlarmRule(outside.client, Clock(), pause=0).run(bench)
        told, passed = outcome.summary, True
    except ActionFailed as failed:
        told, passed = failed.summary, False

    assert passed is (quiet is (moment is not Moment.ON_FAILURE))
    assert told == f"The CloudWatch alarm a is in state {state}"
    assert bench.permitted == [("cloudwatch:DescribeAlarms", "arn:aws:cloudwatch:us-east-1:111122223333:alarm:a")]


async def test_an_alarm_may_calm_down_in_its_time_which_a_new_process_does_not_lengthen(
    outside: Outside, tmp_path: Path
) -> None:
    an_alarm(outside, "b", "ALARM")
    clock, bench = Clock(), a_bench(tmp_path, AlarmName="b", WaitTime="10")

    def calm() -> datetime:
        if len(outside.calls) == 3:
            an_alarm(outside, "b", "OK")
        return clock()

    outcome = await CloudWatchAlarmRule(outside.client, calm, pause=0).run(bench)
    an_alarm(outside, "b", "ALARM")
    clock.at += timedelta(minutes=10)

    assert (outcome.summary, outside.calls) == ("The CloudWatch alarm b is in state OK", ["DescribeAlarms"] * 4)
    with pytest.raises(ActionFailed):
        await CloudWatchAlarmRule(outside.client, clock, pause=0).run(bench.again())
    assert len(outside.calls) == 5


async def test_no_alarm_is_a_wrong_configuration(outside: Outside, tmp_path: Path) -> None:
    with pytest.raises(ActionFailed, match="was not found") as failed:
        await CloudWatchAlarmRule(outside.client, Clock()).run(a_bench(tmp_path, AlarmName="nobody's"))
    assert failed.value.code is ErrorCode.CONFIGURATION


def test_states_and_times_that_are_none_are_refused() -> None:
    assert states(" ALARM, OK") == {"ALARM"}
    with pytest.raises(ActionFailed, match="FINE is none of"):
        states("FINE")
    with pytest.raises(ActionFailed, match="whole number"):
        waiting({"WaitTime": "-1"})
