"""`codeyard secret` as a user meets it."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from codeyard.cli.main import main
from codeyard.secrets import SecretReference
from codeyard.secrets.vault import Vault

VALUE = "hunter2-hunter2"
PEM = "-----BEGIN KEY-----\nQUJD\n-----END KEY-----\n"

Codeyard = Callable[..., tuple[int, str, str]]


@pytest.fixture
def codeyard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Codeyard:
    """Runs `codeyard secret …` with an input; its exit code, output and errors."""
    monkeypatch.setenv("CODEYARD_HOME", str(tmp_path / "home"))

    def run(*arguments: str, given: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        with pytest.raises(SystemExit) as left:
            main(["secret", *arguments])
        shown = capsys.readouterr()
        return int(left.value.code or 0), shown.out, shown.err

    return run


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "home" / "vault")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (b"one line", "one line"),
        (b"one line\n", "one line"),
        (b"one line\r\n", "one line"),
        (b"two line ends\n\n", "two line ends\n"),
        (b"first\nsecond\n", "first\nsecond"),
        (b"  spaces \xc3\xa9 \n", "  spaces \xe9 "),
    ],
)
async def test_the_input_is_the_value_without_its_last_line_end(
    codeyard: Codeyard, vault: Vault, given: bytes, stored: str
) -> None:
    assert codeyard("set", "/app/token", given=given) == (0, "Stored parameter /app/token, version 1.\n", "")

    assert (await vault.parameter("/app/token")).reveal() == stored


async def test_a_file_is_taken_byte_for_byte(codeyard: Codeyard, vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PEM)
    codeyard("set", "from-file", "--file", str(tmp_path / "key.pem"))
    codeyard("set", "from-input", "--file", "-", given=PEM.encode())

    assert (await vault.parameter("from-file")).reveal() == PEM
    assert (await vault.parameter("from-input")).reveal() == PEM


async def test_a_secret_is_stored_beside_the_parameters(codeyard: Codeyard, vault: Vault) -> None:
    codeyard("set", "prod/db", "--kind", "secret", given=b'{"password": "hunter2"}')

    assert (await vault.secret(SecretReference.parse("prod/db:password"))).reveal() == "hunter2"


def test_the_list_shows_all_but_the_values(codeyard: Codeyard) -> None:
    codeyard("set", "/app/token", given=VALUE.encode())
    codeyard("set", "/app/token", given=VALUE.encode())
    codeyard("set", "/app/mode", "--plain", given=VALUE.encode())
    codeyard("set", "prod/db", "--kind", "secret", given=VALUE.encode())

    code, shown, _ = codeyard("list")

    rows = [line.split()[:4] for line in shown.splitlines()]
    assert code == 0
    assert rows[0] == ["KIND", "NAME", "TYPE", "VERSION"]
    assert rows[1] == ["parameter", "/app/mode", "String", "1"]
    assert rows[2] == ["parameter", "/app/token", "SecureString", "2"]
    assert rows[3][:3] == ["secret", "prod/db", "1"]
    assert VALUE not in shown


def test_the_list_is_json_when_asked(codeyard: Codeyard) -> None:
    codeyard("set", "/app/token", given=VALUE.encode())

    _, shown, _ = codeyard("list", "--json")

    (entry,) = json.loads(shown)
    assert set(entry) == {"kind", "name", "type", "version", "versionId", "versions", "stored"}
    assert (entry["kind"], entry["name"], entry["version"]) == ("parameter", "/app/token", 1)
    assert VALUE not in shown


def test_an_empty_vault_is_no_error(codeyard: Codeyard, tmp_path: Path) -> None:
    assert codeyard("list")[:2] == (0, "")
    assert codeyard("list", "--json")[:2] == (0, "[]\n")
    assert not (tmp_path / "home").exists()


def test_what_is_removed_is_no_longer_listed(codeyard: Codeyard, vault: Vault) -> None:
    codeyard("set", "prod/db", "--kind", "secret", given=VALUE.encode())

    assert codeyard("rm", "prod/db") == (0, "Removed secret prod/db.\n", "")
    assert vault.entries() == ()


def test_a_name_of_both_kinds_is_removed_by_its_kind_only(codeyard: Codeyard, vault: Vault) -> None:
    codeyard("set", "same", given=VALUE.encode())
    codeyard("set", "same", "--kind", "secret", given=VALUE.encode())

    code, _, errors = codeyard("rm", "same")

    assert (code, "--kind" in errors) == (2, True)
    assert codeyard("rm", "same", "--kind", "parameter")[0] == 0
    assert [entry.kind for entry in vault.entries()] == ["secret"]


async def test_the_key_can_be_rotated(codeyard: Codeyard, vault: Vault) -> None:
    codeyard("set", "/app/token", given=VALUE.encode())

    assert codeyard("rotate") == (0, "Sealed 1 values by a new key.\n", "")
    assert (await vault.parameter("/app/token")).reveal() == VALUE


@pytest.mark.parametrize(
    ("arguments", "given", "why"),
    [
        (["set", "a name"], VALUE.encode(), "name has"),
        (["set", "name"], b"", "empty"),
        (["set", "name"], b"\n", "empty"),
        (["set", "name"], VALUE.encode() + b"\xff", "not UTF-8"),
        (["set", "name"], VALUE.encode() + b"\0", "not text"),
        (["set", "name"], VALUE.encode() * 1000, "15,000 bytes"),
        (["set", "name", "--file", "/nonexistent"], b"", "No such file"),
        (["set", "name", "--file", "/"], b"", "Is a directory"),
        (["set", "name", "--kind", "other"], VALUE.encode(), "not one of"),
        (["set", "name", "--kind", "secret", "--plain"], VALUE.encode(), "only parameters"),
        (["set", "name", VALUE], b"", "unexpected extra argument"),
        (["set"], VALUE.encode(), "Missing argument"),
        (["rm", "absent"], b"", "holds nothing"),
    ],
)
def test_a_wrong_request_exits_2_and_says_why(codeyard: Codeyard, arguments: list[str], given: bytes, why: str) -> None:
    code, shown, errors = codeyard(*arguments, given=given)

    assert code == 2
    assert why in errors
    assert shown == ""


def test_an_error_does_not_show_the_value(codeyard: Codeyard) -> None:
    assert VALUE not in str(codeyard("set", "a name", given=VALUE.encode()))
    assert VALUE not in str(codeyard("set", "name", given=VALUE.encode() + b"\xff"))


def test_a_key_that_others_can_read_exits_2_with_the_fix(codeyard: Codeyard, tmp_path: Path) -> None:
    codeyard("set", "name", given=VALUE.encode())
    (tmp_path / "home" / "vault" / "vault.key").chmod(0o644)

    code, _, errors = codeyard("set", "name", given=VALUE.encode())

    assert code == 2
    assert f"chmod 600 {tmp_path}/home/vault/vault.key" in errors


async def test_on_a_terminal_the_value_is_asked_for_and_not_shown(tmp_path: Path, vault: Vault) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "codeyard.cli.main", "secret", "set", "/app/token"]
    environment = os.environ | {"PYTHONPATH": "src", "CODEYARD_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as asked:
        os.close(theirs)
        shown = b""
        for prompt in (b"Value of /app/token", b"Once more"):
            while prompt not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, VALUE.encode() + b"\n")
        while b"Stored" not in shown:
            shown += os.read(ours, 1024)
        asked.wait(20)
    os.close(ours)

    assert VALUE.encode() not in shown
    assert (await vault.parameter("/app/token")).reveal() == VALUE
