"""How a server is started by hand, and how `codeyard env` says where it is."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.cli import up
from codeyard.cli.up import _env
from codeyard.errors import CodeyardError, Invalid, NotFound

Run = Callable[..., Result]
NAMES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def started(data: Path, url: str = "http://127.0.0.1:4599", region: str = "us-east-1", secret: str = "s3cret") -> Path:
    """A directory in which a server was started."""
    (data / "keys").mkdir(parents=True)
    (data / "server.json").write_text(json.dumps({"url": url, "region": region}))
    (data / "keys" / "root").write_text(json.dumps({"id": "AKIA1", "secret": secret}))
    return data


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command; what it raises comes out."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "CODEYARD_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CODEYARD_HOME", str(tmp_path / "home"))

    def run(name: str, *arguments: str, **environment: str) -> Result:
        command = getattr(up, name)
        return CliRunner().invoke(command, arguments, env=environment, catch_exceptions=False, standalone_mode=False)

    return run


def test_env_is_for_a_shell_to_evaluate(run: Run, tmp_path: Path) -> None:
    said = run("env", "--data", str(started(tmp_path / "data"))).stdout

    assert said.splitlines() == [
        "export AWS_ENDPOINT_URL=http://127.0.0.1:4599",
        "export AWS_REGION=us-east-1",
        "export AWS_DEFAULT_REGION=us-east-1",
        "export AWS_ACCESS_KEY_ID=AKIA1",
        "export AWS_SECRET_ACCESS_KEY=s3cret",
    ]


def test_what_another_session_left_is_taken_away(run: Run, tmp_path: Path) -> None:
    data = str(started(tmp_path / "data"))
    left = {"AWS_SESSION_TOKEN": "old", "AWS_SECURITY_TOKEN": "old", "AWS_PROFILE": "mine"}
    left |= {"AWS_DEFAULT_PROFILE": "mine", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    said = run("env", "--data", data, **left).stdout

    assert {f"unset {name}" for name in left} <= set(said.splitlines())


def test_machines_get_json(run: Run, tmp_path: Path) -> None:
    told = json.loads(run("env", "--json", "--data", str(started(tmp_path / "data"))).stdout)

    assert tuple(told) == NAMES
    assert told["AWS_SECRET_ACCESS_KEY"] == "s3cret"


def test_env_finds_the_usual_directory(run: Run, tmp_path: Path) -> None:
    started(tmp_path / "home" / "server")

    assert run("env").stdout.startswith("export AWS_ENDPOINT_URL=")


def test_where_no_server_was_started_env_says_so(run: Run, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        run("env", "--data", str(tmp_path))


_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@settings(max_examples=15, deadline=None)
@given(_TEXT, _TEXT, _TEXT)
def test_whatever_is_in_them_a_shell_gets_just_that(url: str, region: str, secret: str) -> None:
    with TemporaryDirectory() as root:
        data = started(Path(root) / "data", url, region, secret)
        said = CliRunner().invoke(up.env, ["--data", str(data)], catch_exceptions=False).stdout_bytes
    script = (
        said
        + f"exec {sys.executable} -c 'import os; print(ascii([os.environ[n] for n in {NAMES!r}]))'".replace(
            f"{NAMES!r}", '"' + " ".join(NAMES) + '".split()'
        ).encode()
    )
    shown = subprocess.run(["/bin/sh", "-s"], input=script, capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"})

    assert shown.stdout.decode().strip() == ascii([url, region, region, "AKIA1", secret])


def test_the_greeting_names_the_directory_only_where_it_must(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODEYARD_DATA", str(tmp_path / "usual"))

    assert _env(None) == _env(tmp_path / "usual") == "codeyard env"
    assert _env(tmp_path / "my data") == f"codeyard env --data '{tmp_path}/my data'"


@pytest.mark.parametrize("command", ["up", "serve", "worker"])
@pytest.mark.parametrize(
    "variables", [{"CODEYARD_ACCOUNT": "1"}, {"CODEYARD_POLL": "never"}, {"CODEYARD_WORKER": "a b"}]
)
def test_settings_that_are_wrong_start_nothing(
    run: Run, tmp_path: Path, command: str, variables: dict[str, str]
) -> None:
    with pytest.raises(Invalid):
        run(command, "--data", str(tmp_path / "data"), **variables)

    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("file", ["nosuch = 1", "listen =", "listen = 5\n"])
def test_nor_does_a_file_of_settings_that_is_wrong(run: Run, tmp_path: Path, file: str) -> None:
    (tmp_path / "codeyard.toml").write_text(file)

    with pytest.raises(CodeyardError, match=r"codeyard\.toml|settings|listen"):
        run("up", "--data", str(tmp_path))

    assert os.listdir(tmp_path) == ["codeyard.toml"]


def test_what_isolates_nothing_is_asked_for_twice(run: Run, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="unsafe_process"):
        run("up", "--data", str(tmp_path / "data"), "--executor", "process")
