"""What a build's own credentials are, what they allow, and how long they last; and that nobody else's can be had."""

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.service.servers import log_of
from tests.service_security.spying import Yard, told

pytestmark = pytest.mark.slow

_GET = "secretsmanager:GetSecretValue"


def _secret(yard: Yard, value: str) -> str:
    made = yard.server.client("secretsmanager").create_secret(Name=f"spy/{uuid.uuid4().hex}", SecretString=value)
    return str(made["ARN"])


def _fetch(yard: Yard, path: str, token: str) -> int:
    request = urllib.request.Request(yard.server.url + path, headers={"Authorization": token})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _session(yard: Yard, keys: dict[str, str], service: str) -> Any:
    return boto3.client(
        service, endpoint_url=yard.server.url, region_name="us-east-1", aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["Token"],
    )  # fmt: skip


@contextmanager
def _waiting(yard: Yard, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A build that has told its token and its credentials, in a way that nobody masks, and waits to be stopped."""
    build = yard.start(
        """
        import time
        token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
        tell("token", [token[:20], token[20:40], token[40:]])
        keys = credentials()[1]
        tell("keys", keys | {"AccessKeyId": keys["AccessKeyId"][::-1]})
        time.sleep(60)
    """,
        role,
    )
    try:
        seen: dict[str, Any] = {}
        while "keys" not in seen:
            seen = told(log_of(yard.server, build)) if _runs(yard, build) else {}
        seen["keys"]["AccessKeyId"] = seen["keys"]["AccessKeyId"][::-1]
        yield build, {**seen, "token": "".join(seen["token"])}
    finally:
        yard.server.client("codebuild").stop_build(id=build)


def _runs(yard: Yard, build: str) -> bool:
    found = yard.server.client("codebuild").batch_get_builds(ids=[build])["builds"][0]
    assert not found["buildComplete"], log_of(yard.server, build)
    return bool(found["currentPhase"] == "BUILD")


def test_a_secret_is_read_inside_where_the_role_allows_it_and_denied_where_not(yard: Yard) -> None:
    mine, other = _secret(yard, "mine-is-8231"), _secret(yard, "others-is-5520")
    role = yard.role({"Effect": "Allow", "Action": _GET, "Resource": mine})

    found = yard.run(
        f"""
        status, keys = credentials()
        tell("status", status)
        status, answer = ask("secretsmanager", "secretsmanager.GetSecretValue", {{"SecretId": {mine!r}}}, keys)
        tell("mine", [status, answer.get("SecretString", "")[::-1]])
        tell("others", code(ask("secretsmanager", "secretsmanager.GetSecretValue", {{"SecretId": {other!r}}}, keys)))
        tell("stored", code(ask("ssm", "AmazonSSM.GetParameter", {{"Name": "/x"}}, keys)))
        tell("projects", code(ask("codebuild", "CodeBuild_20161006.ListProjects", {{}}, keys)))
        tell("logs", code(ask("logs", "Logs_20140328.DescribeLogGroups", {{}}, keys)))
    """,
        role,
    )

    assert found["status"] == 200
    assert found["mine"] == [200, "mine-is-8231"[::-1]]
    denied = {name: found[name] for name in ("others", "stored", "projects", "logs")}
    assert denied == dict.fromkeys(denied, "400 AccessDeniedException")


def test_the_token_is_masked_in_the_log(yard: Yard) -> None:
    build = yard.start("print('token', os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN'], 'end')", yard.role())

    yard.server.wait(build)

    assert "token *** end" in log_of(yard.server, build)


def test_without_its_own_token_nobody_gets_a_builds_credentials(yard: Yard) -> None:
    role = yard.role()
    with _waiting(yard, role) as (build, other):
        run = build.partition(":")[2]

        found = yard.run(
            f"""
            base = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"].rpartition("/")[0]
            mine = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]
            own = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"].rpartition("/")[2]
            uris = [f"{{base}}/{run}", f"{{base}}/{run}/", f"{{base}}/../container-credentials/{run}",
                    f"{{base}}/{{own}}/../{run}", f"{{base}}/{{own}}%2f..%2f{run}", f"{{base}}//{run}",
                    f"{{base}}/{run}?x=/{{own}}", f"{{base}}/{{own}}%00{run}", f"{{base}}/{run.upper()}"]
            tell("answers", [credentials(uri, token)[0] for uri in uris for token in (mine, "", "Bearer " + mine)])
            tell("none", credentials(base + "/", "")[0])
            tell("own", credentials()[0])
        """,
            role,
        )
        token = other["token"]
        guessed = {_fetch(yard, f"/container-credentials/{run}", wrong) for wrong in ("", "x", token[:-1], token + "0")}

        assert set(found["answers"]) <= {401}
        assert (found["none"], found["own"]) == (401, 200)
        assert guessed == {401}
        assert _fetch(yard, f"/container-credentials/{run}", token) == 200


def test_after_its_end_a_builds_token_is_worth_nothing_and_its_session_an_hour_at_the_most(yard: Yard) -> None:
    began = datetime.now(UTC)
    with _waiting(yard, yard.role()) as (build, seen):
        run, keys = build.partition(":")[2], seen["keys"]
    yard.server.wait(build)

    assert _fetch(yard, f"/container-credentials/{run}", seen["token"]) in (401, 404)
    assert datetime.fromisoformat(keys["Expiration"]) <= datetime.now(UTC) + timedelta(hours=1)
    assert datetime.fromisoformat(keys["Expiration"]) <= began + timedelta(hours=1, minutes=2)


def test_with_its_role_deleted_a_session_can_do_nothing_even_if_there_is_one_of_its_name_again(yard: Yard) -> None:
    role = yard.role({"Effect": "Allow", "Action": "*", "Resource": "*"})
    name = role.rpartition("/")[2]
    iam = yard.server.client("iam")
    with _waiting(yard, role) as (_, seen):
        sts = _session(yard, seen["keys"], "sts")
        before = sts.get_caller_identity()["Arn"]
        trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        iam.delete_role_policy(RoleName=name, PolicyName="builds")
        iam.delete_role(RoleName=name)
        with pytest.raises(ClientError) as gone:
            sts.get_caller_identity()
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        with pytest.raises(ClientError) as again:
            sts.get_caller_identity()

    assert f"assumed-role/{name}/AWSCodeBuild-" in before
    assert gone.value.response["Error"]["Code"] == again.value.response["Error"]["Code"] == "InvalidClientTokenId"


def test_no_service_session_becomes_more_than_its_role(yard: Yard) -> None:
    powerful = yard.role({"Effect": "Allow", "Action": "*", "Resource": "*"})
    allowed = {"Effect": "Allow", "Action": ["sts:*", "iam:*AccessKey*"], "Resource": "*"}

    with _waiting(yard, yard.role(allowed)) as (_, seen):
        sts, iam = _session(yard, seen["keys"], "sts"), _session(yard, seen["keys"], "iam")
        attempts: tuple[Callable[[], object], ...] = (
            lambda: sts.assume_role(RoleArn=powerful, RoleSessionName="more"),
            lambda: sts.get_session_token(),
            lambda: iam.create_access_key(),
            lambda: iam.create_access_key(UserName="root"),
            lambda: iam.list_access_keys(),
            lambda: iam.put_role_policy(RoleName=powerful.rpartition("/")[2], PolicyName="x", PolicyDocument="{}"),
        )
        for attempt in attempts:
            with pytest.raises(ClientError) as refused:
                attempt()
            # A role has no keys of the account's root, whatever it is allowed.
            assert refused.value.response["Error"]["Code"] in ("AccessDenied", "ValidationError")


def test_the_doors_for_machines_are_shut_to_builds(yard: Yard) -> None:
    role = yard.role()
    other = yard.start("print('a line of another build')", role)
    yard.server.wait(other)

    found = yard.run(
        f"""
        base, run = os.environ["AWS_ENDPOINT_URL"], {other.partition(":")[2]!r}
        tokens = ["", "Bearer ", "Bearer " + os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"], "Bearer null"]
        paths = [f"/internal/logs/lines/{{run}}?part=log&offset=0&length=1000",
                 f"/internal/logs/lines/{{run}}?part=state", "/internal/logs/lines/../../keys/root",
                 f"/internal/logs/records/{{run}}?part=log&length=100"]
        tell("logs", [http(base + path, headers={{"Authorization": token}})[0] for path in paths for token in tokens])
        status, text = http(base + "/metrics")
        tell("metrics", [status, run in text.decode(), "spy-" in text.decode(), "arn:" in text.decode()])
        status, text = http(base + "/console")
        tell("console", [status, "line of another" in text.decode(errors="replace")])
    """,
        role,
    )

    assert set(found["logs"]) == {401}
    assert found["metrics"] == [200, False, False, False]  # counts, and no names
    assert found["console"][1] is False
