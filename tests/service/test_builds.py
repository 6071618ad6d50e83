"""What a server's builds do besides running: caches, logs to buckets, retries, queues, sources, artifacts, limits."""

import gzip
import io
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.service.servers import Server, allow, log_of, project, up
from tests.service.test_drive import executor

EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests here; builds that need 2 CPUs run one at a time on it."""
    with up(tmp_path_factory.mktemp("server"), cpus="2", memory="4", **executor()) as made:
        allow(made, "builds", EVERYTHING)
        yield made


ROLE = "arn:aws:iam::000000000000:role/builds"


def build(server: Server, name: str, **given: Any) -> dict[str, Any]:
    """Start one, and wait for its end."""
    id = server.client("codebuild").start_build(projectName=name, **given)["build"]["id"]
    return server.wait(id)


def commands(*lines: str) -> dict[str, Any]:
    return {"phases": {"build": {"commands": list(lines)}}}


def bucket(server: Server, name: str) -> str:
    server.client("s3").create_bucket(Bucket=name)
    return name


def test_a_cache_is_found_by_the_next_build_until_it_is_invalidated(server: Server) -> None:
    spec = {**commands("cat kept/it || true", "mkdir -p kept && echo $CODEBUILD_BUILD_NUMBER > kept/it"),
            "cache": {"paths": ["kept/**/*"]}}  # fmt: skip
    project(server, "caching", ROLE, spec, cache={"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"]})

    first, second = (log_of(server, build(server, "caching")["id"]).splitlines() for _ in range(2))
    server.client("codebuild").invalidate_project_cache(projectName="caching")
    third = log_of(server, build(server, "caching")["id"]).splitlines()

    assert "1" not in first
    assert "1" in second
    assert "2" not in third


def test_the_log_goes_to_a_bucket_too(server: Server) -> None:
    name = bucket(server, "logs-of-builds")
    project(
        server, "to-bucket", ROLE, commands("echo this is logged"),
        logsConfig={"s3Logs": {"status": "ENABLED", "location": f"{name}/logs"}},
    )  # fmt: skip

    ended = build(server, "to-bucket")

    bucket_name, _, key = ended["logs"]["s3LogsArn"].removeprefix("arn:aws:s3:::").partition("/")
    content = server.client("s3").get_object(Bucket=bucket_name, Key=key)["Body"].read()
    assert key == f"logs/{ended['id'].partition(':')[2]}.gz"
    assert "this is logged" in gzip.decompress(content).decode().splitlines()


def test_a_build_without_cloudwatch_logs_has_no_stream(server: Server) -> None:
    project(server, "silent", ROLE, commands("true"), logsConfig={"cloudWatchLogs": {"status": "DISABLED"}})

    ended = build(server, "silent")

    assert "groupName" not in ended["logs"]
    with pytest.raises(ClientError, match="The specified log group does not exist"):
        server.client("logs").get_log_events(
            logGroupName="/aws/codebuild/silent", logStreamName=ended["id"].partition(":")[2]
        )


def test_a_failed_build_is_tried_again_as_often_as_its_project_says(server: Server) -> None:
    project(server, "retrying", ROLE, commands("exit 1"), autoRetryLimit=2)

    first = build(server, "retrying")
    codebuild = server.client("codebuild")
    chain = [first]
    while following := chain[-1]["autoRetryConfig"].get("nextAutoRetry"):
        chain.append(server.wait(following))

    assert [each["buildStatus"] for each in chain] == ["FAILED"] * 3
    assert [each["autoRetryConfig"]["autoRetryNumber"] for each in chain] == [0, 1, 2]
    assert chain[1]["autoRetryConfig"]["previousAutoRetry"] == chain[0]["arn"]
    assert len(codebuild.list_builds_for_project(projectName="retrying")["ids"]) == 3


def test_builds_beyond_the_capacity_wait_in_order_and_say_so(server: Server) -> None:
    project(server, "queueing", ROLE, commands("sleep 1.5"))
    codebuild = server.client("codebuild")

    ids = [codebuild.start_build(projectName="queueing")["build"]["id"] for _ in range(3)]
    time.sleep(1.0)
    found = {each["id"]: each for each in codebuild.batch_get_builds(ids=ids)["builds"]}
    waiting = [found[id]["phases"][-1] for id in ids[1:]]
    ended = [server.wait(id) for id in ids]

    assert [each["phaseType"] for each in waiting] == ["QUEUED", "QUEUED"]
    assert all(each["contexts"][0]["statusCode"] == "QUEUED" for each in waiting)
    assert "1" in waiting[0]["contexts"][0]["message"]
    ends = [each["endTime"] for each in ended]
    assert ends == sorted(ends)


def test_a_build_that_waits_can_be_stopped(server: Server) -> None:
    project(server, "stopping", ROLE, commands("sleep 20"))
    codebuild = server.client("codebuild")
    running, waiting = (codebuild.start_build(projectName="stopping")["build"]["id"] for _ in range(2))

    codebuild.stop_build(id=waiting)
    ended = server.wait(waiting)
    codebuild.stop_build(id=running)
    server.wait(running)

    assert [(phase["phaseType"], phase.get("phaseStatus")) for phase in ended["phases"]] == [
        ("SUBMITTED", "SUCCEEDED"),
        ("QUEUED", "STOPPED"),
        ("COMPLETED", None),
    ]


def test_a_source_in_a_bucket_and_artifacts_in_another(server: Server) -> None:
    source, made = bucket(server, "source-of-app"), bucket(server, "made-of-app")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("buildspec.yml", json.dumps({
            "version": 0.2, **commands("mkdir -p out/deep && cp *.txt out/ && echo x > out/deep/x"),
            "artifacts": {"files": ["**/*"], "base-directory": "out",
                          "secondary-artifacts": {"more": {"files": ["deep/*"], "base-directory": "out"}}},
        }))  # fmt: skip
        archive.writestr("a.txt", "a")
    server.client("s3").put_object(Bucket=source, Key="app.zip", Body=content.getvalue())
    project(
        server, "app", ROLE, {}, source={"type": "S3", "location": f"{source}/app.zip"},
        artifacts={"type": "S3", "location": made, "path": "p", "namespaceType": "BUILD_ID", "name": "folder"},
        secondaryArtifacts=[{"type": "S3", "location": made, "name": "more.zip", "packaging": "ZIP",
                             "artifactIdentifier": "more"}],
    )  # fmt: skip

    ended = build(server, "app")

    run = ended["id"].partition(":")[2]
    keys = [each["Key"] for each in server.client("s3").list_objects_v2(Bucket=made)["Contents"]]
    assert ended["buildStatus"] == "SUCCEEDED"
    assert sorted(keys) == sorted([f"p/{run}/folder/a.txt", f"p/{run}/folder/deep/x", "more.zip"])
    assert ended["artifacts"]["location"] == f"arn:aws:s3:::{made}/p/{run}/folder"
    secondary = ended["secondaryArtifacts"][0]
    zip_ = server.client("s3").get_object(Bucket=made, Key="more.zip")["Body"].read()
    assert (secondary["artifactIdentifier"], len(secondary["sha256sum"])) == ("more", 64)
    assert zipfile.ZipFile(io.BytesIO(zip_)).namelist() == ["deep/x"]


def test_what_a_role_may_not_read_or_write_fails_the_build(server: Server) -> None:
    bucket(server, "forbidden")
    server.client("s3").put_object(Bucket="forbidden", Key="app.zip", Body=b"")
    role = allow(server, "may-little", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
    project(server, "reads", role, {}, source={"type": "S3", "location": "forbidden/app.zip"})
    project(
        server, "writes", role, {**commands("echo x > x"), "artifacts": {"files": ["x"]}},
        artifacts={"type": "S3", "location": "forbidden", "name": "x"},
    )  # fmt: skip

    reads, writes = build(server, "reads"), build(server, "writes")

    failed = {
        phase["phaseType"]: phase["contexts"][0]["message"]
        for ended in (reads, writes)
        for phase in ended["phases"]
        if phase.get("phaseStatus") == "FAILED"
    }
    assert "AccessDenied" in failed["DOWNLOAD_SOURCE"]
    assert "AccessDenied" in failed["UPLOAD_ARTIFACTS"]


def test_variables_of_the_call_go_before_those_of_the_project_and_secrets_are_hidden(server: Server) -> None:
    server.client("ssm").put_parameter(Name="/app/token", Value="par4meter-value", Type="SecureString")
    spec = {"env": {"variables": {"A": "buildspec", "B": "buildspec", "C": "buildspec"},
                    "parameter-store": {"TOKEN": "/app/token"}},
            **commands('echo "$A $B $C"', 'echo "token: $TOKEN"')}  # fmt: skip
    environment = {
        "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": [{"name": "A", "value": "project"}, {"name": "B", "value": "project"}],
    }  # fmt: skip
    project(server, "variables", ROLE, spec, environment=environment)

    ended = build(server, "variables", environmentVariablesOverride=[{"name": "A", "value": "start"}])

    lines = log_of(server, ended["id"]).splitlines()
    assert "start project buildspec" in lines
    assert "token: ***" in lines


def test_privileged_builds_are_refused_until_they_are_allowed(server: Server) -> None:
    environment = {
        "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
        "privilegedMode": True,
    }  # fmt: skip
    project(server, "privileged", ROLE, commands("true"), environment=environment)

    ended = build(server, "privileged")

    (failed,) = [phase for phase in ended["phases"] if phase.get("phaseStatus") == "FAILED"]
    assert failed["phaseType"] == "PROVISIONING"
    assert "does not allow" in failed["contexts"][0]["message"]


def test_a_source_on_the_servers_own_disk_is_refused(server: Server, tmp_path: Path) -> None:
    project(
        server, "disk", ROLE, {},
        source={"type": "GITHUB_ENTERPRISE", "location": f"file://{tmp_path}", "buildspec": "version: 0.2\nphases: {}"},
    )  # fmt: skip

    ended = build(server, "disk")

    (failed,) = [phase for phase in ended["phases"] if phase.get("phaseStatus") == "FAILED"]
    assert failed["phaseType"] == "DOWNLOAD_SOURCE"
    assert "local_sources" in failed["contexts"][0]["message"]
