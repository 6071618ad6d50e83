"""Which build a name means, and how a build ends the command that watched it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.model import Outcome, Phase, Status
from codeyard.builds.phases import finish_phase, submit
from codeyard.cli import remote
from codeyard.cli.run import exit_code as exit_code_of_run
from codeyard.errors import CodeyardError, Invalid, NotFound
from codeyard.ident import BuildId, Owner

AT = datetime(2026, 1, 2, tzinfo=UTC)
RUNS = [f"{number:08x}-0000-4000-8000-000000000000" for number in (0xAB000001, 0xAB000002, 0xCD000001)]


@dataclass
class Builds:
    """A CodeBuild that has these builds, the newest first, and gives two to a page. It takes 100 ids at the most."""

    ids: list[str] = field(default_factory=lambda: [f"site:{run}" for run in RUNS])
    asked: list[str] = field(default_factory=list)

    def list_builds(self, **given: str) -> dict[str, Any]:
        self.asked.append("ListBuilds")
        begin = int(given.get("nextToken", "0"))
        end = begin + 2
        more = {"nextToken": str(end)} if end < len(self.ids) else {}
        return {"ids": self.ids[begin:end], **more}

    def list_builds_for_project(self, **given: str) -> dict[str, Any]:
        found = Builds([id for id in self.ids if id.startswith(f"{given['projectName']}:")])
        self.asked.append("ListBuildsForProject")
        return found.list_builds(**given)

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        assert 1 <= len(ids) <= 100
        self.asked.append("BatchGetBuilds")
        return {"builds": [{"id": id} for id in reversed(ids) if id in self.ids]}


@contextmanager
def told(fix: str) -> Iterator[None]:
    """An error of ours, whose fix says so much."""
    with pytest.raises(CodeyardError) as error:
        yield
    assert fix in error.value.fix


@pytest.mark.parametrize(
    "name",
    [
        f"site:{RUNS[1]}",
        Owner().arn(f"build/site:{RUNS[1]}"),
        Owner("111122223333", "eu-west-1").arn(f"build/site:{RUNS[1]}"),
        f"site:{RUNS[1][:8]}",
        Owner().arn(f"build/site:{RUNS[1][:8]}"),
    ],
)
def test_a_build_has_many_names(name: str) -> None:
    assert remote.find(Builds(), name)["id"] == f"site:{RUNS[1]}"


def test_a_project_means_its_newest_build() -> None:
    assert remote.find(Builds(), "site")["id"] == f"site:{RUNS[0]}"


@pytest.mark.parametrize("name", ["other", f"site:{UUID(int=1)}", f"other:{RUNS[0]}", "site:ef"])
def test_what_is_not_there_is_said(name: str) -> None:
    with pytest.raises(NotFound):
        remote.find(Builds(), name)


def test_a_project_with_no_builds_can_be_given_one() -> None:
    with told("codeyard start other"):
        remote.find(Builds(), "other")


def test_a_beginning_of_several_ids_is_refused() -> None:
    with pytest.raises(Invalid, match="2 builds begin so"):
        remote.find(Builds(), "site:ab")


@given(st.integers(1, 35), st.integers(0, 2))
def test_a_beginning_means_a_build_or_is_refused(length: int, number: int) -> None:
    begun = RUNS[number][:length]
    others = [run for run in RUNS if run.startswith(begun)]
    try:
        assert remote.find(Builds(), f"site:{begun}")["id"] == f"site:{RUNS[number]}"
    except Invalid:
        assert len(others) > 1
    else:
        assert len(others) == 1


@given(st.integers(0, 250), st.integers(1, 250))
def test_the_newest_are_loaded_in_their_order_and_no_more(there: int, limit: int) -> None:
    builds = Builds([f"site:{UUID(int=number)}" for number in range(there)])

    assert [build["id"] for build in remote.recent(builds, None, limit)] == builds.ids[:limit]
    assert builds.asked.count("ListBuilds") <= min(limit, there) // 2 + 1


def test_of_a_project_only_its_own() -> None:
    builds = Builds([f"other:{RUNS[2]}", *(f"site:{run}" for run in RUNS)])

    assert [build["id"] for build in remote.recent(builds, "site", 2)] == [f"site:{run}" for run in RUNS[:2]]


def test_builds_that_are_gone_are_left_out() -> None:
    assert [build["id"] for build in remote.load(Builds(), [f"site:{UUID(int=1)}", f"site:{RUNS[0]}"])] == [
        f"site:{RUNS[0]}"
    ]


@pytest.mark.parametrize(
    ("status", "phase", "code"),
    [
        ("SUCCEEDED", None, 0),
        ("FAILED", "BUILD", 1),
        ("FAILED", "DOWNLOAD_SOURCE", 2),
        ("FAILED", "PROVISIONING", 2),
        ("FAILED", None, 1),
        ("TIMED_OUT", "DOWNLOAD_SOURCE", 1),
        ("STOPPED", "BUILD", 1),
        ("FAULT", "PROVISIONING", 3),
    ],
)
def test_the_exit_code_says_how_it_ended(status: str, phase: str | None, code: int) -> None:
    failed = [] if phase is None else [{"phaseType": phase, "phaseStatus": status}]
    phases = [{"phaseType": "SUBMITTED", "phaseStatus": "SUCCEEDED"}, *failed, {"phaseType": "COMPLETED"}]

    assert remote.exit_code({"buildStatus": status, "phases": phases}) == code


OUTCOMES = st.sampled_from([Outcome(status) for status in Status if status is not Status.IN_PROGRESS])


@given(st.lists(OUTCOMES, min_size=len(Phase), max_size=len(Phase)))
def test_it_is_that_of_a_build_that_runs_here(outcomes: list[Outcome]) -> None:
    build = submit(BuildId.mint("site"), AT)
    for outcome in outcomes:
        if build.phase is not Phase.COMPLETED:
            build = finish_phase(build, outcome, AT)
    phases = [{"phaseType": each.phase, "phaseStatus": each.status} for each in build.records]

    assert remote.exit_code({"buildStatus": build.status, "phases": phases}) == exit_code_of_run(build)


def test_why_a_build_waits_is_in_the_phase_it_waits_in() -> None:
    waits = {"phaseType": "QUEUED", "contexts": [{"message": "no worker"}]}

    assert remote.waiting_for({"phases": [{"phaseType": "SUBMITTED"}, waits]}) == "no worker"
    assert remote.waiting_for({"phases": [waits, {"phaseType": "BUILD"}]}) == ""
    assert remote.waiting_for({"phases": [{"phaseType": "QUEUED"}]}) == ""
    assert remote.waiting_for({}) == ""


def test_a_build_took_from_its_start_to_its_end() -> None:
    assert remote.took({"startTime": AT, "endTime": AT + timedelta(seconds=90)}) == 90
    assert remote.took({"startTime": datetime.now(UTC) + timedelta(hours=1)}) == 0  # by another clock
    assert remote.took({"startTime": datetime.now(UTC) - timedelta(hours=1)}) == pytest.approx(3600, abs=60)
    assert remote.took({}) == 0
