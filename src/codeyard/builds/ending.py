"""A build ends in its row, and the one that is to follow it is in its own, both or neither."""

from collections.abc import Callable
from datetime import datetime

from codeyard.builds import life, projects_table, table
from codeyard.builds.stored import StoredBuild
from codeyard.store import Tx


def end(tx: Tx, run: str, rule: Callable[[StoredBuild], StoredBuild], now: datetime) -> StoredBuild | None:
    """The build that the rule ended here; None if it did not, or the build was ended before, or is not there."""
    was = table.hold(tx, run)
    if was is None or was.ended:
        return None
    changed = rule(was)
    if not changed.ended:
        if changed != was:
            table.save(tx, was, changed)
        return None
    project = projects_table.find_project(tx, was.owner, was.id.project) if life.tried_again(changed) else None
    if project is None:
        return table.save(tx, was, changed)
    # The project's counter before its line, as whoever starts a build has it: or two would wait for each other.
    number = projects_table.next_build_number(tx, was.owner, was.id.project)
    linked, again = life.linked(changed, project, number, now)
    saved = table.save(tx, was, linked)
    table.insert(tx, again)
    return saved
