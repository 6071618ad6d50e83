"""Rules that need nothing but themselves: VariableCheck and DeploymentWindow (User Guide, "Rule structure")."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Work
from codeyard.pipelines.checks import VariableCheck
from codeyard.pipelines.window import Window

_LOOK_AGAIN = 15.0  # seconds


class VariableCheckRule:
    """Passes if the comparison is true."""

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        check = VariableCheck.parse(given.get("Operator", ""), given.get("Value", ""))
        actual = given.get("Variable", "")
        if not check.passes(actual):
            text = f"The value of the variable does not meet the check: {check.operator.value} {given.get('Value')}"
            raise ActionFailed(ErrorCode.JOB_FAILED, text, text)
        return Outcome(summary="The variable meets the check")


class DeploymentWindowRule:
    """Passes while the window is open. With a timeoutInMinutes of its own it waits for the window that long."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    async def run(self, work: Work) -> Outcome:
        given = work.declared.configuration
        window = Window.parse(given.get("Cron", ""), given.get("TimeZone"))
        while not window.open_at(self._now()):
            opens = window.next_open(self._now(), work.deadline)
            if opens is None or work.declared.timeout_minutes is None:
                text = "The deployment window is closed"
                raise ActionFailed(ErrorCode.JOB_FAILED, text, text)
            left = (opens - self._now()).total_seconds()
            await asyncio.sleep(max(0.1, min(left, _LOOK_AGAIN)))
        return Outcome(summary="The deployment window is open")
