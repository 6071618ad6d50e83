"""Cases and covered files as lines, so that a fixture's outcome can be kept beside it and read in a diff."""

from collections.abc import Iterable
from pathlib import Path

from codeyard.reports.model import FileCoverage, TestCase

FIXTURES = Path(__file__).parent / "fixtures"


def cases_as_text(cases: Iterable[TestCase]) -> str:
    lines = (
        " | ".join(
            (
                f"{case.status:9}",
                f"{case.duration_ns:>13}",
                case.suite,
                case.prefix,
                case.name,
                case.message.partition("\n")[0],
            )
        ).rstrip(" |")
        for case in cases
    )
    return "".join(f"{line}\n" for line in lines)


def coverage_as_text(coverage: Iterable[FileCoverage]) -> str:
    return "".join(
        f"{file.path} | lines {file.lines_covered} of {file.lines_covered + file.lines_missed}"
        f" | branches {file.branches_covered} of {file.branches_covered + file.branches_missed}\n"
        for file in coverage
    )
