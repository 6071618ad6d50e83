"""A build as clients see it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest, publish
from codeyard.builds import life
from codeyard.builds.build_wire import log_stream, s3_log, stopped_to_wire, to_wire
from codeyard.builds.handed import Handed, HandedSource
from codeyard.builds.model import Outcome, Phase, Status
from codeyard.builds.phases import finish_phase
from codeyard.builds.project_input import created
from codeyard.builds.project_overrides import handed_over
from codeyard.builds.queue import Place
from codeyard.builds.stored import StoredBuild
from tests.builds.projects import INPUTS, NOW, OWNER, assert_shape, project

LATER = NOW + timedelta(seconds=90, milliseconds=900)


def a_build(**given: Any) -> StoredBuild:
    return life.started(OWNER, project(**given), (), "root", 7, NOW)


def after(stored: StoredBuild, *outcomes: Status) -> StoredBuild:
    """Once so many phases have ended so."""
    build = stored.build
    for status in outcomes:
        build = finish_phase(build, Outcome(status), LATER)
    return replace(stored, build=build, worker="one", claimed=NOW)


@given(INPUTS, st.sampled_from([[], [Status.FAILED], [Status.SUCCEEDED] * 9, [Status.SUCCEEDED, Status.FAILED]]))
def test_whatever_a_build_is_its_shape_is_awss(given: dict[str, Any], outcomes: list[Status]) -> None:
    stored = after(life.started(OWNER, created(given, NOW), (), "root", 1, NOW), *outcomes)

    assert_shape({"build": to_wire(stored, Place(1, "It waits."))}, "StartBuild")


def test_a_build_just_started() -> None:
    stored = a_build()

    shown = to_wire(stored)

    assert shown["id"] == str(stored.id)
    assert shown["arn"] == f"arn:aws:codebuild:us-east-1:000000000000:build/{stored.id}"
    assert (shown["buildNumber"], shown["currentPhase"], shown["buildStatus"]) == (7, "QUEUED", "IN_PROGRESS")
    assert not shown["buildComplete"]
    assert shown["phases"] == [
        {
            "phaseType": "SUBMITTED",
            "phaseStatus": "SUCCEEDED",
            "startTime": NOW,
            "endTime": NOW,
            "durationInSeconds": 0,
        },
        {"phaseType": "QUEUED", "startTime": NOW},
    ]
    assert shown["secondarySources"] == shown["secondaryArtifacts"] == shown["secondarySourceVersions"] == []
    assert shown["autoRetryConfig"] == {"autoRetryLimit": 0, "autoRetryNumber": 0}


def test_a_waiting_build_says_what_for() -> None:
    queued = to_wire(a_build(), Place(2, "Waiting for 2 CPUs: 1 build before it."))["phases"][-1]

    message = "Waiting for 2 CPUs: 1 build before it. Position 2 in the queue."
    assert queued["contexts"] == [{"statusCode": "QUEUED", "message": message}]


def test_a_build_that_ended() -> None:
    stored = after(a_build(), *(Status.SUCCEEDED,) * 9)

    shown = to_wire(stored)

    assert shown["buildComplete"]
    assert (shown["buildStatus"], shown["endTime"]) == ("SUCCEEDED", LATER)
    assert shown["phases"][2]["contexts"] == [{"statusCode": "", "message": ""}]
    assert shown["phases"][1]["durationInSeconds"] == 90
    assert shown["phases"][-1] == {"phaseType": "COMPLETED", "startTime": LATER}


def test_what_the_build_made_and_learnt_is_shown() -> None:
    made = {"identifier": "", "location": "arn:aws:s3:::bucket/site"}
    stored = a_build(artifacts={"type": "S3", "location": "bucket"})
    facts = {
        "source": {"resolved": "abc"},
        "exported": {"A": "1"},
        "artifacts": [made],
        "artifact_sums": {"": {"md5sum": "m", "sha256sum": "s"}},
    }

    shown = to_wire(replace(stored, facts=facts))

    assert shown["resolvedSourceVersion"] == "abc"
    assert shown["exportedEnvironmentVariables"] == [{"name": "A", "value": "1"}]
    assert shown["artifacts"] == {"location": "arn:aws:s3:::bucket/site", "md5sum": "m", "sha256sum": "s"}


@pytest.mark.parametrize(
    ("given", "location"),
    [
        ({"type": "NO_ARTIFACTS"}, ""),
        ({"type": "S3", "location": "bucket"}, "arn:aws:s3:::bucket/site"),
        ({"type": "S3", "location": "bucket", "path": "a/b", "name": "c.zip", "packaging": "ZIP"},
         "arn:aws:s3:::bucket/a/b/c.zip"),
        ({"type": "S3", "location": "bucket", "name": "/"}, "arn:aws:s3:::bucket"),
    ],
)  # fmt: skip
def test_an_artifact_has_a_location_before_it_is_made(given: dict[str, Any], location: str) -> None:
    assert to_wire(a_build(artifacts=given))["artifacts"]["location"] == location


# ── logs ──


def test_there_is_no_log_before_provisioning() -> None:
    shown = to_wire(a_build())["logs"]

    assert "groupName" not in shown
    assert shown["deepLink"].endswith("#logsV2:log-groups/log-group/null/log-events/null")
    assert shown["cloudWatchLogsArn"].endswith("log-group:null:log-stream:null")


def test_from_provisioning_on_the_log_is_named() -> None:
    stored = after(a_build(), Status.SUCCEEDED)

    shown = to_wire(stored)["logs"]

    assert stored.build.phase is Phase.PROVISIONING
    assert (shown["groupName"], shown["streamName"]) == ("/aws/codebuild/site", stored.run)
    assert shown["deepLink"] == (
        "https://console.aws.amazon.com/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/"
        f"$252Faws$252Fcodebuild$252Fsite/log-events/{stored.run}"
    )
    assert shown["cloudWatchLogsArn"] == (
        f"arn:aws:logs:us-east-1:000000000000:log-group:/aws/codebuild/site:log-stream:{stored.run}"
    )
    assert shown["cloudWatchLogs"] == {"status": "ENABLED"}


def test_a_link_of_ours_goes_before_that_of_awss_console() -> None:
    assert to_wire(after(a_build(), Status.SUCCEEDED), log_link="http://here/")["logs"]["deepLink"] == "http://here/"


def test_a_stream_name_is_a_prefix_and_an_s3_log_has_a_key() -> None:
    logs = {
        "cloudWatchLogs": {"status": "ENABLED", "groupName": "g", "streamName": "s"},
        "s3Logs": {"status": "ENABLED", "location": "arn:aws:s3:::bucket/logs"},
    }
    stored = after(a_build(logsConfig=logs), Status.SUCCEEDED)

    assert log_stream(stored) == ("g", f"s/{stored.run}")
    assert s3_log(stored) == ("bucket", f"logs/{stored.run}.gz")
    assert to_wire(stored)["logs"]["s3LogsArn"] == f"arn:aws:s3:::bucket/logs/{stored.run}.gz"


@given(st.text("ab/", max_size=8))
def test_a_build_tells_the_s3_log_where_it_is_put(prefix: str) -> None:
    logs = {"s3Logs": {"status": "ENABLED", "location": f"bucket/{prefix}"}}
    stored = a_build(logsConfig=logs)

    bucket, key = s3_log(stored) or ("", "")

    assert publish.log_place(f"bucket/{prefix}", stored.run) == (bucket, key)
    assert "//" not in f"/{key}"


def test_a_build_with_no_cloudwatch_log_names_none() -> None:
    stored = after(a_build(logsConfig={"cloudWatchLogs": {"status": "DISABLED"}}), Status.SUCCEEDED)

    assert log_stream(stored) is None
    assert "deepLink" not in to_wire(stored)["logs"]


def test_a_build_about_to_stop_is_shown_stopped_to_whoever_stopped_it() -> None:
    asked = life.stopped(after(a_build(), Status.SUCCEEDED), LATER)

    assert stopped_to_wire(asked)["buildStatus"] == "STOPPED"
    assert to_wire(asked)["buildStatus"] == "IN_PROGRESS"


def test_retries_are_linked_by_arn() -> None:
    failed = after(a_build(autoRetryLimit=1), Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED)

    linked, again = life.linked(failed, project(), 8, LATER)

    assert to_wire(linked)["autoRetryConfig"]["nextAutoRetry"] == again.arn
    assert to_wire(again)["autoRetryConfig"]["previousAutoRetry"] == linked.arn


@given(INPUTS)
def test_a_pipelines_build_has_no_location_of_its_artifacts(given: dict[str, Any]) -> None:
    handed = Handed("p", HandedSource("arn:v", tree=Digest("a" * 64), resolved="c" * 40), outputs=("app",))
    changed = handed_over(created(given, NOW), {}, "arn:v")
    stored = life.started(OWNER, changed, (), handed.initiator, 1, NOW, handed=handed)
    made = {"identifier": "app", "location": "a" * 64, "digest": f"sha256:{'a' * 64}", "files": 1, "bytes": 1}

    shown = to_wire(replace(stored, facts={"artifacts": [made], "source": {"resolved": "c" * 40}}))

    assert_shape({"build": shown}, "StartBuild")
    assert (shown["artifacts"]["location"], shown["secondaryArtifacts"], shown["source"]["type"]) == (
        "", [], "CODEPIPELINE",
    )  # fmt: skip
    assert (shown["initiator"], shown["sourceVersion"], shown["resolvedSourceVersion"]) == (
        "codepipeline/p", "arn:v", "c" * 40,
    )  # fmt: skip
