"""Coverage: the bytes of one file → how much of each source file the tests reached, for each format CodeBuild knows."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from codeyard.errors import Invalid
from codeyard.reports.document import MAX_ELEMENTS, Node, decode, read_json, read_xml, refused
from codeyard.reports.model import MAX_FILE_BYTES, MAX_PATH, FileCoverage, ReportFormat, ReportType, storable
from codeyard.reports.sniff import misfit

_COUNT = re.compile(r"\d{1,18}")
_CONDITIONS = re.compile(r"\((\d{1,9})/(\d{1,9})\)")


class _Lines:
    """One source file's lines and branches, told of in any order and more than once."""

    def __init__(self) -> None:
        self._lines: dict[object, bool] = {}
        self._branches: dict[object, tuple[int, int]] = {}  # at one place: covered, all
        self._totals = [0, 0, 0, 0]

    def line(self, number: object, covered: bool) -> None:
        self._lines[number] = self._lines.get(number, False) or covered

    def branches(self, place: object, covered: int, every: int) -> None:
        """The better of what two tellings say of one place."""
        old_covered, old_every = self._branches.get(place, (0, 0))
        every = max(every, old_every)
        self._branches[place] = (min(max(covered, old_covered), every), every)

    def add(self, lines: tuple[int, int], branches: tuple[int, int]) -> None:
        """Totals, each (covered, missed), where the format has no lines to tell of."""
        self._totals = [old + new for old, new in zip(self._totals, (*lines, *branches), strict=True)]

    def coverage(self, path: str) -> FileCoverage:
        covered, every = sum(self._lines.values()), len(self._lines)
        taken = sum(covered for covered, _ in self._branches.values())
        paths = sum(every for _, every in self._branches.values())
        lines = (self._totals[0] + covered, self._totals[1] + every - covered)
        branches = (self._totals[2] + taken, self._totals[3] + paths - taken)
        return FileCoverage(storable(path, MAX_PATH), *lines, *branches)


class _Files(dict[str, _Lines]):
    """By path."""

    def __missing__(self, path: str) -> _Lines:
        self[path] = _Lines()
        return self[path]

    def coverage(self) -> tuple[FileCoverage, ...]:
        return tuple(lines.coverage(path) for path, lines in self.items())


def parse_coverage(report_format: ReportFormat, data: bytes, path: str) -> tuple[FileCoverage, ...]:
    """The covered files of one result file, each once; `path` names it in errors.

    Invalid if the file is too large, cut short, hostile, or of another format.
    """
    parse = _PARSERS.get(report_format)
    if parse is None:
        raise Invalid(
            f"report file {path!r}",
            f"{report_format} is a format of {ReportType.TEST} reports, not of coverage.",
            "Name a coverage format in `file-format`, or use another report group for tests.",
        )
    return parse(data, path).coverage()


# --- JaCoCo: counts for each source file of a package


def _parse_jacoco(data: bytes, path: str) -> _Files:
    root = read_xml(data, path, leave_out=("method", "line", "sessioninfo"))
    if root.tag != "report":
        raise misfit(ReportFormat.JACOCOXML, data, path, f"its root is <{root.tag[:100]}>, not <report>")
    files = _Files()
    for package in _packages(root):
        # Without debug information there are classes, but no source files.
        for source in package.each("sourcefile") or package.each("class"):
            name = source.get("name")
            whole = name if source.tag == "class" else f"{package.get('name')}/{name}".lstrip("/")
            files[whole].add(_counter(source, "LINE"), _counter(source, "BRANCH"))
    return files


def _packages(report: Node) -> Iterator[Node]:
    """Of the report and of its groups: the modules of a build, each with packages or with groups of its own."""
    yield from report.each("package")
    for group in report.each("group"):
        yield from _packages(group)


def _counter(source: Node, kind: str) -> tuple[int, int]:
    for counter in source.each("counter"):
        if counter.get("type") == kind:
            return _count(counter.get("covered")), _count(counter.get("missed"))
    return 0, 0


# --- Cobertura: lines for each class; several classes may share a file


def _parse_cobertura(data: bytes, path: str) -> _Files:
    root = read_xml(data, path)
    if root.tag != "coverage" or (root.first("project") and not root.first("packages")):
        why = f"its root is <{root.tag[:100]}>, not a <coverage> with <packages>"
        raise misfit(ReportFormat.COBERTURAXML, data, path, why)
    files = _Files()
    for found in _descendants(root, "class"):
        told = files[found.get("filename") or found.get("name")]
        for line in _cobertura_lines(found):
            number = line.get("number")
            told.line(number, _count(line.get("hits")) > 0)
            if conditions := _CONDITIONS.search(line.get("condition-coverage")):
                told.branches(number, int(conditions[1]), int(conditions[2]))
    return files


def _cobertura_lines(found: Node) -> list[Node]:
    """The class's own lines, which repeat those of its methods; only the methods' where a tool writes no others."""
    own = [line for lines in found.each("lines") for line in lines.each("line")]
    return own or list(_descendants(found, "line"))


# --- Clover, by OpenClover, PHPUnit, Istanbul


def _parse_clover(data: bytes, path: str) -> _Files:
    root = read_xml(data, path, leave_out=("testproject",))
    if root.tag != "coverage" or root.first("packages"):
        why = f"its root is <{root.tag[:100]}>, not a <coverage> with a <project>"
        raise misfit(ReportFormat.CLOVERXML, data, path, why)
    files = _Files()
    for project in root.each("project"):
        for file in _descendants(project, "file"):
            _clover_file(file, files[file.get("path") or file.get("name")])
    return files


def _clover_file(file: Node, told: _Lines) -> None:
    """Lines are those with statements. Istanbul and Clover mean different things by a line's truecount and falsecount,
    but the same by the file's metrics; so branches come from there where they can."""
    metrics = file.first("metrics") or Node("metrics", {})
    lines = [line for line in file.each("line") if line.get("type") in ("stmt", "cond")]
    for line in lines:
        told.line(line.get("num"), _clover_hit(line))
    if "conditionals" in metrics.attributes:
        told.add((0, 0), _clover_metric(metrics, "conditionals"))
    else:
        for line in file.each("line"):
            if line.get("type") == "cond":
                sides = [_count(line.get(side)) > 0 for side in ("truecount", "falsecount")]
                told.branches(line.get("num"), sum(sides), 2)
    if not lines:
        told.add(_clover_metric(metrics, "statements"), (0, 0))


def _clover_hit(line: Node) -> bool:
    """OpenClover gives a condition no count of its own; Istanbul does, and its falsecount is what was missed."""
    counts = ("count",) if "count" in line.attributes else ("truecount", "falsecount")
    return any(_count(line.get(count)) > 0 for count in counts)


def _clover_metric(metrics: Node, what: str) -> tuple[int, int]:
    covered = _count(metrics.get(f"covered{what}"))
    return covered, max(_count(metrics.get(what)) - covered, 0)


# --- SimpleCov: .resultset.json (suite → coverage → file), or coverage.json since 0.22 (coverage → file)


def _parse_simplecov(data: bytes, path: str) -> _Files:
    root = read_json(data, path)
    suites = list(root.values()) if isinstance(root, dict) and "coverage" not in root else [root]
    files = _Files()
    for suite in suites:
        told = suite.get("coverage") if isinstance(suite, dict) else None
        if not isinstance(told, dict):
            why = "it is not a set of results, each with its `coverage`"
            raise misfit(ReportFormat.SIMPLECOV, data, path, why)
        for name, file in told.items():
            _simplecov_file(file, files[name])
    return files


def _simplecov_file(told: object, into: _Lines) -> None:
    """Lines are a list: hits, null for what is no code. Before 0.18 that list is all there is."""
    lines = told.get("lines") if isinstance(told, dict) else told
    for number, hits in enumerate(lines if isinstance(lines, list) else (), start=1):
        if isinstance(hits, int | float):  # else null, or "ignored"
            into.line(number, hits > 0)
    branches = told.get("branches") if isinstance(told, dict) else None
    for place, hits in _simplecov_branches(branches):
        into.branches(place, int(isinstance(hits, int | float) and hits > 0), 1)


def _simplecov_branches(branches: Any) -> Iterator[tuple[object, object]]:
    """Of {condition: {branch: hits}}, or of the newer [{start_line, type, coverage, …}]."""
    if isinstance(branches, dict):
        for condition, sides in branches.items():
            for side, hits in sides.items() if isinstance(sides, dict) else ():
                yield (condition, side), hits
    elif isinstance(branches, list):
        for index, branch in enumerate(branches):
            if isinstance(branch, dict) and branch.get("coverage") != "ignored":
                yield index, branch.get("coverage")


# --- LCOV: a tracefile of lines, see geninfo(1)


def _parse_lcov(data: bytes, path: str) -> _Files:
    if len(data) > MAX_FILE_BYTES:
        raise refused(path, f"it is larger than {MAX_FILE_BYTES >> 20} MiB.")
    if data.count(b"\n") > 2 * MAX_ELEMENTS:
        raise refused(path, f"it has more than {2 * MAX_ELEMENTS:,} lines.")
    files = _Files()
    current: _Lines | None = None
    totals: dict[str, int] = {}  # of the current record
    for number, line in enumerate(decode(data).split("\n"), start=1):
        key, _, value = line.strip().partition(":")
        if key == "SF":
            current, totals = files[value], {}
        elif key == "end_of_record" and current:
            _lcov_totals(current, totals)
            current = None
        elif key in _LCOV_KEYS and not (current and _lcov_record(current, totals, key, value)):
            why = f"line {number} is {line.strip()[:100]!r}, which is no record of a source file."
            raise Invalid(f"report file {path!r}", why, "Look at the file at that line.")
    if current:
        fix = "The file ends too early: see whether the tool was killed while it wrote, or the disk was full."
        raise Invalid(f"report file {path!r}", "its last record has no end_of_record.", fix)
    if not files and not data.lstrip().startswith(b"TN:"):  # whoever covered nothing has still named the test
        raise misfit(ReportFormat.LCOVINFO, data, path, "no line of it begins with SF:")
    return files


_LCOV_TOTALS = ("LF", "LH", "BRF", "BRH")
_LCOV_KEYS = frozenset({"DA", "BRDA", *_LCOV_TOTALS})
_DA = re.compile(r"(\d{1,9}),(-?[\d.eE+]{1,40})(?:,.*)?")  # some gcov count below zero
_BRDA = re.compile(r"(\d{1,9},.*),(-|\d{1,18})")


def _lcov_record(into: _Lines, totals: dict[str, int], key: str, value: str) -> bool:
    """Take one record in; False if it cannot be read."""
    if key == "DA":
        if match := _DA.fullmatch(value):
            into.line(int(match[1]), not match[2].startswith("-") and match[2].strip("0.") != "")
            totals["DA"] = 1
        return match is not None
    if key == "BRDA":
        if match := _BRDA.fullmatch(value):
            into.branches(match[1], int(match[2].strip("-0") != ""), 1)
            totals["BRDA"] = 1
        return match is not None
    totals[key] = _count(value)
    return _COUNT.fullmatch(value) is not None


def _lcov_totals(into: _Lines, totals: dict[str, int]) -> None:
    """A tool may leave the lines out and write their totals alone."""
    found, hit, branches, taken = (totals.get(key, 0) for key in _LCOV_TOTALS)
    lines = (0, 0) if "DA" in totals else (hit, max(found - hit, 0))
    into.add(lines, (0, 0) if "BRDA" in totals else (taken, max(branches - taken, 0)))


_PARSERS: Mapping[ReportFormat, Callable[[bytes, str], _Files]] = {
    ReportFormat.JACOCOXML: _parse_jacoco,
    ReportFormat.COBERTURAXML: _parse_cobertura,
    ReportFormat.CLOVERXML: _parse_clover,
    ReportFormat.SIMPLECOV: _parse_simplecov,
    ReportFormat.LCOVINFO: _parse_lcov,
}


# --- what several formats share


def _count(text: str) -> int:
    """A count; 0 for what is none."""
    return int(text) if _COUNT.fullmatch(text) else 0


def _descendants(node: Node, tag: str) -> Iterator[Node]:
    for child in node.children:
        if child.tag == tag:
            yield child
        else:
            yield from _descendants(child, tag)
