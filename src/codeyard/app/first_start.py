"""What a server makes when it starts for the first time, and finds again later: directory, tables, keys, account."""

import asyncio
import fcntl
import json
import os
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy import Column, LargeBinary, Table, Text, select

from codeyard.access.identities import StoredIdentities
from codeyard.config import Config
from codeyard.errors import Conflict, Fault
from codeyard.secrets.sealing import Key, KeyFile
from codeyard.store import Duplicate, Tx, metadata, patiently
from codeyard.store.engine import SqlDatabase
from codeyard.store.migrate import upgrade

_PATIENCE = 60.0  # seconds
_PROOF = b"codeyard"
_PLACE = b"codeyard server 1"

# One row: what only the right vault key opens, so that a second machine with another key is refused at once.
_proof = Table(
    "vault_proof", metadata, Column("id", Text, primary_key=True), Column("sealed", LargeBinary, nullable=False)
)


@dataclass(frozen=True, slots=True)
class RootKey:
    """The account's own key, which may do everything in it."""

    account: str
    id: str
    secret: str = field(repr=False)


async def prepare_database(config: Config, database: SqlDatabase) -> Key:
    """The tables as they should be, and the vault's key, made if this is the first start. Fault, Denied."""
    await _upgraded(database)
    keys = KeyFile(config.vault_key_file)
    config.vault_key_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    sealed = await database.read(_sealed)
    if sealed is None:
        key = await asyncio.to_thread(_newest, keys, config.vault_key_file.parent)
        with suppress(Duplicate):  # another process was first: is it our key?
            await database.write(lambda tx: _keep(tx, key))
        sealed = await database.read(_sealed)
    assert sealed is not None
    if not config.vault_key_file.exists():
        raise _wrong_key(config, "it is not there, and what the database holds was sealed by it.")
    key = keys.newest()
    try:
        assert key.open(sealed, _PLACE) == _PROOF
    except Fault:
        raise _wrong_key(config, "it is not the one that sealed what the database holds.") from None
    return key


async def _upgraded(database: SqlDatabase) -> None:
    """Wait for a database that starts with us, or again; not for ever, as its address may be wrong. Away."""
    patience = asyncio.timeout(_PATIENCE)
    try:
        async with patience:
            await patiently(lambda: asyncio.to_thread(upgrade, database.engine))
    except TimeoutError:
        await asyncio.to_thread(upgrade, database.engine)


def _newest(keys: KeyFile, directory: Path) -> Key:
    """The key, made by one of the processes that start now: each would seal by its own, and one file is kept."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        return keys.newest()
    finally:
        os.close(handle)


def _sealed(tx: Tx) -> bytes | None:
    return tx.execute(select(_proof.c.sealed)).scalar()


def _keep(tx: Tx, key: Key) -> None:
    tx.execute(_proof.insert().values(id="1", sealed=key.seal(_PROOF, _PLACE)))


def _wrong_key(config: Config, why: str) -> Fault:
    fix = "Copy the file from the machine that the server was first started on (setting vault_key)."
    return Fault(f"the vault's key {config.vault_key_file}", why, fix)


async def root_key(config: Config, identities: StoredIdentities) -> RootKey:
    """The account's root key; also in DATA/keys/root, for the command line on this machine."""
    id, secret = await identities.make_root(config.account)
    root = RootKey(config.account, id, secret)
    path = root_file(config.data)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = json.dumps({"account": root.account, "id": root.id, "secret": root.secret})
    if not path.exists() or path.read_text() != told:
        write_private(path, told)
    return root


def root_file(data: Path) -> Path:
    return data / "keys" / "root"


def write_private(path: Path, content: str) -> None:
    """Whole or not at all, readable by nobody else."""
    for left in path.parent.glob(f".{path.name}.*"):
        if not Path(f"/proc/{left.suffix[1:]}").exists():  # its writer was killed
            left.unlink(missing_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    staged.replace(path)


@contextmanager
def alone(data: Path, what: str, patience: float = 0.0) -> Iterator[None]:
    """One `what` at a time in this data directory. Conflict, after so many seconds: the last one may be ending."""
    until = time.monotonic() + patience
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        with suppress(PermissionError):  # another's directory: what we put in it is closed all the same
            data.chmod(0o700)
    with (data / f"{what}.lock").open("w") as lock:
        while not _locked(lock):
            if time.monotonic() >= until:
                raise Conflict(
                    f"the {what} of {data}", "it runs already, in another process.", "Use that one, or another --data."
                )
            time.sleep(0.05)
        yield


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def server_id(data: Path) -> str:
    """What this directory's server is called among others of its database: the same each time it starts, and no other's
    even on one machine."""
    file = data / "server.id"
    with suppress(FileNotFoundError):
        return file.read_text().strip()
    write_private(file, f"{socket.gethostname()[:60]}/{uuid.uuid4()}\n")
    return file.read_text().strip()
