"""A server's build on the screen as it goes: read as any client reads it, and shown as `codeyard run` does."""

import re
import time
from datetime import UTC, datetime
from typing import Any

from codeyard.cli import remote
from codeyard.cli.render import Screen
from codeyard.events import BuildEnded, BuildStarted, CommandEnded, CommandStarted, PhaseEnded, PhaseStarted, Progressed
from codeyard.logs import LogPiece

_OFTEN = 0.1  # seconds between looks at a log that grows
_SELDOM = 0.5  # at a build that waits in the queue
_AGENT = re.compile(r"\[Container\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) (.*)", re.DOTALL)
_ENTERING = re.compile(r"(?:Entering phase|Phase is) (\w+)")
_COMPLETE = re.compile(r"Phase complete: (\w+) State: (\w+)")
_CONTEXT = re.compile(r"Phase context status code: (\S*) Message: (.*)", re.DOTALL)
_EXITED = re.compile(r"Command did not exit successfully .* exit status (\d+)\Z", re.DOTALL)


class Follower:
    """Turns the lines of a log into the events that a Screen knows."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._phase, self._entered = "", datetime.now(UTC)
        self._command: tuple[str, datetime] | None = None
        self._ended: tuple[str, str] | None = None
        self._index = 0

    def line(self, text: str) -> None:
        """One line, without its end."""
        match = _AGENT.fullmatch(text)
        if match is None:
            self._screen.log(LogPiece(False, f"{text}\n".encode()))
            return
        at = datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
        self._hear(at, match[2])
        self._screen.log(LogPiece(True, f"{text}\n".encode()))
        self._end_phase(at, match[2])

    def _hear(self, at: datetime, said: str) -> None:
        if entering := _ENTERING.fullmatch(said):
            self._phase, self._entered = entering[1], at
            self._screen.event(PhaseStarted(at=at, phase=self._phase))
        elif said.startswith("Running command "):
            self._end_command(at, 0)
            self._command = (said.removeprefix("Running command "), at)
            self._screen.event(CommandStarted(at=at, phase=self._phase, index=self._index, command=self._command[0]))
            self._index += 1
        elif failed := _EXITED.fullmatch(said):
            self._end_command(at, int(failed[1]))

    def _end_command(self, at: datetime, code: int) -> None:
        if self._command is None:
            return
        command, began = self._command
        self._command = None
        self._screen.event(
            CommandEnded(
                at=at, phase=self._phase, index=self._index - 1, command=command, exit_code=code,
                seconds=(at - began).total_seconds(),
            )
        )  # fmt: skip

    def _end_phase(self, at: datetime, said: str) -> None:
        if complete := _COMPLETE.fullmatch(said):
            self._end_command(at, 0)
            self._ended = (complete[1], complete[2])
        elif self._ended is not None and (context := _CONTEXT.fullmatch(said)):
            phase, status = self._ended
            self._ended = None
            self._screen.event(
                PhaseEnded(
                    at=at, phase=phase, status=status, code=context[1], message=context[2],
                    seconds=(at - self._entered).total_seconds(),
                )
            )  # fmt: skip
            self._entered = at


def follow(codebuild: Any, logs: Any, build: remote.Build, screen: Screen) -> remote.Build:
    """Show the build until it has ended; the build as it is then."""
    screen.event(_started(build))
    follower, token, waiting = Follower(screen), None, ""
    while True:
        over = build.get("buildComplete", False)
        group = build.get("logs", {}).get("groupName")
        read = 0
        if group and build["logs"].get("streamName"):
            token, read = _read(logs, build, token, follower)
        elif (reason := remote.waiting_for(build)) != waiting and not over:
            waiting = reason
            screen.event(Progressed(at=datetime.now(UTC), what=reason or "waiting"))
        if over and not read:
            break
        if not over:
            if not read:
                time.sleep(_OFTEN if token else _SELDOM if waiting else _OFTEN)
            build = remote.find(codebuild, build["id"])
    screen.event(_ended(build))
    return build


def _read(logs: Any, build: remote.Build, token: str | None, follower: Follower) -> tuple[str | None, int]:
    """Show what is new: the token to go on with, and how many lines that was."""
    from botocore.exceptions import ClientError

    where = {"logGroupName": build["logs"]["groupName"], "logStreamName": build["logs"]["streamName"]}
    try:
        answer = logs.get_log_events(**where, startFromHead=True, **({"nextToken": token} if token else {}))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return token, 0  # it is made when the build is provisioned
        raise
    for event in answer["events"]:
        follower.line(event["message"].removesuffix("\n"))
    return answer["nextForwardToken"], len(answer["events"])


def _started(build: remote.Build) -> BuildStarted:
    environment = build.get("environment", {})
    return BuildStarted(
        at=datetime.now(UTC), build=build["id"], executor="server", image=environment.get("image", ""),
        reason=f"build {build.get('buildNumber', '')}, {environment.get('computeType', '')}",
        resumed=False, directory="",
    )  # fmt: skip


def _ended(build: remote.Build) -> BuildEnded:
    exported = {each["name"]: each["value"] for each in build.get("exportedEnvironmentVariables", ())}
    return BuildEnded(
        at=datetime.now(UTC), build=build["id"], status=build["buildStatus"], seconds=remote.took(build),
        exported=exported, resolved_source_version=build.get("resolvedSourceVersion"),
        log=f"codeyard logs {build['id']}",
    )  # fmt: skip
