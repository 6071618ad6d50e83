import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.reports.coverage import parse_coverage
from codeyard.reports.model import FileCoverage, ReportFormat, ReportType
from tests.reports.rendered import FIXTURES, coverage_as_text

COVERAGE_FORMATS = [name for name in ReportFormat if name.type is ReportType.CODE_COVERAGE]


def parse(report_format: ReportFormat, text: str) -> tuple[FileCoverage, ...]:
    return parse_coverage(report_format, text.encode(), "c")


@pytest.mark.parametrize(
    ("name", "report_format"),
    [
        ("clover-istanbul.xml", ReportFormat.CLOVERXML),
        ("clover-openclover.xml", ReportFormat.CLOVERXML),
        ("clover-phpunit.xml", ReportFormat.CLOVERXML),
        ("cobertura-coverage-py.xml", ReportFormat.COBERTURAXML),
        ("cobertura-istanbul.xml", ReportFormat.COBERTURAXML),
        ("cobertura-shared-file.xml", ReportFormat.COBERTURAXML),
        ("coverage-py.lcov", ReportFormat.LCOVINFO),
        ("geninfo.info", ReportFormat.LCOVINFO),
        ("istanbul.info", ReportFormat.LCOVINFO),
        ("jacoco.xml", ReportFormat.JACOCOXML),
        ("simplecov.coverage.json", ReportFormat.SIMPLECOV),
        ("simplecov.resultset.json", ReportFormat.SIMPLECOV),
    ],
)
def test_what_the_tools_write_is_read(name: str, report_format: ReportFormat) -> None:
    coverage = parse_coverage(report_format, (FIXTURES / name).read_bytes(), name)

    assert coverage_as_text(coverage) == (FIXTURES / f"{name}.expected").read_text()


def test_two_formats_of_one_tool_say_the_same() -> None:
    cobertura = parse(ReportFormat.COBERTURAXML, (FIXTURES / "cobertura-coverage-py.xml").read_text())

    assert cobertura == parse(ReportFormat.LCOVINFO, (FIXTURES / "coverage-py.lcov").read_text())


def test_jacoco_modules_are_groups_and_what_they_share_is_summed() -> None:
    source = '<sourcefile name="A.java"><counter type="LINE" missed="1" covered="3"/></sourcefile>'
    package = f'<package name="p">{source}</package>'

    (file,) = parse(ReportFormat.JACOCOXML, f"<report><group>{package}</group><group>{package}</group></report>")
    assert file == FileCoverage("p/A.java", 6, 2)


def test_jacoco_without_debug_information_tells_of_classes() -> None:
    package = '<package name="p"><class name="p/A"><counter type="BRANCH" missed="1" covered="3"/></class></package>'

    assert parse(ReportFormat.JACOCOXML, f"<report>{package}</report>") == (FileCoverage("p/A", 0, 0, 3, 1),)


def test_a_missed_condition_of_istanbul_is_no_hit() -> None:
    line = '<line num="2" count="0" type="cond" truecount="0" falsecount="2"/>'
    text = f"<coverage clover='3'><project><file path='a.js'>{line}</file></project></coverage>"

    assert parse(ReportFormat.CLOVERXML, text)[0].lines_covered == 0


def test_counts_that_are_none_are_zero() -> None:
    line = '<line number="1" hits="many"/><line number="2" hits="-3"/><line number="3"/>'
    text = f"<coverage><packages><class filename='a'><lines>{line}</lines></class></packages></coverage>"

    assert parse(ReportFormat.COBERTURAXML, text) == (FileCoverage("a", 0, 3),)


def test_simplecov_before_0_18_has_only_lines() -> None:
    assert parse(ReportFormat.SIMPLECOV, '{"RSpec": {"coverage": {"a.rb": [1, null, 0]}}}') == (
        FileCoverage("a.rb", 1, 1),
    )


@pytest.mark.parametrize("text", ["[]", "5", '{"RSpec": []}', '{"RSpec": {"coverage": []}}', '{"coverage": 1}'])
def test_what_is_no_result_set_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="it is not SIMPLECOV"):
        parse(ReportFormat.SIMPLECOV, text)


@pytest.mark.parametrize(
    ("hits", "covered"), [("1", 1), ("0", 0), ("-1", 0), ("1.5e+10", 1), ("0.0", 0), ("2,checksum==", 1)]
)
def test_lcov_hits(hits: str, covered: int) -> None:
    assert parse(ReportFormat.LCOVINFO, f"SF:a\r\nDA:1,{hits}\r\nend_of_record\r\n")[0].lines_covered == covered


@pytest.mark.parametrize("line", ["DA:x,1", "DA:1", "BRDA:1,0,0,x", "LF:-", "DA:"])
def test_a_broken_line_of_lcov_is_pointed_at(line: str) -> None:
    with pytest.raises(Invalid, match="line 2 is "):
        parse(ReportFormat.LCOVINFO, f"SF:a\n{line}\nend_of_record\n")


def test_an_lcov_line_outside_a_record_is_pointed_at() -> None:
    with pytest.raises(Invalid, match="line 1 is 'DA:1,1'"):
        parse(ReportFormat.LCOVINFO, "DA:1,1\nSF:a\nend_of_record\n")


def test_lcov_that_is_cut_short_is_refused() -> None:
    with pytest.raises(Invalid, match="no end_of_record") as error:
        parse(ReportFormat.LCOVINFO, "SF:a\nDA:1,1\n")

    assert "too early" in error.value.fix


def test_lcov_that_covered_nothing_is_empty_but_no_error() -> None:
    assert parse(ReportFormat.LCOVINFO, "TN:\n") == ()


@pytest.mark.parametrize("report_format", COVERAGE_FORMATS)
def test_every_format_refuses_what_is_not_its_own(report_format: ReportFormat) -> None:
    with pytest.raises(Invalid, match="report file 'c'"):
        parse(report_format, "<html/>")


def test_cobertura_and_clover_are_not_mixed_up() -> None:
    with pytest.raises(Invalid, match="it is not CLOVERXML") as error:
        parse(ReportFormat.CLOVERXML, (FIXTURES / "cobertura-istanbul.xml").read_text())
    with pytest.raises(Invalid, match="It looks like CLOVERXML"):
        parse(ReportFormat.COBERTURAXML, (FIXTURES / "clover-phpunit.xml").read_text())

    assert "COBERTURAXML" in error.value.fix


def test_a_test_format_is_refused() -> None:
    with pytest.raises(Invalid, match="JUNITXML is a format of TEST reports"):
        parse(ReportFormat.JUNITXML, "<testsuites/>")


lines = st.dictionaries(st.integers(1, 99), st.integers(0, 9), min_size=1, max_size=20)
paths = st.text("abc/.", min_size=1, max_size=8)


@given(st.dictionaries(paths, lines, min_size=1, max_size=5))
def test_the_same_lines_as_lcov_and_as_cobertura_are_the_same_coverage(files: dict[str, dict[int, int]]) -> None:
    lcov = "".join(
        f"SF:{path}\n" + "".join(f"DA:{number},{hits}\n" for number, hits in told.items()) + "end_of_record\n"
        for path, told in files.items()
    )
    classes = "".join(
        f'<class filename="{path}"><lines>'
        + "".join(f'<line number="{number}" hits="{hits}"/>' for number, hits in told.items())
        + "</lines></class>"
        for path, told in files.items()
    )
    expected = tuple(
        FileCoverage(path, sum(hits > 0 for hits in told.values()), sum(hits == 0 for hits in told.values()))
        for path, told in files.items()
    )

    assert parse(ReportFormat.LCOVINFO, lcov) == expected
    assert parse(ReportFormat.COBERTURAXML, f"<coverage><packages>{classes}</packages></coverage>") == expected


def survives(report_format: ReportFormat, data: bytes) -> bool:
    """Whether the only thing that can go wrong is Invalid, and all counts are counts."""
    try:
        found = parse_coverage(report_format, data, "c")
    except Invalid:
        return True
    counts = [
        count
        for file in found
        for count in (file.lines_covered, file.lines_missed, file.branches_covered, file.branches_missed)
    ]
    return min(counts, default=0) >= 0


@given(st.sampled_from(COVERAGE_FORMATS), st.binary(max_size=200))
def test_arbitrary_bytes_raise_nothing_but_invalid(report_format: ReportFormat, data: bytes) -> None:
    assert survives(report_format, data)


@given(
    st.sampled_from(sorted(path.name for path in FIXTURES.iterdir() if path.suffix != ".expected")),
    st.sampled_from(COVERAGE_FORMATS),
    st.integers(0, 4000),
    st.integers(0, 40),
    st.binary(max_size=20),
)
def test_a_damaged_report_raises_nothing_but_invalid(
    name: str, report_format: ReportFormat, at: int, gone: int, instead: bytes
) -> None:
    data = (FIXTURES / name).read_bytes()

    assert survives(report_format, data[:at] + instead + data[at + gone :])
