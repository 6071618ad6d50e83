"""The commands for pipelines against a server that runs, with pipelines that only ask."""

import io
import json
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service.servers import Server, up
from tests.service.test_commands import COMMAND, environment, ran

pytestmark = pytest.mark.slow
SERVICE = {"Service": "codepipeline.amazonaws.com"}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": SERVICE, "Action": "sts:AssumeRole"}]}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with up(tmp_path_factory.mktemp("server"), executor="process", unsafe_process="true") as made:
        iam, s3 = made.client("iam"), made.client("s3")
        iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="pipeline", PolicyName="s3", PolicyDocument=json.dumps(POLICY))
        s3.create_bucket(Bucket="artifacts")
        s3.put_object(Bucket="artifacts", Key="in/app.zip", Body=zipped({"README": "read", "bin/run": "#!/bin/sh"}))
        yield made


def zipped(files: dict[str, str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return target.getvalue()


def definition(name: str, *approvals: str, mode: str = "QUEUED") -> dict[str, Any]:
    """A source, and a stage for each of these approvals."""
    source = {
        "name": "Get", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "artifacts", "S3ObjectKey": "in/app.zip", "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": "App"}],
    }  # fmt: skip
    kind = {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}
    return {
        "name": name, "roleArn": "arn:aws:iam::000000000000:role/pipeline", "pipelineType": "V2",
        "executionMode": mode, "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]},
                   *({"name": each, "actions": [{"name": "Ask", "actionTypeId": kind}]} for each in approvals)],
    }  # fmt: skip


def created(server: Server, tmp_path: Path, name: str, *approvals: str, mode: str = "QUEUED") -> None:
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps({"pipeline": definition(name, *approvals, mode=mode)}))
    assert ran(server, "pipeline", "create", str(file)).returncode == 0


def asked(server: Server, *arguments: str, code: int = 0) -> str:
    """What a command prints, and says if it fails."""
    done = ran(server, "pipeline", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_pipeline_is_made_followed_approved_and_fetched(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "shop", "Staging", "Live")
    until(lambda: "waits for approval" in asked(server, "status", "shop"))
    follower = subprocess.Popen([*COMMAND, "pipeline", "status", "-f", "shop", "--json"], env=environment(server),
                                stdout=subprocess.PIPE, text=True)  # fmt: skip
    asked(server, "approve", "shop", "--summary", "fine")
    until(lambda: "Live" in ran(server, "pipeline", "approve", "shop").stdout)
    events = [json.loads(line) for line in follower.communicate(timeout=30)[0].splitlines()]
    id = events[0]["execution"]
    listed = ran(server, "artifacts", "shop", id[:8], "--to", str(tmp_path / "out"))

    assert (follower.returncode, events[-1]["event"], events[-1]["status"]) == (0, "execution", "Succeeded")
    assert {each["stage"] for each in events if each.get("status") == "Succeeded" and "stage" in each} >= {
        "Source", "Staging", "Live",
    }  # fmt: skip
    assert listed.stdout.split()[:2] == ["App", "Source/Get"]
    assert (tmp_path / "out" / "App" / "bin" / "run").read_text() == "#!/bin/sh"
    assert "Succeeded" in ran(server, "pipelines").stdout


def test_what_is_shown_can_be_given_back_as_yaml_too(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "again", "Staging")
    for option in ([], ["--yaml"]):
        file = tmp_path / "shown"
        file.write_text(asked(server, "show", "again", *option))
        asked(server, "update", str(file))

    assert "version 4" in asked(server, "update", str(file))
    assert "Deleted" in asked(server, "delete", "again")
    assert "PipelineNotFoundException" in asked(server, "show", "again", code=2)


def test_a_definition_that_is_wrong_is_refused_with_awss_error(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps({**definition("wrong"), "stages": definition("wrong")["stages"][:1]}))

    said = asked(server, "create", str(file), code=2)

    assert "InvalidStructureException" in said
    assert "fix: " in said


def test_a_rejection_fails_the_stage_which_is_retried_and_stopped(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "site", "Staging")
    until(lambda: "waits for approval" in asked(server, "status", "site"))
    asked(server, "reject", "site", "--summary", "The basket is green")
    failed = asked(server, "status", "-f", "site", code=1)
    asked(server, "retry", "site", "Staging")
    until(lambda: "waits for approval" in asked(server, "status", "site"))
    asked(server, "stop", "site", "--abandon", "--reason", "enough")

    assert "The basket is green" in failed
    assert "Stopped" in asked(server, "status", "-f", "site", code=1)


def test_a_transition_that_is_disabled_is_shown_with_its_reason_and_enabled(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "gate", "Staging", "Live")
    asked(server, "disable", "gate", "Live", "--reason", "freeze until Monday")
    until(lambda: "waits for approval" in asked(server, "status", "gate"))
    asked(server, "approve", "gate", "Staging")
    until(lambda: "waits: the transition is disabled" in (said := asked(server, "status", "gate")) and "freeze" in said)
    asked(server, "enable", "gate", "Live")

    until(lambda: "waits for approval" in asked(server, "status", "gate"))


def test_a_stage_goes_back_to_what_succeeded_there_before(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "back", "Live")
    ids = []
    for number in range(2):
        if number:
            asked(server, "start", "back")
        until(lambda: ran(server, "pipeline", "approve", "back").returncode == 0)
        asked(server, "status", "-f", "back")
        ids.append(json.loads(asked(server, "executions", "back", "--json").splitlines()[0])["pipelineExecutionId"])

    back = asked(server, "rollback", "back", "Live")
    asked(server, "approve", "back")

    assert f"Going back to {ids[0]}." in back
    assert "Succeeded" in asked(server, "status", "-f", "back")
    assert "no earlier execution succeeded there" in asked(server, "rollback", "back", "Live", code=2)


def test_a_condition_that_failed_is_overridden(server: Server, tmp_path: Path) -> None:
    asks = {"Variable": "#{codepipeline.PipelineExecutionId}", "Operator": "EQ", "Value": "none"}
    kind = {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"}
    rule = {"name": "Never", "configuration": asks, "ruleTypeId": kind}
    guarded = definition("guarded", "Live")
    guarded["stages"][1]["beforeEntry"] = {"conditions": [{"result": "FAIL", "rules": [rule]}]}
    file = tmp_path / "guarded.json"
    file.write_text(json.dumps(guarded))
    asked(server, "create", str(file))
    failed = asked(server, "status", "-f", "guarded", code=1)
    asked(server, "override", "guarded", "Live")
    until(lambda: "waits for approval" in asked(server, "status", "guarded"))

    assert "Never" in failed
    assert "no condition is seen there" in asked(server, "override", "guarded", "Live", code=2)
    assert "ConditionNotOverridable" in asked(server, "override", "guarded", "Live", "--type", "on_success", code=2)


def test_executions_of_parallel_mode_are_shown_and_approved_one_by_one(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "many", "Live", mode="PARALLEL")
    second = asked(server, "start", "many").strip()
    until(lambda: "2 approvals wait" in ran(server, "pipeline", "approve", "many").stderr)
    asked(server, "approve", "many", "--execution", second[:8])

    assert "Succeeded" in asked(server, "status", "many", second, "-f")
    assert second not in asked(server, "approve", "many")


def test_who_leaves_leaves_the_execution_running(server: Server, tmp_path: Path) -> None:
    created(server, tmp_path, "left", "Live")
    follower = subprocess.Popen([*COMMAND, "pipeline", "status", "-f", "left"], env=environment(server),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    said = follower.communicate(timeout=30)[1]

    assert (follower.returncode, "the execution goes on" in said) == (130, True)
    assert "InProgress" in asked(server, "executions", "left")
