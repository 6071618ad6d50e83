"""A secret that a build was given is in nothing that the server keeps or prints; another stops the build."""

import json
import uuid
from pathlib import Path

import pytest

from tests.service.servers import log_of
from tests.service_security.spying import Yard

pytestmark = pytest.mark.slow

_GET = "secretsmanager:GetSecretValue"


def _holding(what: str, *places: Path) -> list[Path]:
    """The files below that hold this text, in any of the ways in which JSON, UTF-16 or base64 would not hide it."""
    wanted = (what.encode(), what.encode("utf-16-le"), what[::-1].encode())
    files = (path for place in places for path in ([place] if place.is_file() else place.rglob("*")))
    return [path for path in files if path.is_file() and any(each in path.read_bytes() for each in wanted)]


def _kept(yard: Yard) -> tuple[Path, ...]:
    return yard.server.data, yard.server.main.output


def test_what_a_build_was_given_is_on_no_disk_afterwards_however_it_was_shown(yard: Yard) -> None:
    value, parameter = f"s3cr3t-{uuid.uuid4().hex}", f"p4r4m-{uuid.uuid4().hex}"
    name = f"/trace/{uuid.uuid4().hex}"
    yard.server.client("secretsmanager").create_secret(Name=name.lstrip("/"), SecretString=value)
    yard.server.client("ssm").put_parameter(Name=name, Value=parameter, Type="SecureString")
    role = yard.role({"Effect": "Allow", "Action": [_GET, "ssm:GetParameters", "ssm:GetParameter"], "Resource": "*"})
    env = {
        "secrets-manager": {"GIVEN": name.lstrip("/")}, "parameter-store": {"STORED": name},
        "exported-variables": ["GIVEN", "COPY"],
    }  # fmt: skip
    commands = [
        'export COPY="$GIVEN$STORED"', 'echo "it is $GIVEN and $STORED"', 'printf "%s\\n" "$GIVEN" >&2',
        'echo "$GIVEN" > made.txt && rm made.txt', '[ "${#GIVEN}" = 39 ]', "env | sort", "sh -c 'exit 3'",
    ]  # fmt: skip
    buildspec = {"version": 0.2, "env": env, "phases": {"build": {"commands": commands}}}
    build = yard.start("", role, source={"type": "NO_SOURCE", "buildspec": json.dumps(buildspec) + "\n"})

    ended = yard.server.wait(build)

    log = log_of(yard.server, build)
    assert ended["buildStatus"] == "FAILED"  # by the last command: the others went well
    assert "it is *** and ***" in log
    assert "exit status 3" in log
    assert {each["name"]: each["value"] for each in ended["exportedEnvironmentVariables"]} == {"COPY": "***"}
    for text in (value, parameter):
        assert text not in log
        assert text not in str(ended)
        assert _holding(text, *_kept(yard)) == []


def test_a_secret_that_the_role_may_not_read_fails_the_build_and_is_nowhere(yard: Yard) -> None:
    value, name = f"n0t-y0urs-{uuid.uuid4().hex}", f"others/{uuid.uuid4().hex}"
    yard.server.client("secretsmanager").create_secret(Name=name, SecretString=value)
    role = yard.role({"Effect": "Allow", "Action": _GET, "Resource": "arn:aws:secretsmanager:*:*:secret:mine/*"})

    build = yard.start("print('never')", role, env={"secrets-manager": {"GIVEN": name}})
    ended = yard.server.wait(build)

    contexts = [each for phase in ended["phases"] for each in phase.get("contexts", ())]
    assert ended["buildStatus"] == "FAILED"
    assert [each["statusCode"] for each in contexts if each["statusCode"]] == ["Decrypted Variables Error"]
    assert "AccessDenied" in str(contexts)
    assert value not in str(ended) + log_of(yard.server, build)
    assert _holding(value, *_kept(yard)) == []


def test_a_secret_is_on_disk_only_sealed_and_in_no_argument_of_any_process(yard: Yard) -> None:
    value, name = f"s34l3d-{uuid.uuid4().hex}", f"sealed/{uuid.uuid4().hex}"
    yard.server.client("secretsmanager").create_secret(Name=name, SecretString=value)
    role = yard.role({"Effect": "Allow", "Action": _GET, "Resource": "*"})
    build = yard.start(
        "import time; print('here', flush=True); time.sleep(30)", role, env={"secrets-manager": {"G": name}}
    )

    while "here" not in _log_so_far(yard, build):
        pass
    arguments = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if _readable(path)]
    while_it_runs = {path.name for path in _holding(value, *_kept(yard))}
    yard.server.client("codebuild").stop_build(id=build)
    yard.server.wait(build)

    assert not [each for each in arguments if value.encode() in each]
    # What the build itself reads, and what a server that comes back has to mask: both go with the build.
    assert while_it_runs <= {"environment.sh", "state.sh", "masks"} | _of_its_shell(while_it_runs)
    assert _holding(value, *_kept(yard)) == []


def _of_its_shell(names: set[str]) -> set[str]:
    """The state that a build's own shell keeps between commands, in its workspace."""
    return {name for name in names if name.startswith(("state", "env"))}


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except OSError:
        return False
    return True


def _log_so_far(yard: Yard, build: str) -> str:
    found = yard.server.client("codebuild").batch_get_builds(ids=[build])["builds"][0]
    assert not found["buildComplete"], log_of(yard.server, build)
    return log_of(yard.server, build) if found["currentPhase"] == "BUILD" else ""
