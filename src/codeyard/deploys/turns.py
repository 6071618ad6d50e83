"""What one transaction does to deployments: a change, and all that follows from it in the deployment's group.

A turn holds the group's line, so that of a group one thing happens after another, whatever process it happens in.
"""

import re
import secrets
import string
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from codeyard.deploys import progress, table, targets_table
from codeyard.deploys.model import Deployment, DeploymentRequest, DeploymentTarget, Status, TargetStatus
from codeyard.deploys.table import Line
from codeyard.deploys.waves import Revision
from codeyard.store import Tx

_ID = re.compile(r"d-[A-Z0-9]{9}", re.ASCII)
_LETTERS = string.ascii_uppercase + string.digits
_NO_SUCCESS = "The group has no deployment that succeeded, so there is no revision to roll back to."


def is_id(text: str) -> bool:
    """Whether it has the form of a deployment's id."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    return "d-" + "".join(secrets.choice(_LETTERS) for _ in range(9))


class Turn:
    """One transaction. `news` gets the ids of deployments and targets that somebody may be waiting for."""

    def __init__(self, tx: Tx, now: Callable[[], datetime], news: set[str]) -> None:
        self.tx, self._now, self.news = tx, now, news

    def change(self, id: str, rule: Callable[[Deployment], Deployment]) -> Deployment | None:
        """The deployment after the rule, with all that follows from it; None: there is none of this id."""
        alone = table.load_alone(self.tx, id)
        if alone is None:
            return None
        line = table.hold_line(self.tx, alone.request.group_id)
        was = table.hold(self.tx, id)
        if was is None:
            return None
        after = rule(was)
        if after == was:
            return was
        saved = self._save(was, after)
        if saved.ended and line.in_flight == id:
            self._followed(line, saved)
        return table.load(self.tx, id)

    def _save(self, was: Deployment, now: Deployment) -> Deployment:
        """The row, and what is known from now on of the targets that are done."""
        saved = table.save(self.tx, was, now)
        self.news.add(saved.id)
        self.news.update(target.id for target in saved.targets if target.started is not None)
        before = {target.id: target.status for target in was.targets}
        for target in saved.targets:
            if target.started is None or not target.ended or before.get(target.id) is target.status:
                continue
            good = target.status is TargetStatus.SUCCEEDED
            tree = str(saved.request.tree) if good else None
            targets_table.put_health(self.tx, saved.request.group_id, target.id, good, tree)
        return saved

    def _followed(self, line: Line, over: Deployment) -> None:
        """A deployment is over: its group's line says so, and goes on with its rollback, or with what waits."""
        good = over.id if over.status is Status.SUCCEEDED else line.last_successful
        line = replace(line, in_flight=None, last_successful=good)
        table.put_line(self.tx, line)
        if progress.wants_rollback(over):
            self._roll_back(line, over)
        else:
            self.next(line)

    def _roll_back(self, line: Line, failed: Deployment) -> None:
        good = None if line.last_successful is None else table.load_alone(self.tx, line.last_successful)
        if good is None:
            table.save(self.tx, failed, replace(failed, rollback_message=_NO_SUCCESS))
            self.next(line)
            return
        request = progress.rollback_request(failed, good)
        new = Deployment(new_id(), request, self._now(), Status.CREATED, rolls_back=failed.id)
        table.insert(self.tx, new, None)
        table.save(self.tx, failed, replace(failed, rolled_back_by=new.id))
        here = targets_table.of_ids(self.tx, [target.id for target in failed.targets])
        health = targets_table.health_of(self.tx, request.group_id, str(good.request.tree))
        self._begin(line, new, progress.rollback_targets(failed, here, health))

    def next(self, line: Line) -> None:
        """The group's first deployment that waits begins, if one does."""
        id = table.first_queued(self.tx, line.group_id)
        waiting = None if id is None else table.hold(self.tx, id)
        if waiting is not None:
            self._begin(line, waiting, _chosen(self.tx, line, waiting.request))

    def _begin(self, line: Line, new: Deployment, targets: tuple[DeploymentTarget, ...]) -> None:
        begun = self._save(new, progress.begun(new, targets, self._now()))
        line = replace(line, in_flight=begun.id, last_attempted=begun.id)
        table.put_line(self.tx, line)
        if begun.ended:
            self._followed(line, begun)

    def go_on(self, group_id: str) -> None:
        line = table.hold_line(self.tx, group_id)
        if line.in_flight is None:
            self.next(line)


def _chosen(tx: Tx, line: Line, asked: DeploymentRequest) -> tuple[DeploymentTarget, ...]:
    """The targets that the request means, as they are now."""
    good = None if line.last_successful is None else table.load_alone(tx, line.last_successful)
    health = targets_table.health_of(tx, asked.group_id, None if good is None else str(good.request.tree))
    found = []
    for target in targets_table.enrolled(tx, asked.owner):
        healthy, revision = health.get(target.id, (False, Revision.UNKNOWN))
        current = healthy and revision is Revision.CURRENT
        if asked.targets.selects(target.tags) and not (asked.outdated_only and current):
            found.append(DeploymentTarget(target.id, target.name, healthy, revision))
    return tuple(found)
