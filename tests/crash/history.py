"""What happened in a campaign, a JSON line each, in the order in which it was known."""

import json
import threading
import time
from pathlib import Path
from typing import Any


class History:
    """Written as things happen: what was acknowledged is in the file before anybody relies on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock, self._began = threading.Lock(), time.monotonic()

    def write(self, event: str, **told: Any) -> None:
        line = json.dumps({"at": round(time.monotonic() - self._began, 3), "event": event, **told})
        with self._lock, self.path.open("a") as file:
            file.write(f"{line}\n")

    def of(self, event: str) -> list[dict[str, Any]]:
        """All of one kind."""
        entries = [json.loads(line) for line in self.path.read_text().splitlines()]
        return [entry for entry in entries if entry["event"] == event]
