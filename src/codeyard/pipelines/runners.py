"""The bell between those who change executions and the runner of the same process, if there is one."""

import asyncio
from collections.abc import Iterable

from codeyard.pipelines.stored import StoredRun


class Runners:
    """`id` is the runner of this process, whose are the runs that begin here; None: another process finds them."""

    def __init__(self, id: str | None = None) -> None:
        self.id = id
        self.bell = asyncio.Event()
        self._begun: list[StoredRun] = []
        self._touched: set[str] = set()

    def begun(self, runs: Iterable[StoredRun]) -> None:
        """They are this runner's to do."""
        if self.id is not None:
            self._begun += runs
            self.bell.set()

    def touched(self, runs: Iterable[str]) -> None:
        """They ended, were abandoned, or were answered: whoever does them is to look."""
        if self.id is not None:
            self._touched.update(runs)
            self.bell.set()

    def taken(self) -> tuple[list[StoredRun], set[str]]:
        """What was begun, and what was touched, since this was asked last."""
        found = self._begun, self._touched
        self._begun, self._touched = [], set()
        self.bell.clear()
        return found
