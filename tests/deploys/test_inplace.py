"""In place, as CodeDeploy's agent does it on a host."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.artifacts.files import contents
from tests.deploys.machine import Machine

STOP, DOWNLOAD, BEFORE, INSTALL, AFTER, START, VALIDATE = (
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def _spec(machine: Machine, more: str = "", files: tuple[tuple[str, str], ...] = (("app", ""),)) -> dict[str, str]:
    """An AppSpec file that copies those directories of the revision to those below `srv`."""
    entries = "".join(f"  - source: {source}\n    destination: {machine.srv}/{place}\n" for source, place in files)
    return {"appspec.yml": f"version: 0.0\nos: linux\nfiles:\n{entries or '  []'}{more}"}


def _hooks(**scripts: str) -> str:
    lines = "".join(f"  {event}:\n    - location: {script}\n" for event, script in scripts.items())
    return f"hooks:\n{lines}"


def _root(machine: Machine) -> Path:
    return machine.state / "deployment-root"


def test_a_revision_is_installed_where_its_file_says(machine: Machine) -> None:
    files = (("app", "a"), ("/conf/x.ini", "etc/deep"))
    spec = _spec(machine, files=files)
    tree = machine.revision(
        {**spec, "app/b/c": "1", "!app/run": "2", "app/l": "-> ../../etc/passwd", "conf/x.ini": "3"}
    )

    assert machine.deploy(machine.in_place(1, tree))
    assert contents(machine.srv) == {"a/b/c": "1", "a/run": "2", "a/l": "-> ../../etc/passwd", "etc/deep/x.ini": "3"}
    assert stat.S_IMODE((machine.srv / "a/run").stat().st_mode) == 0o755
    assert list(machine.statuses.values()) == ["Succeeded"] * 7
    notes = _root(machine) / "deployment-instructions"
    directory = str(_root(machine) / "g1" / "d-000000001")
    assert (notes / "g1_last_successful_install").read_text() == directory
    assert (notes / "g1_most_recent_install").read_text() == directory
    assert (notes / "g1-cleanup").read_text().splitlines() == [
        str(machine.srv), *(f"{machine.srv}/{path}" for path in ("a", "a/b", "a/b/c", "a/l", "a/run")),
        *(f"{machine.srv}/{path}" for path in ("etc", "etc/deep", "etc/deep/x.ini")),
    ]  # fmt: skip


def test_all_of_a_revision_is_installed_with_its_appspec_file(machine: Machine) -> None:
    tree = machine.revision({**_spec(machine, files=(("/", ""),)), "a": "1", "empty": "-> a"})

    assert machine.deploy(machine.in_place(1, tree))
    assert set(contents(machine.srv)) == {"appspec.yml", "a", "empty"}


def test_what_the_last_one_installed_is_removed_and_the_rest_stays(machine: Machine) -> None:
    first = machine.revision({**_spec(machine), "app/old/x": "1", "app/both": "1"})
    second = machine.revision({**_spec(machine), "app/new": "2", "app/both": "2"})
    machine.deploy(machine.in_place(1, first))
    (machine.srv / "data").write_text("the application's own")

    assert machine.deploy(machine.in_place(2, second))
    assert contents(machine.srv) == {"new": "2", "both": "2", "data": "the application's own"}


def test_what_is_cut_off_while_it_is_made_is_known_to_the_next(machine: Machine) -> None:
    nowhere = "/proc/codeyard-is-not-here"  # where nobody can make a directory
    spec = f"version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: {nowhere}\n"

    assert not machine.deploy(machine.in_place(1, machine.revision({"appspec.yml": spec, "app/x": "1"})))
    assert (_root(machine) / "deployment-instructions/g1-cleanup").read_text().splitlines() == [nowhere]


@pytest.mark.parametrize(
    ("in_file", "option", "good", "text"),
    [
        ("", "", False, "mine"),
        ("", "DISALLOW", False, "mine"),
        ("", "OVERWRITE", True, "new"),
        ("", "RETAIN", True, "mine"),
        ("RETAIN", "OVERWRITE", True, "mine"),
        ("OVERWRITE", "DISALLOW", True, "new"),
        ("DISALLOW", "OVERWRITE", False, "mine"),
    ],
)
def test_a_file_that_exists(machine: Machine, in_file: str, option: str, good: bool, text: str) -> None:
    machine.srv.mkdir()
    (machine.srv / "file").write_text("mine")
    more = f"file_exists_behavior: {in_file}\n" if in_file else ""
    tree = machine.revision({**_spec(machine, more), "app/file": "new", "app/a": "1"})

    assert machine.deploy(machine.in_place(1, tree, file_exists_behavior=option)) is good
    assert (machine.srv / "file").read_text() == text
    assert (machine.srv / "a").exists() is good
    if not good:
        place = f"{machine.srv}/file"
        assert machine.failed.name == INSTALL
        assert (
            f"The deployment failed because a specified file already exists at this location: {place}"
            in machine.failed.message
        )
    machine.deploy(machine.in_place(2, machine.revision(_spec(machine, files=()))))
    assert (machine.srv / "file").exists() is (text == "mine")  # a retained one is not cleaned up


@pytest.mark.parametrize(
    ("files", "entries", "why"),
    [
        ({"a/x": "1", "b/x": "2"}, (("a", ""), ("b", "")), "two entries would both be copied"),
        ({"a/l": "-> /etc", "b/l/passwd": "evil"}, (("a", ""), ("b", "")), "two entries would both be copied"),
        ({"a/l": "-> /etc", "b/passwd": "evil"}, (("a", ""), ("b", "l")), "two entries would both be copied"),
        ({"a/x": "1"}, (("b", ""),), "No such file or directory"),
        ({"a/there/passwd": "evil"}, (("a", ""),), "is a symbolic link"),
        ({"a/there": "x"}, (("a", ""),), "already exists at this location"),
    ],
)
def test_what_cannot_be_installed_installs_nothing(
    machine: Machine, files: dict[str, str], entries: tuple[tuple[str, str], ...], why: str
) -> None:
    machine.srv.mkdir()
    (machine.root / "outside").mkdir()
    (machine.srv / "there").symlink_to(machine.root / "outside")
    before = contents(machine.srv)

    assert not machine.deploy(machine.in_place(1, machine.revision({**_spec(machine, files=entries), **files})))
    assert why in machine.failed.message
    assert contents(machine.srv) == before
    assert contents(machine.root / "outside") == {}


def test_nothing_is_removed_through_a_link_that_came_since(machine: Machine) -> None:
    machine.deploy(machine.in_place(1, machine.revision({**_spec(machine), "app/d/keep": "1"})))
    outside = machine.root / "outside"
    outside.mkdir()
    (outside / "keep").write_text("mine")
    shutil.rmtree(machine.srv / "d")
    (machine.srv / "d").symlink_to(outside)

    machine.deploy(machine.in_place(2, machine.revision(_spec(machine, files=()))))

    assert (outside / "keep").read_text() == "mine"


def test_permissions_are_given_to_what_is_installed_only(machine: Machine) -> None:
    more = (
        f"permissions:\n  - object: {machine.srv}\n    except: [b]\n    mode: '0640'\n    type: [file]\n"
        f"  - object: {machine.srv}\n    mode: 750\n    type: [directory]\n"
        f"  - object: {machine.srv}/b\n    mode: 600\n    owner: nobody\n"
    )
    files = {"app/a": "1", "app/b": "2", "app/d/c": "3", "app/l": "-> /etc/passwd"}
    machine.srv.mkdir()
    (machine.srv / "other").write_text("x")
    (machine.srv / "other").chmod(0o604)
    tree = machine.revision({**_spec(machine, more), **files})
    before = stat.S_IMODE(Path("/etc/passwd").stat().st_mode)
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")

    assert machine.deploy(machine.in_place(1, tree)), machine.failed.message
    modes = {name: stat.S_IMODE((machine.srv / name).stat().st_mode) for name in ("a", "b", "d", "d/c", "other")}
    assert modes == {"a": 0o640, "b": 0o600, "d": 0o750, "d/c": 0o640, "other": 0o604}
    assert (machine.srv / "b").owner() == "nobody"
    assert stat.S_IMODE(Path("/etc/passwd").stat().st_mode) == before


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("  - object: {srv}\n    mode: 644\n  - object: {srv}/a\n    mode: 600\n", "two entries are meant for it"),
        ("  - object: {srv}/a\n    pattern: '*'\n    mode: 600\n", "a file has neither pattern nor except"),
        ("  - object: {srv}/a\n    owner: nobody-at-all\n", "this machine does not know it"),
        ("  - object: {srv}/a\n    group: '4-nobody'\n", "this machine does not know it"),
    ],
)
def test_permissions_that_cannot_be_given_fail_the_install(machine: Machine, more: str, why: str) -> None:
    spec = _spec(machine, "permissions:\n" + more.format(srv=machine.srv))

    assert not machine.deploy(machine.in_place(1, machine.revision({**spec, "app/a": "1"})))
    assert machine.failed.name == INSTALL
    assert why in machine.failed.message


def test_an_acl_where_the_machine_has_none_fails_with_the_reason(machine: Machine) -> None:
    spec = _spec(machine, f"permissions:\n  - object: {machine.srv}\n    acls: ['u:nobody:rw']\n")
    good = machine.deploy(machine.in_place(1, machine.revision({**spec, "app/a": "1"})))

    assert good is (shutil.which("setfacl") is not None) or "setfacl" in machine.failed.message


def test_scripts_are_those_of_the_new_revision_but_stop_is_of_the_last_installed(machine: Machine) -> None:
    names = dict.fromkeys((STOP, BEFORE, AFTER, START, VALIDATE), "say")
    spec = _spec(machine, _hooks(**names))

    def revision(version: str) -> dict[str, str]:
        return {**spec, "app/v": version, "!say": f'#!/bin/sh\necho "{version} $LIFECYCLE_EVENT $DEPLOYMENT_ID"\n'}

    machine.deploy(machine.in_place(1, machine.revision(revision("one"))))
    first = {report.name: report.log_tail for report in machine.reports if report.log_tail}
    assert machine.deploy(machine.in_place(2, machine.revision(revision("two"))))
    second = {report.name: report.log_tail.splitlines()[-1] for report in machine.reports if report.log_tail}

    assert STOP not in first
    assert second == {
        STOP: "[stdout]one ApplicationStop d-000000002",
        **{event: f"[stdout]two {event} d-000000002" for event in (BEFORE, AFTER, START, VALIDATE)},
    }
    log = _root(machine) / "g1" / "d-000000002" / "logs" / "scripts.log"
    assert "[stdout]two AfterInstall d-000000002\n" in log.read_text()


@pytest.mark.parametrize("forgiven", ["true", "false"])
def test_a_stop_that_fails_may_be_forgiven(machine: Machine, forgiven: str) -> None:
    hooks = _hooks(ApplicationStop="stop")
    machine.deploy(
        machine.in_place(1, machine.revision({**_spec(machine, hooks), "app/v": "1", "!stop": "#!/bin/sh\nexit 1"}))
    )
    tree = machine.revision({**_spec(machine), "app/v": "2"})

    good = machine.deploy(machine.in_place(2, tree, ignore_application_stop_failures=forgiven))

    assert good is (forgiven == "true")
    assert machine.failed.name == STOP
    assert machine.statuses[VALIDATE] == ("Succeeded" if good else "Skipped")
    assert (machine.srv / "v").read_text() == ("2" if good else "1")


def test_a_script_is_told_where_its_revision_came_from(machine: Machine) -> None:
    spec = _spec(machine, _hooks(AfterInstall="say"))
    tree = machine.revision(
        {**spec, "app/v": "1", "!say": '#!/bin/sh\necho "$BUNDLE_BUCKET/$BUNDLE_KEY${BUNDLE_ETAG-}"'}
    )

    assert machine.deploy(machine.in_place(1, tree, bundle_bucket="b", bundle_key="k.zip"))
    assert "[stdout]b/k.zip\n" in [report.log_tail for report in machine.reports if report.name == AFTER][-1]


def test_a_failed_start_leaves_its_stop_script_to_the_next(machine: Machine) -> None:
    hooks = _hooks(ApplicationStop="stop", ApplicationStart="start")
    scripts = {"!stop": "#!/bin/sh\necho stopped by the failed one", "!start": "#!/bin/sh\nexit 1"}
    machine.deploy(machine.in_place(1, machine.revision({**_spec(machine), "app/v": "1"})))
    assert not machine.deploy(machine.in_place(2, machine.revision({**_spec(machine, hooks), "app/v": "2", **scripts})))

    assert machine.deploy(machine.in_place(3, machine.revision({**_spec(machine), "app/v": "1"})))
    assert "stopped by the failed one" in machine.reports[1].log_tail


_HEAD = "version: 0.0\nos: linux\n"


@pytest.mark.parametrize(
    ("text", "event", "message"),
    [
        (None, BEFORE, "did not find an AppSpec file within the unpacked revision directory at revision-relative path"),
        ("version: 0.0\nos: windows\n", BEFORE, "the AppSpec file is for the operating system windows"),
        (_HEAD + "hooks: [\n", BEFORE, "line "),
        (_HEAD + "hooks: {Mine: [{location: x}]}\n", INSTALL, "unknown lifecycle events: [Mine]"),
        (_HEAD + "hooks: {AfterInstall: [{location: x}]}\n", AFTER, "Script does not exist"),
    ],
)
def test_an_appspec_file_that_cannot_be(machine: Machine, text: str | None, event: str, message: str) -> None:
    files = {"app/v": "1", **({} if text is None else {"appspec.yml": text})}

    assert not machine.deploy(machine.in_place(1, machine.revision(files)))
    assert machine.failed.name == event
    assert message in machine.failed.message


def test_a_revision_wrapped_in_one_directory_is_unwrapped(machine: Machine) -> None:
    spec = _spec(machine)["appspec.yml"]

    assert machine.deploy(machine.in_place(1, machine.revision({"top/appspec.yml": spec, "top/app/v": "1"})))
    assert contents(machine.srv) == {"v": "1"}


def test_five_revisions_are_kept_and_always_the_one_installed_last(machine: Machine) -> None:
    machine.deploy(machine.in_place(1, machine.revision({**_spec(machine), "app/v": "1"})))
    broken = machine.revision({"appspec.yml": "version: 0.0\n"})
    for number in range(2, 9):
        machine.deploy(machine.in_place(number, broken))

    kept = {path.name for path in (_root(machine) / "g1").iterdir()}
    assert kept == {f"d-{number:09d}" for number in (1, 5, 6, 7, 8)}


def test_what_the_last_revision_had_is_not_fetched_again(machine: Machine) -> None:
    machine.deploy(machine.in_place(1, machine.revision({**_spec(machine), "app/same": "s", "app/v": "1"})))
    machine.deploy(machine.in_place(2, machine.revision({**_spec(machine), "app/same": "s", "app/v": "2"})))

    (message,) = [report.message for report in machine.reports if report.name == DOWNLOAD and report.message]
    assert message == "2 files were here, 1 were fetched (1 bytes)"
    old, new = (_root(machine) / "g1" / f"d-00000000{number}" / "deployment-archive" for number in (1, 2))
    assert not (old / "app/same").samefile(new / "app/same")  # scripts may write there
