"""The database itself: `sqlite:///FILE` or `postgresql://…`, opened, migrated, and spoken to from threads of its own.

SQLite has one writer at a time, so one thread writes for the whole process, and commits together what waits for it: a
thousand small writes at once cost a few commits. Readers have threads of their own, and never wait (WAL).
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError

from codeyard.errors import CodeyardError, Invalid
from codeyard.store import Away, Duplicate, Tx

T = TypeVar("T")
_TOGETHER = 256  # writes in one commit, at the most
_BUSY = 20_000  # milliseconds for another process that writes
_CONNECTIONS = 8
_READERS = 4
_LOST_FOR = 30.0  # seconds that a lost connection is tried again for
_CLASHES = ("40001", "40P01")  # serialization failure, deadlock: the same again may succeed


class SqlDatabase:
    """See `store.Database`. Made once for a process, closed at its end."""

    def __init__(self, url: str) -> None:
        """Invalid if the URL is of neither kind. Nothing is opened before it is used."""
        self.url = _known(url)
        self._sqlite = self.url.startswith("sqlite")
        self.engine = _sqlite(self.url) if self._sqlite else _postgresql(self.url)
        # One view of all rows for each read; SQLite gives that by itself.
        level = {} if self._sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reading = self.engine.execution_options(**level)
        self._readers = ThreadPoolExecutor(_READERS if self._sqlite else _CONNECTIONS, "database")
        self._writer = _Writer(self.engine) if self._sqlite else None
        self._closed = False

    @property
    def dialect(self) -> str:
        return "sqlite" if self._sqlite else "postgresql"

    async def read(self, work: Callable[[Tx], T]) -> T:
        return await self._somewhere(self._reading, work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        if self._writer is None or self._closed:
            return await self._somewhere(self.engine, work)
        return await asyncio.wrap_future(self._writer.submit(work))

    async def _somewhere(self, engine: Engine, work: Callable[[Tx], T]) -> T:
        if self._closed:  # the process ends; an error now would end builds that are to go on without it
            await asyncio.Event().wait()
        return await asyncio.wrap_future(self._readers.submit(_persist, engine, work))

    def close(self) -> None:
        """Wait for what is under way, and let go of the files or connections. Whoever asks later gets no answer."""
        self._closed = True
        if self._writer is not None:
            self._writer.close()
        self._readers.shutdown()
        self.engine.dispose()


class _Writer:
    """One thread that does all writes of a process, several to a commit, each whole or not at all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: queue.SimpleQueue[tuple[Callable[[Tx], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="database-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Tx], T]) -> Future[T]:
        future: Future[T] = Future()
        self._waiting.put((work, future))
        return future

    def close(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            over = False
            while len(batch) < _TOGETHER and not over:
                try:
                    following = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    over = True
                else:
                    batch.append(following)
            self._commit([(work, future) for work, future in batch if future.set_running_or_notify_cancel()])
            if over:
                return

    def _commit(self, batch: list[tuple[Callable[[Tx], Any], Future[Any]]]) -> None:
        answers: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with self._engine.begin() as tx:
                for work, future in batch:
                    try:
                        with tx.begin_nested():
                            answers.append((future, work(tx), None))
                    except DBAPIError as error:
                        if not isinstance(error, IntegrityError | DataError):
                            raise
                        answers.append((future, None, explained(error)))
                    except Exception as error:  # noqa: BLE001 - it is the caller's, who gets it
                        answers.append((future, None, error))
        except DBAPIError as error:
            for _, future in batch:
                future.set_exception(explained(error))
            return
        except Exception as error:  # noqa: BLE001 - whatever it was, this thread is the only one that writes
            for _, future in batch:
                future.set_exception(Away("the database", f"{type(error).__name__}: {error}.", "Try again."))
            return
        for future, answer, failed in answers:
            if failed is not None:
                future.set_exception(failed)
            else:
                future.set_result(answer)


def _persist(engine: Engine, work: Callable[[Tx], T]) -> T:
    """Do it in one transaction; again, if the connection was lost or another process was in the way."""
    deadline, pause = time.monotonic() + _LOST_FOR, 0.01
    while True:
        try:
            with engine.begin() as tx:
                return work(tx)
        except DBAPIError as error:
            passing = error.connection_invalidated or _code(error) in _CLASHES or _unreached(error)
            if not passing or time.monotonic() > deadline:
                raise explained(error) from error
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


def explained(error: DBAPIError) -> CodeyardError:
    """What a driver's error means to whoever asked."""
    told = str(error.orig).splitlines()[0] if error.orig is not None else str(error)
    if isinstance(error, IntegrityError):
        return Duplicate("a row of this name", f"it is there already ({told}).", "Choose another name.")
    if isinstance(error, DataError):  # PostgreSQL keeps no NUL in a text, and no number larger than its column
        return Invalid("a value", f"it cannot be stored ({told}).", "Leave out what no text or number can have.")
    if "disk is full" in told or "No space left" in told or _code(error) == "53100":
        return Away("the database", f"its disk is full ({told}).", "Make room there.")
    return Away("the database", f"{told}.", "See that it runs, and that its disk has room; then try again.")


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def _unreached(error: DBAPIError) -> bool:
    """Whether no connection came about: the server is down, starts or ends, or has too many."""
    code = _code(error)
    return (
        type(error.orig).__name__ == "OperationalError"
        and (code[:2] in ("08", "57", "53") or not code)
        and ("psycopg" in type(error.orig).__module__)
    )


def _known(url: str) -> str:
    try:
        parts = make_url(url)
    except (ArgumentError, NoSuchModuleError, ValueError):  # ValueError: its port is no number
        parts = None
    if parts is not None and parts.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parts.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)
    if parts is not None and parts.drivername == "sqlite" and parts.database:
        return url
    shown = parts.render_as_string(hide_password=True) if parts is not None else "the URL"
    raise Invalid(
        f"database {shown}", "it is of no kind that is known.",
        "Write sqlite:////absolute/path/of/a/file, or postgresql://user:password@host/name.",
    )  # fmt: skip


def _sqlite(url: str) -> Engine:
    path = Path(make_url(url).database or "")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    engine = create_engine(
        url,
        connect_args={"timeout": _BUSY / 1000, "check_same_thread": False},
        pool_size=_READERS,
        hide_parameters=True,  # what is written may be secret, and errors are logged
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves: the driver's own begins come too late
        for pragma in ("journal_mode = WAL", "synchronous = FULL", f"busy_timeout = {_BUSY}", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail where another process wrote in between.
        writing = threading.current_thread().name == "database-writer"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return engine


def _postgresql(url: str) -> Engine:
    return create_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        # Without these, a machine that is gone and says nothing more would be waited for for a quarter of an hour.
        connect_args={
            "connect_timeout": 10,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        },
    )
