"""What the vault keeps, from whom, and through what."""

import base64
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.secrets import Secret, SecretReference
from codeyard.secrets.vault import KEPT_VERSIONS, Entry, Kind, Type, Vault

VALUE = "hunter2-hunter2-hunter2"
NOON = datetime(2031, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "vault"


@pytest.fixture
def vault(directory: Path) -> Vault:
    return Vault(directory, now=lambda: NOON)


@pytest.fixture
def filled(vault: Vault) -> Vault:
    vault.put(Kind.PARAMETER, "token", Secret(VALUE))
    return vault


def change(directory: Path, statement: str) -> None:
    with sqlite3.connect(directory / "vault.db") as db:
        db.execute(statement)
    db.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def python(script: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]


async def test_nothing_is_made_by_asking(vault: Vault, directory: Path) -> None:
    with pytest.raises(NotFound):
        await vault.parameter("token")
    with pytest.raises(NotFound):
        vault.remove(Kind.PARAMETER, "token")

    assert (vault.entries(), vault.rotate()) == ((), 0)
    assert not directory.exists()


def test_nothing_on_the_disk_is_in_clear(vault: Vault, directory: Path) -> None:
    vault.put(Kind.PARAMETER, "token", Secret(VALUE), Type.STRING)
    vault.put(Kind.SECRET, "token", Secret(VALUE))
    vault.remove(Kind.SECRET, "token")

    files = [path.read_bytes() for path in directory.iterdir()]
    assert len(files) == 2
    assert not [
        data for data in files for form in (VALUE, base64.b64encode(VALUE.encode())) if str(form).encode() in data
    ]


def test_only_the_owner_may_read(filled: Vault, directory: Path) -> None:
    assert [mode(directory), mode(directory / "vault.key"), mode(directory / "vault.db")] == [0o700, 0o600, 0o600]


def test_it_tells_all_but_the_values(vault: Vault) -> None:
    vault.put(Kind.SECRET, "prod/db", Secret(VALUE))
    vault.put(Kind.PARAMETER, "/app/mode", Secret("slow"), Type.STRING)
    newest = vault.put(Kind.PARAMETER, "/app/mode", Secret("fast"), Type.SECURE_STRING)

    first, second = vault.entries()
    assert first == newest
    assert first == Entry(Kind.PARAMETER, "/app/mode", Type.SECURE_STRING, 2, first.version_id, 2, NOON)
    assert (second.kind, second.name, second.version) == (Kind.SECRET, "prod/db", 1)


async def test_what_is_removed_is_gone_with_all_its_versions(filled: Vault) -> None:
    filled.put(Kind.PARAMETER, "token", Secret("newer-value"))
    filled.put(Kind.SECRET, "token", Secret("secret-value"))
    filled.remove(Kind.PARAMETER, "token")

    with pytest.raises(NotFound, match="Parameter does not exist"):
        await filled.parameter("token:1")
    assert (await filled.secret(SecretReference("token"))).reveal() == "secret-value"


async def test_old_versions_go_when_there_are_too_many(vault: Vault) -> None:
    entries = [vault.put(Kind.PARAMETER, "token", Secret(f"value-{number}")) for number in range(KEPT_VERSIONS + 1)]

    assert entries[-1].kept == KEPT_VERSIONS == vault.entries()[0].kept
    assert (await vault.parameter("token:2")).reveal() == "value-1"
    with pytest.raises(NotFound):
        await vault.parameter("token:1")


@pytest.mark.parametrize("arn", ["parameter/a/b", "parameter/a/b:1"])
@pytest.mark.parametrize("name", ["/a/b", "a/b"])
async def test_an_arn_names_a_parameter(vault: Vault, name: str, arn: str) -> None:
    vault.put(Kind.PARAMETER, name, Secret(VALUE))

    assert (await vault.parameter(f"arn:aws:ssm:eu-central-1:123456789012:{arn}")).reveal() == VALUE


@pytest.mark.parametrize("name", ["", "../token", "to\0ken", "\ud800", "x" * 5000, "token' OR '1'='1", "arn:aws:ssm"])
async def test_a_name_that_cannot_be_is_not_found(filled: Vault, name: str) -> None:
    with pytest.raises(NotFound, match="Parameter does not exist"):
        await filled.parameter(name)


@pytest.mark.parametrize(
    ("kind", "name", "value", "why"),
    [
        (Kind.PARAMETER, "", VALUE, "name has"),
        (Kind.PARAMETER, "a name", VALUE, "name has"),
        (Kind.SECRET, "n" * 513, VALUE, "name has"),
        (Kind.SECRET, "name:key", VALUE, "name has"),
        (Kind.SECRET, "name", "", "empty"),
        (Kind.SECRET, "name", f"{VALUE}\0", "not text"),
        (Kind.SECRET, "name", f"{VALUE}\udcff", "not text"),
        (Kind.PARAMETER, "name", VALUE * 400, "9,200 bytes, and 8,192"),
        (Kind.SECRET, "name", VALUE * 3000, "69,000 bytes, and 65,536"),
    ],
)
def test_what_cannot_be_stored_says_why_but_not_what(
    vault: Vault, directory: Path, kind: Kind, name: str, value: str, why: str
) -> None:
    with pytest.raises(Invalid, match=why) as caught:
        vault.put(kind, name, Secret(value))

    assert VALUE not in "".join(traceback.format_exception(caught.value))
    assert not directory.exists()


def test_all_that_is_wrong_is_said_at_once(vault: Vault) -> None:
    with pytest.raises(Invalid, match=r"name has.*is empty"):
        vault.put(Kind.SECRET, "a name", Secret(""))


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660, 0o755])
async def test_a_key_that_others_can_read_is_refused(filled: Vault, directory: Path, bits: int) -> None:
    (directory / "vault.key").chmod(bits)

    with pytest.raises(Denied, match=r"others can read it.*chmod 600 .*vault\.key"):
        await filled.parameter("token")
    with pytest.raises(Denied, match="others can read it"):
        filled.put(Kind.SECRET, "name", Secret(VALUE))


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o722])
async def test_a_directory_that_others_can_write_is_refused(filled: Vault, directory: Path, bits: int) -> None:
    directory.chmod(bits)

    with pytest.raises(Denied, match=r"others can write to its directory.*chmod 700"):
        await filled.parameter("token")


@pytest.mark.parametrize(
    "content", [b"", b"# only this\n", b"not base64!\n", base64.b64encode(b"short") + b"\n", b"\xff" * 100]
)
async def test_a_key_file_without_a_key_is_refused(filled: Vault, directory: Path, content: bytes) -> None:
    (directory / "vault.key").write_bytes(content)

    with pytest.raises(Denied, match="does not hold a key"):
        await filled.parameter("token")


async def test_a_key_that_is_a_link_is_refused(filled: Vault, directory: Path, tmp_path: Path) -> None:
    (directory / "vault.key").rename(tmp_path / "elsewhere")
    (directory / "vault.key").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(Denied, match="cannot be read"):
        await filled.parameter("token")


async def test_a_key_that_is_a_pipe_is_refused(filled: Vault, directory: Path) -> None:
    (directory / "vault.key").unlink()
    os.mkfifo(directory / "vault.key", 0o600)

    with pytest.raises(Denied, match="not a plain file"):
        await filled.parameter("token")


async def test_the_wrong_key_is_told_from_a_broken_value(filled: Vault, directory: Path, tmp_path: Path) -> None:
    Vault(tmp_path / "other").put(Kind.PARAMETER, "token", Secret("x"))
    (tmp_path / "other" / "vault.key").rename(directory / "vault.key")

    with pytest.raises(Denied, match="wrong key") as caught:
        await filled.parameter("token")
    with pytest.raises(Denied, match="wrong key"):
        filled.put(Kind.SECRET, "name", Secret(VALUE))
    assert VALUE not in str(caught.value)
    assert len(filled.entries()) == 1


async def test_a_lost_key_is_not_made_anew_while_there_are_values(filled: Vault, directory: Path) -> None:
    (directory / "vault.key").unlink()

    with pytest.raises(Denied, match="it is gone"):
        await filled.parameter("token")
    with pytest.raises(Denied, match="it is gone"):
        filled.put(Kind.SECRET, "name", Secret(VALUE))
    filled.remove(Kind.PARAMETER, "token")
    filled.put(Kind.SECRET, "name", Secret(VALUE))


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE versions SET name = 'public'",
        "UPDATE versions SET kind = 'secret'",
        "UPDATE versions SET version = 7",
        "UPDATE versions SET type = 'String'",
        "UPDATE versions SET sealed = zeroblob(80)",
        "UPDATE versions SET sealed = x''",
    ],
)
async def test_a_value_opens_only_in_its_place(filled: Vault, directory: Path, tampering: str) -> None:
    change(directory, tampering)
    entry = filled.entries()[0]

    with pytest.raises(Fault, match="changed or moved"):
        await (filled.secret(SecretReference("token")) if entry.kind is Kind.SECRET else filled.parameter(entry.name))


async def test_a_file_that_is_no_vault_is_a_fault(filled: Vault, directory: Path) -> None:
    (directory / "vault.db").write_bytes(b"garbage " * 1000)

    with pytest.raises(Fault, match="not a database"):
        await filled.parameter("token")


async def test_a_vault_whose_making_was_cut_short_is_empty(vault: Vault, directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o700)
    (directory / "vault.db").touch(0o600)

    assert vault.entries() == ()
    vault.put(Kind.PARAMETER, "token", Secret(VALUE))
    assert (await vault.parameter("token")).reveal() == VALUE


def test_a_place_that_cannot_be_made_is_denied(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(Denied, match="CODEYARD_HOME"):
        Vault(tmp_path / "file" / "vault").put(Kind.PARAMETER, "token", Secret(VALUE))


async def test_rotation_changes_the_key_and_no_value(filled: Vault, directory: Path) -> None:
    filled.put(Kind.SECRET, "name", Secret("secret-value"))
    old = (directory / "vault.key").read_text().splitlines()[-1]

    assert filled.rotate() == 2

    assert old not in (directory / "vault.key").read_text()
    assert mode(directory / "vault.key") == 0o600
    assert (await filled.parameter("token")).reveal() == VALUE
    assert (await filled.secret(SecretReference("name"))).reveal() == "secret-value"


def test_rotation_refuses_what_does_not_open_and_keeps_the_old_key(filled: Vault, directory: Path) -> None:
    old = (directory / "vault.key").read_text().splitlines()[-1]
    change(directory, "UPDATE versions SET sealed = zeroblob(80)")

    with pytest.raises(Fault):
        filled.rotate()

    assert old in (directory / "vault.key").read_text()


async def test_many_writers_lose_nothing(directory: Path) -> None:
    def store(number: int) -> None:
        Vault(directory).put(Kind.PARAMETER, f"name-{number % 3}", Secret(f"value-{number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, range(24)))

    assert [entry.version for entry in Vault(directory).entries()] == [8, 8, 8]
    assert (await Vault(directory).parameter("name-0")).reveal().startswith("value-")


KILLED = """
    import os, sys
    from pathlib import Path
    from codeyard.secrets import Secret
    from codeyard.secrets.vault import Kind, Vault
    steps = int(sys.argv[2])
    def count(event, arguments):
        global steps
        if event in ("open", "os.rename", "os.remove", "sqlite3.connect"):
            steps -= 1
            if steps < 0:
                os.kill(os.getpid(), 9)
    vault = Vault(Path(sys.argv[1]))
    import cryptography.hazmat.primitives.ciphers.aead, encodings.idna, uuid
    sys.addaudithook(count)
    vault.rotate()
    vault.put(Kind.PARAMETER, "later", Secret("later-value"))
"""


@pytest.mark.parametrize("steps", range(0, 22, 2))
async def test_whoever_is_killed_while_he_rotates_loses_nothing(filled: Vault, directory: Path, steps: int) -> None:
    ended = subprocess.run(python(KILLED, directory, steps), env=os.environ | {"PYTHONPATH": "src"}, timeout=30)

    assert ended.returncode in (-signal.SIGKILL, 0)
    assert (await filled.parameter("token")).reveal() == VALUE
    filled.put(Kind.PARAMETER, "after", Secret("after-value"))
    filled.rotate()
    assert (await filled.parameter("token")).reveal() == VALUE
    assert (await filled.parameter("after")).reveal() == "after-value"


ENDLESS = """
    import sys
    from pathlib import Path
    from codeyard.secrets import Secret
    from codeyard.secrets.vault import Kind, Vault
    for number in range(100_000):
        done = Vault(Path(sys.argv[1])).put(Kind.PARAMETER, "counted", Secret(f"value-{number}"))
        print(done.version, flush=True)
"""


async def test_what_was_acknowledged_before_a_kill_is_there(directory: Path) -> None:
    environment = os.environ | {"PYTHONPATH": "src"}
    with subprocess.Popen(python(ENDLESS, directory), stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
        writer.kill()

    assert Vault(directory).entries()[0].version >= acknowledged == 20
    assert (await Vault(directory).parameter("counted:20")).reveal() == "value-19"


async def test_an_error_from_within_leaves_the_vault_usable(filled: Vault) -> None:
    with pytest.raises(CodeyardError):
        filled.remove(Kind.SECRET, "absent")

    assert (await filled.parameter("token")).reveal() == VALUE
