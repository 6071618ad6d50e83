from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.asking import Line
from codeyard.console.view import (
    artifact_place,
    artifact_views,
    bars,
    build_view,
    phase_views,
    project_view,
    reasons,
    settings,
    web_link,
)
from codeyard.console.words import State
from tests.console.yard import NOW, build, project, queued

_MOMENTS = st.one_of(st.none(), st.integers(-(10**6), 10**6).map(lambda seconds: NOW + timedelta(seconds=seconds)))
_PHASES = st.lists(
    st.fixed_dictionaries(
        {"phaseType": st.sampled_from(["SUBMITTED", "QUEUED", "BUILD", "COMPLETED", "<new>"])},
        optional={
            "phaseStatus": st.sampled_from(["SUCCEEDED", "FAILED", "NEW"]),
            "startTime": _MOMENTS,
            "endTime": _MOMENTS,
            "contexts": st.lists(st.fixed_dictionaries({}, optional={"statusCode": st.text(), "message": st.text()})),
        },
    ),
    max_size=12,
)


@given(_PHASES)
def test_every_bar_lies_within_the_picture(phases: list[dict[str, Any]]) -> None:
    for phase in phase_views({"phases": phases}, NOW):
        assert 0 <= phase.left < phase.left + phase.width <= 1000


@given(_PHASES)
def test_a_reason_is_told_once(phases: list[dict[str, Any]]) -> None:
    found = [(reason.code, reason.message) for reason in reasons({"phases": phases})]

    assert len(found) == len(set(found))


def test_a_failed_build_says_why() -> None:
    (reason,) = reasons(build("web", 1, "FAILED"))

    assert (reason.phase, reason.code) == ("BUILD", "COMMAND_EXECUTION_ERROR")
    assert reason.message.endswith("exit status 2")


def test_a_queued_build_says_what_it_waits_for() -> None:
    found = build_view(queued("web", 1, 3), NOW)

    assert found.state is State.QUEUED
    assert found.waiting == "Waiting for 2 CPUs and 4 GiB of memory: 2 builds before it. Position 3 in the queue."


def test_the_phase_in_progress_goes_on() -> None:
    *ended, last = phase_views(build("web", 1, "IN_PROGRESS", 64, "BUILD"), NOW)

    assert (last.name, last.state, last.took) == ("BUILD", State.RUNNING, "43 s")
    assert last.since is not None
    assert all(phase.since is None for phase in ended)


@pytest.mark.parametrize(
    "text",
    ["javascript:alert(1)", "data:text/html,x", "https://user:password@host/x", "//host/x", "https:/x", "ftp://host/",
     "https://host/ onclick=x", "https://host/\nx"],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_no_link(text: str) -> None:
    assert web_link(text).href is None


def test_an_address_of_the_web_is_a_link() -> None:
    link = web_link("https://github.com/example/web.git")

    assert (link.text, link.href) == ("github.com/example/web", "https://github.com/example/web.git")


def test_a_zip_can_be_downloaded_and_a_folder_cannot() -> None:
    folder = {"artifactIdentifier": "docs", "location": "arn:aws:s3:::releases/docs"}
    shape = build("web", 1, secondaryArtifacts=[folder])
    zipped, flat = artifact_views(shape)

    assert (zipped.name, zipped.number, artifact_place(shape, 0)) == ("web.zip", 0, ("releases", "web.zip"))
    assert (flat.name, flat.number, artifact_place(shape, 1)) == ("docs", None, None)
    assert artifact_place(shape, 9) is None


def test_a_build_that_runs_has_nothing_to_download_yet() -> None:
    (artifact,) = artifact_views(build("web", 1, "IN_PROGRESS", 64, "BUILD"))

    assert artifact.number is None


def test_the_last_builds_are_a_picture_and_words() -> None:
    builds = (build("web", 3, "FAILED"), build("web", 2), build("web", 1))
    found = project_view(Line(project("web"), builds), NOW)

    assert found.told == "The newest 3 builds: 2 succeeded, 1 failed"
    assert [bar.x for bar in found.bars] == [70, 80, 90]
    assert found.bars[-1].state is State.FAILED


@given(st.lists(st.integers(0, 10**7), max_size=20))
def test_bars_stay_in_their_box(lengths: list[int]) -> None:
    builds = [build("web", 1, "IN_PROGRESS", length, "BUILD") for length in lengths]

    for bar in bars([build_view(each, NOW) for each in builds]):
        assert 0 <= bar.x <= 90
        assert 0 <= bar.y < bar.y + bar.height == 24


def test_settings_that_are_not_set_are_not_shown() -> None:
    shown = dict(settings(project("web", concurrentBuildLimit=2)))

    assert shown["Builds at a time"] == "2"
    assert shown["Buildspec"] == "buildspec.yml"
    assert "Cache" not in shown


def test_anything_at_all_can_be_shown() -> None:
    found = build_view({}, NOW)

    assert (found.took, found.version, found.started) == ("–", None, None)
    assert phase_views({}, NOW) == ()
    assert settings({}) == (("Buildspec", "buildspec.yml"), ("Artifacts", "none"))
