"""Rule/AWS/CloudWatchAlarm: whether an alarm is quiet (User Guide, "CloudWatchAlarm" in "Rule structure reference").

AWS tells of it in two ways that do not go together. Here: an alarm that is in none of the AlarmStates when first looked
at is quiet at once, and one in OK always; one that is in them may leave them within WaitTime minutes. Before entry and
on success a quiet alarm passes. On failure the rule passes if the alarm is not quiet: that is the bad sign it is for.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from codeyard.durable import Answer
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Work
from codeyard.pipelines.actions.asking import PAUSE, Client, Service, looked
from codeyard.pipelines.model import Moment

_STATES = frozenset({"OK", "ALARM", "INSUFFICIENT_DATA"})


class CloudWatchAlarmRule:
    """Looks at the alarm."""

    def __init__(self, client: Client, now: Callable[[], datetime], *, pause: float = PAUSE) -> None:
        self._client, self._now, self._pause = client, now, pause

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        name, monitored, wait = given.get("AlarmName", ""), states(given.get("AlarmStates")), waiting(given)
        service = Service(self._client, work, "cloudwatch")
        await work.permit("cloudwatch:DescribeAlarms", service.arn(f"alarm:{name}"))

        async def first() -> Answer:
            return {"at": self._now().isoformat()}

        until = datetime.fromisoformat((await work.step("first look", first))["at"]) + wait

        async def look() -> str | None:
            state = await _state(service, name)
            return state if state not in monitored or self._now() >= until else None

        state = await looked(look, self._pause)
        quiet, text = state not in monitored, f"The CloudWatch alarm {name} is in state {state}"
        if quiet is (work.place.moment is Moment.ON_FAILURE):
            raise ActionFailed(ErrorCode.JOB_FAILED, text, text)
        return Outcome(summary=text)


def states(text: str | None) -> frozenset[str]:
    """Of AlarmStates: those that are not quiet. ActionFailed: it names one that no alarm has."""
    named = {part.strip() for part in (text or "ALARM").split(",") if part.strip()}
    if odd := sorted(named - _STATES):
        allowed = ", ".join(sorted(_STATES))
        raise ActionFailed(ErrorCode.CONFIGURATION, f"AlarmStates: {odd[0]} is none of {allowed}")
    return frozenset(named - {"OK"})


def waiting(given: Mapping[str, str]) -> timedelta:
    """Of WaitTime, in minutes. ActionFailed: it is no number."""
    text = given.get("WaitTime") or "0"
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise ActionFailed(ErrorCode.CONFIGURATION, "WaitTime is not a whole number of minutes")
    return timedelta(minutes=int(text))


async def _state(service: Service, name: str) -> str:
    kinds = ["MetricAlarm", "CompositeAlarm"]
    answer = await service.ask("describe_alarms", AlarmNames=[name], AlarmTypes=kinds)
    found: list[Mapping[str, Any]] = [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
    if not found:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"The CloudWatch alarm {name} was not found")
    return str(found[0].get("StateValue", "INSUFFICIENT_DATA"))
