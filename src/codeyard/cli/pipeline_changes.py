"""What changed between two pictures of a pipeline, as lines for people and fields for machines. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from codeyard.cli.pipeline_picture import RUNNING, ActionNow, Picture, StageNow, waits_for
from codeyard.cli.pipeline_view import plain, stamp
from codeyard.cli.summary import seconds


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that became so. `kind`: execution, stage, action, rule, closed (a transition) or waiting."""

    at: datetime
    kind: str
    status: str = ""
    stage: str = ""
    action: str = ""
    seconds: float | None = None  # how long it took, once it has ended
    text: str = ""  # an error or a summary; of what waits, why
    url: str = ""
    percent: int | None = None


def changes(was: Picture | None, now: Picture) -> tuple[Change, ...]:
    """What is in the newer picture and was not in the older one, in the order that it came about."""
    before = {stage.name: stage for stage in was.stages} if was else {}
    found: list[Change] = []
    if (was is None or was.status != now.status) and not now.over:
        found.append(Change(now.started if was is None and now.started else now.at, "execution", now.status))
    for stage in now.stages:
        found += _stage_changes(before.get(stage.name), stage, now)
    found.sort(key=lambda change: change.at)  # what came about at one time stays as it is
    if (was is None or was.status != now.status) and now.over:
        at = max([now.ended or now.at, *(change.at for change in found)])
        found.append(Change(at, "execution", now.status, seconds=_took(now.started, at), text=now.summary))
    return tuple(found)


def _stage_changes(was: StageNow | None, now: StageNow, picture: Picture) -> Iterator[Change]:
    entered = now.status and (was is None or was.status != now.status)
    if entered and now.status in RUNNING:
        yield Change(now.started or picture.at, "stage", now.status, now.name)
    if now.closed and (was is None or was.closed != now.closed) and not now.status and not picture.over:
        yield Change(now.closed.at or picture.at, "closed", stage=now.name, text=now.closed.reason)
    reason = waits_for(now, picture)
    if reason and (was is None or waits_for(was, picture) != reason):
        yield Change(picture.at, "waiting", stage=now.name, text=reason)
    earlier = {(each.moment, each.name): each for each in was.actions} if was else {}
    for action in now.actions:
        yield from _action_changes(earlier.get((action.moment, action.name)), action, now.name, picture.at)
    if entered and now.status not in RUNNING:
        took = _took(now.started, now.ended)
        yield Change(now.ended or picture.at, "stage", now.status, now.name, seconds=took)


def _action_changes(was: ActionNow | None, now: ActionNow, stage: str, at: datetime) -> Iterator[Change]:
    if not now.run:
        return
    told = (now.run, now.status, now.percent, now.url, now.summary, now.asks)
    if was is not None and told == (was.run, was.status, was.percent, was.url, was.summary, was.asks):
        return
    began = was is None or was.run != now.run
    when = now.ended or (now.started if began else None) or at
    took = _took(now.started, now.ended)
    text = now.error or (now.question if now.asks else "") or now.summary
    kind = "rule" if now.moment else "action"
    yield Change(
        when, kind, "WaitsForApproval" if now.asks else now.status, stage, now.name, took, text,
        now.look if now.asks else now.url, now.percent,
    )  # fmt: skip


def _took(began: datetime | None, ended: datetime | None) -> float | None:
    return max(0.0, (ended - began).total_seconds()) if began and ended else None


# ── how it is told ──


def change_line(change: Change, now: Picture) -> str:
    """For a pipe: the time, what it is about, what it became, and what is to be said of it."""
    place = "/".join(part for part in (change.stage, change.action) if part) or f"{now.pipeline} {now.execution}"
    match change.kind:
        case "closed":
            status = "transition disabled"
        case "waiting":
            status = "waits"
        case _:
            status = change.status
    parts = [f"{stamp(change.at)}  {place}  {status}"]
    if change.seconds is not None:
        parts.append(seconds(change.seconds))
    if change.percent is not None:
        parts.append(f"{change.percent} %")
    parts += [text for text in (plain(change.text), plain(change.url)) if text]
    if change.status == "WaitsForApproval":
        parts.append(f"codeyard pipeline approve {now.pipeline} {change.stage} {change.action}")
    return "  ".join(parts)


def change_fields(change: Change, now: Picture) -> dict[str, object]:
    """For machines; what does not apply is not there."""
    given = {
        "event": change.kind, "at": change.at.isoformat(), "pipeline": now.pipeline, "execution": now.execution,
        "stage": change.stage, "action": change.action, "status": change.status, "seconds": change.seconds,
        "text": change.text, "url": change.url, "percent": change.percent,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value not in (None, "")}
