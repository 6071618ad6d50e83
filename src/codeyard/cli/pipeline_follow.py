"""An execution of a pipeline on the screen until it ends: drawn on a terminal, a line per change in a pipe, events."""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TextIO

from codeyard.cli.follow import PATIENCE, comes_back
from codeyard.cli.pipeline_changes import change_fields, change_line, changes
from codeyard.cli.pipeline_picture import Picture
from codeyard.cli.pipeline_view import Line, at_time, lines
from codeyard.cli.render import say_anything

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_PAUSE = 0.5  # seconds between looks
_FRAME = 0.1
_UNBOUND = 1000  # columns, where nobody's terminal ends a line


class Shown(Protocol):
    """Somewhere to show a pipeline."""

    def show(self, now: Picture) -> None: ...

    def lost(self, what: str) -> None:
        """The server does not answer."""

    def wait(self, seconds: float) -> None: ...

    def close(self) -> None:
        """Nothing more comes, for whatever reason."""


class Drawn:
    """The stages, drawn over and over in place; all of them at the end."""

    def __init__(self, out: TextIO, *, color: bool) -> None:
        from rich.live import Live

        say_anything(out)
        self._console = console(out, color=color)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._now: Picture | None = None
        self._seen, self._note = 0.0, ""
        self._live.start()

    def show(self, now: Picture) -> None:
        self._now, self._seen, self._note = now, time.monotonic(), ""
        self._draw()

    def lost(self, what: str) -> None:
        self._note = what
        self._draw()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(_FRAME, left))
            self._draw()

    def close(self) -> None:
        self._live.stop()
        if self._now is not None:
            write(self._console, lines(self._now, self._console.width))

    def _draw(self) -> None:
        if self._now is None:
            return
        width, height = self._console.size
        now = at_time(self._now, self._now.at + timedelta(seconds=time.monotonic() - self._seen))
        found = lines(now, width, max(1, height - 1 - bool(self._note)), spin=True)
        if self._note:
            found = (*found, ((self._note, "yellow"),))
        self._live.update(_text(found), refresh=True)


class Plain:
    """A line for each change."""

    def __init__(self, out: TextIO) -> None:
        say_anything(out)
        self._out, self._was = out, None

    _was: Picture | None

    def show(self, now: Picture) -> None:
        for change in changes(self._was, now):
            self._out.write(f"{change_line(change, now)}\n")
        self._out.flush()
        self._was = now

    def lost(self, what: str) -> None:
        print(f"codeyard: {what}", file=sys.stderr, flush=True)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def close(self) -> None:
        self._out.flush()


class Events(Plain):
    """A JSON object for each change, on a line."""

    def show(self, now: Picture) -> None:
        for change in changes(self._was, now):
            self._out.write(json.dumps(change_fields(change, now), ensure_ascii=False, separators=(",", ":")) + "\n")
        self._out.flush()
        self._was = now


def shown_for(as_json: bool, no_color: bool) -> Shown:
    """What the options and the standard output ask for."""
    if as_json:
        return Events(sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Drawn(sys.stdout, color=not no_color and not os.environ.get("NO_COLOR"))
    return Plain(sys.stdout)


def follow(look: Callable[[], Picture], shown: Shown, patience: float = PATIENCE) -> Picture:
    """Show the execution until it has ended, and how it ended. A server that starts again is waited for."""
    lost: float | None = None
    while True:
        try:
            now = look()
            lost = None
        except Exception as error:
            if not comes_back(error) or time.monotonic() - (lost or time.monotonic()) > patience:
                raise
            if lost is None:
                lost = time.monotonic()
                shown.lost("the server does not answer; waiting for it")
        else:
            shown.show(now)
            if now.over:
                return now
        shown.wait(_PAUSE)


def exit_code(now: Picture) -> int:
    """Of an execution that has ended."""
    return 0 if now.status == "Succeeded" else 1


def console(out: TextIO, *, color: bool) -> "Console":
    from rich.console import Console

    return Console(file=out, no_color=not color, highlight=False, emoji=False, markup=False)


def write(screen: "Console", found: tuple[Line, ...]) -> None:
    """These lines, each on one."""
    for line in found:
        screen.print(_text((line,)), no_wrap=True, crop=False, overflow="ignore", soft_wrap=True)


def print_picture(now: Picture, no_color: bool) -> None:
    """All of it: as wide as the terminal, or as it takes."""
    say_anything(sys.stdout)
    screen = console(sys.stdout, color=not no_color and not os.environ.get("NO_COLOR"))
    write(screen, lines(now, screen.width if sys.stdout.isatty() else _UNBOUND))


def utc_now() -> datetime:
    return datetime.now(UTC)


def _text(found: tuple[Line, ...]) -> "Text":
    from rich.text import Text

    drawn = [Text.assemble(*line) if line else Text() for line in found]
    return Text("\n").join(drawn)
