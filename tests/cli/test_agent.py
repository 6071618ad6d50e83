"""`codeyard agent`, `agent token` and `agents` as people call them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.cli.main import main
from codeyard.deploys import targets_table
from codeyard.deploys.api import codedeploy_service
from codeyard.deploys.api_tags import TagOperations
from codeyard.deploys.control import DeployControl
from codeyard.deploys.enrolment import enrolment_key, read
from codeyard.deploys.groups import Groups
from codeyard.deploys.model import Target
from codeyard.deploys.targets import Targets
from codeyard.deploys.targets_table import Enrolled
from codeyard.ident import Owner
from codeyard.secrets.sealing import KeyFile
from codeyard.store import Tx
from tests.databases import opened
from tests.deploys.deployments import NOW, OWNER
from tests.deploys.test_api import require_role
from tests.deploys.yard import KEY, now
from tests.wire.served import KEY_ID, SECRET, RootOnly, serving


def run(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(args)
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server with one machine, that the environment names."""

    def one(tx: Tx) -> None:
        target = Target("m1", OWNER, "web-1", {"role": "web", "env": "prod"}, NOW, NOW)
        targets_table.put(tx, Enrolled(target, "0" * 64))

    for database in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        asyncio.run(database.write(one))
        groups = Groups(database, RootOnly(), require_role, now)
        targets = Targets(database, KEY, now)
        tags = TagOperations(database)
        service = codedeploy_service(DeployControl(database, now), groups, targets, Pages(b"k" * 32), tags)
        with serving(Gateway((service,), RootOnly(), now)) as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL", url)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY_ID)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
            yield


def test_machines_are_listed_and_removed(server: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("agents", "list") == 0
    assert run("agents", "list", "--json") == 0
    assert run("agents", "remove", "web-1") == 0
    assert run("agents", "remove", "web-9") == 2
    assert run("agents", "list") == 0

    lines = capsys.readouterr()
    assert lines.out.splitlines()[0] == "web-1  2026-03-01 12:00  env=prod role=web"
    assert '"instanceName": "web-1"' in lines.out.splitlines()[1]
    assert lines.out.splitlines()[2] == "Removed web-1."
    assert "No machine has enrolled" in lines.out.splitlines()[3]
    assert "web-9 is not registered" in lines.err


def test_a_token_is_made_on_the_servers_machine_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEYARD_REGION", "eu-west-1")
    (tmp_path / "keys").mkdir()
    key = KeyFile(tmp_path / "keys" / "vault.key").newest()

    code = run("agent", "token", "--data", str(tmp_path), "--tag", "role=web", "--expires", "5")

    found = read(enrolment_key(key.secret), capsys.readouterr().out.strip(), now())
    assert (code, found.owner, found.tags) == (0, Owner("000000000000", "eu-west-1"), {"role": "web"})
    assert 200 < (found.expires - now()).total_seconds() <= 300
    assert run("agent", "token", "--data", str(tmp_path / "none")) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "Say with which"),
        (("--server", "https://example.com"), "codeyard agent token"),
        (("--server", "http://example.com", "--token", "x"), "--insecure"),
        (("--server", "https://example.com", "--token", "x", "--tag", "role"), "KEY=VALUE"),
        (("--server", "https://example.com", "--token", "x", "--name", "a b"), "--name"),
        (("--server", "https://example.com", "--token-file", "/none"), "cannot be read"),
    ],
)
def test_what_an_agent_cannot_begin_with_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert run("agent", "--state", str(tmp_path / "agent"), *options) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "agent" / "agent.json").exists()


def test_a_secret_that_others_can_read_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.json"
    file.write_text('{"server": "https://example.com", "id": "x", "name": "x", "secret": "s3cret"}')
    file.chmod(0o644)

    assert run("agent", "--state", str(tmp_path)) == 2
    assert "chmod 600" in (said := capsys.readouterr().err)
    assert "s3cret" not in said


def test_an_agent_that_has_enrolled_says_that_a_new_token_changes_nothing_and_what_would(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "agent.json"
    file.touch(mode=0o600)
    file.write_text('{"server": "http://example.com", "id": "x", "name": "web-1", "secret": "s3cret"}')
    known = ("agent", "--state", str(tmp_path), "--name", "web-1")  # http to elsewhere: it ends before it asks

    assert run(*known) == 2
    assert "enrolled as web-1 already" not in capsys.readouterr().err
    assert run(*known, "--token", "t0ken", "--tag", "role=db") == 2
    said = capsys.readouterr().err
    assert "warning: this machine has enrolled as web-1 already: the token, --tag changed nothing." in said
    assert f"codeyard agents remove web-1, then remove {file} and start" in said
    assert "t0ken" not in said
