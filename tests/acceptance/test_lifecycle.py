"""Phases: which failure skips what, on-failure, finally, timeouts, stop, exit codes (reference 2, 1.6)."""

import time

import pytest

from codeyard.cli.run import exit_code
from tests.acceptance.harness import Yard, phases

ALL = ["INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD", "UPLOAD_ARTIFACTS", "FINALIZING"]


def _failing(phase: str, **more: object) -> dict[str, object]:
    """Each phase prints its name; `phase` fails."""
    spec = phases(**{name: [f"echo {name}"] for name in ("install", "pre_build", "build", "post_build")})
    spec["phases"][phase] = {"commands": [f"echo {phase}", "exit 4"], **more}
    return spec


@pytest.mark.parametrize(
    ("phase", "runs"),
    [
        ("install", ["INSTALL", "FINALIZING"]),
        ("pre_build", ["INSTALL", "PRE_BUILD", "FINALIZING"]),
        ("build", ALL),
        ("post_build", ALL),
    ],
)
def test_a_failed_phase_skips_what_the_table_says(yard: Yard, phase: str, runs: list[str]) -> None:
    ended = yard.build(_failing(phase))

    assert ended.names()[4:] == runs
    assert [name for name, status in ended.phases if status == "FAILED"] == [phase.upper()]
    assert (ended.status, ended.exit_code) == ("FAILED", 1)
    assert ended.contexts[phase.upper()] == (
        "COMMAND_EXECUTION_ERROR",
        "Error while executing command: exit 4. Reason: exit status 4",
    )


@pytest.mark.parametrize("phase", ["install", "pre_build", "build", "post_build"])
def test_abort_goes_straight_to_the_end(yard: Yard, phase: str) -> None:
    ended = yard.build(_failing(phase, **{"on-failure": "ABORT"}))

    assert ended.names()[4:] == [*ALL[: ALL.index(phase.upper()) + 1], "FINALIZING"]


@pytest.mark.parametrize("phase", ["install", "pre_build", "build", "post_build"])
def test_continue_goes_on_and_the_build_still_fails(yard: Yard, phase: str) -> None:
    ended = yard.build(_failing(phase, **{"on-failure": "CONTINUE"}))

    assert ended.names()[4:] == ALL
    assert ended.status == "FAILED"
    assert ended.printed == ["install", "pre_build", "build", "post_build"]


@pytest.mark.parametrize(
    ("on_failure", "tries"),
    [
        ("RETRY", 4),
        ("RETRY-2", 3),
        ("Retry-1-.*exit status 4", 2),
        ("RETRY-5-no such thing", 1),
        ("RETRY-exit status [45]", 4),
        ("RETRY-0", 1),
    ],
)
def test_retry_runs_the_phase_again(yard: Yard, on_failure: str, tries: int) -> None:
    command = {"commands": ["echo try", "exit 4"], "finally": ["echo last"], "on-failure": on_failure}
    ended = yard.build(phases(build=command))

    assert ended.printed == ["try", "last"] * tries
    assert ended.phases.count(("BUILD", "FAILED")) == 1


def test_a_retry_that_succeeds_makes_a_success(yard: Yard) -> None:
    command = {"commands": ['[ -e second ] || { touch second; exit 1; }', "echo $CODEBUILD_BUILD_SUCCEEDING"],
               "on-failure": "RETRY"}  # fmt: skip
    ended = yard.build(phases(build=command))

    assert (ended.status, ended.printed) == ("SUCCEEDED", ["1"])


def test_a_failing_finally_fails_its_phase_and_stops_the_rest_of_it(yard: Yard) -> None:
    ended = yard.build(phases(build={"commands": ["echo good"], "finally": ["exit 9", "echo no"]}))

    assert ended.printed == ["good"]
    assert ended.contexts["BUILD"][1].endswith("exit 9. Reason: exit status 9")


def test_the_first_failure_of_commands_and_finally_is_told(yard: Yard) -> None:
    ended = yard.build(phases(build={"commands": ["exit 8"], "finally": ["exit 9"]}))

    assert ended.contexts["BUILD"][1].endswith("exit 8. Reason: exit status 8")


def test_succeeding_and_last_exit_are_told_live(yard: Yard) -> None:
    show = 'echo "$CODEBUILD_BUILD_SUCCEEDING $CODEBUILD_LAST_EXIT"'
    ended = yard.build(phases(build={"commands": [show, "exit 6"], "finally": [show, show]}, post_build=[show]))

    assert ended.printed == ["1 0", "0 6", "0 0", "0 0"]


def test_an_early_exit_zero_ends_only_its_command(yard: Yard) -> None:
    ended = yard.build(phases(build=["X=1; exit 0; echo no", "echo $X"]))

    assert (ended.status, ended.printed) == ("SUCCEEDED", ["1"])


SECOND = 1 / 60


def test_a_build_over_its_time_is_timed_out(yard: Yard) -> None:
    began = time.monotonic()
    spec = phases(build={"commands": ["echo begun; sleep 60"], "finally": ["echo no"]}, post_build=["echo no"])
    ended = yard.build(spec, timeout_minutes=SECOND * 1.5)

    assert (ended.status, ended.exit_code) == ("TIMED_OUT", 1)
    assert ended.printed == ["begun"]
    assert ended.contexts["BUILD"] == ("BUILD_TIMED_OUT", "Build has timed out. ")
    assert ended.phases[-2:] == [("BUILD", "TIMED_OUT"), ("FINALIZING", "SUCCEEDED")]
    assert "Phase context status code: BUILD_TIMED_OUT Message: Build has timed out. " in ended.said
    assert time.monotonic() - began < 45


def test_no_time_at_all_is_a_timeout_too(yard: Yard) -> None:
    ended = yard.build(phases(build=["echo no"]), timeout_minutes=0.000001)

    assert (ended.status, ended.printed) == ("TIMED_OUT", [])
    assert ended.names()[-1] == "FINALIZING"


def test_a_stopped_build_runs_nothing_more(yard: Yard) -> None:
    spec = {
        **phases(build={"commands": ["echo begun; sleep 60"], "finally": ["echo no"]}, post_build=["echo no"]),
        "artifacts": {"files": ["**/*"]},
    }
    ended = yard.build(spec, stop_after=1.2)

    assert (ended.status, ended.exit_code) == ("STOPPED", 1)
    assert ended.printed == ["begun"]
    assert ended.phases[-2:] == [("BUILD", "STOPPED"), ("FINALIZING", "SUCCEEDED")]
    assert ended.contexts["BUILD"] == ("", "")
    assert not (ended.home / "artifacts").exists()


def test_a_stop_before_anything_ends_well(yard: Yard) -> None:
    ended = yard.build(phases(build=["echo no"]), stop_after=0)

    assert (ended.status, ended.printed) == ("STOPPED", [])


def test_a_background_process_does_not_hold_its_command_up_and_is_gone_at_the_end(yard: Yard) -> None:
    began = time.monotonic()
    ended = yard.build(phases(build=["nohup sleep 97 & sleep 98 & (setsid sleep 99 &)", "echo next"]))

    assert ended.printed[-1] == "next"
    assert time.monotonic() - began < 45


def test_exported_variables_are_told_and_reserved_ones_are_not(yard: Yard) -> None:
    spec = {
        "env": {"variables": {"A": "spec"}, "exported-variables": ["A", "B", "UNSET", "AWS_REGION"]},
        **phases(build=["B=\"two  words'$(printf '\\nline')\""], post_build=["A=post"]),
    }
    (ended,) = yard.build(spec).of_kind("build_ended")

    assert ended["exported"] == {"A": "post", "B": "two  words'\nline", "UNSET": ""}


def test_run_as_two_users_in_turn(yard: Yard) -> None:
    yard.machine.require_isolation()  # else the state directory, root's alone, hides the workspace from them
    spec = phases(
        install={"commands": ["X=1; id -un"], "run-as": yard.user},
        build=["id -un; echo $X; X=2"],
        post_build={"commands": ["id -un; echo $X; X=3", "echo $X"], "run-as": yard.user},
    )
    ended = yard.build(spec)

    assert ended.printed == [yard.user, "root", "1", yard.user, "2", "3"], ended.log


def test_a_user_or_shell_that_does_not_exist_fails_the_command_and_says_why(yard: Yard) -> None:
    user = yard.build({"run-as": "nosuchuser", **phases(build=["echo no"])})
    shell = yard.build({"env": {"shell": "bash"}, **phases(build=["command -v bash >/dev/null || echo no"])})

    assert "Cannot run as nosuchuser" in user.log
    assert user.contexts["BUILD"][1].endswith("exit status 126")
    assert shell.status == ("FAILED" if yard.machine.name == "docker" else "SUCCEEDED")
    assert ("There is no shell bash here" in shell.log) is (yard.machine.name == "docker")


def test_exit_codes_are_zero_one_two_and_three(yard: Yard) -> None:
    good = yard.build(phases(build=["true"]))
    bad = yard.build(phases(build=["false"]))
    wrong = yard.build("nonsense: [")

    assert (good.exit_code, bad.exit_code, wrong.exit_code) == (0, 1, 2)
    assert exit_code.__doc__ is not None
