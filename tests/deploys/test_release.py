"""A release on this machine: placed, checked, switched, found healthy or switched back."""

import asyncio
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from codeyard.deploys import EventReport
from codeyard.deploys.release import options
from codeyard.errors import Invalid
from tests.artifacts.files import contents
from tests.deploys.machine import Machine

ALL = ("Verify", "Place", "BeforeSwitch", "Switch", "AfterSwitch", "HealthCheck")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A server that answers a path such as /302 with that status; /stuck never."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/stuck":
                release.wait(10)
                return
            self.send_response(int(self.path[1:4]))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    release = threading.Event()
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    release.set()
    server.shutdown()
    thread.join()
    server.server_close()


def _scripts(**scripts: str) -> dict[str, str]:
    return {f"!bin/{name}": f"#!/bin/sh\n{text}\n" for name, text in scripts.items()}


def test_a_release_is_placed_and_current(machine: Machine) -> None:
    tree = machine.revision({"version": "one", "a/b": "x", "!run": "#!/bin/sh\n", "l": "-> a/b", "d/": ""} | {})

    good = machine.deploy(machine.release(1, tree))

    assert good
    assert machine.statuses == dict.fromkeys(ALL, "Succeeded")
    assert str((machine.srv / "current").readlink()) == f"releases/{tree[:16]}"
    assert contents(machine.srv / "current").items() >= {"version": "one", "a/b": "x", "l": "-> a/b"}.items()
    assert os.access(machine.srv / "current" / "run", os.X_OK)


def test_only_what_changed_is_fetched_and_the_rest_is_linked(machine: Machine) -> None:
    first = machine.revision({"version": "one", "same": "s" * 5000, "!tool": "#!/bin/sh\n"})
    second = machine.revision({"version": "two", "same": "s" * 5000, "!tool": "#!/bin/sh\n"})
    machine.deploy(machine.release(1, first))
    machine.deploy(machine.release(2, second))

    assert machine.current == "two"
    assert "2 files were here, 1 were fetched (3 bytes)" in [report.message for report in machine.reports]
    old, new = (machine.srv / "releases" / tree[:16] for tree in (first, second))
    assert [(old / name).samefile(new / name) for name in ("same", "tool", "version")] == [True, True, False]
    assert (old / "same").stat().st_nlink == 2  # and so none of them is the store's


def test_hooks_see_their_variables_and_run_in_order(machine: Machine) -> None:
    say = 'echo "$LIFECYCLE_EVENT $CODEYARD_RELEASE was:$CODEYARD_PREVIOUS $APPLICATION_NAME $(readlink ../../current)"'
    scripts = _scripts(before=say, after=say, health=say)
    hooks = {"before_switch": "bin/before", "after_switch": "bin/after", "health_check": "bin/health"}
    old = machine.revision({"version": "one"})
    new = machine.revision({"version": "two", **scripts})
    machine.deploy(machine.release(1, old))
    one, two = old[:16], new[:16]

    assert machine.deploy(machine.release(2, new, **hooks))
    tails = {report.name: report.log_tail.splitlines()[2:] for report in machine.reports if report.log_tail}
    assert tails == {
        "BeforeSwitch": [f"[stdout]BeforeSwitch {two} was:{one} app releases/{one}"],
        "AfterSwitch": [f"[stdout]AfterSwitch {two} was:{one} app releases/{two}"],
        "HealthCheck": [f"[stdout]HealthCheck {two} was:{one} app releases/{two}"],
    }


@pytest.mark.parametrize(
    ("hook", "event"),
    [("before_switch", "BeforeSwitch"), ("after_switch", "AfterSwitch"), ("health_check", "HealthCheck")],
)
def test_a_failing_script_leaves_or_brings_back_the_release_before(machine: Machine, hook: str, event: str) -> None:
    good = machine.revision({"version": "good"})
    bad = machine.revision({"version": "bad", **_scripts(fail="echo why >&2; exit 3")})
    machine.deploy(machine.release(1, good))

    assert not machine.deploy(machine.release(2, bad, **{hook: "bin/fail"}))
    assert machine.current == "good"
    assert machine.failed.name == event
    assert machine.failed.error_code == "ScriptFailed"
    assert "failed with exit code 3" in machine.failed.message
    assert ("Switched back to releases/" in machine.failed.message) is (event != "BeforeSwitch")
    assert "[stderr]why" in machine.failed.log_tail
    after = ALL[ALL.index(event) + 1 :]
    assert [machine.statuses[name] for name in after] == ["Skipped"] * len(after)


def test_a_first_release_that_is_not_healthy_leaves_nothing_current(machine: Machine, site: str) -> None:
    tree = machine.revision({"version": "one"})

    assert not machine.deploy(machine.release(1, tree, health_check=f"{site}/500"))
    assert not os.path.lexists(machine.srv / "current")
    assert f"GET {site}/500: 500" in machine.failed.message
    assert "no release before" in machine.failed.message


@pytest.mark.parametrize(("path", "good"), [("/200", True), ("/302", True), ("/404", False), ("/stuck", False)])
def test_an_address_is_healthy_if_it_answers_well(machine: Machine, site: str, path: str, good: bool) -> None:
    tree = machine.revision({"version": "one"})

    assert machine.deploy(machine.release(1, tree, health_check=site + path, health_seconds="1")) is good


def test_health_is_asked_until_it_is_good(machine: Machine) -> None:
    check = 'echo x >> ../../../asked; [ "$(wc -l < ../../../asked)" = 2 ]'
    tree = machine.revision({"version": "one", **_scripts(check=check)})

    assert machine.deploy(machine.release(1, tree, health_check="bin/check", health_seconds="20"))
    assert (machine.root / "asked").read_text() == "x\nx\n"


def test_a_check_that_is_asked_once_has_the_time_of_any_script(machine: Machine) -> None:
    tree = machine.revision({"version": "one", **_scripts(check="sleep 1.2")})

    assert machine.deploy(machine.release(1, tree, health_check="bin/check", health_seconds="0"))


def test_an_earlier_release_is_current_again_without_a_byte_moved(machine: Machine) -> None:
    trees = [machine.revision({"version": name, "same": "s"}) for name in ("one", "two")]
    for number, tree in enumerate(trees):
        machine.deploy(machine.release(number, tree))
    before = (machine.srv / "releases" / trees[0][:16] / "version").stat().st_ino

    assert machine.deploy(machine.release(7, trees[0]))
    assert machine.current == "one"
    assert (machine.srv / "current" / "version").stat().st_ino == before


@pytest.mark.parametrize("change", ["content", "gone", "mode", "link"])
def test_an_altered_release_is_not_made_current_again(machine: Machine, change: str) -> None:
    first, second = (machine.revision({"version": name, "same": "s" * 9}) for name in ("one", "two"))
    machine.deploy(machine.release(1, first))
    machine.deploy(machine.release(2, second))
    file = machine.srv / "releases" / first[:16] / "version"
    times = file.stat()
    if change == "content":
        file.chmod(0o644)
        file.write_text("ONE")
        file.chmod(0o444)
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had happened
    elif change == "mode":
        file.chmod(0o755)
    else:
        file.unlink()
        if change == "link":
            file.symlink_to("/etc/passwd")

    assert not machine.deploy(machine.release(3, first))
    assert machine.current == "two"
    assert machine.failed.name == "Verify"
    assert "was altered after it was placed: version" in machine.failed.message


def test_a_file_altered_in_a_release_that_shares_it_is_not_shared_again(machine: Machine) -> None:
    first, second = (machine.revision({"version": name, "same": "s" * 9}) for name in ("one", "two"))
    machine.deploy(machine.release(1, first))
    with (machine.srv / "releases" / first[:16] / "same").open("r+") as file:
        file.write("S")

    assert machine.deploy(machine.release(2, second))
    assert (machine.srv / "current" / "same").read_text() == "s" * 9


def test_a_file_altered_by_the_hook_before_the_switch_prevents_it(machine: Machine) -> None:
    tree = machine.revision({"version": "one", **_scripts(alter="chmod u+w version; echo ONE > version")})

    assert not machine.deploy(machine.release(1, tree, before_switch="bin/alter"))
    assert machine.failed.name == "Switch"
    assert not os.path.lexists(machine.srv / "current")


def test_a_release_with_files_too_many_is_placed_anew(machine: Machine) -> None:
    first, second = (machine.revision({"version": name}) for name in ("one", "two"))
    machine.deploy(machine.release(1, first))
    machine.deploy(machine.release(2, second))
    (machine.srv / "releases" / first[:16] / "plugin.py").write_text("evil")

    assert machine.deploy(machine.release(3, first))
    assert contents(machine.srv / "current") == {"version": "one"}


def test_a_blob_that_was_altered_in_the_store_is_refused(machine: Machine) -> None:
    good, bad = machine.revision({"version": "one"}), machine.revision({"version": "two", "x": "bad blob"})
    machine.deploy(machine.release(1, good))
    (blob,) = [
        path
        for path in (machine.store.root / "blobs").rglob("*")
        if path.is_file() and path.read_bytes() == b"bad blob"
    ]
    blob.chmod(0o644)
    blob.write_text("BAD BLOB")

    assert not machine.deploy(machine.release(2, bad))
    assert machine.failed.name == "Place"
    assert "are not those of this digest" in machine.failed.message
    assert machine.current == "one"
    assert [path.name for path in (machine.srv / "releases").iterdir()] == [good[:16]]


def test_a_full_disk_is_told_and_leaves_nothing_behind(machine: Machine, tiny_disk: Path) -> None:
    machine.srv = tiny_disk / "srv"
    small = machine.revision({"version": "one"})
    large = machine.revision({"version": "two", **{f"f{number}": os.urandom(1 << 20) for number in range(6)}})
    machine.deploy(machine.release(1, small))

    assert not machine.deploy(machine.release(2, large))
    assert "no space is left on the device" in machine.failed.message
    assert machine.current == "one"
    assert [path.name for path in (machine.srv / "releases").iterdir()] == [small[:16]]


def test_old_releases_go_but_never_the_current_one_or_that_before(machine: Machine) -> None:
    trees = [machine.revision({"version": str(number), "same": "s" * 100}) for number in range(4)]
    host = machine.host()
    for number, tree in enumerate(trees):
        machine.deploy(machine.release(number, tree, keep="2"), host)
    kept = {path.name for path in (machine.srv / "releases").iterdir()}
    machine.deploy(machine.release(9, trees[2], keep="1"), host)

    assert kept == {trees[2][:16], trees[3][:16]}
    assert {path.name for path in (machine.srv / "releases").iterdir()} == kept
    assert machine.current == "2"


def test_the_end_is_told_before_old_releases_are_removed(machine: Machine) -> None:
    """Twelve thousand files take a second to remove, for which nobody need wait."""
    host = machine.host()
    for number in (1, 2):
        machine.deploy(machine.release(number, machine.revision({"version": str(number)})), host)
    third = machine.release(3, machine.revision({"version": "3"}), keep="1")
    when_over: list[tuple[bool, int]] = []

    def over(good: bool) -> None:
        when_over.append((good, len(list((machine.srv / "releases").iterdir()))))

    async def report(_: EventReport) -> None: ...

    good = asyncio.run(host.perform(third, report, asyncio.Event(), over))

    assert when_over == [(good, 3)] == [(True, 3)]
    assert len(list((machine.srv / "releases").iterdir())) == 2


def test_what_is_no_link_in_the_place_of_current_is_left_alone(machine: Machine) -> None:
    (machine.srv / "current").mkdir(parents=True)

    assert not machine.deploy(machine.release(1, machine.revision({"version": "one"})))
    assert "is no symbolic link" in machine.failed.message


def test_a_script_that_is_missing_or_leads_out_is_not_run(machine: Machine) -> None:
    tree = machine.revision({"version": "one", "out": "-> /bin/true"})

    for number, script in enumerate(("nowhere", "out")):
        assert not machine.deploy(machine.release(number, tree, before_switch=script))
        assert machine.statuses["Switch"] == "Skipped"


def test_a_script_that_may_not_be_executed_runs_by_its_first_line(machine: Machine) -> None:
    tree = machine.revision({"version": "one", "go": "#!/bin/sh -e\necho from $0", "data": "x"})

    assert machine.deploy(machine.release(1, tree, before_switch="go"))
    assert not machine.deploy(machine.release(2, tree, before_switch="data"))
    assert machine.failed.error_code == "ScriptNotExecutable"


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"path": "srv/app"},
        {"path": "/"},
        {"path": "/srv/../etc"},
        {"path": "/srv", "keep": "0"},
        {"path": "/srv", "keep": "-1"},
        {"path": "/srv", "before_switch": "/bin/sh"},
        {"path": "/srv", "after_switch": "../x"},
        {"path": "/srv", "health_check": "http://user:password@host/"},
        {"path": "/srv", "health_check": "http://ho st/"},
        {"path": "/srv", "health_seconds": "x"},
        {"path": "/srv", "hook_timeout": "0"},
    ],
)
def test_options_that_cannot_be_meant_are_refused(given: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        options(given)


def test_two_paths_on_one_machine_share_files_and_are_apart(machine: Machine) -> None:
    trees = [machine.revision({"version": name, "same": "s" * 100}) for name in ("one", "two")]
    other = machine.root / "other"

    async def both() -> list[bool]:
        host = machine.host()
        work = [machine.release(0, trees[0]), machine.release(1, trees[1], path=str(other))]
        return list(await asyncio.gather(*(machine.perform(each, host) for each in work)))

    assert asyncio.run(both()) == [True, True]
    assert machine.current == "one"
    assert (other / "current" / "version").read_text() == "two"
