"""Hostile and broken things: each ends in a clear error or the right status, with nothing outside touched."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Result, Yard, living, phases, text_of, tree_of, write_tree

MIB = 1 << 20


@pytest.fixture(autouse=True)
def outside() -> Iterator[None]:
    """What no build may change."""
    watched = [Path("/etc/passwd"), Path("/etc/hostname"), Path("/etc/group")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in watched]
    yield
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in watched] == before
    assert Path("/dev/zero").is_char_device()


# ── the buildspec ──


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0.2\nphases:\n  bild:\n    commands: [ls]\n", "Invalid buildspec phase name: bild"),
        ("a: [", "did not find"),
        ("", "empty"),
        ("version: 7\nphases: {}\n", "version"),
        ("version: 0.2\nphases:\n  build:\n    commands:\n      - echo: x\n", "Expected Commands[0]"),
        ("&a [*a, *a]", ""),
        ("\x00\x01", ""),
    ],
)
def test_a_broken_buildspec_fails_the_download(yard: Yard, text: str, message: str) -> None:
    ended = yard.build(text)

    assert (ended.status, ended.exit_code) == ("FAILED", 2)
    assert ended.contexts["DOWNLOAD_SOURCE"][0] == "YAML_FILE_ERROR"
    assert message in ended.contexts["DOWNLOAD_SOURCE"][1]


def test_a_buildspec_that_is_no_text_fails_the_download(yard: Yard) -> None:
    ended = yard.build(files={"buildspec.yml": b"version: 0.2 # \xff\xfe\n"})

    assert ended.contexts["DOWNLOAD_SOURCE"][0] == "YAML_FILE_ERROR"
    assert "not UTF-8" in ended.contexts["DOWNLOAD_SOURCE"][1]


def test_a_huge_buildspec_fails_the_download(yard: Yard) -> None:
    ended = yard.build("version: 0.2\n#" + "x" * 2 * MIB)

    assert ended.exit_code == 2


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "../../../../../../../../../etc/passwd", "buildspec.yml", "/dev/zero"]
)
def test_a_buildspec_that_is_a_link_elsewhere_is_not_followed(yard: Yard, target: str) -> None:
    yard.source.mkdir()
    (yard.source / "buildspec.yml").symlink_to(target)
    ended = yard.build()

    assert ended.exit_code in {2, 3}
    assert ended.status in {"FAILED", "FAULT"}
    assert "root:" not in ended.log


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.yml", "sub/../../up.yml"])
def test_a_buildspec_s_path_stays_in_the_source(yard: Yard, path: str) -> None:
    write_tree(yard.root, {"up.yml": text_of(phases(build=["echo no"]))})
    ended = yard.build(files={"a": ""}, buildspec=path)

    assert ended.exit_code == 2
    assert ended.printed == []


def test_an_image_that_is_not_there_fails_the_provisioning(yard: Yard) -> None:
    if yard.machine.name != "docker":
        pytest.skip("it has no images")
    ended = yard.build(phases(build=["true"]), image="localhost:1/no/such:image")

    assert "Unable to pull customer's container image" in ended.contexts["PROVISIONING"][1]
    assert ended.names()[-2:] == ["PROVISIONING", "FINALIZING"]
    assert ended.exit_code in {2, 3}  # 3: its registry cannot be reached


# ── sources ──


def test_zip_entries_stay_in_the_source(yard: Yard) -> None:
    packed = yard.root / "bad.zip"
    with zipfile.ZipFile(packed, "w") as made:
        made.writestr("buildspec.yml", text_of(phases(build=["true"])))
        made.writestr("../../escaped", "no")
        made.writestr(f"{yard.root}/absolute", "no")
    ended = yard.build(source=str(packed))

    assert ended.exit_code in {0, 2}
    assert [path for path in yard.root.rglob("*") if path.name in {"escaped", "absolute"}] == []


def test_a_source_with_links_pipes_and_unreadable_files_is_taken_or_refused_clearly(yard: Yard) -> None:
    write_tree(yard.source, {"locked": "x", "dir/inner": "y"})
    (yard.source / "out").symlink_to("/etc/passwd")
    (yard.source / "loop").symlink_to("loop")
    os.mkfifo(yard.source / "pipe")
    (yard.source / "locked").chmod(0)
    ended = yard.build(phases(build=["ls"]))
    readable = os.geteuid() == 0  # root may read it all; who may not is told which file it is

    assert ended.status == ("SUCCEEDED" if readable else "FAILED")
    assert ("dir" in ended.printed) is readable
    assert readable or "locked" in ended.log
    assert "pipe" not in ended.printed


def test_odd_file_names_come_through(yard: Yard) -> None:
    names = ["new\nline", "späß 😀", "'quo\"te", "-rf", "a\\b", "tab\t", "*", "$(id)"]
    spec = {**phases(build=["true"]), "artifacts": {"files": ["d/**/*"]}}
    ended = yard.build(spec, {f"d/{name}": name for name in names})

    assert ended.artifact() == {f"d/{name}": name for name in names}


# ── what a build does to itself ──


def _survives(yard: Yard, *commands: str) -> Result:
    """The commands' outcome does not matter; the build after them goes on in order."""
    return yard.build(
        {
            **phases(build=[f"({command}) || true" for command in commands], post_build=["echo after"]),
            "artifacts": {"files": ["**/*"], "name": "made"},
            "reports": {"r": {"files": ["**/*.xml"]}},
            "cache": {"paths": ["cached/**/*"]},
        },
        {"cached/a": "1", "r.xml": "<testsuite><testcase name='t'/></testsuite>"},
        cache=str(yard.root / "cache"),
    )


def test_a_command_that_kills_its_own_shell_fails(yard: Yard) -> None:
    ended = yard.build(phases(build=["kill -9 $$", "echo no"], post_build=["echo after"]))

    assert ended.contexts["BUILD"][1] == "Error while executing command: kill -9 $$. Reason: exit status 137"
    assert ended.printed[-1] == "after"


def test_a_build_that_kills_its_supervisor_is_found_dead_and_ends(yard: Yard) -> None:
    script = "p=$$; while [ $p -gt 1 ]; do set -- $(cat /proc/$p/cmdline | tr '\\0 ' '\\n_'); case \"$*\" in *commands/supervisor*) break;; esac; p=$(awk '{print $4}' /proc/$p/stat); done; kill -9 $p; sleep 1"  # noqa: E501
    ended = yard.build(phases(build=[script], post_build=["echo no"]))

    assert ended.exit_code in {0, 1}  # as the first of its namespace it cannot be killed from inside
    assert ended.names()[-1] == "FINALIZING"


def test_a_build_that_kills_everything_ends(yard: Yard) -> None:
    yard.machine.require_isolation()
    ended = yard.build(phases(build=["kill -9 -1; sleep 1; exit 1"], post_build=["echo no"]))

    assert ended.exit_code == 1
    assert ended.names()[-1] == "FINALIZING"


def test_daemons_left_behind_are_gone(yard: Yard) -> None:
    ended = yard.build(phases(build=["(trap '' HUP TERM; setsid sleep 88) & nohup sleep 89 >/dev/null & echo x"]))

    assert ended.status == "SUCCEEDED"  # and the harness has seen that nothing is left


def test_a_source_directory_that_was_deleted(yard: Yard) -> None:
    ended = yard.build(
        {**phases(build=['rm -rf "$CODEBUILD_SRC_DIR"', "echo still", "pwd"]), "artifacts": {"files": ["**/*"]}}
    )

    assert "still" in ended.printed
    assert ended.status == "FAILED"
    assert ended.contexts["UPLOAD_ARTIFACTS"][0] == "CLIENT_ERROR"


REPLACED = {
    "the source by a link": 'cd /; rm -rf "$CODEBUILD_SRC_DIR"; ln -s /etc "$CODEBUILD_SRC_DIR"',
    "the source by a file": 'cd /; rm -rf "$CODEBUILD_SRC_DIR"; echo > "$CODEBUILD_SRC_DIR"',
    "the source by a pipe": 'cd /; rm -rf "$CODEBUILD_SRC_DIR"; mkfifo "$CODEBUILD_SRC_DIR"',
    "tmp by a link": 'cd "$CODEBUILD_SRC_DIR/../.."; rm -rf tmp; ln -s /etc tmp',
    "tmp by a pipe": 'cd "$CODEBUILD_SRC_DIR/../../tmp"; cd ..; rm -rf tmp; mkfifo tmp',
    "above the source": 'cd "$CODEBUILD_SRC_DIR/.."; d=$PWD; cd /; rm -rf "$d"; ln -s / "$d"',
    "files by links": 'cd "$CODEBUILD_SRC_DIR"; rm -f r.xml; ln -s /etc/passwd r.xml; ln -s /etc etc',
    "files by pipes": 'cd "$CODEBUILD_SRC_DIR"; rm -f r.xml; mkfifo r.xml pipe cached/pipe',
    "the cache by a link": 'cd "$CODEBUILD_SRC_DIR"; rm -rf cached; ln -s /etc cached',
    "results by pipes": 'cd "$CODEBUILD_SRC_DIR/../../tmp"; mkfifo names cache-save exported',
    "results by links": 'cd "$CODEBUILD_SRC_DIR/../../tmp"; for n in names exported; do ln -s /etc/passwd $n; done',
    "endless links": 'cd "$CODEBUILD_SRC_DIR"; ln -s . self; ln -s self again; mkdir deep; ln -s .. deep/up',
}  # fmt: skip


@pytest.mark.parametrize("what", REPLACED)
def test_what_is_replaced_by_a_build_leads_nowhere(yard: Yard, what: str) -> None:
    yard.machine.require_isolation()  # else a build of root's may write to /etc by itself
    ended = _survives(yard, REPLACED[what])
    made = tree_of(ended.home / "artifacts") if (ended.home / "artifacts").exists() else {}

    assert ended.names()[-1] == "FINALIZING"
    assert ended.status in {"SUCCEEDED", "FAILED", "TIMED_OUT"}, ended.log
    assert "root:x:0" not in ended.log + "".join(made.values()).replace(_inside(yard), "")


def _inside(yard: Yard) -> str:
    """Links to files of the machine are copied as what they are inside: an image's own passwd is no secret."""
    return "" if yard.machine.name != "docker" else "root:x:0"


def test_devices_are_no_artifacts(yard: Yard) -> None:
    yard.machine.require_isolation()
    ended = _survives(yard, "mknod zero c 1 5 || true; mknod disk b 8 0 || true; ln -s /dev/zero link")

    assert ended.names()[-1] == "FINALIZING"
    assert not {"zero", "disk", "link"} & set(os.listdir(ended.home / "artifacts/made"))


def test_output_cut_through_its_own_descriptor_loses_nothing(yard: Yard) -> None:
    ended = yard.build(
        phases(build=["echo one", ": > /proc/self/fd/1; truncate -s 0 /proc/self/fd/1; echo two", "echo 3"])
    )

    assert [line for line in ended.printed if "runcate" not in line] == ["one", "two", "3"]


@pytest.mark.parametrize(
    "garbage",
    [
        'head -c 3000 /dev/urandom > "$F"',
        'printf "export X=\'unended\\n" > "$F"',
        'echo "exit 0" > "$F"',
        'rm -f "$F"; mkdir "$F"',
        'rm -f "$F"; mkfifo "$F"',
        'chmod 000 "$F"',
        'rm -f "$F"; ln -s /dev/zero "$F"',
        'yes "export A=1" | head -n 200000 > "$F"',
    ],
)
def test_an_environment_file_full_of_garbage_ends_the_build_and_nothing_else(yard: Yard, garbage: str) -> None:
    """The file is written anew after each command; a process left behind can spoil it between two of them."""
    command = "F=$CODEBUILD_SRC_DIR/../../tmp/env.sh; trap - EXIT; " + garbage + "; kill -9 $$"
    ended = yard.build(
        phases(install={"commands": [command], "on-failure": "CONTINUE"}, build=["echo next"]), timeout_minutes=0.05
    )

    assert ended.status in {"FAILED", "TIMED_OUT"}
    assert ended.names()[-1] == "FINALIZING"


ABSURD = {
    "100 kB": "X=$(head -c 100000 /dev/zero | tr '\\0' x)",
    "BASH_ENV": "export BASH_ENV=/nowhere ENV=/nowhere",
    "LD_PRELOAD": "export LD_PRELOAD=/nowhere.so",
    "IFS": "IFS=/acdeo; export IFS",
    "PS4": "export PS4='$(exit 9)+'; set -x",
    "PATH": "PATH=/nowhere",
    "empty PATH": "PATH=",
    "options": "set -euf; set -o noclobber",
    "functions": "cd() { exit 9; }; printf() { exit 9; }; trap 'echo trap' EXIT",
    "PWD": "PWD=/nowhere; OLDPWD=/nowhere",
    "CODEBUILD": "CODEBUILD_SRC_DIR=/nowhere; HOME=/nowhere; unset CODEBUILD_BUILD_ID",
    "newlines": "X='a\nb'\"'\"'c\\'",
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_variables_do_not_stop_the_next_command(yard: Yard, name: str) -> None:
    ended = yard.build(phases(build=[ABSURD[name], "echo next"], post_build=["echo post"]))

    assert [line for line in ended.printed if line in {"next", "post"}] == ["next", "post"], ended.log
    assert ended.names()[-1] == "FINALIZING"


def test_names_that_are_no_identifiers_are_refused(yard: Yard) -> None:
    ended = yard.build({"env": {"variables": {"a-b": "x"}}, **phases(build=["true"])})

    assert ended.contexts["DOWNLOAD_SOURCE"][0] == "YAML_FILE_ERROR"


def test_names_that_are_no_identifiers_do_not_break_later_commands(yard: Yard) -> None:
    ended = yard.build(phases(build=["env 'a-b=1' 'x y=2' sh -c 'echo in'", "echo next"]))

    assert ended.printed == ["in", "next"]


# ── output ──


def _peak(yard: Yard, command: str) -> tuple[subprocess.CompletedProcess[bytes], int]:
    """Run the command's build with the real program; its largest memory, in MiB."""
    write_tree(yard.source, {"buildspec.yml": text_of(phases(build=[command]))})
    # In a process of its own, for the largest of all children is what is told, those of earlier tests included.
    measure = (
        "import resource, subprocess, sys; ended = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(ended.returncode)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", measure, *yard.arguments()],
        cwd=yard.root, env=yard.environment(), timeout=110, stdout=subprocess.PIPE,
    )  # fmt: skip
    return ended, int(ended.stdout) // 1024


@pytest.mark.parametrize("size", [300, pytest.param(2048, marks=pytest.mark.slow)])
def test_a_huge_line_without_an_end_takes_little_memory(yard: Yard, size: int) -> None:
    ended, peak = _peak(yard, f"head -c {size}000000 /dev/zero | tr '\\0' x")

    assert ended.returncode == 0
    assert (yard.homes()[0] / "log").stat().st_size > size * 1_000_000
    assert peak < 200


def test_a_million_lines_are_all_there(yard: Yard) -> None:
    ended = yard.build(phases(build=["seq 1 1000000"]))

    assert ended.printed == [str(number) for number in range(1, 1_000_001)]


def test_nul_bytes_and_broken_utf_8_stay_as_they_are(yard: Yard) -> None:
    ended = yard.build(phases(build=[r"printf 'a\000b\377\376c\n'"]))

    assert b"a\0b\xff\xfec\n" in (ended.home / "log").read_bytes()


# ── too much ──


def test_a_fork_bomb_is_held_and_ends(yard: Yard) -> None:
    yard.machine.require_limits()
    ended = yard.build(phases(build=["f() { f | f & }; f; sleep 60"]), timeout_minutes=0.05)

    assert ended.status in {"TIMED_OUT", "FAILED"}
    assert ended.names()[-1] == "FINALIZING"


def test_a_full_disk_is_told(yard: Yard, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    small = tmp_path / "state"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    write_tree(yard.source, {"buildspec.yml": text_of(phases(build=["head -c 30000000 /dev/zero > big; echo $?"]))})
    try:
        ended = yard.cli("--timeout", "0.05")  # a command's end cannot be written down either
        left = [pid for home in yard.homes() for pid in living(home.name)]
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)

    assert ended.returncode in {1, 3}
    assert b"Traceback" not in ended.stderr
    assert left == []


def test_an_artifact_directory_that_cannot_be_written_fails_the_upload(yard: Yard) -> None:
    write_tree(yard.root, {"file": ""})
    spec = {**phases(build=["touch a"]), "artifacts": {"files": ["a"]}}
    ended = yard.build(spec, artifacts=str(yard.root / "file"))
    proc = yard.build(spec, artifacts="/proc/nowhere")

    assert ended.contexts["UPLOAD_ARTIFACTS"][0] == "CLIENT_ERROR"
    assert "Failed to upload artifacts" in ended.contexts["UPLOAD_ARTIFACTS"][1]
    assert proc.contexts["UPLOAD_ARTIFACTS"][0] == "CLIENT_ERROR"


def test_an_xml_bomb_makes_an_incomplete_report(yard: Yard) -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE t [<!ENTITY a0 "x">{entities}]><testsuite><testcase name="&a11;"/></testsuite>'
    outer = '<!DOCTYPE t [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuite><testcase name="&x;"/></testsuite>'
    spec = {**phases(build=["true"]), "reports": {"a": {"files": ["a.xml"]}, "b": {"files": ["b.xml"]}}}
    ended = yard.build(spec, {"a.xml": bomb, "b.xml": outer})

    assert ended.status == "SUCCEEDED"
    assert [event["status"] for event in ended.of_kind("report_made")][:2] == ["INCOMPLETE", "INCOMPLETE"]
    assert "root:" not in ended.log


@pytest.mark.slow
def test_a_thousand_secondary_artifacts(yard: Yard) -> None:
    secondary = {f"a{n}": {"files": ["a"]} for n in range(1000)}
    ended = yard.build({**phases(build=["touch a"]), "artifacts": {"files": ["a"], "secondary-artifacts": secondary}})

    assert ended.status in {"SUCCEEDED", "FAILED"}
    assert len(ended.of_kind("artifact_made")) in {0, 1001}
