"""Builds and projects as the pages show them, from AWS's shapes. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from codeyard.console.asking import Line
from codeyard.console.words import State, build_state, counted, duration, phase_state, took

Shape = Mapping[str, Any]

_WEB = re.compile(r"https?://[^\s/@]+(?:/\S*)?")
_ARN = "arn:aws:s3:::"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SPARK = 10
_SPARK_WIDTH, _SPARK_HEIGHT, _SPARK_STEP = 8, 24, 10
# The phases at whose beginning the agent writes a line.
_LOGGED = {"DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS"}


@dataclass(frozen=True, slots=True)
class Link:
    """A text, and where it leads: nowhere, if that were no address of the web."""

    text: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a phase stands as it does."""

    phase: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class PhaseView:
    """A phase; its bar is in per mille of the whole build's time."""

    name: str
    state: State
    seconds: float | None
    since: datetime | None  # it goes on since then
    left: int
    width: int
    reasons: tuple[Reason, ...]
    anchor: str | None

    @property
    def title(self) -> str:
        return _phase_words(self.name)

    @property
    def took(self) -> str:
        return took(self.seconds) if self.since is None else duration(self.seconds)


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """An artifact; `number` is its place among the build's, if it can be downloaded."""

    name: str
    location: str
    number: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class BuildView:
    """A build, as a line of a list or as a page."""

    id: str
    project: str
    run: str
    number: int | None
    state: State
    phase: str
    initiator: str
    started: datetime | None
    seconds: float | None
    running: bool
    version: Link | None  # what was built
    waiting: str  # for what, while it is queued
    shape: Shape

    @property
    def took(self) -> str:
        return duration(self.seconds) if self.running else took(self.seconds)

    @property
    def over(self) -> bool:
        return bool(self.shape.get("buildComplete"))

    @property
    def name(self) -> str:
        return f"{self.project} #{self.number}" if self.number is not None else self.id

    @property
    def phase_title(self) -> str:
        return _phase_words(self.phase)


@dataclass(frozen=True, slots=True)
class Bar:
    """One build in the picture of a project's last ones."""

    x: int
    y: int
    height: int
    state: State


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with its newest builds."""

    name: str
    source: Link
    source_type: str
    latest: BuildView | None
    bars: tuple[Bar, ...]
    told: str  # the picture in words


def build_view(build: Shape, now: datetime) -> BuildView:
    """Of a shape `Build`; a list of these says all that a line of a table does."""
    started, ended = build.get("startTime"), build.get("endTime")
    project, _, run = str(build.get("id", "")).partition(":")
    seconds = ((ended or now) - started).total_seconds() if started is not None else None
    state = build_state(build)
    return BuildView(
        id=str(build.get("id", "")),
        project=project,
        run=run,
        number=build.get("buildNumber"),
        state=state,
        phase=str(build.get("currentPhase", "")),
        initiator=str(build.get("initiator", "")),
        started=started,
        seconds=seconds,
        running=ended is None and not build.get("buildComplete"),
        version=_version(build),
        waiting=_waiting(build) if state is State.QUEUED else "",
        shape=build,
    )


def phase_views(build: Shape, now: datetime) -> tuple[PhaseView, ...]:
    """The phases but COMPLETED, each with its place on the build's line of time."""
    phases = [phase for phase in build.get("phases") or () if phase.get("phaseType") != "COMPLETED"]
    begun = [phase["startTime"] for phase in phases if phase.get("startTime")]
    if not begun:
        return ()
    start = min(begun)
    whole = max((max(phase.get("endTime") or now, start) - start).total_seconds() for phase in phases) or 1.0
    return tuple(_phase(phase, start, whole, now) for phase in phases)


def _phase(phase: Shape, start: datetime, whole: float, now: datetime) -> PhaseView:
    name, began, ended = str(phase.get("phaseType", "")), phase.get("startTime"), phase.get("endTime")
    seconds = max(0.0, ((ended or now) - began).total_seconds()) if began is not None else None
    left = int(1000 * min(1.0, max(0.0, ((began or start) - start).total_seconds() / whole)))
    width = min(1000 - left, max(4, round(1000 * (seconds or 0) / whole)))
    state = phase_state(phase)
    return PhaseView(
        name=name,
        state=state,
        seconds=seconds,
        since=began if ended is None and not state.over else None,
        left=left if width else 996,
        width=width or 4,
        reasons=_reasons(phase),
        anchor=f"phase-{name}" if name in _LOGGED else None,
    )


def reasons(build: Shape) -> tuple[Reason, ...]:
    """Why the build did not succeed: what its failed phases say, the first one first, each thing once."""
    failed = [phase for phase in build.get("phases") or () if phase_state(phase) not in _FINE]
    found = [reason for phase in failed for reason in _reasons(phase)]
    seen = {(reason.code, reason.message): reason for reason in reversed(found)}
    return tuple(reversed(seen.values()))


_FINE = {State.SUCCEEDED, State.RUNNING, State.QUEUED}


def _reasons(phase: Shape) -> tuple[Reason, ...]:
    return tuple(
        Reason(str(phase.get("phaseType", "")), code, message)
        for each in phase.get("contexts") or ()
        if (code := str(each.get("statusCode") or "").strip()) or each.get("message")
        for message in (str(each.get("message") or "").strip(),)
    )


def _waiting(build: Shape) -> str:
    last = (build.get("phases") or [{}])[-1]
    return " ".join(str(each.get("message") or "") for each in last.get("contexts") or ())


def artifact_views(build: Shape) -> tuple[ArtifactView, ...]:
    """Those that have, or will have, a place. One zip can be downloaded, a folder cannot."""
    found = []
    for number, each in enumerate((build.get("artifacts") or {}, *(build.get("secondaryArtifacts") or ()))):
        location = str(each.get("location") or "").removeprefix(_ARN)
        if location:
            zipped = bool(each.get("sha256sum") or location.endswith(".zip")) and bool(build.get("buildComplete"))
            name = str(each.get("artifactIdentifier") or "") or location.rpartition("/")[2]
            found.append(ArtifactView(name, location, number if zipped else None, each.get("sha256sum")))
    return tuple(found)


def artifact_place(build: Shape, number: int) -> tuple[str, str] | None:
    """The bucket and the key of the artifact of this number; None: it cannot be downloaded."""
    for each in artifact_views(build):
        if each.number == number:
            bucket, _, key = each.location.partition("/")
            return (bucket, key) if bucket and key else None
    return None


def source_link(source: Shape) -> Link:
    """Where a project's source is."""
    location = str(source.get("location") or "")
    return web_link(location) if location else Link(_source_words(str(source.get("type", ""))))


def web_link(text: str) -> Link:
    """A link if this is an address of the web: nothing else that a build says may be followed."""
    shown = text.removeprefix("https://").removesuffix(".git")
    return Link(shown, text) if _WEB.fullmatch(text) else Link(text)


def _version(build: Shape) -> Link | None:
    asked, resolved = str(build.get("sourceVersion") or ""), str(build.get("resolvedSourceVersion") or "")
    short = resolved[:12] if _COMMIT.fullmatch(resolved) else resolved
    if not asked or asked == resolved:
        return Link(short) if short else None
    return Link(f"{asked} · {short}" if short else asked)


def project_view(line: Line, now: datetime) -> ProjectView:
    """A project's line."""
    builds = [build_view(build, now) for build in line.builds]
    source = line.project.get("source") or {}
    return ProjectView(
        name=str(line.project["name"]),
        source=source_link(source),
        source_type=_source_words(str(source.get("type", ""))),
        latest=builds[0] if builds else None,
        bars=bars(builds),
        told=_told(builds),
    )


def bars(builds: Sequence[BuildView]) -> tuple[Bar, ...]:
    """The newest builds, the oldest of them at the left, as high as they took long."""
    shown = list(reversed(builds[:_SPARK]))
    longest = max((build.seconds or 0 for build in shown), default=0) or 1
    first = _SPARK - len(shown)
    found = []
    for at, build in enumerate(shown):
        height = max(5, round(_SPARK_HEIGHT * ((build.seconds or 0) / longest) ** 0.5))
        found.append(Bar((first + at) * _SPARK_STEP, _SPARK_HEIGHT - height, height, build.state))
    return tuple(found)


def _told(builds: Sequence[BuildView]) -> str:
    states = [build.state for build in builds]
    parts = [f"{states.count(state)} {state.label.lower()}" for state in State if state in states]
    return f"The newest {counted(len(builds), 'build')}: {', '.join(parts)}" if builds else "No builds yet"


def settings(project: Shape) -> tuple[tuple[str, str], ...]:
    """What a project's page says of it: pairs of a name and a text."""
    environment, cache = project.get("environment") or {}, project.get("cache") or {}
    logs, artifacts = project.get("logsConfig") or {}, project.get("artifacts") or {}
    limit, retries = project.get("concurrentBuildLimit"), project.get("autoRetryLimit")
    bucket = (logs.get("s3Logs") or {}).get("location") if (logs.get("s3Logs") or {}).get("status") == "ENABLED" else ""
    pairs = (
        ("Source version", project.get("sourceVersion")),
        ("Buildspec", _buildspec((project.get("source") or {}).get("buildspec"))),
        ("Image", environment.get("image")),
        ("Compute", environment.get("computeType")),
        ("Privileged", "yes" if environment.get("privilegedMode") else ""),
        ("Service role", project.get("serviceRole")),
        ("Artifacts", artifacts.get("location") if artifacts.get("type") == "S3" else "none"),
        ("Cache", "" if cache.get("type") == "NO_CACHE" else cache.get("location") or cache.get("type")),
        ("Log in a bucket", bucket),
        ("Timeout", _minutes(project.get("timeoutInMinutes"))),
        ("Timeout in the queue", _minutes(project.get("queuedTimeoutInMinutes"))),
        ("Builds at a time", limit),
        ("Automatic retries", retries),
    )
    return tuple((name, str(value)) for name, value in pairs if value not in (None, ""))


def _buildspec(text: str | None) -> str:
    if not text:
        return "buildspec.yml"
    return text if "\n" not in text else "written in the project"


def _minutes(number: int | None) -> str:
    return duration(number * 60) if number else ""


def _phase_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _source_words(type: str) -> str:
    names = {"GITHUB": "GitHub", "GITHUB_ENTERPRISE": "GitHub Enterprise", "GITLAB": "GitLab", "BITBUCKET": "Bitbucket",
             "CODECOMMIT": "CodeCommit", "S3": "S3", "NO_SOURCE": "No source", "CODEPIPELINE": "CodePipeline",
             "GITLAB_SELF_MANAGED": "GitLab"}  # fmt: skip
    return names.get(type, type)
