"""Sends pipelines' events on, in their order, at least once: posted to a URL, or put on an event bus outside.

How far they were sent is a row, and so is who sends: one process at a time, another when that one is silent. What
cannot be delivered is tried again until it is two weeks old and forgotten; nothing else waits for it.
"""

import asyncio
import json
import logging
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

from codeyard.app.outside import Outside
from codeyard.errors import CodeyardError, Fault
from codeyard.ident import Owner
from codeyard.pipelines import outbox_table
from codeyard.pipelines.outbox_table import Told
from codeyard.store import Database, Tx

OUTSIDE = "outside"
_EVERY, _AT_MOST = 1.0, 60.0  # seconds between looks; and between tries that fail
_BATCH = 100
_PUT = 10  # entries of one PutEvents
_LEASE = timedelta(minutes=5)  # longer than sending _PUT events takes, each within _PATIENCE or by boto3's retries
_SETTLED = timedelta(seconds=2)  # longer than a turn's transaction takes
_PATIENCE = 10.0  # seconds for an answer
_log = logging.getLogger(__name__)


class Telling:
    """`where` is the setting `events`: a URL, or `outside`; `name` is this process's."""

    def __init__(self, db: Database, outside: Outside, where: str, name: str, now: Callable[[], datetime]) -> None:
        self._db, self._outside, self._where, self._name, self._now = db, outside, where, name, now

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._go_on()) if self._where else None
        try:
            yield
        finally:
            if task is not None:
                task.cancel()

    async def _go_on(self) -> None:
        pause = _EVERY
        while True:
            await asyncio.sleep(pause)
            try:
                while await self.once():
                    pass
                pause = _EVERY
            except Exception as error:  # noqa: BLE001 - nothing may end it
                _log.warning("events_wait error=%s", error)
                pause = min(pause * 2, _AT_MOST)

    async def once(self) -> bool:
        """Send a batch; whether there was one. CodeyardError: it could not be sent."""

        def mine(tx: Tx) -> tuple[int, list[Told]]:
            at = outbox_table.sender(tx, self._name, self._now(), _LEASE)
            return (0, []) if at is None else (at, outbox_table.after(tx, at, _BATCH, self._now() - _SETTLED))

        _, found = await self._db.write(mine)
        if not found:
            return False
        for start in range(0, len(found), _PUT):
            await asyncio.to_thread(self._send, found[start : start + _PUT])
            last = found[min(start + _PUT, len(found)) - 1].number
            sent = partial(outbox_table.sent, name=self._name, number=last, until=self._now() + _LEASE)
            if not await self._db.write(sent):
                return False  # it took too long: another sends these
        return True

    def _send(self, events: Sequence[Told]) -> None:
        if self._where == OUTSIDE:
            for _, same in groupby(events, lambda each: (each.event["account"], each.event["region"])):
                self._put(tuple(same))
        else:
            for each in events:
                self._post(json.dumps(each.event).encode())

    def _put(self, events: Sequence[Told]) -> None:
        """Of one account and region, to the event bus there."""
        from botocore.exceptions import BotoCoreError, ClientError

        first = events[0].event
        client = self._outside.client(Owner(first["account"], first["region"]), "events", first["region"])
        entries = [
            {
                "Source": each.event["source"],
                "DetailType": each.event["detail-type"],
                "Resources": each.event["resources"],
                "Detail": json.dumps(each.event["detail"]),
                "Time": datetime.fromisoformat(each.event["time"]),
            }
            for each in events
        ]
        try:
            answer = client.put_events(Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise _unsent(str(error)) from None
        if answer.get("FailedEntryCount"):
            raise _unsent(f"{answer['FailedEntryCount']} of {len(entries)} events were not taken")

    def _post(self, body: bytes) -> None:
        headers = {"content-type": "application/json", "user-agent": "codeyard"}
        request = urllib.request.Request(self._where, body, headers, method="POST")  # noqa: S310 - a checked setting
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
                answer.read(1)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise _unsent(str(error)) from None


def _unsent(why: str) -> CodeyardError:
    return Fault("events of pipelines", f"they could not be sent: {why}.", "See that the receiver is up.")
