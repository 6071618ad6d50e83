"""What is said of a job, and to whom."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from botocore.validate import validate_parameters
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import policy
from codeyard.aws.policy import Asked, Kind, Outcome
from codeyard.pipelines import job_data, jobs
from codeyard.pipelines.action_types import ActionTypeSpec, Property
from codeyard.pipelines.job_data import About, Credentials, Location
from codeyard.pipelines.jobs import Doer, Job
from codeyard.pipelines.model import ActionType
from tests.pipelines.works import EXECUTION, NOON, ROLE, RUN, a_tree, action, bench_at

BUILD = ActionType("Build", "Custom", "Jenkins")
JOB = jobs.made(Job("j", RUN, 0, Doer.WORKER, BUILD, NOON, NOON + timedelta(hours=1)))
KEYS = Credentials("ASIA", "shh", "token")
TEXT = st.text(max_size=5)
LOCATIONS = st.lists(st.builds(Location, TEXT, TEXT, TEXT, st.none() | TEXT), max_size=3).map(tuple)
ABOUTS = st.builds(
    About,
    *[TEXT] * 7,
    configuration=st.dictionaries(TEXT, TEXT, max_size=3),
    secrets=st.lists(TEXT, max_size=2).map(tuple),
    inputs=LOCATIONS,
    outputs=LOCATIONS,
    encryption_key=st.none() | TEXT,
)


def shown(tmp_path: Path, configuration: dict[str, str], key: str | None = None) -> About:
    declared = action("Build/Custom/Jenkins/1", configuration, inputs=["In"], outputs=["Out"])
    bench = bench_at(tmp_path, declared, [replace(a_tree(tmp_path, "In", {}), revision="r1")])
    return job_data.about(bench, bench.inputs, {"Password"}, key)


@given(ABOUTS)
def test_what_is_stored_comes_back(about: About) -> None:
    assert job_data.from_json(json.loads(json.dumps(job_data.to_json(about)))) == about


def test_a_worker_is_told_everything_and_what_is_stored_lacks_the_secrets(tmp_path: Path) -> None:
    about = shown(tmp_path, {"Project": "p", "Password": "hunter2"}, "alias/k")
    job = replace(JOB, continuation="build-17")
    told = job_data.data(job, about, {"Password": "hunter2", "Other": "x"}, KEYS)

    assert "hunter2" not in json.dumps(job_data.to_json(about)) + repr(about)
    assert told["actionConfiguration"] == {"configuration": {"Project": "p", "Password": "hunter2"}}
    assert told["pipelineContext"] == {
        "pipelineName": "Pipeline",
        "stage": {"name": "Stage"},
        "action": {"name": "Act", "actionExecutionId": RUN},
        "pipelineArn": "arn:aws:codepipeline:us-east-1:111122223333:Pipeline",
        "pipelineExecutionId": EXECUTION,
    }
    assert told["inputArtifacts"] == [
        {
            "name": "In",
            "revision": "r1",
            "location": {"type": "S3", "s3Location": {"bucketName": "artifacts", "objectKey": "Pipeline/In/abcdefg"}},
        }
    ]
    assert [each["location"]["s3Location"]["objectKey"] for each in told["outputArtifacts"]] == ["Pipeline/Out/1111111"]
    assert told["artifactCredentials"] == {"accessKeyId": "ASIA", "secretAccessKey": "shh", "sessionToken": "token"}
    assert (told["continuationToken"], told["encryptionKey"]) == ("build-17", {"id": "alias/k", "type": "KMS"})


def test_it_is_the_shape_of_the_model(tmp_path: Path) -> None:
    model = get_session().get_service_model("codepipeline")
    told = job_data.data(JOB, shown(tmp_path, {"Project": "p"}), {}, KEYS)
    told["inputArtifacts"][0]["revision"] = "r"
    told["outputArtifacts"][0].pop("revision")

    validate_parameters(told, model.shape_for("JobData"))


def test_a_function_is_told_less(tmp_path: Path) -> None:
    event: dict[str, Any] = job_data.event(JOB, shown(tmp_path, {"FunctionName": "f"}), None)["CodePipeline.job"]

    assert (event["id"], event["accountId"]) == ("j", "111122223333")
    assert event["data"].keys() == {"actionConfiguration", "inputArtifacts", "outputArtifacts"}
    assert event["data"]["actionConfiguration"] == {"configuration": {"FunctionName": "f"}}


@pytest.mark.parametrize(
    ("do", "on", "outcome"),
    [
        ("s3:GetObject", "arn:aws:s3:::b/in", Outcome.ALLOWED),
        ("s3:PutObject", "arn:aws:s3:::b/out", Outcome.ALLOWED),
        ("s3:PutObject", "arn:aws:s3:::b/in", Outcome.IMPLICIT_DENY),
        ("s3:GetObject", "arn:aws:s3:::b/other", Outcome.IMPLICIT_DENY),
        ("sts:AssumeRole", ROLE, Outcome.IMPLICIT_DENY),
    ],
)
def test_a_jobs_credentials_reach_its_artifacts_alone(do: str, on: str, outcome: Outcome) -> None:
    text = job_data.session_policy(["arn:aws:s3:::b/in"], ["arn:aws:s3:::b/out"])
    parsed = policy.parse(text, Kind.IDENTITY, "session")

    assert policy.evaluate([parsed], Asked(do, on, policy.context({}))).outcome is outcome


def test_without_artifacts_they_reach_nothing() -> None:
    parsed = policy.parse(job_data.session_policy([], []), Kind.IDENTITY, "session")

    assert not policy.evaluate([parsed], Asked("s3:GetObject", "arn:aws:s3:::b/x", policy.context({}))).allowed


def test_jobs_are_asked_for_by_the_queryable_key() -> None:
    asked = ActionTypeSpec(BUILD, (Property("Project", required=True, queryable=True), Property("Other")))

    assert job_data.queue(asked, {"Project": "p", "Other": "o"}) == "Project=p"
    assert job_data.queue(ActionTypeSpec(BUILD, (Property("Other"),)), {"Other": "o"}) == ""
