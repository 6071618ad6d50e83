import pickle
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.reports.model import (
    MAX_CASES,
    CaseStatus,
    FileCoverage,
    Report,
    ReportFormat,
    ReportGroup,
    ReportStatus,
    ReportType,
    TestCase,
    discovered_group,
    failures,
    make_report,
    report_group,
    slowest,
)

GROUP = ReportGroup("shop-unit")
CREATED = datetime(2019, 11, 9, 18, 6, 10, 154_000, tzinfo=UTC)
SUCCEEDED, FAILED, ERROR, SKIPPED, UNKNOWN = CaseStatus
ARN = "arn:aws:codebuild:us-east-1:123456789012:report-group/shared"


def report(*cases: TestCase, problems: Iterable[str] = ()) -> Report:
    return make_report(GROUP, ReportFormat.JUNITXML, created=CREATED, cases=cases, problems=problems)


def covered(path: str, lines_covered: int, lines_missed: int, taken: int = 0, not_taken: int = 0) -> FileCoverage:
    return FileCoverage(path, lines_covered, lines_missed, taken, not_taken)


@pytest.mark.parametrize("text", ["JUNITXML", "junitxml", "JUnitXml"])
def test_a_format_may_be_written_in_any_case(text: str) -> None:
    assert ReportFormat.parse(text) is ReportFormat.JUNITXML


@pytest.mark.parametrize("text", ["LCOV", "lcovinfo"])
def test_lcov_has_two_names(text: str) -> None:
    assert ReportFormat.parse(text) is ReportFormat.LCOVINFO


def test_an_unknown_format_is_refused_with_all_that_there_are() -> None:
    with pytest.raises(Invalid, match="'JUNIT'") as error:
        ReportFormat.parse("JUNIT")

    assert error.value.fix.endswith("JACOCOXML, SIMPLECOV, LCOVINFO.")


def test_a_format_is_of_tests_or_of_coverage() -> None:
    tests = {"JUNITXML", "CUCUMBERJSON", "NUNITXML", "NUNIT3XML", "TESTNGXML", "VISUALSTUDIOTRX"}

    assert {name for name in ReportFormat if name.type is ReportType.TEST} == tests


def test_a_name_is_a_group_of_the_project() -> None:
    assert report_group("shop", "unit") == ReportGroup("shop-unit")


def test_the_same_name_in_two_projects_is_two_groups() -> None:
    assert report_group("shop", "unit") != report_group("bank", "unit")


def test_an_arn_is_the_same_group_in_every_project() -> None:
    assert report_group("shop", ARN) == report_group("bank", ARN) == ReportGroup("shared", ARN)


@pytest.mark.parametrize("key", ["", "a\nb", "x" * 124, "arn:aws:codebuild:us-east-1:1:project/shop", ARN + "\x00"])
def test_what_cannot_name_a_group_is_refused(key: str) -> None:
    with pytest.raises(Invalid, match="report group"):
        report_group("shop", key)


def test_a_group_that_was_discovered_is_named_after_the_format() -> None:
    assert discovered_group("shop", ReportFormat.JUNITXML).name == "shop-JUNITXML-AutoDiscovered"


def test_a_case_is_cut_to_what_may_be_stored() -> None:
    case = TestCase("n" * 1001, FAILED, "m" * 5001, suite="s" * 2000, prefix="\ud800", raw_path="r\udcff.xml")

    assert (len(case.name), len(case.message), len(case.suite)) == (1000, 5000, 1000)
    assert (case.prefix, case.raw_path) == ("?", "r?.xml")


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        ([], ReportStatus.SUCCEEDED),
        ([SUCCEEDED, SKIPPED, UNKNOWN], ReportStatus.SUCCEEDED),
        ([SUCCEEDED, FAILED], ReportStatus.FAILED),
        ([SUCCEEDED, ERROR], ReportStatus.FAILED),
    ],
)
def test_a_report_fails_with_one_of_its_tests(statuses: list[CaseStatus], status: ReportStatus) -> None:
    assert report(*(TestCase("a", status) for status in statuses)).status is status


def test_a_report_with_a_problem_is_incomplete_and_says_why() -> None:
    made = report(TestCase("a", SUCCEEDED), problems=["no file matched b.xml"])

    assert (made.status, made.problems) == (ReportStatus.INCOMPLETE, ("no file matched b.xml",))
    assert made.tests.total == 1


def test_a_failed_test_weighs_more_than_a_problem() -> None:
    assert report(TestCase("a", FAILED), problems=["b.xml is empty"]).status is ReportStatus.FAILED


def test_all_five_statuses_are_counted_also_those_that_none_has() -> None:
    made = report(TestCase("a", SUCCEEDED, duration_ns=5), TestCase("b", SKIPPED, duration_ns=2))

    assert made.tests.counts == {SUCCEEDED: 1, FAILED: 0, ERROR: 0, SKIPPED: 1, UNKNOWN: 0}
    assert (made.tests.total, made.tests.duration_ns, made.truncated) == (2, 7, False)


def test_a_report_expires_after_thirty_days_at_a_whole_second() -> None:
    made = report()

    assert made.created.timestamp() == 1573322770.154
    assert made.expires.timestamp() == 1573322770 + timedelta(days=30).total_seconds()


def test_of_501_cases_500_are_kept_and_all_are_counted() -> None:
    made = report(*(TestCase(str(number), SUCCEEDED) for number in range(500)), TestCase("last", FAILED))

    assert (made.truncated, len(made.cases), made.tests.total) == (True, 500, 501)
    assert made.cases[-1] == TestCase("last", FAILED)
    assert made.cases[0].name == "0"


def test_500_cases_are_not_truncated() -> None:
    made = report(*(TestCase(str(number), SUCCEEDED) for number in range(500)))

    assert (made.truncated, len(made.cases)) == (False, 500)


def test_failed_cases_are_kept_before_erroneous_ones() -> None:
    made = report(*[TestCase("e", ERROR)] * 400, *[TestCase("f", FAILED)] * 400)

    assert [case.status for case in made.cases] == [ERROR] * 100 + [FAILED] * 400


@given(st.lists(st.builds(TestCase, st.text(max_size=3), st.sampled_from(CaseStatus)), max_size=700))
def test_whatever_the_cases_no_failure_gives_way_to_another(cases: list[TestCase]) -> None:
    made = report(*cases)

    failed = sum(case.status is FAILED for case in cases)
    assert sum(case.status is FAILED for case in made.cases) == min(failed, MAX_CASES)
    assert len(made.cases) == min(len(cases), MAX_CASES)
    assert sum(made.tests.counts.values()) == made.tests.total == len(cases)


def test_the_slowest_come_first_and_the_untimed_not_at_all() -> None:
    cases = [TestCase(name, SUCCEEDED, duration_ns=ns) for name, ns in [("a", 1), ("b", 9), ("c", 0), ("d", 5)]]

    assert [case.name for case in slowest(cases, 2)] == ["b", "d"]
    assert [case.name for case in slowest(cases)] == ["b", "d", "a"]


def test_failures_are_those_that_failed_or_broke() -> None:
    cases = [TestCase(status.lower(), status) for status in CaseStatus]

    assert [case.name for case in failures(cases)] == ["failed", "error"]


def test_coverage_is_totalled_over_all_files() -> None:
    made = make_report(
        GROUP,
        ReportFormat.LCOVINFO,
        created=CREATED,
        coverage=[covered("b.py", 3, 1, 1, 1), covered("a.py", 0, 4)],
    )

    assert [file.path for file in made.coverage] == ["a.py", "b.py"]
    assert (made.covered.line_percent, made.covered.branch_percent) == (37.5, 50.0)
    assert (made.type, made.status) == (ReportType.CODE_COVERAGE, ReportStatus.SUCCEEDED)


def test_a_file_without_branches_has_no_percentage_of_them() -> None:
    assert covered("a.py", 1, 0).branch_percent is None


def test_of_two_results_for_a_file_the_better_lines_count_then_the_better_branches() -> None:
    several = [covered("a", 1, 9), covered("a", 5, 5, 0, 2), covered("a", 5, 5, 1, 1), covered("a", 4, 6, 2, 0)]
    made = make_report(GROUP, ReportFormat.LCOVINFO, created=CREATED, coverage=several)

    assert made.coverage == (covered("a", 5, 5, 1, 1),)


def test_a_report_can_be_journaled() -> None:
    made = report(TestCase("a", FAILED, "because"), problems=["b"])

    assert pickle.loads(pickle.dumps(made)) == made
