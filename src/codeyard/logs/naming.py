"""How requests name groups and streams, and the ARNs of both. This module does no I/O.

Source of the ARNs: "Actions, resources, and condition keys for Amazon CloudWatch Logs" in the service authorization
reference; a policy on `log-group:NAME:*` covers the group's operations and its streams'.
"""

import re

from codeyard.aws import Call, Refused, Shape
from codeyard.ident import Owner

WRONG = "InvalidParameterException"
NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."
_GROUP = re.compile(r"[.\-_/#A-Za-z0-9]{1,512}")
_STREAM = re.compile(r"[^:*\x00-\x1f\ud800-\udfff]{1,512}")


def group_arn(owner: Owner, name: str) -> str:
    """The ARN of a group, as tags and logGroupArn have it; operations' policies and `arn` add `:*`."""
    return f"arn:aws:logs:{owner.region}:{owner.account}:log-group:{name}"


def stream_arn(owner: Owner, group: str, stream: str) -> str:
    return f"{group_arn(owner, group)}:log-stream:{stream}"


def missing_group() -> Refused:
    return Refused("ResourceNotFoundException", NO_GROUP)


def missing_stream() -> Refused:
    return Refused("ResourceNotFoundException", NO_STREAM)


def wrong(why: str) -> Refused:
    return Refused(WRONG, why)


def group_name(call: Call) -> str:
    """The group that a request is about, by `logGroupName` or `logGroupIdentifier`, a name or an ARN."""
    name, identifier = call.input.get("logGroupName"), call.input.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise wrong("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    return checked_group(name) if name is not None else named_by(call.owner, str(identifier))


def named_by(owner: Owner, identifier: str) -> str:
    """The name of the group with this ARN, or that is this name. Another account's or region's does not exist here."""
    if not identifier.startswith("arn:"):
        return checked_group(identifier)
    begin = group_arn(owner, "")
    if not identifier.startswith(begin):
        raise missing_group()
    return checked_group(identifier.removeprefix(begin).removesuffix(":*"))


def checked_group(name: str) -> str:
    if _GROUP.fullmatch(name) is None:
        raise wrong(
            f"1 validation error detected: Value '{name[:100]}' at 'logGroupName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+"
        )
    return name


def stream_name(name: str) -> str:
    if _STREAM.fullmatch(name) is None:
        raise wrong(
            "1 validation error detected: Value at 'logStreamName' failed to satisfy constraint: "
            "Member must satisfy regular expression pattern: [^:*]*"
        )
    return name


def stream_prefix(call: Call) -> str:
    """What the streams' names that are asked for begin with; empty: all."""
    prefix = call.input.get("logStreamNamePrefix")
    return stream_name(prefix) if prefix else ""


def on_group(call: Call) -> str:
    """What a policy must allow an operation on that is about a group."""
    return f"{group_arn(call.owner, _asked(call.input, call.owner))}:log-stream:"


def on_stream(call: Call) -> str:
    """The same for one about a stream."""
    return f"{on_group(call)}{call.input.get('logStreamName', '')}"


def on_any_group(call: Call) -> str:
    """The same for one that lists groups."""
    return f"{group_arn(call.owner, '')}:log-stream:"


def on_tagged(call: Call) -> str:
    """The same for one about the tags of a group."""
    given = call.input.get("resourceArn")
    return str(given).removesuffix(":*") if given else group_arn(call.owner, _asked(call.input, call.owner))


def _asked(given: Shape, owner: Owner) -> str:
    named = str(given.get("logGroupName") or given.get("logGroupIdentifier") or "")
    return named.removeprefix(group_arn(owner, "")).removesuffix(":*")
