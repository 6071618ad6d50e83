"""Which format a file has, by its first bytes: for the files that no `reports` block names (auto-discovery)."""

import re

from codeyard.errors import Invalid
from codeyard.reports.document import decode
from codeyard.reports.model import ReportFormat

SNIFFED_BYTES = 8192

_SUFFIXES = (".xml", ".trx", ".json", ".info", ".lcov")
_BEFORE_ROOT = re.compile(r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE[^>\[]*>\s*)*", re.DOTALL)
_ROOT = re.compile(r"<(?:[\w.-]+:)?([\w.-]+)([^>]*)")
_BY_ROOT = {
    "testsuites": ReportFormat.JUNITXML,
    "testsuite": ReportFormat.JUNITXML,
    "test-results": ReportFormat.NUNITXML,
    "test-run": ReportFormat.NUNIT3XML,
    "testng-results": ReportFormat.TESTNGXML,
    "TestRun": ReportFormat.VISUALSTUDIOTRX,
}
_FEATURE = re.compile(r'\[\s*\{.*"(?:elements|keyword|uri)"\s*:', re.DOTALL)
_STEP = re.compile(r'"(?:keyword|steps|elements)"\s*:')
# {"RSpec": {"coverage": {…, and since 0.22 also coverage.json
_RESULT_SET = re.compile(r'\{\s*(?:"[^"]*"\s*:\s*\{\s*"coverage"\s*:\s*\{|"meta"\s*:\s*\{\s*"simplecov_version")')
_TRACE = re.compile(r"(?:(?:#.*|TN:.*)?\n)*SF:.+\n(?:[A-Z]+:|end_of_record)")


def may_be_report(path: str) -> bool:
    """Whether a file of this name is worth opening."""
    return path.lower().endswith(_SUFFIXES)


def sniff(data: bytes, path: str) -> ReportFormat | None:
    """The format of the report file that begins with `data` (SNIFFED_BYTES are enough); None if it is no report.

    Never raises. Says nothing about whether the rest can be read.
    """
    if not may_be_report(path):
        return None
    text = decode(data[:SNIFFED_BYTES]).replace("\r", "").lstrip()
    if text.startswith("<"):
        return _sniff_xml(text)
    if _FEATURE.match(text) and _STEP.search(text):
        return ReportFormat.CUCUMBERJSON
    if _RESULT_SET.match(text):
        return ReportFormat.SIMPLECOV
    return ReportFormat.LCOVINFO if _TRACE.match(text) else None


def _sniff_xml(text: str) -> ReportFormat | None:
    start = _BEFORE_ROOT.match(text)
    root = _ROOT.match(text, start.end() if start else 0)
    if not root:
        return None
    name, attributes, prolog = root[1], root[2], text[: root.start()]
    if name == "report":  # a common word
        return ReportFormat.JACOCOXML if "JACOCO" in prolog or "<sessioninfo" in text else None
    if name == "coverage":
        if re.search(r"\b(?:line-rate|lines-valid|branch-rate)\s*=", attributes) or "cobertura" in prolog:
            return ReportFormat.COBERTURAXML
        return ReportFormat.CLOVERXML if re.search(r"\b(?:clover|generated)\s*=", attributes) else None
    return _BY_ROOT.get(name)


def misfit(report_format: ReportFormat, data: bytes, path: str, why: str) -> Invalid:
    """The error for a file that is not of this format; its fix names the format that it has, if that can be told."""
    found = sniff(data, path + ".xml")  # whatever it is called
    fix = "See which file the test tool writes, and that `file-format` names its format."
    if found and found is not report_format:
        fix = f"It looks like {found}: set `file-format: {found}`."
    return Invalid(f"report file {path!r}", f"it is not {report_format}: {why}.", fix)
