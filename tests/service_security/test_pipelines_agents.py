"""Machines that are deployed to, and who only says that he is one: tokens, secrets, others' artifacts, and reports."""

import base64
import hashlib
import hmac
import http.client
import json
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.service.agents import enrolment_token
from tests.service.servers import up
from tests.service.test_drive import executor
from tests.service.yard import Yard, action, until

pytestmark = pytest.mark.slow
SECRET = "only-for-the-machine-of-web"


@dataclass
class Rogue:
    """An agent that says what it wants."""

    yard: Yard
    shown: str = ""

    @classmethod
    def enrolled(cls, yard: Yard, name: str, token: str) -> "Rogue":
        secret = secrets.token_hex(32)
        told = {"token": token, "name": name, "tags": {}, "secret": hashlib.sha256(secret.encode()).hexdigest()}
        status, answer = cls(yard).ask("POST", "register", told)
        assert status == 200, answer
        return cls(yard, f"{answer['id']}.{secret}")

    def ask(self, method: str, path: str, told: Any = None) -> tuple[int, Any]:
        status, body = self.raw(method, path, None if told is None else json.dumps(told).encode())
        return status, json.loads(body) if body.startswith(b"{") else body

    def raw(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.yard.server.url).netloc, timeout=30)
        try:
            connection.request(method, f"/agents/{path}", body, {"Authorization": f"Bearer {self.shown}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def assigned(self) -> list[dict[str, Any]]:
        status, answer = self.ask("POST", "poll", {"known": {}, "wait": 1})
        assert status == 200, answer
        return [each["assignment"] for each in answer["assignments"]]


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    with up(tmp_path_factory.mktemp("agents"), **executor()) as server:
        yield Yard.of(server)


@pytest.fixture(scope="module")
def token(yard: Yard) -> str:
    return enrolment_token(yard.server, role="web")


@pytest.fixture(scope="module")
def web(yard: Yard, token: str) -> Rogue:
    return Rogue.enrolled(yard, "web-1", token)


def release(yard: Yard, tag: str = "role=web") -> tuple[str, str]:
    """The name of a pipeline that releases to machines of the tag, and its execution."""
    name = yard.name("release")
    given = {"Targets": tag, "Path": "/srv/live", "HealthCheckSeconds": "0"}
    stage = [action("Deploy/Custom/Codeyard-Release", "Release", given, into=("Source",))]
    return name, yard.create(name, [yard.put(name, {"file": SECRET + name})], stage)


# ── enrolment ──


def test_no_token_is_made_changed_or_used_for_other_tags(yard: Yard, token: str) -> None:
    text, signature = token.removeprefix("codeyard1.").split(".")
    said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    more = base64.urlsafe_b64encode(json.dumps({**said, "tags": {"role": "db"}}).encode()).rstrip(b"=").decode()
    own = base64.urlsafe_b64encode(hmac.digest(b"", more.encode(), "sha256")).rstrip(b"=").decode()
    forged = [
        "", "codeyard1.", "codeyard1..", f"codeyard1.{more}.{signature}", f"codeyard1.{more}.{own}", token[:-4],
        f"{token}.x", token.upper(), "é" * 50, "\ud800", "codeyard1." + "a" * 9000, token.replace("codeyard1", "x"),
    ]  # fmt: skip
    asked = {"name": "m", "tags": {}, "secret": "0" * 64}

    answers = [Rogue(yard).ask("POST", "register", {**asked, "token": each})[0] for each in forged]
    odd: list[dict[str, Any]] = [
        {"tags": {"role": "db"}}, {"tags": {"role": "web", "more": "x"}}, {"tags": {"": ""}}, {"tags": []},
        {"name": "../x"}, {"name": "a\nb"}, {"name": ""}, {"name": "x" * 101}, {"secret": "0"}, {"secret": None},
        {"tags": {"a\x1b[31m": "b"}},
    ]  # fmt: skip
    others = [Rogue(yard).ask("POST", "register", {**asked, "token": token, **each})[0] for each in odd]

    assert set(answers) == {403}
    assert set(others) <= {400, 403}
    assert "m" not in yard.server.client("codedeploy").list_on_premises_instances()["instanceNames"]


def test_no_name_is_taken_over_by_another_secret(yard: Yard, web: Rogue, token: str) -> None:
    asked = {"token": token, "name": "web-1", "tags": {}, "secret": "1" * 64}

    assert Rogue(yard).ask("POST", "register", asked)[0] == 409
    assert web.assigned() == []


def test_who_shows_nothing_of_ours_is_told_nothing(yard: Yard, web: Rogue) -> None:
    id, _, secret = web.shown.partition(".")
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    shown = [
        "", id, f"{id}.", f".{secret}", f"{id}.{secret[:-1]}", f"{id}.{secret}x", f"{id}.{'0' * 64}", f"{id}.{hashed}",
        f"{id.upper()}x.{secret}", "%", "x" * 5000,
    ]  # fmt: skip
    paths = [
        ("POST", "poll"), ("POST", "reports"), ("GET", "deployments/d-ABCDEFGHI/manifest"), ("GET", ""),
        ("GET", "../metrics"), ("GET", "..%2f..%2fkeys/root"), ("DELETE", "register"), ("POST", "x" * 3000),
    ]  # fmt: skip

    answers = {Rogue(yard, each).ask(*path, {"known": {}})[0] for each in shown for path in paths}

    assert answers == {401}


def test_a_machine_that_was_removed_is_let_in_no_more(yard: Yard, token: str) -> None:
    gone = Rogue.enrolled(yard, "gone-1", token)

    yard.server.client("codedeploy").deregister_on_premises_instance(instanceName="gone-1")

    assert gone.ask("POST", "poll", {"known": {}, "wait": 0})[0] == 401
    assert Rogue(yard, gone.shown.partition(".")[0] + ".").ask("POST", "poll", {"known": {}})[0] == 401


# ── what is for another ──


def test_nothing_that_is_for_another_machine_is_given(yard: Yard, web: Rogue) -> None:
    db = Rogue.enrolled(yard, "db-1", enrolment_token(yard.server, role="db"))
    name, _ = release(yard)
    work = until(web.assigned, "the machine has work")[0]
    id = work["deployment"]
    manifest = web.raw("GET", f"deployments/{id}/manifest", None)[1]
    digest = hashlib.sha256((SECRET + name).encode()).hexdigest()
    event = {"name": "Verify", "status": "Succeeded", "errorCode": "", "script": "", "message": "", "logTail": ""}
    own = web.raw("POST", f"deployments/{id}/blobs", json.dumps({"digests": [digest]}).encode())

    answers = [
        db.ask("GET", f"deployments/{id}/manifest")[0],
        db.ask("POST", f"deployments/{id}/blobs", {"digests": [digest]})[0],
        web.ask("POST", f"deployments/{id}/blobs", {"digests": ["0" * 64]})[0],
        web.ask("POST", f"deployments/{id}/blobs", {"digests": ["../../keys/root"]})[0],
        web.ask("POST", f"deployments/{id}/blobs", {"digests": [digest] * 1001})[0],
    ]
    done = {"succeeded": True, "message": ""}
    db.ask("POST", "reports", {"reports": [{"deployment": id, "event": event}, {"deployment": id, "done": done}]})

    assert db.assigned() == []
    assert digest.encode() in manifest
    assert (SECRET + name).encode() in own[1]
    assert set(answers) <= {400, 403}
    assert [each["deployment"] for each in web.assigned()] == [id]
    _finish(web, id)


# ── reports ──


def test_no_report_breaks_anything(yard: Yard, web: Rogue) -> None:
    name, execution = release(yard)
    id = until(web.assigned, "the machine has work")[0]["deployment"]
    event = {"name": "Verify", "status": "Failed", "errorCode": "ScriptFailed", "script": "", "message": "",
             "logTail": "", "started": 1, "ended": 2}  # fmt: skip
    odd = "<script>alert(1)</script>\x1b]0;owned\x07\0\ud800\udfff\ud800 é\r\n"
    bodies = [
        b"", b"[]", b"{", b"[" * 100_000, b'{"reports":' + b"9" * 5000 + b"}", b'{"reports":[1]}', b"\xff",
        b'{"reports":[{"deployment":"d-ABCDEFGHI","done":{"succeeded":1,"message":""}}]}', b" " * (2 << 20),
        json.dumps({"reports": [{"deployment": id, "event": {**event, "started": 1e300}}]}).encode(),
        json.dumps({"reports": [{"deployment": id, "event": {**event, "name": "No"}}]}).encode(),
    ]  # fmt: skip

    answers = {web.raw("POST", "reports", body)[0] for body in bodies}
    polls = {web.raw("POST", "poll", body)[0] for body in (b'{"known":{},"wait":NaN}', b'{"known":{},"wait":-1e999}')}
    told = web.ask("POST", "reports", {"reports": [
        {"deployment": id, "event": {**event, "message": odd, "logTail": odd, "script": odd}},
        {"deployment": id, "done": {"succeeded": False, "message": odd}},
    ]})  # fmt: skip

    assert answers == {400}
    assert polls == {200}
    assert told == (200, {})
    assert yard.ended(name, execution) == "Failed"
    assert "alert(1)" in yard.error(name, execution, "Release")
    deploy = yard.server.client("codedeploy")
    assert deploy.get_deployment(deploymentId=id)["deploymentInfo"]["status"] == "Failed"
    found = deploy.batch_get_deployment_targets(deploymentId=id, targetIds=["web-1"])["deploymentTargets"]
    assert len(found) == 1
    yard.cp.get_pipeline_state(name=name)


def test_a_body_without_end_is_let_go(yard: Yard) -> None:
    host, _, port = urlsplit(yard.server.url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"POST /agents/register HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(OSError):  # once it is refused
            for _ in range(1000):
                connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        with suppress(OSError):
            assert connection.recv(1 << 16)[:12] in (b"", b"HTTP/1.1 400")
    assert Rogue(yard).ask("POST", "register", {"tags": {}})[0] == 400


def test_no_secret_is_among_the_arguments_of_any_process(yard: Yard, token: str) -> None:
    shown = subprocess.run(["ps", "axww", "-o", "args"], check=True, capture_output=True, text=True).stdout
    root = json.loads((yard.server.data / "keys" / "root").read_text())

    assert token not in shown
    assert root["secret"] not in shown


def test_nothing_of_all_this_was_a_mistake_of_the_servers(yard: Yard) -> None:
    assert "Traceback" not in yard.server.main.said()


def _finish(agent: Rogue, id: str) -> None:
    agent.ask("POST", "reports", {"reports": [{"deployment": id, "done": {"succeeded": False, "message": "enough"}}]})
    deadline = time.monotonic() + 10
    while agent.assigned() and time.monotonic() < deadline:
        time.sleep(0.05)
