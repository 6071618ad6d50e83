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
PATIENCE = 120.0  # for a server that is not there: it may be starting again, and its builds go on meanwhile
_AGENT = re.compile(r"\[Container\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) (.*)", re.DOTALL)
_ENTERING = re.compile(r"(?:Entering phase|Phase is) (\w+)")
_COMPLETE = re.compile(r"Phase complete: (\w+) State: (\w+)")
_CONTEXT = re.compile(r"Phase context status code: (\S*) Message: (.*)", re.DOTALL)
_FAILED = "Command did not exit successfully "
_LONGEST = 1 << 20  # characters of what the agent says at once
_EXITED = re.compile(r"Command did not exit successfully .* exit status (\d{1,9})\Z", re.DOTALL)


class Follower:
    """Turns the lines of a log into the events that a Screen knows.

    What the agent says of a command that failed holds the command, so it may go on for some lines, and ends with what
    matters: it is whole when the agent's next line comes, or by `close`. Of a command that runs only the first line is
    told, because nothing tells the others from what it prints.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._phase = ""
        self._entered: datetime | None = None  # the log's first line is when the first phase began
        self._command: tuple[str, datetime] | None = None
        self._ended: tuple[str, str] | None = None
        self._index = 0
        self._said: list[str] = []  # lines that may go on
        self._said_at, self._said_size = datetime.min, 0

    def line(self, text: str) -> None:
        """One line, without its end."""
        match = _AGENT.fullmatch(text)
        at = None if match is None else _time(match[1])
        if match is None or at is None:
            self._screen.log(LogPiece(self._goes_on(text), f"{text}\n".encode()))
            return
        self.close()
        self._entered = self._entered or at
        self._hear(at, match[2])
        self._screen.log(LogPiece(True, f"{text}\n".encode()))
        if self._ended is not None and self._ended[1] == "SUCCEEDED":
            self.close()

    def close(self) -> None:
        """What the agent said last does not go on."""
        said, self._said = "\n".join(self._said), []
        if failed := _EXITED.fullmatch(said):
            self._end_command(self._said_at, int(failed[1]))
        elif self._ended is not None and (context := _CONTEXT.fullmatch(said)):
            self._end_phase(self._said_at, *self._ended, *context.groups())

    def _goes_on(self, text: str) -> bool:
        """Whether the line belongs to what the agent said."""
        self._said_size += len(text)
        if not self._said or self._said_size > _LONGEST:
            return False
        self._said.append(text)
        return True

    def _hear(self, at: datetime, said: str) -> None:
        if entering := _ENTERING.fullmatch(said):
            self._phase, self._entered, self._index = entering[1], at, 0
            self._screen.event(PhaseStarted(at=at, phase=self._phase))
        elif said.startswith("Running command "):
            self._end_command(at, 0)
            self._command = (said.removeprefix("Running command "), at)
            self._screen.event(CommandStarted(at=at, phase=self._phase, index=self._index, command=self._command[0]))
            self._index += 1
        elif complete := _COMPLETE.fullmatch(said):
            self._end_command(at, 0)
            self._ended = (complete[1], complete[2])
        elif said.startswith(_FAILED) or (self._ended is not None and _CONTEXT.fullmatch(said)):
            self._said, self._said_at, self._said_size = [said], at, len(said)

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

    def _end_phase(self, at: datetime, phase: str, status: str, code: str, message: str) -> None:
        seconds = (at - (self._entered or at)).total_seconds()
        self._ended, self._entered = None, at
        self._screen.event(PhaseEnded(at=at, phase=phase, status=status, code=code, message=message, seconds=seconds))


def _time(text: str) -> datetime | None:
    """None: a build printed what looks like a line of ours, and is no time."""
    try:
        return datetime.strptime(text, "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None


def follow(codebuild: Any, logs: Any, build: remote.Build, screen: Screen, patience: float = PATIENCE) -> remote.Build:
    """Show the build until it has ended; the build as it is then. A server that starts again is waited for."""
    screen.event(_started(build))
    looking, lost = _Looking(codebuild, logs, build, screen), None
    while not looking.over:
        try:
            pause = looking.once()
            lost = None
        except Exception as error:
            if not comes_back(error) or time.monotonic() - (lost or time.monotonic()) > patience:
                raise
            if lost is None:
                lost = time.monotonic()
                screen.event(Progressed(at=datetime.now(UTC), what="the server does not answer; waiting for it"))
            pause = _SELDOM
        time.sleep(pause)
    looking.close()
    screen.event(_ended(looking.build))
    return looking.build


class _Looking:
    """A build that is looked at again and again, and what was shown of it already."""

    def __init__(self, codebuild: Any, logs: Any, build: remote.Build, screen: Screen) -> None:
        self.build, self.over = build, False
        self._codebuild, self._logs, self._screen = codebuild, logs, screen
        self._follower, self._waiting = Follower(screen), ""
        self._token: str | None = None

    def close(self) -> None:
        """The log is over."""
        self._follower.close()

    def once(self) -> float:
        """Show what is new; the seconds until it is worth to look again."""
        ended = self.build.get("buildComplete", False)
        where, read = self.build.get("logs", {}), 0
        if where.get("groupName") and where.get("streamName"):
            self._token, read = _read(self._logs, self.build, self._token, self._follower)
        elif not ended and (reason := remote.waiting_for(self.build)) != self._waiting:
            self._waiting = reason
            self._screen.event(Progressed(at=datetime.now(UTC), what=reason or "waiting"))
        self.over = ended and not read
        if not ended:
            self.build = remote.find(self._codebuild, self.build["id"])
        if read or ended:
            return 0.0
        return _SELDOM if self._waiting and not self._token else _OFTEN


def comes_back(error: Exception) -> bool:
    """Whether the server was not there, or not able to answer, which a moment later it may be."""
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as NotConnected

    if isinstance(error, ClientError):
        return bool(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)
    return isinstance(error, NotConnected | HTTPClientError)


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
