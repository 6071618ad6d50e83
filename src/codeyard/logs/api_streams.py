"""CloudWatch Logs' operations on log streams, and what clients put into them."""

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import datetime

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.errors import Invalid, NotFound
from codeyard.logs import Framing, LogFiles, Place, table
from codeyard.logs.groups import milliseconds
from codeyard.logs.naming import (
    WRONG,
    group_name,
    missing_group,
    missing_stream,
    on_group,
    on_stream,
    stream_arn,
    stream_name,
    stream_prefix,
    wrong,
)
from codeyard.logs.put_rules import sift
from codeyard.logs.put_streams import PutStreams
from codeyard.logs.reading import open_log
from codeyard.logs.table import Group, Stream
from codeyard.store import Database, Duplicate, Tx

_TOLD_EVERY = 60_000  # milliseconds; a stream's row tells of its last event no more often


class StreamOperations:
    """The operations on streams. `streams` takes what clients put."""

    def __init__(
        self, db: Database, files: LogFiles, streams: PutStreams, pages: Pages, now: Callable[[], datetime]
    ) -> None:
        self._db, self._files, self._streams, self._pages, self._now = db, files, streams, pages, now

    @operation("CreateLogStream", on_stream)
    async def create_log_stream(self, call: Call) -> None:
        named, name = group_name(call), stream_name(call.input["logStreamName"])
        place, now = Place(Framing.RECORDS, str(uuid.uuid4())), milliseconds(self._now())

        def work(tx: Tx) -> None:
            table.create_stream(tx, found_group(tx, call, named), name, place, now)

        try:
            await self._db.write(work)
        except Duplicate:
            raise Refused("ResourceAlreadyExistsException", "The specified log stream already exists") from None

    @operation("DeleteLogStream", on_stream)
    async def delete_log_stream(self, call: Call) -> None:
        now = milliseconds(self._now())

        def work(tx: Tx) -> None:
            table.delete_stream(tx, found_stream(tx, call)[1], now)

        await self._db.write(work)

    @operation("DescribeLogStreams", on_group)
    async def describe_log_streams(self, call: Call) -> Shape:
        given = call.input
        prefix, by_time = stream_prefix(call), given.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise wrong("Cannot order by LastEventTime with a logStreamNamePrefix.")
        named, limit, descending = group_name(call), given.get("limit") or 50, bool(given.get("descending"))
        about = [named, prefix, by_time, descending]
        opened = self._pages.open(call, given.get("nextToken"), WRONG, about)
        after = None if opened is None else json.loads(opened)

        def work(tx: Tx) -> tuple[Group, list[Stream]]:
            group = found_group(tx, call, named)
            if by_time:
                key = None if after is None else (after[0], after[1])
                return group, table.streams_by_time(tx, group, limit + 1, after=key, descending=descending)
            return group, table.streams_by_name(tx, group, limit + 1, after=after, prefix=prefix, descending=descending)

        group, found = await self._db.read(work)
        following = None
        if len(found) > limit:
            last = found[limit - 1]
            key = [last.created if last.last is None else last.last, last.id]
            following = json.dumps(key if by_time else last.name)
        shown = await asyncio.gather(*(self._shown(call, group, stream) for stream in found[:limit]))
        return {"logStreams": shown, "nextToken": self._pages.seal(call, following, about)}

    @operation("PutLogEvents", on_stream)
    async def put_log_events(self, call: Call) -> Shape:
        group, stream = await self._db.read(lambda tx: found_stream(tx, call))
        if stream.place.framing is not Framing.RECORDS:
            raise wrong("The log stream holds the log of a build: nothing else can be put into it.")
        events = [(each["timestamp"], each["message"].encode(errors="replace")) for each in call.input["logEvents"]]
        now = milliseconds(self._now())
        try:
            sifted = sift(events, now, group.retention)
        except Invalid as error:
            raise wrong(error.why) from None
        await asyncio.to_thread(self._streams.put, stream.place.name, sifted.taken)
        if sifted.taken:
            await self._told(stream, sifted.taken[0].timestamp, sifted.taken[-1].timestamp)
        return {"nextSequenceToken": f"{now:056d}", "rejectedLogEventsInfo": dict(sifted.rejected) or None}

    async def _told(self, stream: Stream, first: int, last: int) -> None:
        """Keep the row about right: it sorts streams, and tells when they are old."""
        if stream.last is not None and last < stream.last + _TOLD_EVERY:
            return
        stored = (await self._files.state(stream.place)).size
        first = first if stream.first is None else min(first, stream.first)
        await self._db.write(lambda tx: table.learn(tx, stream, first=first, last=last, stored=stored, ended=False))

    async def _shown(self, call: Call, group: Group, stream: Stream) -> Shape:
        first, last = stream.first, stream.last
        if not stream.ended:
            try:
                log = await open_log(self._files, stream.place)
                first, last = await log.first_moment(), await log.last_moment()
            except NotFound:
                first = last = None
        arn = stream_arn(call.owner, group.name, stream.name)
        return {
            "logStreamName": stream.name,
            "creationTime": stream.created,
            "firstEventTimestamp": first,
            "lastEventTimestamp": last,
            "lastIngestionTime": last,
            "uploadSequenceToken": f"{stream.id:056d}",
            "arn": arn,
            "storedBytes": 0,  # AWS tells no other number of a stream since 2019
        }


def found_group(tx: Tx, call: Call, name: str) -> Group:
    """The caller's group of this name. Refused."""
    group = table.group(tx, call.owner, name)
    if group is None:
        raise missing_group()
    return group


def found_stream(tx: Tx, call: Call) -> tuple[Group, Stream]:
    """The stream that a request names, and its group. Refused."""
    group = found_group(tx, call, group_name(call))
    stream = table.stream(tx, group, stream_name(call.input["logStreamName"]))
    if stream is None:
        raise missing_stream()
    return group, stream
