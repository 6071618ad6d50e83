"""The real command: stop, kill, exit codes, inputs and outputs."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.acceptance.harness import PROJECT, Yard, living, phases, text_of, tree_of, wait_for, write_tree
from tests.machines import EXECUTORS

STOPPABLE = {
    **phases(build={"commands": ["touch there; echo begun; sleep 61 & sleep 60"], "finally": ["echo no"]},
             post_build=["echo no"]),
    "artifacts": {"files": ["**/*"]},
}  # fmt: skip


def _begun(yard: Yard) -> tuple[subprocess.Popen[bytes], Path]:
    write_tree(yard.source, {"buildspec.yml": text_of(STOPPABLE)})
    process = yard.start()
    wait_for(lambda: yard.homes() and list(yard.homes()[0].glob("codebuild/output/src*/src/there")))
    return process, yard.homes()[0]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_stops_the_build_as_stop_build_does(yard: Yard, number: signal.Signals) -> None:
    process, home = _begun(yard)
    process.send_signal(number)
    code = process.wait(timeout=30)

    assert code == 1
    assert json.loads((home / "result.json").read_text())["status"] == "STOPPED"
    assert "Phase complete: BUILD State: STOPPED" in (home / "log").read_text()
    assert b"stopping the build" in (yard.root / "err").read_bytes()
    assert not (home / "artifacts").exists()
    yard.nothing_is_left(home)


def test_a_second_ctrl_c_kills(yard: Yard) -> None:
    process, home = _begun(yard)
    process.send_signal(signal.SIGSTOP)  # so that both are there before it looks
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    code = process.wait(timeout=30)

    assert code in {1, 130}
    wait_for(lambda: living(home.name) == [])


@pytest.mark.parametrize(
    ("spec", "code"),
    [(phases(build=["true"]), 0), (phases(build=["exit 9"]), 1), ("version: 0.3\n", 2)],
)
def test_exit_codes(yard: Yard, spec: str | dict[str, object], code: int) -> None:
    write_tree(yard.source, {"buildspec.yml": text_of(spec)})
    ended = yard.cli()

    assert ended.returncode == code
    assert ended.stdout == (yard.homes()[0] / "log").read_bytes()
    yard.nothing_is_left(yard.homes()[0])


def test_json_is_one_event_on_each_line_in_order(yard: Yard) -> None:
    spec = {**phases(build=[r"printf 'a\0\377é\n'", "seq 1 3000"]), "artifacts": {"files": ["a"]}}
    write_tree(yard.source, {"buildspec.yml": text_of(spec), "a": ""})
    ended = yard.cli("--json")
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    kinds = [event["event"] for event in events]
    text = "".join(event["text"] for event in events if event["event"] == "log_written")

    assert (kinds[0], kinds[-1]) == ("build_started", "build_ended")
    assert [event["phase"] for event in events if event["event"] == "phase_ended"][2:] == [
        *("DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING")
    ]
    assert text == (yard.homes()[0] / "log").read_bytes().decode(errors="replace")
    assert [event["at"] for event in events[1:]] == sorted(
        event["at"] for event in events[1:]
    )  # first: QUEUED, earlier
    assert "artifact_made" in kinds


def test_a_directory_that_is_not_there_is_a_wrong_request(yard: Yard) -> None:
    ended = yard.cli(source="nowhere")

    assert ended.returncode == 2
    assert b"nowhere" in ended.stderr + ended.stdout


# The rest concerns what is asked, not where it runs: one executor is enough.
@pytest.fixture
def here(tmp_path: Path) -> Yard:
    return Yard(EXECUTORS[0], tmp_path)


SHOW = phases(build=['echo "A=$A B=$B C=${C-none}"'])


def test_variables_come_from_options_files_and_the_caller(here: Yard) -> None:
    write_tree(
        here.root,
        {"source/buildspec.yml": text_of(SHOW), "vars": "\ufeff# no\r\n\nexport A=file=1\n  B='q'\u2028$x \n"},
    )
    ended = here.cli("--env-file", "vars", "--env", "A=option", "--env", "C", C="caller's")

    assert "A=option B='q'\u2028$x  C=caller's\n".encode() in ended.stdout


@pytest.mark.parametrize(
    "options",
    [
        ["--env", "1A=x"], ["--env", "UNSET_HERE"], ["--env-file", "nowhere"], ["--env-file", "bad"],
        ["--source", "x"], ["--source", "x=."] * 2, ["--timeout", "0"], ["--timeout", "x"], ["--buildspec", "nowhere"],
        ["--buildspec", "-"], ["--compute-type", "HUGE"], ["--project", "a b"], ["--image", "x"],
        ["--source", "a-b=."], ["--source", "x=nowhere"], ["--cache", "bad"], ["--artifacts", "bad"],
        ["--privileged"], ["--executor", "process", "--network", "none"],
        ["--buildspec", "latin"], ["--buildspec", "source"], ["--env-file", "latin"],
    ],
)  # fmt: skip
def test_a_wrong_option_is_told_and_nothing_is_begun(here: Yard, options: list[str]) -> None:
    write_tree(here.root, {"source/buildspec.yml": text_of(SHOW), "bad": "A=1\nno equals\n"})
    (here.root / "latin").write_bytes(b"# \xe9\n")
    ended = here.cli(*options)

    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.strip()
    assert ended.stdout == b""
    assert b"Traceback" not in ended.stderr
    assert here.homes() == []


def test_an_engine_that_is_not_there_is_told_before_a_build_begins(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(SHOW)})
    ended = here.cli("--executor", "docker", "--image", "x", DOCKER_HOST=f"unix://{here.root}/none.sock")

    assert ended.returncode == 2, ended.stderr
    assert b"no container engine" in ended.stderr
    assert here.homes() == []


def test_a_directory_without_a_buildspec_is_not_even_copied(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yaml": text_of(SHOW)})
    ended = here.cli()

    assert ended.returncode == 2
    assert f"{here.source}/buildspec.yml".encode() in ended.stderr
    assert here.homes() == []


def test_a_standard_output_that_was_closed_changes_nothing(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=["echo said"]))})
    arguments = ["sh", "-c", 'exec "$@" >&-', "sh", *here.arguments()]
    ended = subprocess.run(arguments, capture_output=True, cwd=here.root, env=here.environment(), timeout=60)

    assert ended.returncode == 0, ended.stderr
    assert "said\n" in (here.homes()[0] / "log").read_text()


def _where_nothing_can_be_written(here: Yard, *words: str) -> subprocess.CompletedProcess[bytes]:
    write_tree(here.root, {"source/buildspec.yml": text_of(phases(build=["true"])), "file": ""})
    home = {"CODEYARD_HOME": str(here.root / "file" / "state")}
    arguments = [sys.executable, "-m", "codeyard.cli.main", *words]
    return subprocess.run(arguments, capture_output=True, cwd=here.root, env={**here.environment(), **home}, timeout=60)


def test_a_state_directory_that_cannot_be_made_is_told_with_its_name(here: Yard) -> None:
    ended = _where_nothing_can_be_written(here, "run", "source", "--executor", "process")

    assert ended.returncode == 3
    assert b"file/state" in ended.stderr
    assert b"fix: " in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_doctor_does_not_promise_builds_where_nothing_can_be_written(here: Yard) -> None:
    ended = _where_nothing_can_be_written(here, "doctor")

    assert ended.returncode == 1
    assert b"No build can run here" in ended.stdout


def test_a_build_that_nohup_began_outlives_its_terminal(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=["kill -HUP $OUTSIDE; echo lives"]))})
    arguments = ["sh", "-c", 'trap "" HUP; exec "$@" --executor process --env OUTSIDE=$$', "sh", *here.arguments()]
    ended = subprocess.run(arguments, capture_output=True, cwd=here.root, env=here.environment(), timeout=60)

    assert ended.returncode == 0, ended.stderr
    assert b"lives\n" in ended.stdout


def _spec(word: str) -> str:
    return text_of(phases(build=[f"echo {word}"]))


def test_the_buildspec_comes_from_standard_input(here: Yard) -> None:
    write_tree(here.source, {"a": ""})
    ended = here.cli("--buildspec", "-", stdin=_spec("piped"))

    assert b"\npiped\n" in ended.stdout
    assert b"/codebuild/readonly/buildspec.yml" in ended.stdout


@pytest.mark.parametrize("path", ["ci/spec.yml", "{source}/ci/spec.yml"])
def test_the_buildspec_comes_from_inside_the_source(here: Yard, path: str) -> None:
    write_tree(here.source, {"ci/spec.yml": _spec("inside")})
    ended = here.cli("--buildspec", path.format(source=here.source))

    assert b"\ninside\n" in ended.stdout
    assert b"/src/ci/spec.yml" in ended.stdout


@pytest.mark.parametrize("path", ["other.yml", "../other.yml", "{root}/other.yml"])
def test_the_buildspec_comes_from_outside_the_source(here: Yard, path: str) -> None:
    write_tree(here.root, {"source/a": "", "other.yml": _spec("outside")})
    ended = here.cli("--buildspec", path.format(root=here.root))

    assert b"\noutside\n" in ended.stdout


def _git(directory: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def _repository(directory: Path, files: dict[str, str]) -> str:
    write_tree(directory, files)
    _git(directory, "init", "-q", "-b", "main")
    _git(directory, "add", "-A")
    _git(directory, "commit", "-q", "-m", "one")
    return _git(directory, "rev-parse", "HEAD")


def test_the_buildspec_may_be_one_that_git_ignores(here: Yard) -> None:
    _repository(here.source, {"buildspec.yml": _spec("shared"), ".gitignore": "mine.yml"})
    write_tree(here.source, {"mine.yml": _spec("mine")})
    ended = here.cli("--buildspec", "mine.yml")

    assert b"\nmine\n" in ended.stdout


def test_secondary_sources_are_directories_and_repositories(here: Yard) -> None:
    sha = _repository(here.root / "repo", {"lib": "from git"})
    script = 'cat "$CODEBUILD_SRC_DIR_other/x" "$CODEBUILD_SRC_DIR_lib/lib"; echo; cd $CODEBUILD_SRC_DIR_lib; git log'
    files = {"source/buildspec.yml": text_of(phases(build=[script])), "second/x": "from a directory, "}
    write_tree(here.root, files)
    ended = here.cli("--source", "other=second", "--source", f"lib=file://{here.root}/repo")

    assert b"from a directory, from git\n" in ended.stdout
    assert f"commit {sha}".encode() in ended.stdout


def test_a_git_url_with_a_version_is_cloned(here: Yard) -> None:
    first = _repository(here.root / "repo", {"buildspec.yml": _spec("first $CODEBUILD_RESOLVED_SOURCE_VERSION")})
    write_tree(here.root / "repo", {"buildspec.yml": _spec("second")})
    _git(here.root / "repo", "commit", "-qam", "two")
    url = f"file://{here.root}/repo"
    newest = here.cli(source=url)
    older = here.cli("--source-version", first, source=url)
    missing = here.cli("--source-version", "no-such-branch", source=url)

    assert b"\nsecond\n" in newest.stdout
    assert f"\nfirst {first}\n".encode() in older.stdout
    assert missing.returncode == 2
    assert b"reference not found for primary source" in missing.stdout


def test_the_buildspec_comes_from_inside_a_repository(here: Yard) -> None:
    _repository(here.root / "repo", {"ci/spec.yml": _spec("inside")})
    url = f"file://{here.root}/repo"
    ended = here.cli("--buildspec", "ci/spec.yml", source=url)
    missing = here.cli("--buildspec", "ci/none.yml", source=url)

    assert b"\ninside\n" in ended.stdout
    assert missing.returncode == 2
    assert b"YAML_FILE_ERROR Message: stat" in missing.stdout


def test_the_executor_that_isolates_nothing_says_so_when_it_was_asked_for(here: Yard) -> None:
    _repository(here.source, {"buildspec.yml": _spec("here")})

    assert (b"NO ISOLATION" in here.cli().stderr) is (here.machine.name == "process")


def test_a_zip_is_a_source(here: Yard) -> None:
    with zipfile.ZipFile(here.root / "source.zip", "w") as packed:
        packed.writestr("buildspec.yml", _spec("zipped"))
    ended = here.cli(source="source.zip")

    assert b"\nzipped\n" in ended.stdout


def test_uncommitted_changes_and_git_are_there_and_ignored_files_are_not(here: Yard) -> None:
    _repository(here.source, {"buildspec.yml": text_of(phases(build=["ls; git status --short"])), ".gitignore": "*.o"})
    write_tree(here.source, {"new.c": "", "new.o": ""})
    ended = here.cli()

    assert b"\nnew.c\n?? new.c\n" in ended.stdout


def test_colours_of_the_build_stay_and_ours_do_not_come(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=[r"printf '\033[31mred\033[0m\n'"]))})
    ended = here.cli(NO_COLOR="1")

    assert re.findall(rb"\x1b\[[0-9;]*m", ended.stdout + ended.stderr) == [b"\x1b[31m", b"\x1b[0m"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """The environment of a client of an S3 with one bucket, `out`."""
    import boto3

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    port = server._server.server_port
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3").create_bucket(Bucket="out")
    yield env
    server.stop()


def _objects() -> dict[str, bytes]:
    import boto3

    client = boto3.client("s3")
    listed = client.list_objects_v2(Bucket="out").get("Contents", ())
    return {each["Key"]: client.get_object(Bucket="out", Key=each["Key"])["Body"].read() for each in listed}


def test_artifacts_go_to_a_bucket(here: Yard, bucket: dict[str, str]) -> None:
    spec = {**phases(build=["echo made > a"]), "artifacts": {"files": ["a"], "name": "v1"}}
    write_tree(here.source, {"buildspec.yml": text_of(spec)})
    ended = here.cli("--artifacts", "s3://out/some/place", **bucket)

    assert ended.returncode == 0, ended.stdout
    assert _objects() == {"some/place/v1/a": b"made\n"}


def test_a_zipped_artifact_goes_to_a_bucket_and_is_a_source_again(here: Yard, bucket: dict[str, str]) -> None:
    spec = {**phases(build=["echo from the bucket"]), "artifacts": {"files": ["**/*"]}}
    write_tree(here.source, {"buildspec.yml": text_of(spec)})
    first = here.cli("--artifacts", "s3://out", "--zip", **bucket)
    again = here.cli(source=f"s3://out/{PROJECT}.zip", **bucket)

    assert (first.returncode, again.returncode) == (0, 0), first.stdout + again.stdout
    assert b"\nfrom the bucket\n" in again.stdout


def test_a_bucket_that_is_not_there_fails_the_upload(here: Yard, bucket: dict[str, str]) -> None:
    spec = {**phases(build=["touch a"]), "artifacts": {"files": ["a"]}}
    write_tree(here.source, {"buildspec.yml": text_of(spec)})
    ended = here.cli("--artifacts", "s3://nowhere", **bucket)

    assert ended.returncode == 1
    assert b"CLIENT_ERROR Message: Failed to upload artifacts" in ended.stdout


def test_artifacts_go_to_a_directory(here: Yard) -> None:
    spec = {**phases(build=["mkdir d; echo 1 > d/a"]), "artifacts": {"files": ["d/*"]}}
    write_tree(here.source, {"buildspec.yml": text_of(spec)})
    ended = here.cli("--artifacts", "out")

    assert ended.returncode == 0
    assert tree_of(here.root / "out") == {f"{PROJECT}/d/a": "1\n"}


def test_a_reader_that_leaves_does_not_leave_the_build_running(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=["yes | head -n 3000000", "sleep 30"]))})
    process = subprocess.Popen(
        here.arguments(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=here.root, env=here.environment()
    )
    assert process.stdout is not None
    process.stdout.read(1000)
    process.stdout.close()
    code = process.wait(timeout=60)

    assert code == 1
    here.nothing_is_left(here.homes()[0])


def test_an_output_that_somebody_left_non_blocking_loses_nothing(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=["seq 1 50000"]))})
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        here.arguments(), stdout=writing, stderr=subprocess.DEVNULL, cwd=here.root, env=here.environment()
    )
    os.close(writing)
    with suppress(subprocess.TimeoutExpired):  # one that waits for nobody has ended by then
        process.wait(timeout=2)
    with os.fdopen(reading, "rb") as pipe:
        shown = pipe.read()

    assert process.wait(timeout=30) == 0
    assert shown == (here.homes()[0] / "log").read_bytes()


def test_two_builds_of_a_project_at_once_have_numbers_of_their_own(here: Yard) -> None:
    write_tree(here.source, {"buildspec.yml": text_of(phases(build=["echo n$CODEBUILD_BUILD_NUMBER; sleep 0.2"]))})
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(here.cli().stdout)) for _ in range(4)]
    _all(threads)

    assert sorted(re.findall(rb"\n(n\d)\n", b"".join(found))) == [b"n1", b"n2", b"n3", b"n4"]


def _all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
