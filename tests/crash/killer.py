"""Kills the processes of a server: at random moments, and right after what a crash could spoil."""

import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.history import History
from tests.crash.servers import Shape, Yard

# What is waited for before a kill, and the words of a build's log that tell of it.
WORDS = {
    "source": b"Waiting for DOWNLOAD_SOURCE",
    "install": b"Entering phase INSTALL",
    "between": b"Phase complete: BUILD ",
    "upload": b"Entering phase UPLOAD_ARTIFACTS",
    "uploaded": b"Phase complete: UPLOAD_ARTIFACTS",
}
MOMENTS = ("any", "any", "any", "acknowledged", "provisioning", *WORDS, "over")
_PATIENCE = 2.0  # seconds for a moment to come


@dataclass(slots=True)
class Killer:
    """Goes on until it is told to stop; then every process runs again."""

    yard: Yard
    chance: random.Random
    history: History
    acknowledged: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)
    broken: threading.Event = field(default_factory=threading.Event)  # a process does not come up any more
    kills: int = 0
    _over: set[Path] = field(default_factory=set)

    def go_on(self, most: int) -> None:
        try:
            while not self.stopping.is_set() and self.kills < most:
                moment = self.chance.choice(MOMENTS)
                came = self._wait_for(moment)
                self._strike(moment if came else "any")
                self._revive()
            self.yard.start_all()
        except BaseException:
            self.broken.set()
            raise

    def _wait_for(self, moment: str) -> bool:
        if moment == "any":
            self.stopping.wait(self.chance.uniform(0.05, 1.6))
            return True
        deadline = time.monotonic() + _PATIENCE
        self.acknowledged.clear()
        before = self._seen(moment)
        while time.monotonic() < deadline and not self.stopping.is_set():
            if (moment == "acknowledged" and self.acknowledged.is_set()) or self._seen(moment) - before:
                time.sleep(self.chance.choice((0.0, 0.0, 0.005, 0.03)))
                return True
            time.sleep(0.002)
        return False

    def _seen(self, moment: str) -> set[Path]:
        """The builds of which this can be told now."""
        builds = self.yard.data / "builds"
        homes = set(builds.iterdir()) - self._over if builds.exists() else set()
        over = {home for home in homes if (home / "over").exists()}
        self._over |= over if moment != "over" else set()
        if moment == "provisioning":
            return homes
        if moment == "over":
            return over
        found = set()
        for home in homes - over if moment in WORDS else ():
            with suppress(OSError):
                if WORDS[moment] in (home / "log").read_bytes():
                    found.add(home)
        return found

    def _strike(self, moment: str) -> None:
        victims = self._victims()
        number = signal.SIGTERM if self.chance.random() < 0.15 else signal.SIGKILL
        for name in victims:
            self.yard.signal(name, number)
        self.kills += 1
        self.history.write("struck", moment=moment, victims=victims, signal=number.name)
        for name in victims:
            if name in self.yard.running:
                self.yard.reap(name)

    def _victims(self) -> tuple[str, ...]:
        match self.yard.shape:
            case Shape.ONE:
                return ("server",)
            case Shape.BESIDE:
                return self.chance.choice((("server",), ("workers",), ("workers", "server")))
            case Shape.APART:
                return self.chance.choice((("server",), ("one",), ("two",), ("one", "two"), ("server", "one", "two")))

    def _revive(self) -> None:
        """Start what was killed; now and then it is killed while it starts."""
        time.sleep(self.chance.choice((0.0, 0.0, 0.1, 0.4)))
        names = [name for name in self.yard.names if self.yard.running[name].poll() is not None]
        while names and self.chance.random() < 0.2:
            for name in names:
                self.yard.start(name)
            time.sleep(self.chance.uniform(0.05, 1.0))
            for name in names:
                self.yard.signal(name, signal.SIGKILL)
                self.yard.reap(name)
            self.kills += 1
            self.history.write("struck", moment="starting", victims=names, signal="SIGKILL")
        for name in names:
            self.yard.start(name)
        if "server" in names:
            self.yard.wait_ready()
