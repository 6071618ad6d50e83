"""A picture of a pipeline as lines of a terminal, for any width and height. Pure.

    ✔ Source                                  2.1 s
    │  ✔ Checkout      S3                     2.1 s  1d931b6 Faster start
    ◆ Approve                                10.0 s
    │  ◆ Ask           Manual                10.0 s  waits for approval
    │      Looks it well on staging?
    │      codeyard pipeline approve shop
    ○ Deploy           ToStaging, ToProduction

Where there is too little height, stages that are over fold first, then those that nothing happens in; what happens
now stays.
"""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rich.cells import cell_len, chop_cells

from codeyard.cli.pipeline_picture import RUNNING, ActionNow, Picture, StageNow, waits_for
from codeyard.cli.summary import counted, printable, seconds

Span = tuple[str, str]  # text and style
Line = tuple[Span, ...]
# Name in the API → sign and style. All signs are one column wide.
_SIGNS = {
    "Succeeded": ("✔", "green"),
    "Failed": ("✘", "red"),
    "InProgress": ("●", "cyan"),
    "Stopping": ("■", "yellow"),
    "Stopped": ("■", "yellow"),
    "Abandoned": ("■", "yellow"),
    "Cancelled": ("■", "yellow"),
    "Superseded": ("■", "yellow"),
    "Skipped": ("»", "dim"),
    "": ("○", "dim"),
}
_ASKS = ("◆", "bold yellow")
_CLOSED = ("⊘", "yellow")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_GAP = "  "
_INDENT = "│      "
_DURATION = 11  # the longest is `12 h 05 min`
_DETAIL = 6  # lines of an error or a question
_NARROWEST = 20
_BUILD = re.compile(r"/console/builds/[a-z0-9-]+/([A-Za-z0-9_-]+:[0-9a-f-]{36})$")  # a build's page
_OVERRIDDEN = {"before entry": "BEFORE_ENTRY", "on success": "ON_SUCCESS"}  # moments, and what a condition's type is
_TAIL = 24  # columns that a summary beside its action needs to be worth it
_BAR = 12


@dataclass(frozen=True, slots=True)
class _Room:
    """How the columns are shared out."""

    width: int
    name: int
    provider: int  # 0: there is no room for it

    @property
    def tail(self) -> int:
        """What is left beside an action's duration."""
        return max(0, self.width - self.name - self.provider - 2 * bool(self.provider) - _DURATION - 4)


@dataclass(frozen=True, slots=True)
class _Block:
    """A stage's lines: all of them, those of what is not over, and the one that stays if it folds."""

    stage: StageNow
    whole: tuple[Line, ...]
    tight: tuple[Line, ...]
    folded: Line
    busy: bool  # something happens here, or is to be seen


def lines(now: Picture, width: int, height: int | None = None, spin: bool = False) -> tuple[Line, ...]:
    """At most `height` lines, none wider than `width` (20 at the least). `spin`: what runs turns with the time."""
    room = _shared(now, max(width, _NARROWEST))
    above, below = _header(now, room.width), _footer(now, room)
    blocks = [_block(stage, now, room, last=number == len(now.stages), spin=spin)
              for number, stage in enumerate(now.stages, start=1)]  # fmt: skip
    left = None if height is None else max(1, height - len(above) - len(below))
    shown = [*above, *_fitted(blocks, left), *below]
    return tuple(_cut(line, room.width) for line in shown[: height if height is not None else len(shown)])


# ── stages ──


def _shared(now: Picture, width: int) -> _Room:
    names = max(
        max((len(stage.name) + 2 for stage in now.stages), default=0),
        max((len(each.name) + len(_moment(each)) + 5 for stage in now.stages for each in stage.actions), default=0),
    )
    providers = max((len(each.provider) for stage in now.stages for each in stage.actions), default=0)
    provider = min(providers, width // 5, 24) if width >= 60 else 0
    most = width - provider - 2 * bool(provider) - _DURATION - 4
    return _Room(width, max(8, min(names, most, 2 * width // 5)), provider)


def _block(stage: StageNow, now: Picture, room: _Room, *, last: bool, spin: bool) -> _Block:
    waits = waits_for(stage, now)
    head = _stage_line(stage, now, room, waits, spin)
    colour = _SIGNS.get(stage.status, _SIGNS[""])[1]
    rail: Line = ((" " if last else "│", colour),)
    gate = tuple((*rail, *line) for line in _gate(stage, now, waits, room))
    whole, tight = [head, *gate], [head, *(gate if waits else ())]
    for each in stage.actions if stage.status else ():
        drawn = [(*rail, *line) for line in _action_lines(each, stage, now, room, spin)]
        whole += drawn
        tight += drawn if each.run and each.status != "Succeeded" else []
    busy = stage.status in RUNNING or stage.status == "Failed" or bool(waits) or bool(gate)
    return _Block(stage, tuple(whole), tuple(tight), head, busy)


def _stage_line(stage: StageNow, now: Picture, room: _Room, waits: str, spin: bool) -> Line:
    asks = any(each.asks for each in stage.actions)
    sign, colour = _sign(stage.status, now.at, spin and not asks) if not asks else _ASKS
    if stage.closed and not stage.status:
        sign, colour = _CLOSED
    style = f"bold {colour}" if stage.status in ("Failed", "Stopped", *RUNNING) else "bold" if stage.status else "dim"
    name = _fit(stage.name, room.name - 2)
    head: list[Span] = [(sign, colour), (" ", ""), (name, style)]
    if not stage.status:
        return (*head, (" " * (room.name - len(name) - 2) + _GAP, ""), *_unreached(stage, waits))
    width = room.name - 2 - len(name) + room.provider + 2 * bool(room.provider)
    took = _clock(stage.started, stage.ended, now.at, stage.status)
    tail = [] if stage.status in ("Succeeded", "InProgress") else [stage.status]
    tail += [f"retried {stage.retries}×"] * bool(stage.retries) + [stage.execution[:8]] * (not now.execution)
    return (*head, (f"{' ' * width}{_GAP}{took:>{_DURATION}}", "dim"), (_GAP, ""), (", ".join(tail), colour))


def _unreached(stage: StageNow, waits: str) -> Line:
    actions = ", ".join(each.name for each in stage.actions if not each.moment)
    if waits:
        return ((f"{len(stage.waiting)} wait: " if len(stage.waiting) > 1 else "waits: ", "yellow"), (waits, "yellow"))
    return (("the transition is disabled", "yellow"),) if stage.closed else ((actions, "dim"),)


def _gate(stage: StageNow, now: Picture, waits: str, room: _Room) -> list[Line]:
    """Of a transition that is disabled: by whom, why, and how to enable it."""
    if stage.closed is None or now.over or (now.execution and stage.status):
        return []
    when = f" at {stamp(stage.closed.at)}" if stage.closed.at else ""
    found = _said(f"disabled by {stage.closed.by}{when}: {stage.closed.reason}", "yellow", room, _INDENT[1:])
    if not stage.status or waits:
        found += _said(f"codeyard pipeline enable {now.pipeline} {stage.name}", "cyan", room, _INDENT[1:])
    return found


def _fitted(blocks: Sequence[_Block], height: int | None) -> list[Line]:
    """The blocks' lines: as many of them as there is room for, what matters least folded first."""
    shown = [list(block.whole) for block in blocks]
    quiet = [number for number, block in enumerate(blocks) if not block.busy]
    over = [number for number in quiet if blocks[number].stage.status == "Succeeded"]
    for number in (*over, *(each for each in quiet if each not in over)):
        if height is None or sum(map(len, shown)) <= height:
            break
        shown[number] = [blocks[number].folded]
    for number, block in enumerate(blocks):
        if height is not None and block.busy and sum(map(len, shown)) > height - len(quiet) + min(2, len(quiet)):
            shown[number] = list(block.tight)
    found = [line for part in shown for line in part]
    for many in range(2, len(quiet) + 1):
        if height is None or len(found) <= height:
            break
        found = _joined(blocks, shown, many)
    if height is None or len(found) <= height:
        return found
    return [*found[: height - 1], (("… ", "dim"), (counted(len(found) - height + 1, "more line"), "dim"))]


def _joined(blocks: Sequence[_Block], shown: Sequence[list[Line]], many: int) -> list[Line]:
    """All lines, those of the first `many` quiet stages in as few lines as they have different states together."""
    found: list[Line] = []
    run: list[tuple[StageNow, list[Line]]] = []

    def end() -> None:
        if len(run) == 1:
            found.extend(run[0][1])
        elif run:
            sign, colour = _SIGNS.get(run[0][0].status, _SIGNS[""])
            names = ", ".join(stage.name for stage, _ in run)
            found.append(((sign, colour), (f" {counted(len(run), 'stage')}: {names}", "dim")))
        run.clear()

    for block, part in zip(blocks, shown, strict=True):
        joins = not block.busy and many > 0
        if not joins or (run and run[0][0].status != block.stage.status):
            end()
        if joins:
            run.append((block.stage, part))
            many -= 1
        else:
            found.extend(part)
    end()
    return found


# ── actions ──


def _action_lines(each: ActionNow, stage: StageNow, now: Picture, room: _Room, spin: bool) -> list[Line]:
    sign, colour = _ASKS if each.asks else _sign(each.status, now.at, spin)
    style = colour if each.status in ("Failed", "Abandoned") else "" if each.run else "dim"
    name = _fit(f"{each.name}{_moment(each)}", room.name - 5)
    line: list[Span] = [("  ", ""), (sign, colour), (" ", ""), (name, style), (" " * (room.name - 5 - len(name)), "")]
    if room.provider:
        line.append((f"{_GAP}{_fit(each.provider, room.provider):<{room.provider}}", "dim"))
    if not each.run:
        return [tuple(line)]
    line.append((f"{_GAP}{_clock(each.started, each.ended, now.at, each.status):>{_DURATION}}{_GAP}", "dim"))
    summary = "" if each.error else plain(each.summary)  # what it said before it failed
    beside = _beside(each, room)
    left = room.tail - sum(cell_len(text) for text, _ in beside) - 2 * bool(beside)
    if summary and (cell_len(summary) <= left or (not beside and left >= _TAIL)):
        beside, summary = [*beside, (_GAP if beside else "", ""), (summary, "dim")], ""
    below: list[Line] = []
    if summary:
        below.append(((_INDENT[1:], ""), (summary, "dim")))
    if each.error:
        below += _said(each.error, "red", room, _INDENT[1:])
    if each.url and (each.status != "Succeeded"):
        below += _said(each.url, "blue", room, _INDENT[1:], whole=True)
    if each.asks:
        below += _question(each, stage, now, room)
    return [(*line, *beside), *below]


def _beside(each: ActionNow, room: _Room) -> list[Span]:
    """What stands behind the duration."""
    if each.asks:
        return [("waits for approval" if room.tail >= len("waits for approval") else "waits", "yellow")]
    if each.percent is not None:
        done, bar = min(100, max(0, each.percent)), _BAR if room.tail >= _BAR + 6 else 0
        full = round(bar * done / 100)
        return [("━" * full, "cyan"), ("─" * (bar - full), "dim"), (f" {done} %", "cyan")]
    if each.status not in ("Succeeded", "InProgress"):
        return [(each.status, _SIGNS.get(each.status, _SIGNS[""])[1])]
    return []


def _question(each: ActionNow, stage: StageNow, now: Picture, room: _Room) -> list[Line]:
    found = _said(each.question, "", room, _INDENT[1:]) if each.question else []
    if each.look:
        found += _said(each.look, "blue", room, _INDENT[1:], whole=True)
    asking = sum(one.asks for other in now.stages for one in other.actions)
    which = f" {stage.name} {each.name}" if asking > 1 else ""
    which += f" --execution {now.execution[:8]}" if now.mode == "PARALLEL" else ""
    for word in ("approve", "reject"):
        found += _said(f"codeyard pipeline {word} {now.pipeline}{which}", "cyan", room, _INDENT[1:])
    return found


def _moment(each: ActionNow) -> str:
    return f" ({each.moment})" if each.moment else ""


# ── above and below ──


def _header(now: Picture, width: int) -> list[Line]:
    first: list[Span] = [(now.pipeline, "bold")]
    if now.execution:
        fits = len(now.pipeline) + len(now.execution) + 2 <= width
        first += [(f"  {now.execution if fits else now.execution[:8]}", "cyan")]
        if now.target:
            first += [(f"  goes back to {now.target[:8]}", "yellow")]
    about = [f"version {now.version}", now.mode] + [plain(now.trigger)] * bool(now.trigger)
    if now.started is not None:
        about.insert(2, stamp(now.started))
    return [tuple(first), ((", ".join(about), "dim"),), ()]


def _footer(now: Picture, room: _Room) -> list[Line]:
    if not now.execution:
        return []
    sign, colour = _SIGNS.get(now.status, _SIGNS[""])
    took = _clock(now.started, now.ended, now.at, now.status)
    said = f"{now.status or 'starts'}{f' in {took}' if now.over and took else f' {took}' if took else ''}"
    found: list[Line] = [(), ((sign, colour), (f" {said}", f"bold {colour}"))]
    if now.summary:
        found.append((("  ", ""), (plain(now.summary), colour)))
    if now.status in ("Failed", "Stopped"):
        found += [line for hint in _advice(now) for line in _said(hint, "cyan", room, "  ")]
    return found


def _advice(now: Picture) -> list[str]:
    stage = next((stage for stage in reversed(now.stages) if stage.status in ("Failed", "Stopped")), None)
    if stage is None:
        return []
    failed = [each for each in stage.actions if each.status == "Failed"]
    found = [f"codeyard logs {page[1]}" for each in failed if (page := _BUILD.search(each.url))]
    if now.target:
        return found
    if kinds := [_OVERRIDDEN[each.moment] for each in failed if each.moment in _OVERRIDDEN]:
        found.append(f"codeyard pipeline override {now.pipeline} {stage.name} {now.execution[:8]} --type {kinds[0]}")
    return [*found, f"codeyard pipeline retry {now.pipeline} {stage.name} --execution {now.execution[:8]}"]


# ── texts ──


def ago(since: float) -> str:
    """How long ago, as people say it; of seconds."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if since >= size:
            return f"{int(since // size)} {unit} ago"
    return f"{max(0, int(since))} s ago"


def status_style(status: str) -> str:
    """The style of a status of the API."""
    return _SIGNS.get(status, _SIGNS[""])[1]


def _sign(status: str, at: datetime, spin: bool) -> Span:
    sign, colour = _SIGNS.get(status, _SIGNS[""])
    if spin and status == "InProgress":
        sign = _SPINNER[int(at.timestamp() * 10) % len(_SPINNER)]
    return sign, colour


def _clock(began: datetime | None, ended: datetime | None, at: datetime, status: str) -> str:
    until = ended or (at if status in RUNNING else None)
    return seconds(max(0.0, (until - began).total_seconds())) if began and until else ""


def stamp(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def plain(text: str) -> str:
    return " ".join(printable(text).split())


def _fit(text: str, width: int) -> str:
    """Names are ASCII in the API."""
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def _said(text: str, style: str, room: _Room, indent: str, *, whole: bool = False) -> list[Line]:
    """A text on as many lines as it needs, up to a number; `whole`: never broken at a word, such as a URL."""
    width = max(8, room.width - len(indent) - 1)
    words = (
        [plain(text)] if whole else textwrap.wrap(plain(text), width, break_long_words=False, break_on_hyphens=False)
    )
    rows = [piece for row in words for piece in (chop_cells(row, width) if cell_len(row) > width else [row])]
    if len(rows) > _DETAIL and not whole:
        rows = [*rows[: _DETAIL - 1], "…"]
    return [((indent, ""), (row, style)) for row in rows]


def _cut(line: Line, width: int) -> Line:
    """The line, as far as there is room; what is missing is an ellipsis."""
    line = tuple((printable(text), style) for text, style in line)
    if sum(cell_len(text) for text, _ in line) <= width:
        return _trimmed(line)
    left, found = width - 1, []
    for text, style in line:
        piece = text if cell_len(text) <= left else (chop_cells(text, left)[0] if left > 0 else "")
        if cell_len(piece) > left:  # a character that is wider than what is left
            piece = ""
        found.append((piece, style))
        left -= cell_len(piece)
        if piece != text:
            found.append(("…", style))
            break
    return tuple(found)


def _trimmed(line: Line) -> Line:
    """Without blanks at its end."""
    while line and not line[-1][0].rstrip():
        line = line[:-1]
    return (*line[:-1], (line[-1][0].rstrip(), line[-1][1])) if line else ()


def at_time(now: Picture, at: datetime) -> Picture:
    """The same, some time later."""
    return replace(now, at=at)
