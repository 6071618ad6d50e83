"""What a build's service role may do, and what its project may have the server reach for it."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from codeyard.aws import Caller, Identities, Refused
from codeyard.builds.build_wire import log_stream
from codeyard.builds.stored import StoredBuild
from codeyard.builds.tools import Sources
from codeyard.config import Config
from codeyard.errors import Denied
from codeyard.sources import SourceKind, SourceSpec

Permit = Callable[[str, str], Awaitable[None]]  # of an action, such as s3:GetObject, and an ARN; Denied


def permission(identities: Identities, caller: Caller | None) -> Permit:
    """Asks for `caller`, a session of the role; None: there can be none."""

    async def permit(action: str, arn: str) -> None:
        if caller is None:
            raise Denied(f"{action} on {arn}", "the role is gone, or trusts the service no more.", "See to it.")
        try:
            await identities.authorise(caller, action, (arn,), {})
        except Refused as error:
            raise Denied(f"{error.code}: {error.message}", "the service role does not allow it.", "Allow it.") from None

    return permit


def on_threads(permit: Permit, loop: asyncio.AbstractEventLoop) -> Callable[[str, str], None]:
    """The same for threads, where buckets and caches are used: who may what is known on the loop."""

    async def asked(action: str, arn: str) -> None:
        await permit(action, arn)

    def ask(action: str, arn: str) -> None:
        asyncio.run_coroutine_threadsafe(asked(action, arn), loop).result(60)

    return ask


def check_role(stored: StoredBuild, caller: Caller | None) -> None:
    """A build that may not have its role does not begin. Denied, in AWS's words."""
    if caller is None:
        raise Denied(
            f"CodeBuild is not authorized to perform: sts:AssumeRole on {stored.project.service_role}",
            "the service role is gone, or its trust policy does not name the service any more.", "See to the role.",
        )  # fmt: skip


async def check_log_group(stored: StoredBuild, permit: Permit) -> None:
    """A project's own log group is its to write to; another only if its service role may. Denied, in AWS's words."""
    stream = log_stream(stored)
    if stream is None or stream[0] == f"/aws/codebuild/{stored.id.project}":
        return
    owner, (group, name) = stored.owner, stream
    arn = f"arn:aws:logs:{owner.region}:{owner.account}:log-group:{group}:log-stream:{name}"
    try:
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            await permit(action, arn)
    except Denied as error:
        raise Denied(
            f"ACCESS_DENIED: Service role {stored.project.service_role} does not allow AWS CodeBuild to create "
            f"Amazon CloudWatch Logs log streams for build {stored.arn}. Error message: {error.what}",
            error.why, "Allow it, or leave out the name of the group.",
        ) from None  # fmt: skip


def check_reach(sources: Sources, config: Config) -> None:
    """Whoever may create projects is not thereby to read this machine's disk, nor what its user's keys open. Denied."""
    for spec in (sources.primary, *sources.secondary):
        if spec.identifier in sources.allowed:
            continue
        scheme = _scheme(spec)
        if scheme == "file" and not config.local_sources:
            raise Denied(
                f"source {spec.location}", "this server does not read sources from its own disk.",
                "Use a git server or a bucket; or set local_sources.",
            )  # fmt: skip
        if spec.kind is SourceKind.GIT and scheme == "ssh" and not config.host_git:
            raise Denied(
                f"source {spec.location}", "this server does not use its own user's ssh keys for projects.",
                "Use an https URL, with imported credentials; or set host_git.",
            )  # fmt: skip


def _scheme(spec: SourceSpec) -> str:
    """How it is reached. git takes what has no scheme for host:path if a colon comes before any slash, else a path."""
    if "://" in spec.location:
        return urlsplit(spec.location).scheme
    if spec.kind is not SourceKind.GIT:
        return ""
    return "ssh" if ":" in spec.location.partition("/")[0] else "file"
