"""A worker takes builds from the queue: what `queue` chooses, made true in one transaction. Also, where each waits."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from codeyard.builds import life, lines_table, table, workers_table
from codeyard.builds.queue import NOTHING, Limits, Line, Machine, Place, Queue, Size, Waiting, choose
from codeyard.builds.stored import Standing, StoredBuild
from codeyard.builds.workers_table import WorkerRow
from codeyard.ident import Owner
from codeyard.store import Tx

# Lines and builds of each that are looked at beyond what could start: heads that do not fit are passed by.
_SPARE = 16
_AT_MOST = 64


class NoLease(Exception):
    """This worker's time is over, or nobody knows it: it says that it lives before it takes anything."""


def claim(
    tx: Tx, me: str, held: Mapping[str, Size], account_limit: int | None, now: datetime
) -> tuple[StoredBuild, ...]:
    """The builds that are this worker's from now on; `held` is what it has still running, by run. NoLease.

    What the rows say that it has counts too: a claim of which it did not hear, or what others ended meanwhile.
    """
    lines_table.alone(tx)
    workers = {worker.id: worker for worker in workers_table.alive(tx, now)}
    if me not in workers:
        raise NoLease
    here = machine(workers[me], (dict(held) | table.sizes_held_by(tx, me)).values())
    if workers[me].draining or here.slots < 1:
        return ()
    # What the others have free does not matter here; what they are able to hold does.
    others = (machine(worker, ()) for worker in workers.values() if worker.id != me and not worker.draining)
    limits = _limits(tx, account_limit)
    # No build needs less than a CPU, and one that needs more than there is may start on an empty machine.
    at_most = min(here.slots, max(1, int(here.free.cpus)))
    few = min(_AT_MOST, at_most + _SPARE)
    lines = lines_table.first(tx, few, (owner for owner in limits.running if limits.full(owner)))

    def heads(line: Line) -> tuple[Waiting, ...]:
        return table.heads(tx, line.owner, line.project, min(_AT_MOST, at_most))

    chosen = choose(lines, here, others, limits, now, heads)
    return table.claim(tx, chosen, partial(life.claimed, worker=me, now=now))


def machine(worker: WorkerRow, held: Iterable[Size]) -> Machine:
    sizes = tuple(held)
    used = sum((size.at_most(worker.total) for size in sizes), NOTHING)
    return Machine(worker.id, worker.total, worker.total - used, worker.slots - len(sizes))


def places(
    tx: Tx, owner: Owner, builds: Iterable[StoredBuild], account_limit: int | None, now: datetime
) -> dict[str, Place]:
    """Where those of an owner's builds stand that wait, by run. They were read in this transaction."""
    waiting = {build.run: build for build in builds if build.standing is Standing.WAITING}
    if not waiting:
        return {}
    lines = {line.name: line for line in lines_table.all_lines(tx)}
    machines = (machine(worker, ()) for worker in workers_table.alive(tx, now) if not worker.draining)
    queue = Queue(lines.values(), machines, _limits(tx, account_limit), now)
    return {
        run: queue.place(lines[lines_table.order(waiting[run])], ahead, waiting[run].need)
        for run, ahead in table.ahead(tx, owner, (build.id for build in waiting.values())).items()
    }


def _limits(tx: Tx, account: int | None) -> Limits:
    return Limits(account, lines_table.running(tx) if account is not None else {})
