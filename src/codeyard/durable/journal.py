"""Steps kept in a file, a JSON line each: for one workflow on one machine, with no server.

A line is whole or it does not count: what a killed process left half written is cut off.
"""

import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from codeyard.durable import Answer
from codeyard.errors import Fault


class Journal:
    """The steps that finished, in `path`. One process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._answers: dict[str, Answer] = {}
        if path.exists():
            self._read()

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        if name in self._answers:
            return self._answers[name]
        answer = await work()
        self._remember(name, answer)
        return answer

    def _read(self) -> None:
        content = self._path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                name, answer = json.loads(line)
            except ValueError as error:
                raise Fault(
                    f"{self._path}:{number}", f"this is no step: {error}", "The file was changed; start a new build."
                ) from error
            self._answers[name] = answer
        if len(whole) != len(content):
            os.truncate(self._path, len(whole))

    def _remember(self, name: str, answer: Answer) -> None:
        line = json.dumps([name, answer], separators=(",", ":")).encode() + b"\n"
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(handle, line)
        finally:
            os.close(handle)
        self._answers[name] = json.loads(line)[1]  # as the next process will read it
