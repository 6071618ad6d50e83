"""CloudWatch Logs as we answer it: the groups and streams of builds, and those that clients make."""

from collections.abc import Callable, Mapping
from datetime import datetime

from codeyard.aws import Service
from codeyard.aws.paging import Pages
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.logs import LogFiles
from codeyard.logs.api_events import EventOperations
from codeyard.logs.api_groups import GroupOperations
from codeyard.logs.api_streams import StreamOperations
from codeyard.logs.put_streams import PutStreams
from codeyard.store import Database

_ERRORS: Mapping[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "InvalidParameterException",
    NotFound: "ResourceNotFoundException",
    Conflict: "OperationAbortedException",
    Denied: "AccessDeniedException",
    Fault: ("ServiceUnavailableException", 503),
}
_QUERIES = "Logs Insights queries are not supported; FilterLogEvents finds events by time and pattern."
_DECLINED = {
    "StartQuery": _QUERIES,
    "GetQueryResults": _QUERIES,
    "StopQuery": _QUERIES,
    "DescribeQueries": _QUERIES,
    "StartLiveTail": "Live Tail is not supported; `aws logs tail --follow` and GetLogEvents follow a log.",
    "AssociateKmsKey": "Log groups cannot be encrypted with a key of their own.",
    "DisassociateKmsKey": "Log groups cannot be encrypted with a key of their own.",
    "PutSubscriptionFilter": "Events are not passed on from log groups.",
    "PutMetricFilter": "No metrics are made of log events.",
    "CreateExportTask": "Log groups are not exported; a project's S3 logs put each build's log into a bucket.",
}
_OTHER = "Of CloudWatch Logs, only log groups, log streams and their events are supported."


def logs_service(
    db: Database, files: LogFiles, streams: PutStreams, pages: Pages, now: Callable[[], datetime]
) -> Service:
    """The service `logs`. `files` reads what builds and clients wrote; `streams` takes what clients put."""
    handlers = (
        GroupOperations(db, pages, now),
        StreamOperations(db, files, streams, pages, now),
        EventOperations(db, files, pages, now),
    )
    return Service("logs", handlers, _ERRORS, _DECLINED, _OTHER)
