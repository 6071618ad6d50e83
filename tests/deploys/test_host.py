"""A host that is killed, stopped, and given two deployments to one place."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from codeyard.deploys import Assignment, EventReport, EventStatus
from codeyard.deploys.host import RESTARTED
from codeyard.deploys.journal import Journal
from tests.artifacts.files import contents
from tests.deploys.machine import Machine, now

RELEASE = ("Verify", "Place", "BeforeSwitch", "Switch", "AfterSwitch", "HealthCheck")
IN_PLACE = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)
MOMENTS = ("InProgress", "Succeeded")
HOOKS = {"before_switch": "hook", "after_switch": "hook", "health_check": "hook"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _noting(machine: Machine, then: str = "") -> str:
    """A script that notes its event, and does something else."""
    return f'#!/bin/sh\necho "$DEPLOYMENT_ID $LIFECYCLE_EVENT" >> {machine.root}/ran\n{then}\n'


def _ran(machine: Machine, deployment: str) -> list[str]:
    lines = (machine.root / "ran").read_text().splitlines()
    return [line.split()[1] for line in lines if line.startswith(deployment)]


def _revision(machine: Machine, version: str, then: str = "") -> dict[str, str]:
    events = "".join(
        f"  {name}:\n    - location: hook\n" for name in IN_PLACE if name not in ("DownloadBundle", "Install")
    )
    spec = f"version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: {machine.srv}\nhooks:\n{events}"
    return {"version": version, "same": "s" * 100, "!hook": _noting(machine, then), "appspec.yml": spec}


def _two(machine: Machine, kind: str, then: str = "") -> tuple[Assignment, Assignment]:
    """The first deployment, done; and the second, to do."""
    assigned = machine.release if kind == "release" else machine.in_place
    options = HOOKS if kind == "release" else {}
    one = assigned(1, machine.revision(_revision(machine, "one")), **options)
    two = assigned(2, machine.revision(_revision(machine, "two", then)), **options)
    assert machine.deploy(one)
    return one, two


@pytest.mark.parametrize(
    ("kind", "event"), [*(("release", name) for name in RELEASE), *(("in place", name) for name in IN_PLACE)]
)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_host_that_was_killed_between_events_goes_on(machine: Machine, kind: str, event: str, moment: str) -> None:
    _, two = _two(machine, kind)

    killed = machine.deploy_in_child(two, f"{event} {moment}")
    good = machine.deploy(two)

    assert killed == -9
    assert good
    events = RELEASE if kind == "release" else IN_PLACE
    assert machine.statuses == dict.fromkeys(events, "Succeeded")
    assert _ran(machine, two.deployment) == [name for name in events if name not in
                                             ("Verify", "Place", "Switch", "DownloadBundle", "Install")]  # fmt: skip
    place = machine.srv / "current" if kind == "release" else machine.srv
    assert contents(place)["version"] == "two"


def test_an_event_without_scripts_that_was_cut_off_is_done_again(machine: Machine) -> None:
    spec = f"version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: {machine.srv}\n"
    one = machine.in_place(1, machine.revision({"version": "one", "appspec.yml": spec}))
    machine.deploy_in_child(one, "ApplicationStart InProgress")
    journal = Journal.open(machine.state / "deployments", one)
    journal.begin(EventReport("ApplicationStart", EventStatus.IN_PROGRESS, now()), once=True)

    assert machine.deploy(one)


@pytest.mark.parametrize(
    ("kind", "event"),
    [("release", name) for name in ("BeforeSwitch", "AfterSwitch", "HealthCheck")]
    + [("in place", name) for name in ("BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService")],
)
def test_a_script_that_ran_when_the_host_was_killed_is_not_run_again(machine: Machine, kind: str, event: str) -> None:
    _, two = _two(machine, kind, f'[ "$LIFECYCLE_EVENT" = {event} ] && kill -9 $PPID && exec sleep 60; true')

    killed = machine.deploy_in_child(two)
    begun = time.monotonic()
    good = machine.deploy(two)

    assert killed == -9
    assert not good
    assert time.monotonic() - begun < 30  # the script that was left has been ended
    assert machine.failed.name == event
    assert machine.failed.message.startswith(RESTARTED)
    assert machine.failed.error_code == "UnknownError"
    assert _ran(machine, two.deployment).count(event) == 1
    if kind == "release":
        assert machine.current == "one"
        assert ("Switched back" in machine.failed.message) is (event != "BeforeSwitch")
    again = list(machine.reports)
    assert not machine.deploy(two)
    assert machine.reports == [report for report in again if report.status != "InProgress"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["release", "in place"])
def test_a_host_killed_at_any_moment_leaves_the_old_or_the_new(machine: Machine, kind: str) -> None:
    assigned = machine.release if kind == "release" else machine.in_place
    files = {f"d{number % 7}/f{number}": "x" * number for number in range(300)}
    spec = f"version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: {machine.srv}\n"
    for number in range(8):
        tree = machine.revision({"version": str(number), "appspec.yml": spec, f"only{number}": "o", **files})
        assignment = assigned(number, tree)
        asyncio.run(_kill_after(machine, assignment, 0.25 + 0.05 * number))

        assert machine.deploy(assignment)
        place = machine.srv / "current" if kind == "release" else machine.srv
        found = contents(place)
        assert found == {"version": str(number), "appspec.yml": spec, f"only{number}": "o", **files}


async def _kill_after(machine: Machine, assignment: Assignment, seconds: float) -> None:
    import json
    import sys

    from codeyard.deploys import to_json

    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.deploys.machine", str(machine.root), str(machine.srv), str(machine.state),
        json.dumps(to_json(assignment)), "",
    )  # fmt: skip
    await asyncio.sleep(seconds)
    if child.returncode is None:
        child.kill()
    await child.wait()


def test_a_deployment_that_was_cut_off_is_undone_by_the_next_and_cannot_come_back(machine: Machine) -> None:
    _, two = _two(machine, "release")
    machine.deploy_in_child(two, "Switch Succeeded")
    cut_off = machine.current
    failing = machine.revision({"version": "three", "!hook": "#!/bin/sh\nexit 1\n"})

    assert cut_off == "two"
    assert not machine.deploy(machine.release(3, failing, after_switch="hook"))
    assert machine.current == "one"  # and not the one that nobody had found healthy
    assert not machine.deploy(two)
    assert machine.current == "one"


def test_a_deployment_that_only_lacked_its_last_note_stays(machine: Machine) -> None:
    _, two = _two(machine, "release")
    machine.deploy_in_child(two, "HealthCheck Succeeded")
    failing = machine.revision({"version": "three", "!hook": "#!/bin/sh\nexit 1\n"})

    assert not machine.deploy(machine.release(3, failing, after_switch="hook"))
    assert machine.current == "two"


def test_no_event_begins_once_it_is_to_stop_and_a_switch_is_taken_back(machine: Machine) -> None:
    _, two = _two(machine, "release")
    stop = asyncio.Event()

    async def report(event: EventReport) -> None:
        machine.reports.append(event)
        if (event.name, event.status) == ("Switch", "Succeeded"):
            stop.set()

    machine.reports.clear()
    good = asyncio.run(machine.host().perform(two, report, stop))

    assert not good
    assert machine.statuses["AfterSwitch"] == machine.statuses["HealthCheck"] == "Skipped"
    assert machine.current == "one"


def test_one_that_was_cut_off_and_is_to_stop_is_taken_back(machine: Machine) -> None:
    _, two = _two(machine, "release")
    machine.deploy_in_child(two, "Switch Succeeded")
    stop = asyncio.Event()
    stop.set()

    good = asyncio.run(machine.perform(two, machine.host(), stop))

    assert not good
    assert machine.statuses["Switch"] == "Succeeded"
    assert machine.statuses["AfterSwitch"] == "Skipped"
    assert machine.current == "one"


def test_one_whose_report_cannot_be_sent_goes_on_when_it_is_performed_again(machine: Machine) -> None:
    _, two = _two(machine, "release")
    lost = iter([False, False, True])

    async def report(event: EventReport) -> None:
        if next(lost, True):
            raise ConnectionError("away")

    for _ in range(3):
        with pytest.raises(ConnectionError):
            asyncio.run(machine.host().perform(two, report, asyncio.Event()))

    assert machine.deploy(two)
    assert machine.current == "two"
    assert _ran(machine, two.deployment) == ["BeforeSwitch", "AfterSwitch", "HealthCheck"]


def test_two_deployments_to_one_place_wait_for_each_other(machine: Machine) -> None:
    overlap = "mkdir ../../../busy || exit 1; sleep 0.2; rmdir ../../../busy"
    trees = [machine.revision({"version": str(number), "!hook": f"#!/bin/sh\n{overlap}\n"}) for number in range(3)]

    async def all_of_them() -> list[bool]:
        hosts = [machine.host(), machine.host()]
        work = [machine.release(number, tree, before_switch="hook") for number, tree in enumerate(trees)]
        return list(await asyncio.gather(*(machine.perform(each, hosts[n % 2]) for n, each in enumerate(work))))

    assert asyncio.run(all_of_them()) == [True, True, True]


def test_one_that_waits_can_be_stopped(machine: Machine) -> None:
    tree = machine.revision({"version": "1", "!hook": "#!/bin/sh\nsleep 1\n"})
    reports: list[EventReport] = []

    async def tell(event: EventReport) -> None:
        reports.append(event)

    async def both() -> tuple[bool, bool]:
        host, stop = machine.host(), asyncio.Event()
        first = asyncio.create_task(machine.perform(machine.release(1, tree, before_switch="hook"), host))
        await asyncio.sleep(0.3)
        second = asyncio.create_task(host.perform(machine.release(2, tree), tell, stop))
        await asyncio.sleep(0.2)
        stop.set()
        return await second, await first

    assert asyncio.run(both()) == (False, True)
    assert [(report.name, str(report.status)) for report in reports] == [(name, "Skipped") for name in RELEASE]


def test_another_assignment_by_a_known_id_is_refused(machine: Machine) -> None:
    one, two = (machine.release(1, machine.revision({"version": version})) for version in "12")
    machine.deploy(one)

    with pytest.raises(Exception, match="knows another one by that id"):
        machine.deploy(two)
    assert machine.current == "1"


def test_a_tree_that_the_store_does_not_have_fails_the_deployment(machine: Machine) -> None:
    tree = machine.revision({"version": "1"})
    (machine.store.root / "blobs" / tree[:2] / tree[2:]).unlink()

    assert not machine.deploy(machine.release(1, tree))
    assert "the store does not have it" in machine.failed.message


def test_options_that_are_wrong_fail_the_first_event(machine: Machine) -> None:
    tree = machine.revision({"version": "1"})

    assert not machine.deploy(machine.release(1, tree, path="relative"))
    assert machine.failed.name == "Verify"
    assert "option path 'relative'" in machine.failed.message
    assert list(machine.statuses.values()) == ["Failed"] + ["Skipped"] * 5


def test_a_host_without_room_for_its_journal_says_so(machine: Machine, tiny_disk: Path) -> None:
    machine.state = tiny_disk / "state"
    host = machine.host()
    with (tiny_disk / "filler").open("wb") as filler, suppress(OSError):
        while True:
            os.write(filler.fileno(), bytes(4096))

    with pytest.raises(Exception, match="no space is left"):
        machine.deploy(machine.release(1, machine.revision({"version": "1"})), host)
