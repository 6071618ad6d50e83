"""What a report is: test cases or covered files, their totals and their verdict. Not where it is kept."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self

from codeyard.errors import Invalid

MAX_NAME = 1000
MAX_MESSAGE = 5000
MAX_PATH = 4096
MAX_CASES = 500  # kept of one report; the totals count all
MAX_FILE_BYTES = 64 * 1024 * 1024  # of one report file; AWS states no limit
RETENTION = timedelta(days=30)

_ARN = re.compile(r"arn:aws[a-z-]*:codebuild:[a-z0-9-]*:[0-9]*:report-group/(.+)", re.DOTALL)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class CaseStatus(StrEnum):
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    UNKNOWN = "UNKNOWN"


class ReportStatus(StrEnum):
    GENERATING = "GENERATING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    INCOMPLETE = "INCOMPLETE"
    DELETING = "DELETING"


class ReportType(StrEnum):
    TEST = "TEST"
    CODE_COVERAGE = "CODE_COVERAGE"


class ReportFormat(StrEnum):
    """A buildspec's `file-format`. AWS documents LCOV but not its token: LCOVINFO and LCOV are both taken."""

    CUCUMBERJSON = "CUCUMBERJSON"
    JUNITXML = "JUNITXML"
    NUNITXML = "NUNITXML"
    NUNIT3XML = "NUNIT3XML"
    TESTNGXML = "TESTNGXML"
    VISUALSTUDIOTRX = "VISUALSTUDIOTRX"
    CLOVERXML = "CLOVERXML"
    COBERTURAXML = "COBERTURAXML"
    JACOCOXML = "JACOCOXML"
    SIMPLECOV = "SIMPLECOV"
    LCOVINFO = "LCOVINFO"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The format of this name, in any case. Invalid if there is none."""
        name = text.upper()
        try:
            return cls("LCOVINFO" if name == "LCOV" else name)
        except ValueError:
            raise Invalid(
                f"report format {text[:100]!r}", "there is no such format.", f"Use one of {', '.join(cls)}."
            ) from None

    @property
    def type(self) -> ReportType:
        return ReportType.CODE_COVERAGE if self in _COVERAGE else ReportType.TEST


FORMAT_NAMES = (*ReportFormat, "LCOV")  # all that `ReportFormat.parse` takes
_COVERAGE = frozenset(
    {
        ReportFormat.JACOCOXML,
        ReportFormat.SIMPLECOV,
        ReportFormat.CLOVERXML,
        ReportFormat.COBERTURAXML,
        ReportFormat.LCOVINFO,
    }
)


def storable(text: str, limit: int) -> str:
    """At most `limit` characters of it, and only such as can be written as UTF-8."""
    return text[:limit].encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class TestCase:
    """One test and how it ended. `prefix` is what its framework groups by: a class, a feature."""

    __test__: ClassVar[bool] = False  # not a test of ours, whatever pytest thinks of the name

    name: str
    status: CaseStatus
    message: str = ""
    suite: str = ""
    prefix: str = ""
    duration_ns: int = 0
    raw_path: str = ""  # the file that told of it

    def __post_init__(self) -> None:
        """Cut to AWS's limits, so that whoever holds one can store and send it."""
        names = dict.fromkeys(("name", "suite", "prefix"), MAX_NAME)
        limits = names | {"message": MAX_MESSAGE, "raw_path": MAX_PATH}
        for key, limit in limits.items():
            object.__setattr__(self, key, storable(getattr(self, key), limit))


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """How much of one source file the tests reached."""

    path: str
    lines_covered: int
    lines_missed: int
    branches_covered: int = 0
    branches_missed: int = 0

    @property
    def line_percent(self) -> float | None:
        """0 to 100; None if it has no line that could be covered."""
        return _percent(self.lines_covered, self.lines_missed)

    @property
    def branch_percent(self) -> float | None:
        return _percent(self.branches_covered, self.branches_missed)


def _percent(covered: int, missed: int) -> float | None:
    return 100 * covered / (covered + missed) if covered + missed else None


@dataclass(frozen=True, slots=True)
class TestSummary:
    """Totals over all cases, also those that the report does not keep. `counts` has all five statuses."""

    __test__: ClassVar[bool] = False

    total: int
    counts: Mapping[CaseStatus, int]
    duration_ns: int  # the sum over the cases


@dataclass(frozen=True, slots=True)
class ReportGroup:
    """Where a report belongs. A key that was an ARN keeps it: that group may be another project's."""

    name: str
    arn: str | None = None


def report_group(project: str, key: str) -> ReportGroup:
    """The group that the key of a buildspec's `reports` means in this project. Invalid if it cannot be a group's name.

    An ARN is taken as it is; a name becomes `<project>-<name>`: see "Report group naming".
    """
    arn = _ARN.fullmatch(key)
    if key.startswith("arn:") and not arn:
        raise Invalid(
            f"report group {key[:200]!r}",
            "it is not the ARN of a report group.",
            "Write arn:aws:codebuild:<region>:<account>:report-group/<name>, or just a name.",
        )
    name = arn[1] if arn else f"{project}-{key}"
    if not key or not 2 <= len(name) <= 128 or _UNPRINTABLE.search(name):
        raise Invalid(
            f"report group {name[:200]!r}",
            "a name has 2 to 128 printable characters, the project's name and a dash among them.",
            "Choose another key in `reports`.",
        )
    return ReportGroup(name, key if arn else None)


def discovered_group(project: str, report_format: ReportFormat) -> ReportGroup:
    """The group of the files that were found without a `reports` block: one for each format."""
    return ReportGroup(f"{project}-{report_format}-AutoDiscovered")


@dataclass(frozen=True, slots=True)
class Report:
    """What one build told one report group."""

    group: ReportGroup
    format: ReportFormat
    status: ReportStatus
    created: datetime
    expires: datetime
    cases: tuple[TestCase, ...] = ()  # at most MAX_CASES
    truncated: bool = False
    tests: TestSummary = field(default_factory=lambda: summarize(()))
    coverage: tuple[FileCoverage, ...] = ()  # by path, each once
    problems: tuple[str, ...] = ()  # why it is not complete

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def type(self) -> ReportType:
        return self.format.type

    @property
    def covered(self) -> FileCoverage:
        """The totals over all covered files; its path is empty."""
        return FileCoverage(
            path="",
            lines_covered=sum(file.lines_covered for file in self.coverage),
            lines_missed=sum(file.lines_missed for file in self.coverage),
            branches_covered=sum(file.branches_covered for file in self.coverage),
            branches_missed=sum(file.branches_missed for file in self.coverage),
        )


def make_report(
    group: ReportGroup,
    report_format: ReportFormat,
    *,
    created: datetime,
    cases: Iterable[TestCase] = (),
    coverage: Iterable[FileCoverage] = (),
    problems: Iterable[str] = (),
) -> Report:
    """The finished report. A test that failed weighs more than a file that could not be read, as in merged reports."""
    every, problems = tuple(cases), tuple(problems)
    tests = summarize(every)
    failed = tests.counts[CaseStatus.FAILED] + tests.counts[CaseStatus.ERROR]
    verdict = ReportStatus.INCOMPLETE if problems else ReportStatus.SUCCEEDED
    return Report(
        group=group,
        format=report_format,
        status=ReportStatus.FAILED if failed else verdict,
        created=created,
        expires=created.replace(microsecond=0) + RETENTION,
        cases=_keep(every),
        truncated=len(every) > MAX_CASES,
        tests=tests,
        coverage=_each_once(coverage),
        problems=problems,
    )


def summarize(cases: Iterable[TestCase]) -> TestSummary:
    """The totals of these cases."""
    every = tuple(cases)
    counts = dict.fromkeys(CaseStatus, 0)
    for case in every:
        counts[case.status] += 1
    return TestSummary(len(every), counts, sum(case.duration_ns for case in every))


def slowest(cases: Iterable[TestCase], count: int = 5) -> tuple[TestCase, ...]:
    """The cases that took longest, the longest first; those that took no time are left out."""
    timed = (case for case in cases if case.duration_ns > 0)
    return tuple(sorted(timed, key=lambda case: -case.duration_ns)[:count])


def failures(cases: Iterable[TestCase]) -> tuple[TestCase, ...]:
    """The cases that failed or broke, in their order."""
    return tuple(case for case in cases if case.status in (CaseStatus.FAILED, CaseStatus.ERROR))


def _keep(cases: tuple[TestCase, ...]) -> tuple[TestCase, ...]:
    """Those that a report keeps, in their order: FAILED ones go first into the 500, then ERROR, then the rest."""
    if len(cases) <= MAX_CASES:
        return cases
    weight = {CaseStatus.FAILED: 0, CaseStatus.ERROR: 1}
    ranked = sorted(range(len(cases)), key=lambda index: weight.get(cases[index].status, 2))
    return tuple(cases[index] for index in sorted(ranked[:MAX_CASES]))


def _each_once(coverage: Iterable[FileCoverage]) -> tuple[FileCoverage, ...]:
    """By path. Where several result files speak of one source file, the best lines win, then the best branches.

    So AWS merges the reports of a fan-out's shards; counts alone cannot tell whether the same lines were meant.
    """
    best: dict[str, FileCoverage] = {}
    for file in coverage:
        old = best.get(file.path)
        if old is None or _goodness(file) > _goodness(old):
            best[file.path] = file
    return tuple(best[path] for path in sorted(best))


def _goodness(file: FileCoverage) -> tuple[float, float]:
    return file.line_percent or 0.0, file.branch_percent or 0.0
