"""The phases that run commands: order, failure, retry, what is told."""

from pathlib import Path
from typing import Any

import pytest

from codeyard.builds.commands import run_commands, sample_exported
from codeyard.builds.job import Interrupted
from codeyard.builds.model import SUCCEEDED, Context, Phase, Status
from codeyard.events import CommandEnded, CommandStarted
from tests.builds.jobs import Bench, bench


def _bench(home: Path, codes: list[int], **phase: Any) -> Bench:
    return bench(home, {"phases": {"build": {"commands": ["a", "b"], **phase}}}, codes=codes)


async def test_commands_run_in_order_with_keys_of_their_own(tmp_path: Path) -> None:
    made = _bench(tmp_path, [0, 0, 0], **{"finally": ["c"]})
    outcome = await run_commands(made.job, Phase.BUILD)

    assert outcome == SUCCEEDED
    assert list(made.sandbox.ran) == ["BUILD-0-0", "BUILD-0-1", "BUILD-0-finally-0"]
    assert made.said == ["Entering phase BUILD", "Running command a", "Running command b", "Running command c"]


async def test_a_failure_skips_the_rest_and_is_told(tmp_path: Path) -> None:
    made = _bench(tmp_path, [3, 0], **{"finally": ["c"]})
    outcome = await run_commands(made.job, Phase.BUILD)

    assert outcome.status is Status.FAILED
    assert outcome.context == Context(
        "COMMAND_EXECUTION_ERROR", "Error while executing command: a. Reason: exit status 3"
    )
    assert list(made.sandbox.ran) == ["BUILD-0-0", "BUILD-0-finally-0"]
    assert "Command did not exit successfully a exit status 3" in made.said


async def test_succeeding_and_the_last_exit_reach_the_next_command(tmp_path: Path) -> None:
    made = _bench(tmp_path, [3, 0], **{"finally": ["c"]})
    await run_commands(made.job, Phase.BUILD)
    script = made.sandbox.ran["BUILD-0-finally-0"].script

    assert "export CODEBUILD_BUILD_SUCCEEDING=0 CODEBUILD_LAST_EXIT=3\n" in script


@pytest.mark.parametrize(
    ("on_failure", "attempts"),
    [("RETRY", 4), ("RETRY-1", 2), ("RETRY-0", 1), ("RETRY-2-exit status 3", 3), ("RETRY-2-nothing", 1)],
)
async def test_retry_runs_the_list_again_under_new_keys(tmp_path: Path, on_failure: str, attempts: int) -> None:
    made = _bench(tmp_path, [3] * 10, **{"on-failure": on_failure})
    outcome = await run_commands(made.job, Phase.BUILD)

    assert outcome.status is Status.FAILED
    assert list(made.sandbox.ran) == [f"BUILD-{attempt}-0" for attempt in range(attempts)]


async def test_a_retry_begins_as_the_phase_began(tmp_path: Path) -> None:
    made = _bench(tmp_path, [3, 0, 0], **{"on-failure": "RETRY-1"})
    outcome = await run_commands(made.job, Phase.BUILD)

    assert outcome == SUCCEEDED
    assert "SUCCEEDING=1 CODEBUILD_LAST_EXIT=3" in made.sandbox.ran["BUILD-1-0"].script


async def test_a_step_done_again_runs_and_says_nothing_twice(tmp_path: Path) -> None:
    made = _bench(tmp_path, [0, 4])
    first = await run_commands(made.job, Phase.BUILD)
    said = made.said
    again = await run_commands(made.job, Phase.BUILD)

    assert again == first
    assert made.said == said


async def test_events_tell_the_place_of_each_command(tmp_path: Path) -> None:
    made = _bench(tmp_path, [0, 5], **{"finally": ["c"]})
    await run_commands(made.job, Phase.BUILD)
    started = [(event.index, event.command) for event in made.events if isinstance(event, CommandStarted)]
    ended = [(event.index, event.exit_code) for event in made.events if isinstance(event, CommandEnded)]

    assert (started, ended) == ([(0, "a"), (1, "b"), (2, "c")], [(0, 0), (1, 5), (2, 0)])


@pytest.mark.parametrize(("own", "user"), [(None, "top"), ("mine", "mine")])
async def test_the_phase_s_user_goes_over_the_buildspec_s(tmp_path: Path, own: str | None, user: str) -> None:
    phase = {"commands": ["a"], **({"run-as": own} if own else {})}
    made = bench(tmp_path, {"run-as": "top", "env": {"shell": "bash"}, "phases": {"build": phase}})
    await run_commands(made.job, Phase.BUILD)
    command = made.sandbox.ran["BUILD-0-0"]

    assert (command.user, command.shell) == (user, "bash")


async def test_version_0_1_runs_lone_commands(tmp_path: Path) -> None:
    made = bench(tmp_path, {"version": 0.1, "phases": {"build": {"commands": ["a"]}}})
    await run_commands(made.job, Phase.BUILD)

    assert "env.sh" not in made.sandbox.ran["BUILD-0-0"].script


async def test_a_phase_that_is_not_written_succeeds(tmp_path: Path) -> None:
    made = _bench(tmp_path, [])

    assert await run_commands(made.job, Phase.INSTALL) == SUCCEEDED
    assert made.said == ["Entering phase INSTALL"]


async def test_a_stopped_build_is_interrupted(tmp_path: Path) -> None:
    made = _bench(tmp_path, [0])
    made.job.tools.stop.set()

    try:
        ended = await run_commands(made.job, Phase.BUILD)
    except Interrupted as interrupted:
        ended = interrupted.outcome
    assert ended.status in {Status.STOPPED, Status.SUCCEEDED}


async def test_secrets_and_reserved_names_are_not_exported(tmp_path: Path) -> None:
    names = ["A", "SECRET", "AWS_REGION", "UNSET"]
    made = bench(tmp_path, {"env": {"exported-variables": names}, "phases": {}}, values={"exported": ("1", "")})
    made.job.learn({"secret_names": ["SECRET"]})

    assert await sample_exported(made.job) == {"A": "1", "UNSET": ""}


async def test_a_name_that_no_variable_can_have_does_not_cost_the_others_their_values(tmp_path: Path) -> None:
    spec = {"env": {"exported-variables": ["$TAG", "A"]}, "phases": {}}
    made = bench(tmp_path, spec, values={"exported": ("1",)})
    made.job.facts["secret_names"] = []

    assert await sample_exported(made.job) == {"$TAG": "", "A": "1"}
    assert "TAG" not in made.sandbox.ran["value-exported"].script
