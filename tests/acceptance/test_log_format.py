"""The log, line for line (reference 10.3)."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.harness import Yard, phases

GOLDEN = Path(__file__).parent / "golden"

CASES = {
    "success": {
        **phases(
            install=["echo installed"],
            pre_build=["true", "printf unended"],
            build={"commands": ["cat <<'end'\ntwo\nlines\nend"], "finally": ["echo '  spaces  '; echo"]},
            post_build=["echo done >&2"],
        ),
        "artifacts": {"files": ["**/*", "none"], "secondary-artifacts": {"other": {"files": ["a.txt"]}}},
    },
    "failure": {
        **phases(
            build={"commands": ["echo before", "echo why; exit 3", "echo never"], "finally": ["echo finally"]},
            post_build=["echo post"],
        ),
        "artifacts": {"files": ["none"]},
    },
    "install-fails": {**phases(install=["false"], build=["echo never"]), "artifacts": {"files": ["**/*"]}},
    "yaml-error": "version: 0.2\nphases:\n  artifacts:\n    commands: [ls]\n  build:\n    commands: [{a: b}]\n",
    "cache-and-reports": {
        **phases(build=["true"]),
        "cache": {"paths": ["a.txt"], "key": "k"},
        "reports": {"unit": {"files": ["r.xml"]}, "missing": {"files": ["none.xml"]}},
    },
}


def normal(log: str) -> str:
    """Times, ids and directories made the same."""
    log = re.sub(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}", "TIME", log)
    log = re.sub(r"/\S*/runs/[0-9a-f-]{36}/codebuild|/codebuild", "/codebuild", log)
    return re.sub(r"took \d\.\d{6} ", "took N ", re.sub(r"output/src\d{9}", "output/src123456789", log))


@pytest.mark.parametrize("case", CASES)
def test_the_log_is_as_the_golden_file_has_it(yard: Yard, case: str, golden: Callable[[Path, str], None]) -> None:
    files = {"a.txt": "a", "r.xml": '<testsuite><testcase name="t"/></testsuite>'}
    ended = yard.build(CASES[case], files, cache=str(yard.root / "cache"))  # type: ignore[arg-type]

    golden(GOLDEN / f"{case}.log", normal(ended.log))


def test_times_have_six_decimals_and_only_go_on(yard: Yard) -> None:
    ended = yard.build(phases(build=["sleep 0.01", "true"]))
    times = re.findall(r"^\[Container\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6}) ", ended.log, re.MULTILINE)

    assert len(times) == len(ended.said)
    assert times == sorted(times)


def test_the_failure_triple(yard: Yard) -> None:
    said = yard.build(phases(build=["nosuch all"])).said
    at = said.index("Command did not exit successfully nosuch all exit status 127")

    assert said[at : at + 4] == [
        "Command did not exit successfully nosuch all exit status 127",
        "Phase complete: BUILD State: FAILED",
        "Phase context status code: COMMAND_EXECUTION_ERROR Message: "
        "Error while executing command: nosuch all. Reason: exit status 127",
        "Entering phase POST_BUILD",
    ]


def test_a_command_of_several_lines_is_shown_as_it_is(yard: Yard) -> None:
    ended = yard.build(phases(build=["echo one\necho two"]))

    assert "Running command echo one\necho two\none\ntwo\n\n[Container]" in ended.log


def test_output_is_the_build_s_own_byte_for_byte(yard: Yard) -> None:
    ended = yard.build(phases(build=[r"printf '\033[31mred\033[0m\r50%%\r100%%\n\tTab\360\237\230\200\n'"]))

    assert "\x1b[31mred\x1b[0m\r50%\r100%\n\tTab😀\n\n[Container]" in ended.log
