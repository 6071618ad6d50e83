"""The endpoint of agents, asked by who should not, with what should not be, and at once when there is news."""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from codeyard.artifacts import Digest
from codeyard.artifacts.tree import parse
from codeyard.deploys import EventReport, EventStatus, report_to_json
from codeyard.deploys.enrolment import hash_of
from codeyard.deploys.model import Deployment
from codeyard.deploys.packing import unpacked
from codeyard.deploys.selection import Selection
from tests.deploys.deployments import event_statuses
from tests.deploys.yard import OWNER, Yard


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    made = Yard(tmp_path_factory.mktemp("yard"))
    for name in ("one", "two"):
        tags = {"name": name}
        made.run(made.targets.enrol(made.token(**tags), name, tags, hash_of(name)))
    yield made
    made.stop()


def ask(yard: Yard, path: str, told: object = None, shown: str = "", method: str = "POST") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", yard.port, timeout=30)
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    connection.request(method, f"/agents/{path}", body, {"Authorization": f"Bearer {shown}"})
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def shown(yard: Yard, name: str) -> str:
    target = yard.run(yard.targets.named(OWNER, name))
    assert target is not None
    return f"{target.id}.{name}"


def for_one(yard: Yard, tree: Digest, group: str) -> Deployment:
    return yard.deploy(tree, "/srv/site", group=group, targets=Selection.of_tags({"name": "one"}), queue=True)


@pytest.mark.parametrize("who", ["", "x", "x.y", "{one}", "{one}.", "{one}.two", "{two}.one", "{one}.one.one", "é"])
@pytest.mark.parametrize("path", ["poll", "reports", "deployments/d-000000000/blobs", "none"])
def test_whoever_shows_nothing_or_anothers_secret_is_not_let_in(yard: Yard, who: str, path: str) -> None:
    ids = {name: shown(yard, name).partition(".")[0] for name in ("one", "two")}

    status, body = ask(yard, path, {"known": {}, "reports": []}, who.format(**ids).encode().decode("latin-1"))

    assert (status, list(json.loads(body))) == (401, ["error"])


def test_only_the_blobs_of_what_is_assigned_are_given(yard: Yard) -> None:
    mine, foreign = yard.tree(page="mine"), yard.tree(page="foreign")
    work = for_one(yard, mine, "blobs")
    path = f"deployments/{work.id}"
    status, manifest = ask(yard, f"{path}/manifest", None, shown(yard, "one"), "GET")
    wanted = [entry.digest for entry in parse(manifest).entries]
    other = next(entry.digest for entry in parse(_content(yard, foreign)).entries)

    good = ask(yard, f"{path}/blobs", {"digests": wanted}, shown(yard, "one"))

    assert (status, parse(manifest).digest, good[0]) == (200, mine, 200)
    assert _names(good[1]) == wanted
    for digests, who, where in (
        ([other], "one", path),  # of a tree that is in the store
        ([foreign], "one", path),  # its manifest
        (wanted, "two", path),  # who has nothing to do with it
        (wanted, "one", "deployments/d-000000000"),
    ):
        refused, body = ask(yard, f"{where}/blobs", {"digests": digests}, shown(yard, who))
        assert (refused, list(json.loads(body))) == (403, ["error"])
    assert ask(yard, f"{path}/manifest", None, shown(yard, "two"), "GET")[0] == 403

    yard.run(yard.control.done(shown(yard, "one").partition(".")[0], work.id, True))
    assert ask(yard, f"{path}/blobs", {"digests": wanted}, shown(yard, "one"))[0] == 403  # not any more


def _content(yard: Yard, digest: Digest) -> bytes:
    with yard.blobs.open(digest) as file:
        return file.read()


def _names(stream: bytes) -> list[Digest]:
    import io

    file = io.BytesIO(stream)
    return [digest for digest, size in unpacked(file) if file.read(size or 0) is not None]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("register", b"{"),
        ("register", {}),
        ("register", {"token": "x", "name": "x", "tags": [], "secret": "x"}),
        ("register", b'{"token": "' + b"x" * 20_000 + b'"}'),
        ("poll", {"known": []}),
        ("poll", []),
        ("poll", b"[" * 10_000),
        ("reports", {"reports": {}}),
        ("reports", {"reports": [{}] * 51}),
        ("reports", {"reports": [{"deployment": "../x"}]}),
        ("reports", {"reports": [{"deployment": "d-000000000", "event": {"name": "Format"}}]}),
        ("reports", {"reports": [{"deployment": "d-000000000", "done": {"succeeded": 1}}]}),
    ],
)
def test_what_is_not_of_its_form_is_refused_with_a_sentence(yard: Yard, path: str, told: object) -> None:
    status, body = ask(yard, path, told, shown(yard, "one"))

    assert status == 400
    assert json.loads(body)["error"].endswith(".")


def test_a_poll_is_answered_at_once_when_there_is_something_to_do(yard: Yard) -> None:
    import threading

    answers: list[tuple[float, Any]] = []

    def poll() -> None:
        status, body = ask(yard, "poll", {"known": {}, "wait": 9}, shown(yard, "one"))
        answers.append((time.monotonic(), json.loads(body)))
        assert status == 200

    waiting = threading.Thread(target=poll)
    waiting.start()
    time.sleep(0.3)
    work = for_one(yard, yard.tree(page="1"), "poll")
    waiting.join()

    (assigned,) = answers[0][1]["assignments"]
    assert (assigned["assignment"]["deployment"], assigned["stopping"]) == (work.id, False)


def test_reports_that_come_twice_count_once_and_others_do_not_count(yard: Yard) -> None:
    work = for_one(yard, yard.tree(page="1"), "reports")
    verified = {"deployment": work.id, "event": report_to_json(EventReport("Verify", EventStatus.SUCCEEDED))}
    failed = {"deployment": work.id, "event": report_to_json(EventReport("Verify", EventStatus.FAILED))}
    done = {"deployment": work.id, "done": {"succeeded": True, "message": ""}}

    assert ask(yard, "reports", {"reports": [failed, done]}, shown(yard, "two"))[0] == 200  # nothing of its own
    assert ask(yard, "reports", {"reports": [verified]}, shown(yard, "one"))[0] == 200
    assert ask(yard, "reports", {"reports": [failed, done, done]}, shown(yard, "one"))[0] == 200

    found = yard.run(yard.control.get(OWNER, work.id))
    assert (found.status, event_statuses(found.targets[0])[0]) == ("Succeeded", "Succeeded")


def test_a_name_is_taken_once_but_a_lost_answer_can_be_had_again(yard: Yard) -> None:
    token = yard.token(role="web")
    told = {"token": token, "name": "three", "tags": {}, "secret": hash_of("three")}

    first, again = ask(yard, "register", told), ask(yard, "register", told)
    other = ask(yard, "register", told | {"secret": hash_of("other")})
    beyond = ask(yard, "register", told | {"name": "four", "tags": {"role": "db"}})
    yard.run(yard.targets.remove(OWNER, "three"))
    after = ask(yard, "register", told | {"secret": hash_of("other")})

    assert (first[0], first) == (200, again)
    assert json.loads(first[1])["tags"] == {"role": "web"}
    assert (other[0], beyond[0], after[0]) == (409, 403, 200)
    assert json.loads(after[1])["id"] != json.loads(first[1])["id"]
