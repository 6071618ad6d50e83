import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.reports.model import ReportFormat
from codeyard.reports.sniff import may_be_report, misfit, sniff
from tests.reports.rendered import FIXTURES

FORMATS = {
    "behave.json": ReportFormat.CUCUMBERJSON,
    "clover-istanbul.xml": ReportFormat.CLOVERXML,
    "clover-openclover.xml": ReportFormat.CLOVERXML,
    "clover-phpunit.xml": ReportFormat.CLOVERXML,
    "cobertura-coverage-py.xml": ReportFormat.COBERTURAXML,
    "cobertura-istanbul.xml": ReportFormat.COBERTURAXML,
    "cobertura-shared-file.xml": ReportFormat.COBERTURAXML,
    "coverage-py.lcov": ReportFormat.LCOVINFO,
    "cucumber-jvm.json": ReportFormat.CUCUMBERJSON,
    "cucumber.json": ReportFormat.CUCUMBERJSON,
    "geninfo.info": ReportFormat.LCOVINFO,
    "istanbul.info": ReportFormat.LCOVINFO,
    "jacoco.xml": ReportFormat.JACOCOXML,
    "junit-pytest.xml": ReportFormat.JUNITXML,
    "junit-surefire.xml": ReportFormat.JUNITXML,
    "mocha.trx": ReportFormat.VISUALSTUDIOTRX,
    "nunit2.xml": ReportFormat.NUNITXML,
    "nunit3.xml": ReportFormat.NUNIT3XML,
    "simplecov.coverage.json": ReportFormat.SIMPLECOV,
    "simplecov.resultset.json": ReportFormat.SIMPLECOV,
    "testng.xml": ReportFormat.TESTNGXML,
    "vstest.trx": ReportFormat.VISUALSTUDIOTRX,
}


@pytest.mark.parametrize(("name", "report_format"), FORMATS.items())
def test_the_first_bytes_tell_the_format(name: str, report_format: ReportFormat) -> None:
    assert sniff((FIXTURES / name).read_bytes()[:8192], name) is report_format


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_encoding_does_not_matter(encoding: str) -> None:
    data = (FIXTURES / "junit-pytest.xml").read_text().encode(encoding)

    assert sniff(data, "r.xml") is ReportFormat.JUNITXML


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("pom.xml", '<?xml version="1.0"?><project xmlns="http://maven.apache.org/POM/4.0.0"/>'),
        ("report.xml", "<report><title>Sales</title></report>"),
        ("coverage.xml", "<coverage policy='home'/>"),
        ("page.xml", "<!DOCTYPE html><html/>"),
        ("evil.xml", "<!DOCTYPE a [<!ENTITY b 'c'>]><testsuites/>"),
        ("package.json", '{"name": "shop", "coverage": {}}'),
        ("tsconfig.json", '{"compilerOptions": {"lib": []}}'),
        ("list.json", "[]"),
        ("list.json", '[{"name": "a"}]'),
        ("dir.info", "SF: a science fiction list\nof books"),
        ("empty.xml", ""),
        ("results.txt", "<testsuites/>"),
        ("Makefile", "SF:a\nend_of_record\n"),
    ],
)
def test_what_is_no_report_is_not_taken_for_one(path: str, text: str) -> None:
    assert sniff(text.encode(), path) is None


@pytest.mark.parametrize(("path", "worth"), [("a/R.XML", True), ("x.trx", True), ("lcov.info", True), ("a.py", False)])
def test_only_files_of_certain_names_are_worth_opening(path: str, worth: bool) -> None:
    assert may_be_report(path) is worth


def test_a_misfit_that_cannot_be_recognised_says_where_to_look() -> None:
    assert "`file-format` names its format" in misfit(ReportFormat.JUNITXML, b"<html/>", "r.html", "no").fix


def test_a_trace_with_carriage_returns_is_a_trace() -> None:
    assert sniff(b"# by hand\r\nTN:\r\nSF:a\r\nDA:1,1\r\nend_of_record\r\n", "c.info") is ReportFormat.LCOVINFO


@pytest.mark.timeout(5)
@pytest.mark.parametrize(
    "piece", [b"#\r\n", b"TN:\r\n", b"<?a?>", b"<!---->", b"<!DOCTYPE a>", b"<", b"[{", b'{"', b" \n"]
)
def test_no_beginning_takes_long_to_recognise(piece: bytes) -> None:
    assert sniff(piece * 4000, "c.info") is None


@given(st.binary(max_size=300) | st.text(alphabet='<>!?-[]{}":SFTN\n coverag', max_size=200).map(str.encode))
def test_sniffing_never_raises(data: bytes) -> None:
    assert sniff(data, "r.xml") in (None, *ReportFormat)
