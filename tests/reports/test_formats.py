from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.reports.formats import nanoseconds, parse_tests
from codeyard.reports.model import CaseStatus, ReportFormat, ReportType, TestCase
from tests.reports.rendered import FIXTURES, cases_as_text

SUCCEEDED, FAILED, ERROR, SKIPPED, UNKNOWN = CaseStatus
TEST_FORMATS = [report_format for report_format in ReportFormat if report_format.type is ReportType.TEST]


def junit(*cases: str) -> tuple[TestCase, ...]:
    data = f"<testsuites><testsuite name='unit'>{''.join(cases)}</testsuite></testsuites>".encode()
    return parse_tests(ReportFormat.JUNITXML, data, "r.xml")


def statuses(report_format: ReportFormat, text: str) -> list[CaseStatus]:
    return [case.status for case in parse_tests(report_format, text.encode(), "r")]


@pytest.mark.parametrize(
    ("name", "report_format"),
    [
        ("behave.json", ReportFormat.CUCUMBERJSON),
        ("cucumber-jvm.json", ReportFormat.CUCUMBERJSON),
        ("cucumber.json", ReportFormat.CUCUMBERJSON),
        ("junit-behave.xml", ReportFormat.JUNITXML),
        ("junit-go.xml", ReportFormat.JUNITXML),
        ("junit-gradle.xml", ReportFormat.JUNITXML),
        ("junit-gtest.xml", ReportFormat.JUNITXML),
        ("junit-jest.xml", ReportFormat.JUNITXML),
        ("junit-mocha.xml", ReportFormat.JUNITXML),
        ("junit-node.xml", ReportFormat.JUNITXML),
        ("junit-phpunit.xml", ReportFormat.JUNITXML),
        ("junit-pytest.xml", ReportFormat.JUNITXML),
        ("junit-robot.xml", ReportFormat.JUNITXML),
        ("junit-surefire.xml", ReportFormat.JUNITXML),
        ("junit-unittest.xml", ReportFormat.JUNITXML),
        ("junit-vitest.xml", ReportFormat.JUNITXML),
        ("mocha.trx", ReportFormat.VISUALSTUDIOTRX),
        ("nunit2.xml", ReportFormat.NUNITXML),
        ("nunit3.xml", ReportFormat.NUNIT3XML),
        ("testng.xml", ReportFormat.TESTNGXML),
        ("vstest.trx", ReportFormat.VISUALSTUDIOTRX),
    ],
)
def test_what_the_tools_write_is_read(name: str, report_format: ReportFormat) -> None:
    cases = parse_tests(report_format, (FIXTURES / name).read_bytes(), name)

    assert cases_as_text(cases) == (FIXTURES / f"{name}.expected").read_text()
    assert {case.raw_path for case in cases} == {name}


@pytest.mark.parametrize(
    ("inner", "status"),
    [
        ("", SUCCEEDED),
        ("<system-out>failure</system-out>", SUCCEEDED),
        ("<flakyFailure message='once'/>", SUCCEEDED),
        ("<failure/>", FAILED),
        ("<failure/><rerunFailure/>", FAILED),
        ("<failure/><error/>", FAILED),
        ("<error/><failure/>", ERROR),
        ("<error/>", ERROR),
        ("<skipped/>", SKIPPED),
        ("<skipped/><failure/>", FAILED),
        ("<whatever/>", SUCCEEDED),
    ],
)
def test_junit_statuses(inner: str, status: CaseStatus) -> None:
    (case,) = junit(f"<testcase name='a'>{inner}</testcase>")

    assert case.status is status


@pytest.mark.parametrize(
    ("attribute", "status"),
    [
        ("status='run' result='completed'", SUCCEEDED),
        ("status='passed'", SUCCEEDED),
        ("status='notrun' result='suppressed'", SKIPPED),
        ("status='run' result='skipped'", SKIPPED),
        ("status='failed'", FAILED),
    ],
)
def test_junit_statuses_that_only_an_attribute_tells(attribute: str, status: CaseStatus) -> None:
    (case,) = junit(f"<testcase name='a' {attribute}/>")

    assert case.status is status


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("<failure message='short'>the whole\r\nstory</failure>", "short\nthe whole\nstory"),
        ("<failure message='short'>Error: short\n  at a.py</failure>", "Error: short\n  at a.py"),
        ("<failure message='short'/>", "short"),
        ("<failure type='Oops'/>", "Oops"),
        ("<failure/>", ""),
        ("<skipped message='later'/>", "later"),
        ("<flakyFailure message='once'><stackTrace>at b.py</stackTrace></flakyFailure>", "once\nat b.py"),
    ],
)
def test_a_junit_message_says_all_and_nothing_twice(failure: str, message: str) -> None:
    (case,) = junit(f"<testcase name='a'>{failure}</testcase>")

    assert case.message == message


def test_a_junit_suite_that_broke_by_itself_is_a_case() -> None:
    data = b"<testsuite name='db'><error message='no database'/></testsuite>"

    (case,) = parse_tests(ReportFormat.JUNITXML, data, "r.xml")
    assert case == TestCase("db", ERROR, "no database", suite="db", raw_path="r.xml")


def test_a_junit_case_belongs_to_the_innermost_suite_that_has_a_name() -> None:
    inner = "<testsuite name='b'><testsuite><testcase name='t'/></testsuite></testsuite>"

    assert junit(inner)[0].suite == "b"


def test_a_junit_case_without_a_name_gets_one() -> None:
    assert [case.name for case in junit("<testcase classname='Shop'/>", "<testcase/>")] == ["Shop", "(no name)"]


def test_an_empty_suite_has_no_cases() -> None:
    assert parse_tests(ReportFormat.JUNITXML, b"<testsuites/>", "r.xml") == ()


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ("0.001", 1_000_000),
        ("12", 12_000_000_000),
        ("1,234.567", 1_234_567_000_000),
        ("1,234", 1_234_000_000_000),
        ("1,234,567.5", 1_234_567_500_000_000),
        ("0,005", 5_000_000),
        ("1,5", 1_500_000_000),
        ("4.6e-05", 46_000),
        (".5", 500_000_000),
        ("0.", 0),
        (" 2 ", 2_000_000_000),
        ("", 0),
        ("-1", 0),
        ("NaN", 0),
        ("inf", 0),
        ("1e99", 0),
        ("1e999999999", 0),
        ("9" * 1000, 0),
        ("1.2.3", 0),
    ],
)
def test_durations_are_read_as_people_write_them(seconds: str, expected: int) -> None:
    assert nanoseconds(seconds) == expected


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ("executed='True' result='Success'", SUCCEEDED),
        ("executed='True' result='Failure'", FAILED),
        ("executed='True' result='Error'", ERROR),
        ("executed='False' result='Ignored'", SKIPPED),
        ("executed='False' result='NotRunnable'", SKIPPED),
        ("executed='True' result='Inconclusive'", UNKNOWN),
        ("executed='True' success='True'", SUCCEEDED),
        ("executed='True' success='False'", FAILED),
        ("executed='True'", SUCCEEDED),
        ("executed='False'", SKIPPED),
        ("executed='True' success='perhaps'", UNKNOWN),
    ],
)
def test_nunit_2_statuses(attributes: str, status: CaseStatus) -> None:
    text = f"<test-results><test-suite><results><test-case {attributes}/></results></test-suite></test-results>"

    assert statuses(ReportFormat.NUNITXML, text) == [status]


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ("result='Passed'", SUCCEEDED),
        ("result='Failed'", FAILED),
        ("result='Failed(Child)'", FAILED),
        ("result='Failed' label='Error'", ERROR),
        ("result='Failed' label='Invalid'", ERROR),
        ("result='Failed' label='Cancelled'", ERROR),
        ("result='Skipped' label='Ignored'", SKIPPED),
        ("result='Inconclusive'", UNKNOWN),
        ("result='Warning'", UNKNOWN),
    ],
)
def test_nunit_3_statuses(attributes: str, status: CaseStatus) -> None:
    text = f"<test-run><test-suite><test-case {attributes}/></test-suite></test-run>"

    assert statuses(ReportFormat.NUNIT3XML, text) == [status]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("status='PASS'", [SUCCEEDED]),
        ("status='FAIL'", [FAILED]),
        ("status='SKIP'", [SKIPPED]),
        ("status='SUCCESS_PERCENTAGE_FAILURE'", [UNKNOWN]),
        ("status='PASS' is-config='true'", []),
        ("status='SKIP' is-config='true'", []),
        ("status='FAIL' is-config='true'", [FAILED]),
    ],
)
def test_testng_statuses_and_its_configuration_methods(attributes: str, expected: list[CaseStatus]) -> None:
    method = f"<test-method name='a' {attributes}/>"
    text = f"<testng-results><suite><test><class name='C'>{method}</class></test></suite></testng-results>"

    assert statuses(ReportFormat.TESTNGXML, text) == expected


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ("outcome='Passed'", SUCCEEDED),
        ("outcome='PassedButRunAborted'", SUCCEEDED),
        ("outcome='Failed'", FAILED),
        ("outcome='Error'", ERROR),
        ("outcome='Timeout'", ERROR),
        ("outcome='Aborted'", ERROR),
        ("", ERROR),
        ("outcome='NotExecuted'", SKIPPED),
        ("outcome='NotRunnable'", SKIPPED),
        ("outcome='Inconclusive'", UNKNOWN),
        ("outcome='InProgress'", UNKNOWN),
    ],
)
def test_trx_statuses(attributes: str, status: CaseStatus) -> None:
    text = f"<TestRun><Results><UnitTestResult testName='a' {attributes}/></Results></TestRun>"

    assert statuses(ReportFormat.VISUALSTUDIOTRX, text) == [status]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ("00:00:00.0000001", 100),
        ("01:02:03.5", 3_723_500_000_000),
        ("2.00:00:01", 172_801_000_000_000),
        ("1s", 0),
        ("", 0),
    ],
)
def test_trx_durations(duration: str, expected: int) -> None:
    text = f"<TestRun><Results><UnitTestResult outcome='Passed' duration='{duration}'/></Results></TestRun>"

    (case,) = parse_tests(ReportFormat.VISUALSTUDIOTRX, text.encode(), "r.trx")
    assert case.duration_ns == expected


def test_a_trx_run_that_crashed_without_a_failed_test_is_an_error() -> None:
    summary = "<RunInfos><RunInfo outcome='Error'><Text>Test host process crashed</Text></RunInfo></RunInfos>"
    passed = "<Results><UnitTestResult testName='a' outcome='Passed'/></Results>"
    text = f"<TestRun>{passed}<ResultSummary outcome='Failed'>{summary}</ResultSummary></TestRun>"

    cases = parse_tests(ReportFormat.VISUALSTUDIOTRX, text.encode(), "r.trx")
    assert cases[1] == TestCase("(test run)", ERROR, "Test host process crashed", raw_path="r.trx")


def test_a_file_of_another_format_is_refused_with_the_format_it_has() -> None:
    with pytest.raises(Invalid, match="it is not JUNITXML: its root is <coverage>") as error:
        parse_tests(ReportFormat.JUNITXML, (FIXTURES / "cobertura-istanbul.xml").read_bytes(), "c.xml")

    assert error.value.fix == "It looks like COBERTURAXML: set `file-format: COBERTURAXML`."


@pytest.mark.parametrize("report_format", TEST_FORMATS)
def test_every_format_refuses_what_is_not_its_own(report_format: ReportFormat) -> None:
    with pytest.raises(Invalid, match="report file"):
        parse_tests(report_format, b"<html/>", "r.xml")


def test_a_coverage_format_is_refused() -> None:
    with pytest.raises(Invalid, match="JACOCOXML is a format of CODE_COVERAGE reports"):
        parse_tests(ReportFormat.JACOCOXML, b"<report/>", "r.xml")


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1)
names = texts.map(str.strip).filter(bool)
cases = st.builds(
    TestCase,
    name=names,
    status=st.sampled_from([SUCCEEDED, FAILED, ERROR, SKIPPED]),
    suite=names,
    prefix=names,
    duration_ns=st.integers(0, 10**15),
    raw_path=st.just("r.xml"),
)


def as_junit(case: TestCase) -> str:
    child = {SUCCEEDED: "", FAILED: "<failure>f</failure>", ERROR: "<error>e</error>", SKIPPED: "<skipped/>"}
    whole, fraction = divmod(case.duration_ns, 10**9)
    attributes = f"name={quoteattr(case.name)} classname={quoteattr(case.prefix)} time='{whole:,}.{fraction:09}'"
    return (
        f"<testsuite name={quoteattr(case.suite)}><testcase {attributes}>{child[case.status]}"
        f"<system-out>{escape(case.name)}</system-out></testcase></testsuite>"
    )


@given(st.lists(cases, max_size=8), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_what_is_rendered_as_junit_comes_back(suite: list[TestCase], encoding: str) -> None:
    data = f"<testsuites>{''.join(map(as_junit, suite))}</testsuites>".encode(encoding)

    found = parse_tests(ReportFormat.JUNITXML, data, "r.xml")
    messages = {FAILED: "f", ERROR: "e"}
    assert [(c.name, c.status, c.suite, c.prefix, c.duration_ns) for c in found] == [
        (c.name, c.status, c.suite, c.prefix, c.duration_ns) for c in suite
    ]
    assert [c.message for c in found] == [messages.get(c.status, "") for c in suite]


def survives(report_format: ReportFormat, data: bytes) -> bool:
    """Whether the only thing that can go wrong is Invalid."""
    try:
        return isinstance(parse_tests(report_format, data, "r"), tuple)
    except Invalid as error:
        return bool(error.what and error.why and error.fix)


@given(st.sampled_from(TEST_FORMATS), st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_invalid(report_format: ReportFormat, data: bytes) -> None:
    assert survives(report_format, data)


@settings(max_examples=200)
@given(
    st.sampled_from(sorted(path.name for path in FIXTURES.iterdir() if path.suffix != ".expected")),
    st.sampled_from(TEST_FORMATS),
    st.integers(0, 4000),
    st.integers(0, 40),
    st.binary(max_size=20),
)
def test_a_damaged_report_raises_nothing_but_invalid(
    name: str, report_format: ReportFormat, at: int, gone: int, instead: bytes
) -> None:
    data = (FIXTURES / name).read_bytes()

    assert survives(report_format, data[:at] + instead + data[at + gone :])
    assert survives(report_format, data[:at])
