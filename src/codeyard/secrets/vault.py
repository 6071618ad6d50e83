"""Our own vault: parameters and secrets in one SQLite file, each value sealed by a key that lies beside it.

`DIRECTORY/vault.db` holds the names and the sealed values, `DIRECTORY/vault.key` (mode 0600) the key. A sealed value is
bound to its kind, name and version: moved to another row, it does not open. docs/decisions/0003-vault.md says why so.
"""

import asyncio
import contextlib
import json
import os
import re
import sqlite3
import stat
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.secrets import SECRET_LIMIT, Secret, SecretReference, missing_parameter, missing_secret, pick
from codeyard.secrets.sealing import KeyFile

PARAMETER_LIMIT = 8192  # bytes of an advanced parameter's value, by Parameter Store's quotas
KEPT_VERSIONS = 100  # of one name; as many as Parameter Store and Secrets Manager keep
_WAIT = 20.0  # seconds for another process that writes

_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
    stored TEXT NOT NULL, key TEXT NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (kind, name, version)) WITHOUT ROWID
"""
_PARAMETER_ARN = re.compile(r"arn:[^:]+:ssm:[^:]*:[^:]*:parameter(/.+)\Z", re.DOTALL)


class Kind(StrEnum):
    """What a name stands for: two rooms of names, as in AWS."""

    PARAMETER = "parameter"
    SECRET = "secret"  # noqa: S105


_NAMES = {
    Kind.PARAMETER: (re.compile(r"[A-Za-z0-9_./-]{1,1011}"), "letters, digits and _.-/"),
    Kind.SECRET: (re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}"), "letters, digits and /_+=.@-"),
}
_LIMITS = {Kind.PARAMETER: PARAMETER_LIMIT, Kind.SECRET: SECRET_LIMIT}


class Type(StrEnum):
    """Parameter Store's words for how it keeps a value. Here all are sealed, and all are masked."""

    STRING = "String"
    SECURE_STRING = "SecureString"


@dataclass(frozen=True, slots=True)
class Entry:
    """All about a stored name but its value."""

    kind: Kind
    name: str
    type: Type
    version: int  # the newest, counted from 1
    version_id: str
    kept: int  # versions that can be read
    stored: datetime


@dataclass(frozen=True, slots=True)
class _Version:
    """Which value a sealed text is; it opens only as that."""

    kind: str
    name: str
    version: int
    id: str
    type: str

    def place(self) -> bytes:
        return json.dumps(["codeyard vault 1", self.kind, self.name, self.version, self.id, self.type]).encode()


class Vault:
    """A SecretProvider that can also be written. Any number of processes may use one directory at a time."""

    def __init__(self, directory: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        """Nothing is made until something is stored."""
        self._directory, self._now = directory, now
        self._file, self._keys = directory / "vault.db", KeyFile(directory / "vault.key")

    async def parameter(self, name: str) -> Secret:
        """By name, `name:VERSION` or ARN; see SecretProvider."""
        return await asyncio.to_thread(self._parameter, name)

    async def secret(self, reference: SecretReference) -> Secret:
        """AWSCURRENT is the newest version, AWSPREVIOUS the one before it; see SecretProvider."""
        return pick(await asyncio.to_thread(self._secret, reference), reference)

    def put(self, kind: Kind, name: str, value: Secret, type_: Type = Type.SECURE_STRING) -> Entry:
        """Store it as the name's newest version; the oldest beyond KEPT_VERSIONS goes. Invalid, Denied, Conflict."""
        _check(kind, name, value)
        with self._transaction(make=True) as db:
            for (key_id,) in db.execute("SELECT DISTINCT key FROM versions").fetchall():
                self._keys.get(key_id)  # or the vault would hold values of keys that never were together
            key = self._keys.newest()
            query = "SELECT coalesce(max(version), 0) + 1 FROM versions WHERE kind = ? AND name = ?"
            version = _Version(kind, name, db.execute(query, (kind, name)).fetchone()[0], str(uuid.uuid4()), type_)
            stored = self._now()
            row = (kind, name, version.version, version.id, type_, stored.isoformat(), key.id)
            sealed = key.seal(value.reveal().encode(), version.place())
            db.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, sealed))
            oldest = (kind, name, version.version - KEPT_VERSIONS)
            db.execute("DELETE FROM versions WHERE kind = ? AND name = ? AND version <= ?", oldest)
        return Entry(kind, name, type_, version.version, version.id, min(version.version, KEPT_VERSIONS), stored)

    def entries(self) -> tuple[Entry, ...]:
        """What is stored, by kind and name. No key is needed."""
        if not self._file.exists():
            return ()
        with self._transaction() as db:  # SQLite takes the other columns from the row that has the max
            rows = db.execute(
                "SELECT kind, name, type, max(version), id, count(*), stored FROM versions"
                " GROUP BY kind, name ORDER BY kind, name"
            ).fetchall()
        return tuple(Entry(Kind(r[0]), r[1], Type(r[2]), r[3], r[4], r[5], datetime.fromisoformat(r[6])) for r in rows)

    def remove(self, kind: Kind, name: str) -> None:
        """Remove it with all its versions. NotFound."""
        removed = 0
        if self._file.exists():
            with self._transaction() as db:
                removed = db.execute("DELETE FROM versions WHERE kind = ? AND name = ?", (kind, name)).rowcount
        if not removed:
            raise NotFound(f"{kind} {name}", "the vault holds nothing by that name.", "See: codeyard secret list")

    def rotate(self) -> int:
        """Seal every value by a new key, and forget the old one; answers how many.

        Killed anywhere, nothing is lost: the key file holds both keys until the values have moved.
        """
        if not self._file.exists():
            return 0
        with self._transaction() as db:
            rows = db.execute("SELECT kind, name, version, id, type, key, sealed FROM versions").fetchall()
            if not rows:
                return 0
            new = self._keys.add()
            for *about, key_id, sealed in rows:
                version = _Version(*about)
                value = self._keys.get(key_id).open(sealed, version.place())
                change = (new.id, new.seal(value, version.place()), *about[:3])
                db.execute(
                    "UPDATE versions SET key = ?, sealed = ? WHERE kind = ? AND name = ? AND version = ?", change
                )
        with self._transaction() as db:  # the values have moved for certain; someone may have stored more meanwhile
            used = {key_id for (key_id,) in db.execute("SELECT DISTINCT key FROM versions")}
            self._keys.keep({*used, self._keys.newest().id})
        return len(rows)

    def _parameter(self, name: str) -> Secret:
        arn = _PARAMETER_ARN.match(name)
        path, _, version = (arn[1] if arn else name).partition(":")
        wanted: tuple[str, tuple[str, ...]] = ("CAST(version AS TEXT) = ?", (version,)) if version else ("TRUE", ())
        for candidate in (path, path[1:]) if arn else (path,):  # the parameters a and /a have the same ARN
            if found := self._open(Kind.PARAMETER, candidate, *wanted):
                return found
        raise missing_parameter(name)

    def _secret(self, reference: SecretReference) -> Secret:
        skipped = {None: 0, "AWSCURRENT": 0, "AWSPREVIOUS": 1}.get(reference.stage)
        wanted: tuple[str, tuple[str, ...]] = ("id = ?", (reference.version,)) if reference.version else ("TRUE", ())
        for candidate in reference.names if skipped is not None else ():
            if found := self._open(Kind.SECRET, candidate, *wanted, skipped=skipped or 0):
                return found
        raise missing_secret(reference)

    def _open(self, kind: Kind, name: str, where: str, values: tuple[str, ...], skipped: int = 0) -> Secret | None:
        """The newest value that fits, after as many as are skipped."""
        if not self._file.exists() or not _NAMES[kind][0].fullmatch(name):
            return None
        query = (
            f"SELECT kind, name, version, id, type, key, sealed FROM versions WHERE kind = ? AND name = ? AND {where}"  # noqa: S608
        )
        with self._transaction(write=False) as db:
            row = db.execute(
                f"{query} ORDER BY version DESC LIMIT 1 OFFSET ?", (kind, name, *values, skipped)
            ).fetchone()
            # Within the transaction, for a rotation forgets the old key only after its readers are done.
            return Secret(self._keys.get(row[5]).open(row[6], _Version(*row[:5]).place()).decode()) if row else None

    @contextlib.contextmanager
    def _transaction(self, *, write: bool = True, make: bool = False) -> Iterator[sqlite3.Connection]:
        """All of it or nothing, on the disk when it is left. Writers take turns."""
        try:
            _prepare(self._directory, self._file, make=make)
            where = f"file:{quote(str(self._file))}?mode=rw"
            with contextlib.closing(sqlite3.connect(where, timeout=_WAIT, isolation_level=None, uri=True)) as db:
                db.execute("PRAGMA secure_delete = ON")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                db.execute(_SCHEMA)
                yield db
                db.execute("COMMIT")  # left by an error, the connection rolls back as it closes
        except sqlite3.Error as error:
            raise self._broken(error) from error
        except OSError as error:
            fix = "Give the directory to the user who runs this, or set CODEYARD_HOME to another."
            raise Denied(
                f"the vault {self._directory}", f"{error.strerror or error}: {error.filename}.", fix
            ) from error

    def _broken(self, error: sqlite3.Error) -> CodeyardError:
        what, code = f"the vault {self._file}", getattr(error, "sqlite_errorname", "")
        if code.startswith("SQLITE_BUSY"):
            return Conflict(what, f"another process has been writing it for {_WAIT:.0f} seconds.", "Try again.")
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return Denied(what, f"{error}.", "Make it and its directory writable by the user who runs this.")
        return Fault(what, f"{error}.", "Free some space on its disk; if it is damaged, restore it from a backup.")


def _prepare(directory: Path, file: Path, *, make: bool) -> None:
    """The directory is ours alone to change. `make`: it and the file are there after this."""
    if make:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) & 0o022:
        why = "others can write to its directory, and so replace what it holds."
        raise Denied(f"the vault {directory}", why, f"chmod 700 {directory}")
    if make and not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _check(kind: Kind, name: str, value: Secret) -> None:
    """Invalid with every mistake, and without the value."""
    mistakes = []
    pattern, letters = _NAMES[kind]
    if not pattern.fullmatch(name):
        mistakes.append(f"a {kind}'s name has 1 or more {letters}, and not too many")
    size = len(value.reveal().encode(errors="replace"))
    if not size:
        mistakes.append("its value is empty")
    if size > _LIMITS[kind]:
        mistakes.append(f"its value has {size:,} bytes, and {_LIMITS[kind]:,} are allowed")
    if "\0" in value.reveal() or not _is_text(value.reveal()):
        mistakes.append("its value is not text that an environment variable can hold")
    if mistakes:
        fix = "Give another name or value; what is not text can be stored as base64."
        raise Invalid(f"{kind} {name!r}", "; ".join(mistakes) + ".", fix)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
