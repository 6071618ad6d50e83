"""CloudWatch Logs by boto3, over logs that are being written and streams that it puts into."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest

from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.logs.api import logs_service
from codeyard.logs.files import LocalLogs
from codeyard.logs.groups import LogGroups
from codeyard.store.engine import SqlDatabase
from tests.databases import database as database
from tests.logs.written import BuildLog
from tests.wire.generate import survives
from tests.wire.served import RootOnly, client, serving

GROUP = "/aws/codebuild/demo"
ARN = f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Server:
    """The service, a client of it, and the directory of its logs."""

    logs: Any
    url: str
    db: SqlDatabase
    data: Path

    @property
    def groups(self) -> LogGroups:
        return LogGroups(self.db, now, LocalLogs(self.data))

    async def build(self, group: str = GROUP) -> BuildLog:
        """The log of a build that begins now."""
        log = BuildLog(self.data)
        await self.groups.build_stream(Owner(), group, log.run, log.run)
        return log


@pytest.fixture
def server(database: SqlDatabase, tmp_path: Path) -> Iterator[Server]:
    files = LocalLogs(tmp_path)
    service = logs_service(database, files, files.streams, Pages(b"k" * 32), now)
    with serving(Gateway([service], RootOnly(), now)) as url:
        yield Server(client(url, "logs"), url, database, tmp_path)


def refusal(server: Server, operation: str, **given: Any) -> tuple[str, str]:
    """The code and the message of the error that this is answered with."""
    with pytest.raises(botocore.exceptions.ClientError) as told:
        getattr(server.logs, operation)(**given)
    return told.value.response["Error"]["Code"], told.value.response["Error"]["Message"]


def test_groups_are_made_listed_and_deleted(server: Server) -> None:
    for name in ("b", "a/x", "a/y", "A"):
        server.logs.create_log_group(logGroupName=name, tags={"team": "one"})
    server.logs.delete_log_group(logGroupName="b")
    pages = server.logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2})
    listed = [group["logGroupName"] for page in pages for group in page["logGroups"]]
    prefixed = server.logs.describe_log_groups(logGroupNamePrefix="a/")["logGroups"]
    containing = server.logs.describe_log_groups(logGroupNamePattern="/y")["logGroups"]

    assert listed == ["A", "a/x", "a/y"]
    assert [group["logGroupName"] for group in prefixed] == ["a/x", "a/y"]
    assert [group["logGroupName"] for group in containing] == ["a/y"]
    assert prefixed[0]["arn"] == "arn:aws:logs:us-east-1:000000000000:log-group:a/x:*"
    assert prefixed[0]["storedBytes"] == 0


def test_groups_and_streams_that_are_not_there_are_told_as_aws_tells_them(server: Server) -> None:
    server.logs.create_log_group(logGroupName=GROUP)
    here = {"logGroupName": GROUP, "logStreamName": "none"}

    assert refusal(server, "delete_log_group", logGroupName="none") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
    assert refusal(server, "get_log_events", **here) == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
    assert refusal(server, "create_log_group", logGroupName=GROUP)[0] == "ResourceAlreadyExistsException"


def test_retention_and_tags_are_kept(server: Server) -> None:
    server.logs.create_log_group(logGroupName=GROUP, tags={"a": "1"})
    server.logs.put_retention_policy(logGroupName=GROUP, retentionInDays=7)
    server.logs.tag_resource(resourceArn=ARN, tags={"b": "2"})
    server.logs.untag_resource(resourceArn=ARN, tagKeys=["a"])
    described = server.logs.describe_log_groups()["logGroups"][0]
    server.logs.delete_retention_policy(logGroupName=GROUP)

    assert described["retentionInDays"] == 7
    assert server.logs.list_tags_for_resource(resourceArn=ARN)["tags"] == {"b": "2"}
    assert server.logs.list_tags_log_group(logGroupName=GROUP)["tags"] == {"b": "2"}
    assert "retentionInDays" not in server.logs.describe_log_groups()["logGroups"][0]
    assert refusal(server, "put_retention_policy", logGroupName=GROUP, retentionInDays=2)[0] == (
        "InvalidParameterException"
    )


async def test_a_build_s_log_is_read_both_ways(server: Server) -> None:
    log = await server.build()
    log.prints(0, b"one\ntwo\n\nfour\n")
    here = {"logGroupName": GROUP, "logStreamName": log.run}
    first = server.logs.get_log_events(**here, startFromHead=True, limit=3)
    second = server.logs.get_log_events(**here, startFromHead=True, nextToken=first["nextForwardToken"])
    at_end = server.logs.get_log_events(**here, startFromHead=True, nextToken=second["nextForwardToken"])
    latest = server.logs.get_log_events(**here, limit=1)
    before = server.logs.get_log_events(**here, nextToken=latest["nextBackwardToken"])
    at_head = server.logs.get_log_events(**here, nextToken=before["nextBackwardToken"])

    assert said(first) == ["one\n", "two\n", "\n"]
    assert said(second) == said(latest) == ["four\n"]
    assert said(before) == ["one\n", "two\n", "\n"]
    assert said(at_end) == said(at_head) == []
    assert at_end["nextForwardToken"] == second["nextForwardToken"]
    assert at_head["nextBackwardToken"] == before["nextBackwardToken"]
    assert latest["nextForwardToken"] == second["nextForwardToken"]


def said(page: Any) -> list[str]:
    return [event["message"] for event in page["events"]]


async def test_a_token_gives_what_came_since(server: Server) -> None:
    log = await server.build()
    here = {"logGroupName": GROUP, "logStreamName": log.run}
    empty = server.logs.get_log_events(**here, startFromHead=True)
    log.prints(0, b"one\nunfinished")
    first = server.logs.get_log_events(**here, startFromHead=True, nextToken=empty["nextForwardToken"])
    log.prints(10, b" line\n")
    second = server.logs.get_log_events(**here, startFromHead=True, nextToken=first["nextForwardToken"])

    assert (said(empty), said(first), said(second)) == ([], ["one\n"], ["unfinished line\n"])


async def test_events_are_found_by_time(server: Server) -> None:
    log = await server.build()
    for number in range(5):
        log.prints(number * 100, b"%d\n" % number)
    here = {"logGroupName": GROUP, "logStreamName": log.run}
    start = server.logs.get_log_events(**here, startFromHead=True)["events"][0]["timestamp"]
    between = {"startTime": start + 100, "endTime": start + 300}

    assert said(server.logs.get_log_events(**here, **between)) == ["1\n", "2\n"]
    assert said(server.logs.get_log_events(**here, **between, startFromHead=True, limit=1)) == ["1\n"]
    assert said(server.logs.get_log_events(**here, startTime=start + 401)) == []
    assert said(server.logs.filter_log_events(logGroupName=GROUP, **between)) == ["1\n", "2\n", "3\n"]


async def test_events_of_several_builds_are_found_in_their_order(server: Server) -> None:
    ended, running, other = await server.build(), await server.build(), await server.build("other")
    for number in range(6):
        (ended if number % 2 else running).prints(number * 100, b"%d ERROR\nfine\n" % number)
    other.prints(0, b"ERROR of another group\n")
    ended.close()
    await server.groups.build_ended(ended.run)
    pages = server.logs.get_paginator("filter_log_events").paginate(
        logGroupIdentifier=ARN, filterPattern="ERROR", PaginationConfig={"PageSize": 2}
    )
    found = [event for page in pages for event in page["events"]]

    assert [event["message"][0] for event in found] == ["0", "1", "2", "3", "4", "5"]
    assert len({event["eventId"] for event in found}) == 6
    assert {event["logStreamName"] for event in found} == {ended.run, running.run}
    only = server.logs.filter_log_events(logGroupName=GROUP, logStreamNames=[ended.run], filterPattern="ERROR")
    assert [message[0] for message in said(only)] == ["1", "3", "5"]


async def test_a_thousand_ended_builds_are_searched(server: Server) -> None:
    for number in range(30):
        log = await server.build()
        log.prints(number * 1000, b"begin %d\n" % number)
        log.prints(number * 1000 + 500, b"end %d\n" % number)
        log.close()
        await server.groups.build_ended(log.run)
    pages = server.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, filterPattern="begin")

    assert [event["message"] for page in pages for event in page["events"]] == [
        f"begin {number}\n" for number in range(30)
    ]


async def test_what_clients_put_is_read_and_found(server: Server) -> None:
    at = int(now().timestamp() * 1000)
    here = {"logGroupName": GROUP, "logStreamName": "mine"}
    server.logs.create_log_group(logGroupName=GROUP)
    server.logs.create_log_stream(**here)
    before = server.logs.get_log_events(**here)
    put = server.logs.put_log_events(
        **here, logEvents=[{"timestamp": at - 10, "message": "one\nmore"}, {"timestamp": at, "message": "two"}]
    )
    rejected = server.logs.put_log_events(**here, logEvents=[{"timestamp": 1, "message": "old"}], sequenceToken="x")
    server.logs.put_log_events(**here, logEvents=[{"timestamp": at + 1, "message": "three"}])

    assert said(before) == []
    assert "rejectedLogEventsInfo" not in put
    assert rejected["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert said(server.logs.get_log_events(**here)) == ["one\nmore", "two", "three"]
    assert said(server.logs.get_log_events(**here, limit=1)) == ["three"]
    assert said(server.logs.filter_log_events(logGroupName=GROUP, startTime=at)) == ["two", "three"]
    described = server.logs.describe_log_streams(logGroupName=GROUP)["logStreams"][0]
    assert (described["firstEventTimestamp"], described["lastEventTimestamp"]) == (at - 10, at + 1)


async def test_nothing_is_put_into_the_log_of_a_build(server: Server) -> None:
    log = await server.build()
    told = refusal(
        server,
        "put_log_events",
        logGroupName=GROUP,
        logStreamName=log.run,
        logEvents=[{"timestamp": 1, "message": "x"}],
    )

    assert told[0] == "InvalidParameterException"


async def test_streams_are_listed_by_name_and_by_time(server: Server) -> None:
    builds = [await server.build() for _ in range(3)]
    for number, log in enumerate(builds):
        log.prints((3 - number) * 1000, b"x\n")
        log.close()
        await server.groups.build_ended(log.run)
    names = sorted(log.run for log in builds)
    paged = server.logs.get_paginator("describe_log_streams")

    def listed(**how: Any) -> list[str]:
        pages = paged.paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 1}, **how)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert listed() == names
    assert listed(descending=True) == names[::-1]
    assert listed(orderBy="LastEventTime", descending=True) == [log.run for log in builds]
    assert listed(logStreamNamePrefix=names[1][:30]) == [names[1]]
    assert refusal(server, "describe_log_streams", logGroupName=GROUP, orderBy="LastEventTime", logStreamNamePrefix="x")


async def test_a_deleted_stream_is_gone_and_may_be_made_again(server: Server) -> None:
    here = {"logGroupName": GROUP, "logStreamName": "mine"}
    server.logs.create_log_group(logGroupName=GROUP)
    server.logs.create_log_stream(**here)
    server.logs.put_log_events(**here, logEvents=[{"timestamp": int(now().timestamp() * 1000), "message": "x"}])
    server.logs.delete_log_stream(**here)
    gone = await server.groups.sweep()
    server.logs.create_log_stream(**here)

    assert gone == 1
    assert said(server.logs.get_log_events(**here)) == []
    assert list((server.data / "streams").iterdir()) == []


def test_another_region_has_groups_of_its_own(server: Server) -> None:
    server.logs.create_log_group(logGroupName=GROUP)
    other = client(server.url, "logs", region="eu-west-1")

    assert other.describe_log_groups()["logGroups"] == []


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("get_log_events", {"logStreamName": "s", "nextToken": "x"}),
        ("filter_log_events", {"nextToken": "x"}),
        ("filter_log_events", {"filterPattern": "{ $.a"}),
        ("filter_log_events", {"logStreamNames": ["a"], "logStreamNamePrefix": "a"}),
        ("filter_log_events", {"startTime": 2, "endTime": 1}),
        ("describe_log_streams", {"logGroupIdentifier": GROUP}),
        ("describe_log_streams", {"nextToken": "x"}),
        ("create_log_stream", {"logStreamName": "a:b"}),
        ("create_log_stream", {"logStreamName": "a\0b"}),
        ("describe_log_streams", {"logStreamNamePrefix": "a\0b"}),
        ("filter_log_events", {"logStreamNamePrefix": "a\0b"}),
        ("filter_log_events", {"logStreamNames": ["a\0b"]}),
    ],
)
def test_what_is_wrong_is_told(server: Server, operation: str, given: dict[str, Any]) -> None:
    server.logs.create_log_group(logGroupName=GROUP)
    server.logs.create_log_stream(logGroupName=GROUP, logStreamName="s")

    assert refusal(server, operation, logGroupName=GROUP, **given)[0] == "InvalidParameterException"


def test_times_beyond_all_bounds_find_nothing(server: Server) -> None:
    server.logs.create_log_group(logGroupName=GROUP)
    server.logs.create_log_stream(logGroupName=GROUP, logStreamName="s")
    server.logs.put_log_events(
        logGroupName=GROUP, logStreamName="s", logEvents=[{"timestamp": int(now().timestamp() * 1000), "message": "x"}]
    )
    here = {"logGroupName": GROUP, "startTime": 2**63 - 1}

    assert said(server.logs.filter_log_events(**here)) == []
    assert said(server.logs.get_log_events(**here, logStreamName="s")) == []


def test_a_declined_operation_says_why(server: Server) -> None:
    assert (
        "FilterLogEvents"
        in refusal(server, "start_query", logGroupName=GROUP, startTime=0, endTime=1, queryString=str(uuid.uuid4()))[1]
    )


def test_no_input_breaks_it(server: Server) -> None:
    """Made-up inputs, right and wrong, to every operation that is answered."""
    server.logs.create_log_group(logGroupName=GROUP)
    files = LocalLogs(server.data)
    service = logs_service(server.db, files, files.streams, Pages(b"k" * 32), now)
    survives(server.url, "logs", sorted(service.operations()), examples=15)
