"""What `codeyard run` shows: plain lines in a pipe, events for machines, phases and a summary on a terminal."""

import codecs
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Protocol, TextIO

import click

from codeyard.cli.summary import Summary, counted, printable, seconds
from codeyard.events import (
    BuildEnded,
    BuildStarted,
    CommandEnded,
    CommandStarted,
    Event,
    LogWritten,
    PhaseEnded,
    PhaseStarted,
    Progressed,
)
from codeyard.logs import LogPiece

_TEXT_AT_MOST = 64 * 1024
# Phases that a person waits for; the others are shown when they take long or go wrong.
_SHOWN = {"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"}
_LONG = 0.5
_MESSAGE = 200  # characters of a phase's message: it repeats a command that is on the screen already
_NOTES = 20
_AGENT = re.compile(r"\[Container\] \S+ \S+ ")
# What the agent says in every build until its first command, and of every artifact, or what is on the screen anyway.
_USUAL = (
    "Assembling ", "CODEBUILD_SRC_DIR", "Command did not exit ", "Decrypting ", "Expanding ", "Found ", "Moving to ",
    "No matching auto-discover ", "Phase ", "Preparing ", "Processing ", "Report auto-discover ", "Running on ",
    "Selecting ", "Set report ", "Waiting for ", "YAML location ",
)  # fmt: skip
_COMMAND_LINES = 10  # of a command, so that a long script does not push the output away


class Screen(Protocol):
    """Somewhere to show a build."""

    def event(self, event: Event) -> None: ...

    def log(self, piece: LogPiece) -> None: ...

    def stopping(self) -> None:
        """Ctrl-C was pressed: the build is being stopped."""

    def killed(self) -> None:
        """Ctrl-C was pressed again: it was killed."""

    def close(self) -> None: ...


class PlainLog:
    """The log, byte for byte as it is kept, and nothing else; one line on the standard error says how it ended."""

    def __init__(self, out: TextIO) -> None:
        self._out = out.buffer

    def event(self, event: Event) -> None:
        if isinstance(event, BuildStarted):
            verb = "goes on" if event.resumed else "runs"
            _err(f"codeyard: {event.build} {verb} with {event.executor}: {event.reason}")
        elif isinstance(event, Progressed):
            _err(f"codeyard: {event.what}")
        elif isinstance(event, BuildEnded):
            _err(f"codeyard: {event.status} in {seconds(event.seconds)}; the log is {event.log}")

    def log(self, piece: LogPiece) -> None:
        self._out.write(piece.content)
        self._out.flush()

    def stopping(self) -> None:
        _err("codeyard: stopping the build; once more kills it")

    def killed(self) -> None:
        _err("codeyard: killed")

    def close(self) -> None:
        self._out.flush()


class JsonLines:
    """One event per line (docs/events.md). What the build prints comes as text, undecodable bytes replaced."""

    def __init__(self, out: TextIO) -> None:
        say_anything(out, encoding="utf-8")
        self._out = out
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._last: Event | None = None

    def event(self, event: Event) -> None:
        self._last = event
        self._write(event)

    def log(self, piece: LogPiece) -> None:
        text = self._decoder.decode(piece.content, final=piece.agent)
        for start in range(0, len(text), _TEXT_AT_MOST):
            assert self._last is not None, "a build starts before its log"
            self._write(LogWritten(at=self._last.at, agent=piece.agent, text=text[start : start + _TEXT_AT_MOST]))

    def stopping(self) -> None:
        _err("codeyard: stopping the build; once more kills it")

    def killed(self) -> None:
        _err("codeyard: killed")

    def close(self) -> None:
        self._out.flush()

    def _write(self, event: Event) -> None:
        self._out.write(json.dumps(event.fields(), separators=(",", ":"), ensure_ascii=False) + "\n")
        self._out.flush()


class Terminal:
    """Phases as they go, the running command, its output untouched, and a summary."""

    def __init__(self, out: TextIO, *, color: bool) -> None:
        say_anything(out)
        self._out, self._raw, self._color = out, out.buffer, color
        self._fresh = True  # the cursor is at the start of a line
        self._transient = False  # a progress line is shown, to be written over
        self._blank = 0  # blank lines of the build's output that are not written yet
        self._headed = ""  # the phase whose name was written
        self._apart = ""  # what stands above: nothing, a phase on a line, or one with its commands
        self._notes: list[str] = []  # what the agent said in this phase that is not said in every build
        self._summary = Summary(out, color=color)

    def event(self, event: Event) -> None:
        self._summary.learn(event)
        match event:
            case BuildStarted():
                self._started(event)
            case PhaseStarted() if event.phase in _SHOWN:
                self._progress(event.phase)
            case CommandStarted():
                self._notes.clear()
                self._command_started(event)
            case CommandEnded():
                self._command_ended(event)
            case PhaseEnded():
                self._phase_ended(event)
            case Progressed():
                self._progress(event.what)
            case BuildEnded():
                self._line("")
                self._summary.show()
            case _:
                pass

    def log(self, piece: LogPiece) -> None:
        self._summary.hear(piece)
        if piece.agent:
            self._note(piece.content.decode(errors="replace"))
            return
        body = piece.content.rstrip(b"\n")
        ends = len(piece.content) - len(body)
        if body:
            self._clear()
            self._raw.write(b"\n" * self._blank + body)
            self._fresh, self._blank = False, 0
        if ends and not self._fresh:
            self._raw.write(b"\n")
            self._fresh, ends = True, ends - 1
        self._raw.flush()
        self._blank += ends

    def stopping(self) -> None:
        self._line(self._style("Stopping the build; press Ctrl-C once more to kill it.", fg="yellow"))

    def killed(self) -> None:
        self._line(self._style("Killed.", fg="red"))

    def close(self) -> None:
        self._clear()
        self._out.flush()

    def _started(self, event: BuildStarted) -> None:
        verb = "Going on with" if event.resumed else "Building"
        self._line(f"{self._style(verb, bold=True)} {event.build}")
        how = printable(f"{event.executor}: {event.reason}")
        loud = event.reason.startswith("NO ISOLATION")
        self._line(self._style(how, fg="yellow", bold=True) if loud else self._style(how, dim=True))
        self._line("")

    def _command_started(self, event: CommandStarted) -> None:
        if self._headed != event.phase:
            self._headed = event.phase
            self._part("commands")
            self._line(self._style(f"▸ {event.phase}", fg="cyan", bold=True))
        first, *more = event.command.rstrip("\n").expandtabs().split("\n")
        self._line(self._style("$ ", fg="cyan") + self._style(printable(first), bold=True))
        for line in more[: _COMMAND_LINES - 1]:
            self._line(f"  {self._style(printable(line), bold=True)}")
        if hidden := len(more[_COMMAND_LINES - 1 :]):
            self._line(self._style(f"  … and {counted(hidden, 'more line')}", dim=True))

    def _command_ended(self, event: CommandEnded) -> None:
        # The log ends what a command printed with a blank line; the rest of them are the build's own.
        if self._blank > 1:
            self._raw.write(b"\n" * (self._blank - 1))
            self._raw.flush()
        self._blank = 0
        if event.exit_code != 0:
            self._line(self._style(f"✘ exit status {event.exit_code} after {seconds(event.seconds)}", fg="red"))
        elif event.seconds >= _LONG:
            self._line(self._style(f"  {seconds(event.seconds)}", dim=True))

    def _phase_ended(self, event: PhaseEnded) -> None:
        good = event.status == "SUCCEEDED"
        if event.phase in _SHOWN or event.seconds > _LONG or not good:
            if self._headed != event.phase:
                self._part("line")
            mark = self._style("✔" if good else "✘", fg="green" if good else "red", bold=True)
            state = "" if good else f" {event.status}"
            self._line(f"{mark} {event.phase}{state} {self._style(seconds(event.seconds), dim=True)}")
        if event.message and not good:
            self._line(self._style(f"  {event.code}: {printable(_brief(event.message))}", fg="red"))
        if not good:
            for note in self._notes:
                self._line(f"  {printable(note)}")
        self._notes.clear()

    def _note(self, line: str) -> None:
        """Keep what the agent says of a source or a buildspec that is wrong: reasons, every mistake, and the fixes."""
        text = _AGENT.sub("", line.rstrip())
        if text and not text.startswith(_USUAL) and len(self._notes) < _NOTES:
            self._notes.append(text)

    def _part(self, coming: str) -> None:
        """A blank line, but not between phases of a line each."""
        if self._apart == "commands" or (self._apart and coming == "commands"):
            self._line("")
        self._apart = coming

    def _progress(self, text: str) -> None:
        if not self._fresh or self._blank:
            return
        self._out.write(f"\r\x1b[K{self._style('  ' + printable(text)[: _columns() - 4], dim=True)}")
        self._out.flush()
        self._transient = True

    def _clear(self) -> None:
        if self._transient:
            self._out.write("\r\x1b[K")
            self._out.flush()
            self._transient = False

    def _line(self, text: str) -> None:
        self._clear()
        if not self._fresh:
            # Whatever colours the build left on would run into our line.
            self._out.write("\x1b[0m\n")
        self._out.write(f"{text}\n")
        self._out.flush()
        self._fresh = True

    def _style(self, text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None) -> str:
        return click.style(text, fg=fg, bold=bold, dim=dim) if self._color else text


def say_anything(out: TextIO, encoding: str | None = None) -> None:
    """Let a character that the terminal's encoding lacks become a question mark, and not the end of the build."""
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(encoding=encoding, errors="replace")


def _columns() -> int:
    return shutil.get_terminal_size().columns


def _err(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)


def _brief(message: str) -> str:
    """On one line, the end kept: that is where the reason stands."""
    joined = " ".join(message.split())
    return joined if len(joined) <= _MESSAGE else f"{joined[: _MESSAGE - 50]} … {joined[-45:]}"


def screen_for(as_json: bool, no_color: bool) -> Screen:
    """The one that the options and what the standard output is ask for."""
    if sys.stdout is None:  # it was closed before we began
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as we live
    if as_json:
        return JsonLines(sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Terminal(sys.stdout, color=not no_color and not os.environ.get("NO_COLOR"))
    return PlainLog(sys.stdout)
