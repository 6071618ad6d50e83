"""A build ends in its row, and the one that is to follow it is in its own, both or neither."""

from collections.abc import Callable
from datetime import datetime

from codeyard.builds import life, projects_table, table
from codeyard.builds.stored import StoredBuild
from codeyard.store import Tx


def end(tx: Tx, run: str, rule: Callable[[StoredBuild], StoredBuild], now: datetime) -> StoredBuild | None:
    """The build that the rule ended here; None if it did not, or the build was ended before, or is not there."""
    found = table.change(tx, run, lambda was: was if was.ended else rule(was))
    if found is None or found[0].ended or not found[1].ended:
        return None
    ended = found[1]
    return _followed(tx, ended, now) if life.tried_again(ended) else ended


def _followed(tx: Tx, ended: StoredBuild, now: datetime) -> StoredBuild:
    """The build that ended, and beside it the one that follows, if their project is still there."""
    project = projects_table.find_project(tx, ended.owner, ended.id.project)
    if project is None:
        return ended
    number = projects_table.next_build_number(tx, ended.owner, ended.id.project)
    linked, again = life.linked(ended, project, number, now)
    table.insert(tx, again)
    return table.save(tx, ended, linked)
