"""Sends pipelines' events on, each pipeline's in their order, at least once: posted to a URL, or put on an event bus.

Who sends is a row: one process at a time, another when that one is silent. What cannot be delivered is tried again as
EventBridge does it (User Guide, "How EventBridge retries delivering events"), and holds up its own pipeline alone.
"""

import asyncio
import http.client
import json
import logging
import random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from codeyard.app.outside import Outside
from codeyard.errors import CodeyardError
from codeyard.ident import Owner
from codeyard.pipelines import outbox_table
from codeyard.pipelines.outbox_table import Told
from codeyard.store import Database, Tx

OUTSIDE = "outside"
_EVERY, _AT_MOST = 1.0, 60.0  # seconds between looks; and between those that fail
_BATCH = 100
_PUT = 10  # entries of one PutEvents
_LEASE = timedelta(minutes=5)  # longer than sending _PUT events takes, each within _PATIENCE or by boto3's retries
_PATIENCE = 10.0  # seconds for an answer
_RETRIES, _OLDEST = 185, timedelta(hours=24)
_LONGEST = _OLDEST.total_seconds() / _RETRIES  # seconds between two tries
_LINES = 200  # pipelines that wait at once: of more than these it is the receiver that is down
# API destinations are tried again after these and 5xx (User Guide, "API destinations"); 408 and 425 say "later" too.
_PASSING = frozenset({401, 407, 408, 409, 425, 429})
_UNKNOWN = 403  # AWS's 401: the credentials may be mended
_LATER = ("Throttl", "Expired", "Limit", "InternalFailure")  # in error codes of AWS that pass
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Refusal:
    why: str
    for_good: bool  # the same event will never be taken


@dataclass(frozen=True, slots=True)
class _Wait:
    """A pipeline's next event was not taken."""

    number: int
    tries: int
    due: datetime


class Telling:
    """`where` is the setting `events`: a URL, or `outside`; `name` is this process's. `dropped` is told why an event
    was: `refused` or `expired`."""

    def __init__(
        self,
        db: Database,
        outside: Outside,
        where: str,
        name: str,
        now: Callable[[], datetime],
        dropped: Callable[[str], None],
    ) -> None:
        self._db, self._where, self._name, self._now, self._dropped = db, where, name, now, dropped
        self._send = _Bus(outside).put if where == OUTSIDE else _Url(where).post
        self._waits: dict[str, _Wait] = {}  # by line

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._go_on()) if self._where else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _go_on(self) -> None:
        pause = 0.0  # at once: the first look ever is what decides from when on events are sent
        while True:
            await asyncio.sleep(pause)
            try:
                while await self.once():
                    pass
                pause = _EVERY
            except Exception as error:  # noqa: BLE001 - nothing may end it
                _log.warning("events_wait error=%s", error)
                pause = min(max(pause * 2, _EVERY), _AT_MOST)

    async def once(self) -> bool:
        """Send what may be sent, a batch at the most; whether any event is done with. Away."""
        now = self._now()
        blocked = [line for line, wait in self._waits.items() if wait.due > now]
        if len(blocked) >= _LINES or not await self._db.read(lambda tx: outbox_table.wanted(tx, blocked)):
            return False

        def mine(tx: Tx) -> list[Told]:
            is_sender = outbox_table.sender(tx, self._name, self._now(), _LEASE)
            return outbox_table.owed(tx, _BATCH, blocked) if is_sender else []

        any_over = False
        for some in _rounds(await self._db.write(mine)):
            ready = [each for each in some if each.line not in self._waits or self._waits[each.line].due <= now]
            if not ready:
                continue
            refused = await asyncio.to_thread(self._send, ready)
            over = [each.number for each in ready if self._is_over(each, refused.get(each.number))]
            any_over = any_over or bool(over)
            sent = partial(outbox_table.sent, name=self._name, numbers=over, until=self._now() + _LEASE)
            if not await self._db.write(sent):
                return False  # it took too long: another sends these
        return any_over

    def _is_over(self, told: Told, refusal: _Refusal | None) -> bool:
        """Whether it need not be sent again: it was taken, or never will be; else it waits."""
        last = self._waits.pop(told.line, None)
        if refusal is None:
            return True
        tries = last.tries + 1 if last is not None and last.number == told.number else 1
        now = self._now()
        if refusal.for_good or tries > _RETRIES or now - told.at > _OLDEST:
            self._dropped("refused" if refusal.for_good else "expired")
            event = told.event
            _log.warning(
                "event_dropped id=%s pipeline=%s tries=%s why=%s", event.get("id"), told.line, tries, refusal.why
            )
            return True
        pause = min(2.0 ** min(tries - 1, 10), _LONGEST) * random.uniform(0.5, 1)  # noqa: S311 - not a secret
        self._waits[told.line] = _Wait(told.number, tries, now + timedelta(seconds=pause))
        _log.log(
            logging.WARNING if tries == 1 else logging.DEBUG,
            "event_waits pipeline=%s tries=%s why=%s", told.line, tries, refusal.why,
        )  # fmt: skip
        return False


def _rounds(found: Sequence[Told]) -> Iterator[list[Told]]:
    """A few at a time, none beside another of its pipeline, whose events go one after another."""
    left = list(found)
    while left:
        first = {each.line: each for each in reversed(left)}
        some = sorted(first.values(), key=lambda each: each.number)[:_PUT]
        taken = {each.number for each in some}
        left = [each for each in left if each.number not in taken]
        yield some


# ── receivers: each tells, by number, which events were not taken, and blocks ──


class _Stay(urllib.request.HTTPRedirectHandler):
    """No redirect is followed: what was posted would be asked for there, without the event."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class _Url:
    def __init__(self, url: str) -> None:
        self._url, self._opener = url, urllib.request.build_opener(_Stay)

    def post(self, events: Iterable[Told]) -> dict[int, _Refusal]:
        found = {each.number: self._post(json.dumps(each.event).encode()) for each in events}
        return {number: refusal for number, refusal in found.items() if refusal is not None}

    def _post(self, body: bytes) -> _Refusal | None:
        headers = {"content-type": "application/json", "user-agent": "codeyard"}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 - a checked setting
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            return _Refusal(f"HTTP {error.code}", error.code < 500 and error.code not in _PASSING)
        except (OSError, ValueError, http.client.HTTPException) as error:
            return _Refusal(_line(str(error) or type(error).__name__), for_good=False)
        return None


class _Bus:
    """The event buses outside, of each region one."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._clients: dict[str, Any] = {}

    def put(self, events: Iterable[Told]) -> dict[int, _Refusal]:
        found: dict[int, _Refusal] = {}
        for place, same in groupby(sorted(events, key=_place), _place):
            found |= self._put(Owner(*place), tuple(same))
        return found

    def _put(self, owner: Owner, events: Sequence[Told]) -> dict[int, _Refusal]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client(owner).put_events(Entries=[_entry(each.event) for each in events])
        except ClientError as error:
            why, status = error.response["Error"], error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
            passing = status >= 500 or status in (*_PASSING, _UNKNOWN) or _later(why.get("Code", ""))
            if not passing and len(events) > 1:  # one of them is at fault: the others need not suffer for it
                return {number: no for each in events for number, no in self._put(owner, (each,)).items()}
            return self._none(owner, events, _Refusal(_line(str(error)), not passing))
        except (BotoCoreError, CodeyardError) as error:
            return self._none(owner, events, _Refusal(_line(str(error)), for_good=False))
        if not answer.get("FailedEntryCount"):
            return {}
        failed = zip(events, answer.get("Entries", ()), strict=False)
        return {told.number: _failure(entry) for told, entry in failed if entry.get("ErrorCode")}

    def _none(self, owner: Owner, events: Sequence[Told], refusal: _Refusal) -> dict[int, _Refusal]:
        self._clients.pop(owner.region, None)  # the next has the credentials that there are by then
        return {each.number: refusal for each in events}

    def _client(self, owner: Owner) -> Any:
        if owner.region not in self._clients:
            self._clients[owner.region] = self._outside.client(owner, "events", owner.region)
        return self._clients[owner.region]


def _place(told: Told) -> tuple[str, str]:
    return told.event["account"], told.event["region"]


def _entry(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Resources": event["resources"],
        "Detail": json.dumps(event["detail"]),
        "Time": datetime.fromisoformat(event["time"]),
    }


def _failure(entry: Mapping[str, Any]) -> _Refusal:
    """API, PutEventsResultEntry: which codes pass."""
    return _Refusal(_line(f"{entry['ErrorCode']}: {entry.get('ErrorMessage', '')}"), not _later(entry["ErrorCode"]))


def _later(code: str) -> bool:
    return any(sign in code for sign in _LATER)


def _line(text: str) -> str:
    """What a receiver says, fit for a log."""
    return " ".join(text.split())[:300]
