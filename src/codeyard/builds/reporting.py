"""Reports of a build: what its `reports` block names, and what auto-discovery finds (reference 1.7, 7.3, 7.5)."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codeyard.artifacts import Selection
from codeyard.artifacts.patterns import Pick, Unmatched
from codeyard.artifacts.scan import Root, listing, read_file
from codeyard.builds.buildspec import ReportSpec
from codeyard.builds.expansion import expand_selection, expand_text
from codeyard.builds.gather import Group, gather
from codeyard.builds.job import Job
from codeyard.errors import CodeyardError
from codeyard.reports.model import (
    FileCoverage,
    Report,
    ReportFormat,
    ReportGroup,
    ReportType,
    TestCase,
    discovered_group,
    failures,
    make_report,
    report_group,
    slowest,
)
from codeyard.reports.sniff import may_be_report, sniff

_REPORT_AT_MOST = 64 << 20
_GROUPS_AT_MOST = 5
_DISCOVERY_SECONDS = 5
_SNIFFED = 8192
_PROBLEMS_TOLD = 20


@dataclass(frozen=True, slots=True)
class _Found:
    """The files of one report."""

    group: ReportGroup
    format: ReportFormat
    files: tuple[tuple[Group, tuple[Pick, ...]], ...] = ()
    problems: tuple[str, ...] = ()


async def make_reports(job: Job, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every report, as the facts of its event. What goes wrong makes a report INCOMPLETE, and never fails a build."""
    source = (await job.place()).source
    specs, over = job.buildspec.reports[:_GROUPS_AT_MOST], job.buildspec.reports[_GROUPS_AT_MOST:]
    job.say_each("reports-over", (f"Skipping report group {spec.name}: a build has at most 5" for spec in over))
    found = [await _named(job, spec, f"report-{number}", source, values) for number, spec in enumerate(specs)]
    root = await job.on_host(source)
    assert root is not None
    taken = {pick.found.path for named in found for group, picks in named.files if group.root == root for pick in picks}
    found += await asyncio.to_thread(_discover, job, root, source, values, taken)
    return [_facts(await job.within(asyncio.to_thread(_report, job, each))) for each in found]


async def _named(job: Job, spec: ReportSpec, place_key: str, source: str, values: Mapping[str, str]) -> _Found:
    project = job.settings.id.project
    key = expand_text(spec.name, values)
    chosen = spec.file_format
    try:
        group = report_group(project, key)
    except CodeyardError as error:
        return _Found(ReportGroup(f"{project}-{key}"[:128]), chosen, problems=(str(error),))
    files: list[tuple[Group, tuple[Pick, ...]]] = []
    problems: list[str] = []
    try:
        for number, place in enumerate(await gather(job, expand_selection(spec.selection, values, source), place_key)):
            selected = await asyncio.to_thread(place.select)
            job.say_each(f"report-{spec.name}-{number}", selected.lines)
            files.append((place, selected.picks))
    except CodeyardError as error:
        job.say_each(f"report-{spec.name}", error.lines if isinstance(error, Unmatched) else ())
        problems.append(f"{error.what}: {', '.join(spec.selection.files)}")
    return _Found(group, chosen, tuple(files), tuple(problems))


def _discover(job: Job, root: Root, source: str, values: Mapping[str, str], taken: set[str]) -> list[_Found]:
    """Files that look like reports, by format; for five seconds at the most."""
    if values.get("CODEBUILD_CONFIG_AUTO_DISCOVER", "").lower() == "false":
        return []
    began = time.monotonic()
    job.say("discover", f"Set report auto-discover timeout to {_DISCOVERY_SECONDS} seconds")
    pattern = values.get("CODEBUILD_CONFIG_AUTO_DISCOVER_DIR") or "**/*"
    place = Group(root, source, expand_selection(Selection((pattern,)), {}, source), ())
    picks: tuple[Pick, ...] = ()
    try:
        place = replace(place, found=listing(root))
        selected = place.select()
    except CodeyardError as error:
        job.say_each("discover", error.lines if isinstance(error, Unmatched) else (str(error),))
    else:
        # Of what was passed over, thousands of links perhaps, nobody has asked to be told.
        job.say_each("discover", [line for line in selected.lines if not line.startswith("Skipping")])
        picks = selected.picks
    by_format: dict[ReportFormat, list[Pick]] = {}
    for pick in picks:
        if time.monotonic() - began > _DISCOVERY_SECONDS:
            break
        path = pick.found.path
        if path in taken or not may_be_report(path) or "/.git/" in f"/{path}":
            continue
        if (format := _sniffed(root, path)) is not None:
            by_format.setdefault(format, []).append(pick)
    if not by_format:
        job.say("discovered", "No matching auto-discover report paths found")
    job.say("discover-took", f"Report auto-discover file discovery took {time.monotonic() - began:.6f} seconds")
    project = job.settings.id.project
    return [
        _Found(discovered_group(project, format), format, ((place, tuple(found)),))
        for format, found in by_format.items()
    ]


def _sniffed(root: Root, path: str) -> ReportFormat | None:
    try:
        return sniff(read_file(root, path, _REPORT_AT_MOST)[:_SNIFFED], path)
    except (CodeyardError, OSError):
        return None


def _report(job: Job, found: _Found) -> Report:
    # Here, since most builds have no reports and reading them takes a good part of a short build's time to import.
    from codeyard.reports.coverage import parse_coverage
    from codeyard.reports.formats import parse_tests

    cases: list[TestCase] = []
    coverage: list[FileCoverage] = []
    problems = list(found.problems)
    for place, pick in ((place, pick) for place, picks in found.files for pick in picks):
        try:
            data = read_file(place.root, pick.found.path, _REPORT_AT_MOST)
            if found.format.type is ReportType.TEST:
                cases += parse_tests(found.format, data, pick.path)
            else:
                coverage += parse_coverage(found.format, data, pick.path)
        except (CodeyardError, OSError) as error:
            problems.append(f"{pick.path}: {error}")
    name = found.group.name
    told = [f"Report {name} is incomplete: {problem}" for problem in problems[:_PROBLEMS_TOLD]]
    more = [f"Report {name} has {len(problems) - _PROBLEMS_TOLD} more problems"] * (len(problems) > _PROBLEMS_TOLD)
    job.say_each(f"report-{name}-problem", told + more)
    return make_report(
        found.group, found.format, created=job.tools.now(), cases=cases, coverage=coverage, problems=problems
    )


def _facts(report: Report) -> dict[str, Any]:
    covered = report.covered if report.type is ReportType.CODE_COVERAGE else None
    return {
        "name": report.name,
        "format": report.format,
        "status": report.status,
        "total": report.tests.total,
        "counts": dict(report.tests.counts) if covered is None else {},
        "failed": [case.name for case in failures(report.cases)][:10],
        "slowest": [(case.name, case.duration_ns / 1e9) for case in slowest(report.cases, 3)],
        "line_coverage": covered.line_percent if covered is not None else None,
        "branch_coverage": covered.branch_percent if covered is not None else None,
    }
