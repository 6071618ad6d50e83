"""Test results: the bytes of one file → its cases, for each format that CodeBuild knows.

AWS does not say how a framework's outcomes become its five statuses; docs/reports.md has the tables that are used here.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial

from codeyard.errors import Invalid
from codeyard.reports.cucumber import parse_cucumber
from codeyard.reports.document import Node, read_xml
from codeyard.reports.model import CaseStatus, ReportFormat, ReportType, TestCase
from codeyard.reports.sniff import misfit

_OUTPUT = ("system-out", "system-err", "properties")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{0,30})?(?:[eE][-+]?\d{1,2})?|\.\d{1,30}")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")
_CLOCK = re.compile(r"(?:(\d{1,6})\.)?(\d{1,3}):(\d{1,2}):(\d{1,2}(?:\.\d{1,12})?)")
_LONGEST = Decimal(10) ** 9  # seconds, thirty years; more is a mistake of whoever wrote it


def parse_tests(report_format: ReportFormat, data: bytes, path: str) -> tuple[TestCase, ...]:
    """The cases of one result file, in its order; `path` names it, in them and in errors.

    Invalid if the file is too large, cut short, hostile, or of another format.
    """
    parse = _PARSERS.get(report_format)
    if parse is None:
        raise Invalid(
            f"report file {path!r}",
            f"{report_format} is a format of {ReportType.CODE_COVERAGE} reports, not of tests.",
            "Name a test format in `file-format`, or use another report group for coverage.",
        )
    return tuple(parse(data, path))


# --- JUnit: what Ant began, and everybody writes a little differently


_JUNIT_OUTCOMES: Mapping[str, CaseStatus] = {
    "failure": CaseStatus.FAILED,
    "error": CaseStatus.ERROR,
    "skipped": CaseStatus.SKIPPED,
    "skip": CaseStatus.SKIPPED,
    "disabled": CaseStatus.SKIPPED,
    "ignored": CaseStatus.SKIPPED,
}
# GoogleTest, Behave and others say in an attribute what the schema has an element for.
_JUNIT_ATTRIBUTES: Mapping[str, CaseStatus] = {
    "notrun": CaseStatus.SKIPPED,
    "disabled": CaseStatus.SKIPPED,
    "ignored": CaseStatus.SKIPPED,
    "skipped": CaseStatus.SKIPPED,
    "suppressed": CaseStatus.SKIPPED,
    "pending": CaseStatus.SKIPPED,
    "failed": CaseStatus.FAILED,
    "failure": CaseStatus.FAILED,
    "error": CaseStatus.ERROR,
}
_FLAKY = ("flakyFailure", "flakyError")


def _parse_junit(data: bytes, path: str) -> Iterator[TestCase]:
    root = read_xml(data, path, leave_out=_OUTPUT)
    if root.tag not in ("testsuites", "testsuite"):
        raise misfit(ReportFormat.JUNITXML, data, path, f"its root is <{root.tag[:100]}>, not <testsuites>")
    return _junit_suite(root, "", path)


def _junit_suite(suite: Node, outer: str, path: str) -> Iterator[TestCase]:
    name = suite.get("name") or outer
    for child in suite.children:
        if child.tag == "testcase":
            yield _junit_case(child, name, path)
        elif child.tag in ("testsuite", "testsuites"):
            yield from _junit_suite(child, name, path)
        elif child.tag in ("failure", "error"):  # of the suite as a whole: its set-up broke
            message = _junit_message(child)
            yield TestCase(name or "(suite)", _JUNIT_OUTCOMES[child.tag], message, suite=name, raw_path=path)


def _junit_case(case: Node, suite: str, path: str) -> TestCase:
    """The first failure or error decides; a skip only where there is none."""
    worst = case.first("failure", "error") or case.first(*_JUNIT_OUTCOMES)
    told = worst or case.first(*_FLAKY)  # passed at last: a success that has something to say
    by_attribute = (_JUNIT_ATTRIBUTES.get(case.get(key).lower()) for key in ("status", "result"))
    status = _JUNIT_OUTCOMES[worst.tag] if worst else next(filter(None, by_attribute), CaseStatus.SUCCEEDED)
    return TestCase(
        name=case.get("name") or case.get("classname") or "(no name)",
        status=status,
        message=_junit_message(told) if told else "",
        suite=suite,
        prefix=case.get("classname") or case.get("class"),
        duration_ns=nanoseconds(case.get("time")),
        raw_path=path,
    )


def _junit_message(outcome: Node) -> str:
    """Both parts of it, each once: the attribute is the short one, and often begins the text."""
    parts = [outcome.get("message"), outcome.text]
    parts += [node.text for node in outcome.each("stackTrace")]  # Surefire's flakyFailure and rerunFailure
    return joined(parts) or outcome.get("type")


# --- NUnit 2 (<test-results>) and NUnit 3 (<test-run>): told apart by what is there, so either token reads either


_NUNIT_RESULTS: Mapping[str, CaseStatus] = {
    "success": CaseStatus.SUCCEEDED,
    "passed": CaseStatus.SUCCEEDED,
    "failure": CaseStatus.FAILED,
    "failed": CaseStatus.FAILED,
    "error": CaseStatus.ERROR,
    "invalid": CaseStatus.ERROR,
    "cancelled": CaseStatus.ERROR,
    "ignored": CaseStatus.SKIPPED,
    "notrunnable": CaseStatus.SKIPPED,
    "skipped": CaseStatus.SKIPPED,
}


def _parse_nunit(data: bytes, path: str, token: ReportFormat = ReportFormat.NUNITXML) -> Iterator[TestCase]:
    root = read_xml(data, path, leave_out=("output", "properties", "attachments", "assertions"))
    if root.tag not in ("test-results", "test-run", "test-suite"):
        why = f"its root is <{root.tag[:100]}>, not <test-results> or <test-run>"
        raise misfit(token, data, path, why)
    return _nunit_suite(root, "", path)


def _nunit_suite(suite: Node, name: str, path: str) -> Iterator[TestCase]:
    for child in suite.children:
        if child.tag == "test-case":
            yield _nunit_case(child, name, path)
        elif child.tag == "test-suite":
            yield from _nunit_suite(child, child.get("name"), path)
        elif child.tag == "results":
            yield from _nunit_suite(child, name, path)
        elif child.tag == "failure" and suite.get("site") == "TearDown":  # its tests had passed by then
            message = joined([child.text_of("message"), child.text_of("stack-trace")])
            prefix = suite.get("classname") or suite.get("fullname")
            yield TestCase("(tear-down)", CaseStatus.ERROR, message, name, prefix, raw_path=path)


def _nunit_case(case: Node, suite: str, path: str) -> TestCase:
    prefix, name = _split_dotted(case.get("name"))
    prefix = case.get("classname") or prefix or _split_dotted(case.get("fullname"))[0]
    messages = [case.text_of(kind, part) for kind in ("failure", "reason") for part in ("message", "stack-trace")]
    return TestCase(
        name=name or "(no name)",
        status=_nunit_status(case),
        message=joined(messages),
        suite=suite,
        prefix=prefix,
        duration_ns=nanoseconds(case.get("duration") or case.get("time")),
        raw_path=path,
    )


def _nunit_status(case: Node) -> CaseStatus:
    """NUnit 3's label refines its result; NUnit before 2.5 has neither, but says whether it ran and succeeded."""
    result = case.get("result").partition("(")[0].partition(":")[0].lower()
    if result == "failed" and case.get("label").lower() in ("error", "invalid", "cancelled"):
        return CaseStatus.ERROR
    if result:
        return _NUNIT_RESULTS.get(result, CaseStatus.UNKNOWN)
    if case.get("executed").lower() == "false":
        return CaseStatus.SKIPPED
    by_success = {"true": CaseStatus.SUCCEEDED, "false": CaseStatus.FAILED}
    by_child = CaseStatus.FAILED if case.first("failure") else CaseStatus.SUCCEEDED
    return by_success.get(case.get("success").lower(), CaseStatus.UNKNOWN if case.get("success") else by_child)


def _split_dotted(full: str) -> tuple[str, str]:
    """`Shop.Basket.Adds("a.b")` → `Shop.Basket` and `Adds("a.b")`."""
    head, bracket, arguments = full.partition("(")
    prefix, _, name = head.rpartition(".")
    return prefix, name + bracket + arguments


# --- TestNG


_TESTNG_STATUSES: Mapping[str, CaseStatus] = {
    "PASS": CaseStatus.SUCCEEDED,
    "FAIL": CaseStatus.FAILED,
    "SKIP": CaseStatus.SKIPPED,
}


def _parse_testng(data: bytes, path: str) -> Iterator[TestCase]:
    root = read_xml(data, path, leave_out=("reporter-output", "groups"))
    if root.tag != "testng-results":
        raise misfit(ReportFormat.TESTNGXML, data, path, f"its root is <{root.tag[:100]}>, not <testng-results>")
    for suite in root.each("suite"):
        for test in suite.each("test"):
            for group in test.each("class"):
                yield from _testng_methods(group, test.get("name") or suite.get("name"), path)


def _testng_methods(group: Node, suite: str, path: str) -> Iterator[TestCase]:
    """The tests of a class, and those of its set-up and tear-down methods that failed: they are why others skipped."""
    for method in group.each("test-method"):
        status = _TESTNG_STATUSES.get(method.get("status"), CaseStatus.UNKNOWN)
        if method.get("is-config") == "true" and status is not CaseStatus.FAILED:
            continue
        values = [param.text_of("value") for params in method.each("params") for param in params.each("param")]
        raised = method.first("exception")
        yield TestCase(
            name=method.get("name", "(no name)") + (f"({', '.join(values)})" if values else ""),
            status=status,
            message=joined([raised.text_of("message"), raised.text_of("full-stacktrace")]) if raised else "",
            suite=suite,
            prefix=group.get("name"),
            duration_ns=nanoseconds(method.get("duration-ms")) // 1000,
            raw_path=path,
        )


# --- Visual Studio TRX


_TRX_OUTCOMES: Mapping[str, CaseStatus] = {
    "": CaseStatus.ERROR,  # Visual Studio leaves its default out, and that is Error
    "passed": CaseStatus.SUCCEEDED,
    "passedbutrunaborted": CaseStatus.SUCCEEDED,
    "failed": CaseStatus.FAILED,
    "error": CaseStatus.ERROR,
    "timeout": CaseStatus.ERROR,
    "aborted": CaseStatus.ERROR,
    "disconnected": CaseStatus.ERROR,
    "notexecuted": CaseStatus.SKIPPED,
    "notrunnable": CaseStatus.SKIPPED,
    "pending": CaseStatus.SKIPPED,
}
_TRX_RESULTS = ("UnitTestResult", "TestResult", "TestResultAggregation", "GenericTestResult", "WebTestResult")


def _parse_trx(data: bytes, path: str) -> Iterator[TestCase]:
    root = read_xml(data, path, leave_out=("StdOut", "StdErr", "DebugTrace", "ResultFiles", "CollectorDataEntries"))
    if root.tag != "TestRun":
        raise misfit(ReportFormat.VISUALSTUDIOTRX, data, path, f"its root is <{root.tag[:100]}>, not <TestRun>")
    definitions = {
        test.get("id").lower(): test for section in root.each("TestDefinitions") for test in section.children
    }
    broken = False
    for section in root.each("Results"):
        for result in _trx_leaves(section):
            case = _trx_case(result, definitions.get(result.get("testId").lower()), path)
            broken |= case.status in (CaseStatus.FAILED, CaseStatus.ERROR)
            yield case
    if not broken:
        yield from _trx_run(root, path)


def _trx_leaves(section: Node) -> Iterator[Node]:
    """The results themselves; of a data-driven or ordered test, its rows instead of their sum."""
    for result in section.each(*_TRX_RESULTS):
        rows = [row for inner in result.each("InnerResults") for row in _trx_leaves(inner)]
        yield from rows or [result]


def _trx_case(result: Node, definition: Node | None, path: str) -> TestCase:
    method = definition.first("TestMethod") if definition else None
    prefix = method.get("className").partition(",")[0] if method else ""  # MSTest appends the assembly
    storage = definition.get("storage") if definition else ""
    error = ("Output", "ErrorInfo")
    return TestCase(
        name=result.get("testName").removeprefix(f"{prefix}.") or "(no name)",
        status=_TRX_OUTCOMES.get(result.get("outcome").lower(), CaseStatus.UNKNOWN),
        message=joined([result.text_of(*error, "Message"), result.text_of(*error, "StackTrace")]),
        suite=re.split(r"[\\/]", storage)[-1],
        prefix=prefix,
        duration_ns=_clock(result.get("duration")),
        raw_path=path,
    )


def _trx_run(root: Node, path: str) -> Iterator[TestCase]:
    """A case for a run that broke without any test that did, such as a test host that crashed."""
    for summary in root.each("ResultSummary"):
        if summary.get("outcome") in ("Aborted", "Error", "Failed", "Timeout"):
            told = [info.text_of("Text") for infos in summary.each("RunInfos") for info in infos.each("RunInfo")]
            yield TestCase("(test run)", CaseStatus.ERROR, "\n".join(filter(None, told)), raw_path=path)


_PARSERS: Mapping[ReportFormat, Callable[[bytes, str], Iterable[TestCase]]] = {
    ReportFormat.JUNITXML: _parse_junit,
    ReportFormat.CUCUMBERJSON: parse_cucumber,
    ReportFormat.NUNITXML: _parse_nunit,
    ReportFormat.NUNIT3XML: partial(_parse_nunit, token=ReportFormat.NUNIT3XML),
    ReportFormat.TESTNGXML: _parse_testng,
    ReportFormat.VISUALSTUDIOTRX: _parse_trx,
}


# --- what several formats share


def nanoseconds(seconds: str) -> int:
    """`1,234.5`, `0,005` and `4.6e-05` seconds in nanoseconds; 0 for what is no duration."""
    text = seconds.strip()
    text = text.replace(",", "") if _THOUSANDS.fullmatch(text) else text.replace(",", ".")
    if not _NUMBER.fullmatch(text):
        return 0
    value = Decimal(text)
    return int(value * 1_000_000_000) if value <= _LONGEST else 0


def _clock(duration: str) -> int:
    """`[days.]hours:minutes:seconds` in nanoseconds; 0 for what is none."""
    match = _CLOCK.fullmatch(duration.strip())
    if not match:
        return 0
    days, hours, minutes, seconds = match.groups()
    whole = (int(days or 0) * 24 + int(hours)) * 3600 + int(minutes) * 60
    return whole * 1_000_000_000 + int(Decimal(seconds) * 1_000_000_000)


def joined(parts: Iterable[str]) -> str:
    """A message of these parts, a line each; without a part that the next one begins with."""
    message = ""
    for part in filter(None, (part.replace("\r\n", "\n").strip() for part in parts)):
        # Often with the exception's name before it, so: within the first line.
        repeated = message.partition("\n")[0] in part.partition("\n")[0] and message in part
        message = part if repeated else f"{message}\n{part}"
    return message
