"""The commands for people, against a server whose answers are given, and one whose artifacts mean harm."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Call, Refused, Shape
from codeyard.aws.gateway import Gateway
from codeyard.cli import service
from codeyard.cli.service import _target
from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.objects.wire import S3
from tests.objects.serving import directory
from tests.wire.served import KEY_ID, SECRET, RootOnly, answering, client, serving

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = "site:00000000-0000-0000-0000-000000000001"
OLD = "site:00000000-0000-0000-0000-000000000002"
GREEN: dict[str, Any] = {
    "id": ID, "projectName": "site", "buildStatus": "SUCCEEDED", "buildComplete": True, "currentPhase": "COMPLETED",
    "startTime": AT, "endTime": AT + timedelta(seconds=61), "phases": [{"phaseType": "COMPLETED"}],
    "logs": {"groupName": "/aws/codebuild/site", "streamName": "1"},
}  # fmt: skip
WAITS: dict[str, Any] = {
    "id": ID, "projectName": "site", "buildStatus": "IN_PROGRESS", "buildComplete": False, "currentPhase": "QUEUED",
    "startTime": AT, "phases": [{"phaseType": "QUEUED", "contexts": [{"message": "no worker is there"}]}],
}  # fmt: skip
Run = Callable[..., Result]


class Pretended:
    """A server with these builds, and what it was asked."""

    def __init__(self) -> None:
        self.builds = {ID: GREEN, OLD: GREEN | {"id": OLD, "buildStatus": "FAILED"}}
        self.projects: list[dict[str, Any]] = [{"name": "site", "source": {"type": "NO_SOURCE"}}]
        self.lines = ["one", "two", "three \x1b[31mred\x1b[0m"]
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refusal: Refused | None = None

    def __call__(self, call: Call) -> Shape:
        given = dict(call.input)
        self.asked.append((call.operation, {name: value for name, value in given.items() if value is not None}))
        if self.refusal is not None:
            raise self.refusal
        match call.operation:
            case "ListProjects":
                return {"projects": [each["name"] for each in self.projects]}
            case "BatchGetProjects":
                return {"projects": [each for each in self.projects if each["name"] in given["names"]]}
            case "ListBuilds":
                return {"ids": list(self.builds)}
            case "ListBuildsForProject":
                return {"ids": [id for id in self.builds if id.startswith(f"{given['projectName']}:")]}
            case "BatchGetBuilds":
                return {"builds": [self.builds[id] for id in given["ids"] if id in self.builds]}
            case "GetLogEvents":
                begin = int(given.get("nextToken") or "0")
                page = [{"timestamp": 1, "message": f"{line}\n"} for line in self.lines[begin : begin + 2]]
                return {"events": page, "nextForwardToken": str(begin + len(page))}
            case _:
                return {"build": self.builds[ID]}

    def last(self, operation: str) -> dict[str, Any]:
        return [given for name, given in self.asked if name == operation][-1]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[list[Pretended], str]]:
    """What answers, and where: each test puts its own in."""
    answers = [Pretended()]
    gateway = Gateway(
        (answering("codebuild", lambda call: answers[0](call)), answering("logs", lambda call: answers[0](call))),
        RootOnly(), lambda: datetime.now(UTC),
    )  # fmt: skip
    with serving(gateway) as url:
        yield answers, url


@pytest.fixture
def server(served: tuple[list[Pretended], str]) -> Pretended:
    served[0][0] = Pretended()
    return served[0][0]


def environment(monkeypatch: pytest.MonkeyPatch, url: str, key: str, secret: str) -> Run:
    for name in [name for name in os.environ if name.startswith(("AWS_", "CODEYARD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)

    def run(name: str, *arguments: str, given: str = "") -> Result:
        """What came of it; what it raises comes out."""
        command = getattr(service, name)
        return CliRunner().invoke(command, arguments, input=given, catch_exceptions=False, standalone_mode=False)

    return run


@pytest.fixture
def run(served: tuple[list[Pretended], str], server: Pretended, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    return environment(monkeypatch, served[1], KEY_ID, SECRET)


@pytest.mark.parametrize("command", ["projects", "builds"])
def test_json_is_one_object_of_awss_to_a_line(run: Run, command: str) -> None:
    lines = [json.loads(line) for line in run(command, "--json").stdout.splitlines()]

    assert [line.get("id") or line["name"] for line in lines] == ([ID, OLD] if command == "builds" else ["site"])


def test_dates_are_written_as_machines_read_them(run: Run) -> None:
    first = json.loads(run("builds", "--json").stdout.splitlines()[0])

    assert datetime.fromisoformat(first["startTime"]) == AT


def test_people_see_each_build_on_a_line(run: Run) -> None:
    lines = run("builds").stdout.splitlines()

    assert [(ID in lines[0], "SUCCEEDED" in lines[0]), (OLD in lines[1], "FAILED" in lines[1])] == [(True, True)] * 2


def test_as_many_as_they_ask_for(run: Run) -> None:
    assert len(run("builds", "--limit", "1").stdout.splitlines()) == 1


def test_why_a_build_waits_is_beside_it(run: Run, server: Pretended) -> None:
    server.builds = {ID: WAITS}

    assert run("builds", "site").stdout.rstrip().endswith("no worker is there")


def test_a_projects_line_has_its_newest_build_and_its_source(run: Run, server: Pretended) -> None:
    location = "https://example.com/\x1b[2Ja.git"
    server.projects = [{"name": "site", "source": {"type": "GITHUB", "location": location}},
                       {"name": "empty", "source": {"type": "NO_SOURCE"}}]  # fmt: skip
    site, empty = run("projects").stdout.splitlines()

    assert site.startswith("site ")
    assert "SUCCEEDED" in site
    assert "\x1b[2J" not in site
    assert "NO_SOURCE" in empty


@pytest.mark.parametrize("command", ["projects", "builds"])
def test_where_there_is_nothing_it_says_what_to_do(run: Run, server: Pretended, command: str) -> None:
    server.builds, server.projects = {}, []

    assert run(command).stdout.startswith("No ")
    assert run(command, "--json").stdout == ""


def test_start_asks_for_what_was_given_and_nothing_else(run: Run, server: Pretended, tmp_path: Path) -> None:
    (tmp_path / "spec.yml").write_text("version: 0.2")
    started = run(
        "start", "site", "--source-version", "main", "--buildspec", "spec.yml", "--env", "A=1=2", "--env", "B=",
        "--timeout", "5", "--image", "busybox", "--compute-type", "BUILD_GENERAL1_LARGE",
    )  # fmt: skip
    run("start", "site")

    assert (started.stdout, started.return_value) == (f"{ID}\n", 0)
    assert [given for name, given in server.asked if name == "StartBuild"] == [
        {
            "projectName": "site", "sourceVersion": "main", "buildspecOverride": "version: 0.2\n",
            "environmentVariablesOverride": [{"name": "A", "value": "1=2"}, {"name": "B", "value": ""}],
            "timeoutInMinutesOverride": 5, "imageOverride": "busybox", "computeTypeOverride": "BUILD_GENERAL1_LARGE",
        },
        {"projectName": "site"},
    ]  # fmt: skip


def test_a_buildspec_may_come_from_a_pipe_or_be_one_of_the_source(run: Run, server: Pretended) -> None:
    run("start", "site", "--buildspec", "-", given="version: 0.2\nphases: {}\n")
    piped = server.last("StartBuild")["buildspecOverride"]
    run("start", "site", "--buildspec", "ci/spec.yml")

    assert piped == "version: 0.2\nphases: {}\n"
    assert server.last("StartBuild")["buildspecOverride"] == "ci/spec.yml"


def test_a_buildspec_that_is_no_text_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "spec").write_bytes(b"\xff\xfe")

    with pytest.raises(Invalid, match="buildspec spec"):
        run("start", "site", "--buildspec", "spec")


@pytest.mark.parametrize("variable", ["", "=1", "1A=1", "A-B=1", "NOT_SET_ANYWHERE"])
def test_what_is_no_variable_starts_nothing(run: Run, server: Pretended, variable: str) -> None:
    with pytest.raises(Invalid):
        run("start", "site", "--env", variable)

    assert server.asked == []


@pytest.mark.parametrize(("status", "code"), [("SUCCEEDED", 0), ("FAILED", 1), ("STOPPED", 1), ("FAULT", 3)])
@pytest.mark.parametrize("command", ["start", "retry"])
def test_who_follows_gets_the_log_and_the_builds_end(
    run: Run, server: Pretended, command: str, status: str, code: int
) -> None:
    server.builds[ID] = GREEN | {"buildStatus": status}
    done = run(command, "site", "--follow")

    assert done.stdout == "".join(f"{line}\n" for line in server.lines)
    assert done.return_value == code
    assert status in done.stderr


def test_following_for_machines_gives_events(run: Run) -> None:
    events = [json.loads(line)["event"] for line in run("start", "site", "-f", "--json").stdout.splitlines()]

    assert events == ["build_started", "log_written", "log_written", "log_written", "build_ended"]


def test_a_log_in_a_pipe_is_the_log(run: Run, server: Pretended) -> None:
    done = run("logs", "site")

    assert (done.stdout, done.stderr, done.return_value) == ("".join(f"{line}\n" for line in server.lines), "", 0)


def test_a_build_that_waits_has_none_and_says_why(run: Run, server: Pretended) -> None:
    server.builds[ID] = WAITS
    done = run("logs", ID)

    assert (done.stdout, done.stderr, done.return_value) == ("", "no worker is there\n", 0)


def test_retry_and_stop_name_the_build_that_was_meant(run: Run, server: Pretended) -> None:
    assert run("retry", OLD).stdout == f"{ID}\n"
    assert server.last("RetryBuild")["id"] == OLD
    assert ID in run("stop", "site", OLD).stdout
    assert [given["id"] for name, given in server.asked if name == "StopBuild"] == [ID, OLD]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refused("ResourceNotFoundException", "no project"), NotFound),
        (Refused("AccessDeniedException", "no", 403), Denied),
        (Refused("InvalidInputException", "bad"), Invalid),
        (Refused("ServiceUnavailableException", "later", 503), Fault),
    ],
)
@pytest.mark.parametrize("command", [("projects",), ("builds",), ("start", "site"), ("logs", "site"), ("stop", "site")])
def test_what_the_server_refuses_is_told_in_our_words(
    run: Run, server: Pretended, command: tuple[str, ...], refusal: Refused, kind: type[CodeyardError]
) -> None:
    server.refusal = refusal

    with pytest.raises(kind, match=refusal.message):
        run(*command)


# ── artifacts ──


class Buckets:
    """What a command about artifacts meets: a build whose artifact is in a bucket."""

    def __init__(self, run: Run, builds: Pretended, client: Any) -> None:
        self.run, self.builds, self._client = run, builds, client

    def made(self, location: str, **objects: bytes) -> None:
        """The build's artifact is at `location`; the bucket has these objects, whose names' __ stand for slashes."""
        self.named(location, {name.replace("__", "/"): content for name, content in objects.items()})

    def named(self, location: str, objects: dict[str, bytes]) -> None:
        for name, content in objects.items():
            self._client.put_object(Bucket="made", Key=name, Body=content)
        self.builds.builds[ID] = GREEN | {"artifacts": {"location": f"arn:aws:s3:::{location}"}}


@pytest.fixture(scope="module")
def objects() -> Iterator[str]:
    with TemporaryDirectory() as root, serving(S3(directory(Path(root)), RootOnly())) as url:
        client(url, "s3").create_bucket(Bucket="made")
        yield url


@pytest.fixture
def buckets(objects: str, server: Pretended, run: Run, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", objects)
    return Buckets(run, server, client(objects, "s3"))


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_an_artifact_is_listed(buckets: Buckets) -> None:
    buckets.made("made/list/site", list__site__a=b"12345", list__site__b__c=b"1", list__sites__d=b"another's")
    listed = buckets.run("artifacts", "site")
    lines = [json.loads(line) for line in buckets.run("artifacts", "site", "--json").stdout.splitlines()]

    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["5", "B", "s3://made/list/site/a"], ["1", "B", "s3://made/list/site/b/c"],
    ]  # fmt: skip
    assert lines[0] == {"bucket": "made", "key": "list/site/a", "size": 5}


def test_it_is_fetched_as_it_was_made(buckets: Buckets, tmp_path: Path) -> None:
    buckets.made("made/fetch/site", fetch__site__a=b"12345", fetch__site__b__c=b"1", fetch__sites__d=b"another's")
    done = buckets.run("artifacts", "site", "out/new")

    assert files(tmp_path / "out/new") == {"a": b"12345", "b/c": b"1"}
    assert "2 files (6 B)" in done.stdout


def test_a_zip_keeps_its_name(buckets: Buckets, tmp_path: Path) -> None:
    buckets.named("made/zip/site.zip", {"zip/site.zip": b"PK", "zip/site.zip.sig": b"another"})
    buckets.run("artifacts", "site", "out")

    assert files(tmp_path / "out") == {"site.zip": b"PK"}


def test_secondary_ones_come_too(buckets: Buckets, tmp_path: Path) -> None:
    buckets.named("made/second/site", {"second/site/a": b"1", "second/docs.zip": b"2"})
    buckets.builds.builds[ID]["secondaryArtifacts"] = [
        {"location": "arn:aws:s3:::made/second/docs.zip", "artifactIdentifier": "docs"}
    ]
    buckets.run("artifacts", "site", "out")

    assert files(tmp_path / "out") == {"a": b"1", "docs.zip": b"2"}


def test_a_long_name_is_no_hindrance(buckets: Buckets, tmp_path: Path) -> None:
    buckets.named("made/long", {f"long/{'n' * 255}": b"1"})
    buckets.run("artifacts", "site", "out")

    assert files(tmp_path / "out") == {"n" * 255: b"1"}


@pytest.mark.parametrize("name", ["../../evil", "a/../../evil", "/../evil", "a//b", "a/./b", "a/", ".."])
def test_a_hostile_name_leads_nowhere(buckets: Buckets, tmp_path: Path, name: str) -> None:
    prefix = f"hostile-{name.encode().hex()}"
    buckets.named(f"made/{prefix}", {f"{prefix}/{name}": b"1"})

    with pytest.raises(Invalid, match="leads elsewhere"):
        buckets.run("artifacts", "site", "out/in")
    assert files(tmp_path) == {}


def test_names_do_nothing_to_a_terminal(buckets: Buckets) -> None:
    buckets.named("made/esc/\x07", {"esc/\x07/\r": b"1"})

    assert not set("\x07\r") & set(buckets.run("artifacts", "site").stdout)
    assert not set("\x07\r") & set(buckets.run("artifacts", "site", "out").stdout)


def test_a_build_that_made_none_says_so(buckets: Buckets) -> None:
    buckets.builds.builds[ID] = GREEN | {"artifacts": {"location": ""}}

    with pytest.raises(NotFound, match="none in a bucket"):
        buckets.run("artifacts", "site")


PARTS = st.sampled_from(["..", ".", "", "a", "b", "...", "..a", "\\", "~", "-"]) | st.text(max_size=3)


@given(st.lists(PARTS, max_size=5), st.lists(PARTS, min_size=1, max_size=5))
def test_no_name_leads_out_of_the_directory(key: list[str], below: list[str]) -> None:
    directory, prefix = Path("/some/where"), "/".join(key)
    for name in (prefix, f"{prefix}/{'/'.join(below)}", f"{prefix}{'/'.join(below)}"):
        try:
            target = _target(directory, name, prefix)
        except Invalid:
            continue

        assert os.path.normpath(target) == str(target)
        assert target != directory
        assert target.is_relative_to(directory)
