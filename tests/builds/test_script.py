"""The shell texts: as golden files, and run by each shell."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.builds.script import Place, command, evaluation, given_variables, initial_state, lone_command, quote
from tests.builds.shells import SHELLS, Shell

GOLDEN = Path(__file__).parent / "golden"
PLACE = Place("/codebuild", "/codebuild/output/src123456789/src")
GIVEN = {"A": "$PATH:/x", "QUOTED": 'it\'s "quoted"\nand `two` \\lines', "CODEBUILD_SRC_DIR": PLACE.source}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("command", command("make test", PLACE, succeeding=True, last_exit=0)),
        ("command-after-failure", command("echo 'a\nb' \\", PLACE, succeeding=False, last_exit=7)),
        ("lone-command", lone_command("make test", PLACE, succeeding=True, last_exit=0)),
        ("given", given_variables(GIVEN, PLACE)),
        ("initial", initial_state(GIVEN, PLACE)),
        ("evaluation", evaluation(("$A-$(date)", 'say "hi"'), PLACE, "/codebuild/output/tmp/x", shared=True)),
        ("evaluation-lone", evaluation(("$A",), PLACE, "/codebuild/output/tmp/x", shared=False)),
    ],
)
def test_the_text_is_as_the_golden_file_has_it(name: str, text: str, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"{name}.sh", text)


@dataclass(slots=True)
class Inside:
    """A place on this machine, and a shell that runs commands there one after another, as a sandbox does."""

    shell: Shell
    root: Path
    variables: Mapping[str, str]
    count: int = 0

    def __post_init__(self) -> None:
        for name in ("output/tmp", "output/src1/src/sub", "readonly", "user/bin"):
            (self.root / name).mkdir(parents=True)
        (self.root / "readonly/environment.sh").write_text(given_variables(dict(self.variables), self.place))
        (self.root / "readonly/state.sh").write_text(initial_state(dict(self.variables), self.place))

    @property
    def place(self) -> Place:
        return Place(str(self.root), str(self.root / "output/src1/src"))

    def run(self, text: str, *, succeeding: bool = True, last_exit: int = 0) -> tuple[int, str]:
        return self._run(command(text, self.place, succeeding=succeeding, last_exit=last_exit))

    def run_alone(self, text: str) -> tuple[int, str]:
        return self._run(lone_command(text, self.place, succeeding=True, last_exit=0))

    def evaluate(self, *expressions: str, shared: bool = True) -> list[str]:
        into = self.root / "output/tmp/values"
        code, said = self._run(evaluation(expressions, self.place, str(into), shared=shared))
        assert (code, said) == (0, "")
        return into.read_bytes().decode().split("\0")[:-1]

    def _run(self, text: str) -> tuple[int, str]:
        self.count += 1
        script = self.root / f"{self.count}.sh"
        script.write_text(text, errors="surrogateescape")
        ended = self.shell.run(script, bin=self.root / "applets", cwd=self.root)
        return ended.returncode, ended.stdout


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def shell(request: pytest.FixtureRequest) -> Shell:
    found: Shell = request.param
    found.require()
    return found


@pytest.fixture
def inside(shell: Shell, tmp_path: Path) -> Inside:
    return Inside(shell, tmp_path / "place with 'quotes'", {"GIVEN": "given"})


def test_plain_variables_and_the_directory_are_kept(inside: Inside) -> None:
    inside.run("X=1; cd sub")

    assert inside.run('echo "$X $GIVEN"; pwd') == (0, f"1 given\n{inside.place.source}/sub\n")


def test_the_first_command_starts_in_the_source_with_aws_s_old_directory(inside: Inside) -> None:
    assert inside.run('pwd; echo "$OLDPWD"') == (0, f"{inside.place.source}\n{inside.root}/readonly\n")


def test_cd_minus_goes_back_to_where_an_earlier_command_was(inside: Inside) -> None:
    inside.run("cd sub")

    assert inside.run("cd - >/dev/null; pwd")[1] == f"{inside.place.source}\n"


def test_functions_options_and_traps_are_not_kept(inside: Inside) -> None:
    inside.run("f() { echo f; }; set -e; trap 'echo trap' EXIT")

    assert inside.run("command -v f; false; echo on") == (0, "on\n")


def test_a_variable_that_was_unset_stays_unset(inside: Inside) -> None:
    inside.run("unset GIVEN; X=1")
    inside.run("unset X")

    assert inside.run('echo "${GIVEN-none} ${X-none}"') == (0, "none none\n")


@pytest.mark.parametrize(
    ("text", "code"),
    [("true", 0), ("false", 1), ("exit 5", 5), ("(exit 6)", 6), ("false\ntrue", 0), ("true\nfalse", 1),
     ("exit 0; false", 0), ("nosuchprogram 2>/dev/null", 127), ("", 0),
     ("# only a comment", 0), ("sh -c 'exit 9' || exit 3", 3)],
)  # fmt: skip
def test_the_status_is_that_of_the_last_line_or_the_exit(inside: Inside, text: str, code: int) -> None:
    assert inside.run(text)[0] == code


def test_state_is_kept_by_a_failing_and_by_an_exiting_command(inside: Inside) -> None:
    inside.run("X=1; exit 3")
    inside.run("Y=2; false")

    assert inside.run("echo $X$Y") == (0, "12\n")


def test_an_exit_trap_of_its_own_runs_and_state_is_kept_at_the_end(inside: Inside) -> None:
    inside.run("X=1; trap 'echo mine' INT; true")

    assert inside.run("echo $X") == (0, "1\n")


@pytest.mark.parametrize("end", ["", "\nexit 0"])
def test_a_command_that_is_traced_shows_nothing_of_ours(inside: Inside, end: str) -> None:
    inside.run("A=1")

    code, output = inside.run(f"set -x; echo $A; B=2; false{end}")
    assert output == "+ echo 1\n1\n+ B=2\n+ false\n" + "+ exit 0\n" * bool(end)
    assert code == (0 if end else 1)
    assert inside.run("echo $A $B") == (0, "1 2\n")


def test_a_closing_backslash_eats_only_its_own_line_s_end(inside: Inside) -> None:
    assert inside.run("echo a \\") == (0, "a\n")
    assert inside.run("X=1 \\")[0] == 0
    assert inside.run("echo $X") == (0, "1\n")


@pytest.mark.parametrize("text", ["echo 'open", 'echo "open', "if true; then", "echo $(", "((", "}", "cat <<end\nx"])
def test_unbalanced_text_fails_by_itself_and_the_next_goes_on(inside: Inside, text: str) -> None:
    inside.run("X=1")
    inside.run(text)

    assert inside.run("echo $X") == (0, "1\n")


@pytest.mark.parametrize("value", ["/nowhere", "", "'", "a b"])
def test_a_destroyed_path_stops_nothing_of_ours(inside: Inside, value: str) -> None:
    inside.run(f"PATH={quote(value)}; X=1")
    inside.run("Y=2")

    assert inside.run("echo $X$Y") == (0, "12\n")


def test_a_directory_that_was_deleted_gives_way_to_the_source(inside: Inside) -> None:
    inside.run("cd sub; rmdir ../sub")

    assert inside.run("pwd") == (0, f"{inside.place.source}\n")


def test_a_source_that_was_deleted_stops_nothing(inside: Inside) -> None:
    inside.run('X=1; rm -rf "$PWD"')

    code, said = inside.run("echo $X")
    assert (code, said.splitlines()[-1]) == (0, "1")


def test_succeeding_and_last_exit_are_ours_to_set(inside: Inside) -> None:
    inside.run("CODEBUILD_BUILD_SUCCEEDING=5; export CODEBUILD_LAST_EXIT=6")

    assert inside.run('echo "$CODEBUILD_BUILD_SUCCEEDING $CODEBUILD_LAST_EXIT"', succeeding=False, last_exit=4) == (
        0,
        "0 4\n",
    )


def test_a_shell_s_complaint_about_the_first_line_names_line_4(inside: Inside) -> None:
    """Reference 1.3: the agent's preamble has three lines."""
    script = command("first", inside.place, succeeding=True, last_exit=0)

    assert script.splitlines()[3] == "first"


def test_helpers_are_at_the_end_of_the_path(inside: Inside) -> None:
    assert inside.run('echo "$PATH"')[1].endswith(f":{inside.root}/user/bin\n")


def test_version_0_1_keeps_nothing(inside: Inside) -> None:
    inside.run_alone("X=1; cd /; export GIVEN=changed")

    assert inside.run_alone('echo "${X-none} $GIVEN"; pwd') == (0, f"none given\n{inside.place.source}\n")


def test_expressions_are_evaluated_with_the_state(inside: Inside) -> None:
    inside.run("export V=7; cd sub; W='a  b'\"\n\"c")

    assert inside.evaluate("v$V-$(echo x)", "${W-}", "${NO-}", 'it\'s "so"', "$(pwd)", '`echo "a b"`') == [
        *("v7-x", "a  b\nc", "", 'it\'s "so"', f"{inside.place.source}/sub", "a b")
    ]


def test_expressions_of_version_0_1_see_what_was_given(inside: Inside) -> None:
    assert inside.evaluate("$GIVEN-$(pwd)", shared=False) == [f"given-{inside.place.source}"]


def test_a_pipe_where_values_are_to_go_is_not_waited_for(inside: Inside) -> None:
    os.mkfifo(inside.root / "output/tmp/x")

    code, _ = inside._run(evaluation(("$A",), inside.place, f"{inside.root}/output/tmp/x", shared=True))
    assert code == 1


def test_a_pipe_where_the_state_is_kept_is_not_read(inside: Inside) -> None:
    os.mkfifo(inside.root / "output/tmp/env.sh")
    script = command("kill -9 $$", inside.place, succeeding=True, last_exit=0)  # before it would be written

    assert inside._run(script)[0] == -9


def test_users_take_turns_with_the_state(inside: Inside) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can change users")
    for directory in (inside.root, *inside.root.parents):
        if directory.stat().st_uid == 0 and str(directory).startswith("/tmp/") and directory != Path("/tmp"):
            directory.chmod(0o755)
    (inside.root / "output/tmp").chmod(0o777)
    script = inside.root / "as-nobody.sh"
    script.write_text(command("Y=$X; X=nobody", inside.place, succeeding=True, last_exit=0))
    inside.run("X=root")
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    argv += [*inside.shell.command(inside.root / "applets"), str(script)]
    ended = subprocess.run(argv, capture_output=True, text=True, cwd="/")

    assert ended.returncode == 0, ended.stderr
    assert inside.run("echo $X $Y") == (0, "nobody root\n")


VALUES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=30)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES, other=VALUES)
def test_any_value_comes_through_whole(
    shell: Shell, tmp_path_factory: pytest.TempPathFactory, value: str, other: str
) -> None:
    """Given at the start, kept from command to command, and evaluated: byte for byte."""
    inside = Inside(shell, tmp_path_factory.mktemp("place") / "p", {"GIVEN": value, "OTHER": other})
    inside.run("COPY=$GIVEN")
    inside.run("true")

    assert inside.evaluate("$GIVEN", "$COPY", "${OTHER}") == [value, value, other]


@given(st.text())
def test_quoting_is_one_word_that_a_shell_reads_back(text: str) -> None:
    parts = quote(text)[1:-1].split("'\\''")

    assert "'".join(parts) == text
    assert all("'" not in part for part in parts)
