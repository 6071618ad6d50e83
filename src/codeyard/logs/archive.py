"""A build's log in a file, merged from what the sandbox spooled and what we say, masked on the way.

Beside it lies an index: a JSON line for each thing that we said, with the spool's and the log's size after it. At those
points nothing is held back, so a process that finds a log half written cuts it at the last of them and goes on from
there: every byte once, in order. The spool is raw and 0600; the log is what may be shown.

With `times`, another index says when each byte was written (see `times`), and at the close that nothing follows.
"""

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from codeyard.logs import LogPiece, agent_line
from codeyard.logs.time_index import TimeIndex
from codeyard.secrets.masking import Masker

_CHUNK = 1 << 20


class ArchivedLog:
    """See LogWriter. `heard` is told of every piece once it is in the file, those of an earlier process first."""

    def __init__(
        self,
        spool: Path,
        log: Path,
        now: Callable[[], datetime],
        heard: Callable[[LogPiece], None] = lambda _: None,
        times: bool = False,
    ) -> None:
        self._spool, self._now, self._heard = spool, now, heard
        self._index = log.with_name(f"{log.name}.index")
        self._masker = Masker(())
        self._said: set[str] = set()
        self._at = 0  # how much of the spool is in the log
        self._size = 0
        self._last = b"\n"
        written = log.stat().st_size if log.exists() else 0
        self._recover(log)
        self._times = TimeIndex(log, written) if times else None
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    @property
    def read(self) -> int:
        """How many bytes of the spool are in the log, or held back until it is known that they are no secret."""
        return self._at

    def say(self, key: str, text: str, upto: int | None = None) -> None:
        if key in self._said:
            return
        self._copy(self._spooled() if upto is None else upto)
        self._settle()
        self._write(LogPiece(True, agent_line(self._now(), self._masker.text(text)).encode(errors="surrogateescape")))
        self._record(key)

    def end_output(self, key: str, upto: int) -> None:
        if key in self._said:
            return
        self._copy(upto)
        self._settle()
        self._write(LogPiece(False, b"\n" if self._last == b"\n" else b"\n\n"))
        self._record(key)

    def pump(self, at_most: int | None = None) -> bool:
        there = self._spooled()
        self._copy(there if at_most is None else min(there, self._at + at_most))
        return self._at < there

    def mask(self, values: tuple[str, ...]) -> None:
        self._settle()
        self._masker = Masker(values)

    def masked(self, text: str) -> str:
        """`text` as the log would show it."""
        return self._masker.text(text)

    def close(self) -> None:
        try:
            self.pump()
            self._settle()
            if self._times is not None:
                self._times.close()
        finally:
            os.close(self._log)

    def _spooled(self) -> int:
        try:
            return self._spool.stat().st_size
        except FileNotFoundError:
            return self._at

    def _copy(self, upto: int) -> None:
        if upto <= self._at:
            # Smaller: the build cut its own output through its file descriptor. What we had read stays read.
            self._at = min(self._at, max(upto, 0)) if self._spooled() < self._at else self._at
            return
        with self._spool.open("rb") as spool:
            spool.seek(self._at)
            while self._at < upto and (chunk := spool.read(min(_CHUNK, upto - self._at))):
                self._at += len(chunk)
                if out := self._masker.feed(chunk):
                    self._write(LogPiece(False, out))

    def _settle(self) -> None:
        if rest := self._masker.flush():
            self._write(LogPiece(False, rest))

    def _write(self, piece: LogPiece) -> None:
        if self._times is not None:
            self._times.note(self._size, len(piece.content), int(self._now().timestamp() * 1000))
        view = memoryview(piece.content)
        while view:
            view = view[os.write(self._log, view) :]
        self._size += len(piece.content)
        self._last = piece.content[-1:]
        self._heard(piece)

    def _record(self, key: str) -> None:
        self._said.add(key)
        line = json.dumps({"key": key, "spool": self._at, "log": self._size}, separators=(",", ":")).encode() + b"\n"
        handle = os.open(self._index, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)

    def _recover(self, log: Path) -> None:
        """Go on from the last point at which the index and the log agree, and tell the listener what came before."""
        if not self._index.exists():
            log.unlink(missing_ok=True)
            return
        log.touch(mode=0o600)
        there, agreed = log.stat().st_size, 0
        for line in self._index.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            entry = json.loads(line)
            if entry["log"] > there:  # after a power cut: the index reached the disk, and the log did not
                break
            self._said.add(entry["key"])
            self._at, self._size = entry["spool"], entry["log"]
            agreed += len(line)
        os.truncate(self._index, agreed)
        os.truncate(log, self._size)
        with log.open("rb") as written:
            while chunk := written.read(_CHUNK):
                self._last = chunk[-1:]
                self._heard(LogPiece(False, chunk))
