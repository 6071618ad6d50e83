"""Kills servers, workers and agents: at random moments, and right after what a crash could spoil."""

import os
import random
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from tests.crash import pipelines_story as story
from tests.crash.pipelines_people import KINDS, People
from tests.crash.pipelines_places import Places

# What is waited for before a kill: calls that were answered, and what can be seen on disks.
_ANSWERED = KINDS
_SEEN = ("building", "placing", "placed", "switched", "script", "installing", "fitting")
MOMENTS = ("any", "any", "any", "any", *_ANSWERED, *_SEEN)
_OF_TARGETS = _SEEN[1:]
_PATIENCE = 2.0  # seconds for a moment to come
_FROZEN = 0.4  # how many stand still for about a lease and are not killed, if leases are short


@dataclass(slots=True)
class PipelinesKiller:
    """Goes on until it is told to stop, or there were enough kills; then every process runs again."""

    places: Places
    chance: random.Random
    people: People
    stopping: threading.Event = field(default_factory=threading.Event)
    kills: int = 0

    def go_on(self, most: int) -> None:
        try:
            while not self.stopping.is_set() and self.kills < most:
                moment = self.chance.choice(MOMENTS)
                came = self._wait_for(moment)
                self._strike(moment if came else "any")
                self._revive()
            self.places.start_all()
        except BaseException:
            self.people.broken.set()
            raise

    def _wait_for(self, moment: str) -> bool:
        if moment == "any":
            self.stopping.wait(self.chance.uniform(0.1, 2.5))
            return True
        deadline = time.monotonic() + _PATIENCE
        before = self._now(moment)
        while time.monotonic() < deadline and not self.stopping.is_set():
            now = self._now(moment)
            if now - before:
                time.sleep(self.chance.choice((0.0, 0.0, 0.005, 0.03, 0.1)))
                return True
            before = now if moment in _SEEN else before
            time.sleep(0.002)
        return False

    def _now(self, moment: str) -> set[str]:
        """What there is of this moment's; it comes when there is more."""
        if moment in _ANSWERED:
            return {f"{number}" for number in range(self.people.counts[moment])}
        if moment == "building":
            with suppress(OSError):
                return set(os.listdir(self.places.yard.data / "builds"))
            return set()
        found = set()
        for target in story.TARGETS:
            for name in story.MODES:
                at = self.places.targets / target / name
                fitted = self.places.targets / target / story.application(name)
                with suppress(OSError):
                    match moment:
                        case "switched":
                            found.add(f"{at} {(at / 'current').readlink()}")
                        case "script":
                            found.add(f"{at} {(at / 'ran').stat().st_size}")
                        case "installing":  # in place: files come and go
                            found |= {f"{fitted} {each}" for each in os.listdir(fitted / "data")}
                        case "fitting":  # a script in place
                            found.add(f"{fitted} {fitted.with_suffix('.ran').stat().st_size}")
                        case _:
                            hidden = moment == "placing"
                            found |= {f"{at} {each}" for each in os.listdir(at / "releases")
                                      if each.startswith(".") == hidden}  # fmt: skip
        return found

    def _strike(self, moment: str) -> None:
        victims = self._victims(moment)
        lease = self.places.lease
        if lease is not None and self.chance.random() < _FROZEN:
            self.people.history.write("freezing", moment=moment, victims=victims)
            self.places.freeze(victims, lease * self.chance.uniform(0.5, 2.0))
            self.people.history.write("struck", moment=moment, victims=victims, signal="SIGSTOP")
            self.kills += 1
            return
        number = signal.SIGTERM if self.chance.random() < 0.1 else signal.SIGKILL
        self.people.history.write("striking", moment=moment, victims=victims)
        self.places.kill(victims, number)
        self.kills += 1
        self.people.history.write("struck", moment=moment, victims=victims, signal=number.name)

    def _victims(self, moment: str) -> tuple[str, ...]:
        servers, agents = self.places.servers, tuple(self.places.agents)
        one_each = [(name,) for name in (*servers, *agents)]
        if moment in _OF_TARGETS:
            return self.chance.choice((agents[:1], agents[1:], agents, servers[:1], (*servers, *agents)))
        if moment in _ANSWERED:
            return self.chance.choice((servers, servers, (*servers, *agents)))
        return self.chance.choice((*one_each, servers, servers, agents, (*servers, *agents)))

    def _revive(self) -> None:
        """Start what was killed; now and then it is killed while it starts."""
        time.sleep(self.chance.choice((0.0, 0.0, 0.1, 0.5, 1.5)))
        names = [name for name in self.places.names if not self.places.lives(name)]
        while names and self.chance.random() < 0.15:
            for name in names:
                self.places.start(name)
            time.sleep(self.chance.uniform(0.05, 1.2))
            self.places.kill(names)
            self.kills += 1
            self.people.history.write("struck", moment="starting", victims=names, signal="SIGKILL")
        for name in names:
            self.places.start(name)
        for name in names:
            self.places.wait_ready(name)
