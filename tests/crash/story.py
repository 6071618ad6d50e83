"""The build that a campaign starts, of which an outsider can tell afterwards whether it ran once, whole and in order.

Each command prints numbered lines and adds one to a file `ran`, with a text that is made as it runs: whatever ran
twice is there twice, with two texts. The file is the artifact.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

PROJECTS = ("alpha", "beta", "gamma")
BUCKET = "campaign"
PHASES = (
    "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD",
    "UPLOAD_ARTIFACTS", "FINALIZING", "COMPLETED",
)  # fmt: skip
# How many lines each command prints, beside its first and last.
LINES = (3, 0, 300, 12, 900, 5)
_AGENT = re.compile(r"\[Container\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} (.*)")
_FIRST = re.compile(r"([0-9]) (\S+) begins ([0-9a-f-]{36})")


def _command(number: int) -> str:
    return (
        f'read -r U </proc/sys/kernel/random/uuid; echo "{number} $MARK begins $U"; echo "{number} $MARK $U" >> ran; '
        f'i=0; while [ $i -lt {LINES[number]} ]; do i=$((i+1)); echo "{number} $MARK line $i"; done; sleep "$NAP"; '
        f'echo "{number} $MARK ends $U"'
    )


def buildspec() -> str:
    """Six commands over four phases; where FAIL is set, the last one of BUILD fails."""
    failing = '; [ -z "$FAIL" ]'
    return json.dumps(
        {
            "version": 0.2,
            "phases": {
                "install": {"commands": [_command(0)]},
                "pre_build": {"commands": [_command(1)]},
                "build": {"commands": [_command(2), _command(3) + failing], "finally": [_command(4)]},
                "post_build": {"commands": [_command(5)]},
            },
            "artifacts": {"files": ["ran"]},
        }
    )


def sleeping() -> str:
    """One command, which says that it sleeps, for as long as NAP says, and that it is awake."""
    commands = ["echo it sleeps; sleep $NAP; echo it is awake", "echo done > ran"]
    return json.dumps({"version": 0.2, "phases": {"build": {"commands": commands}}, "artifacts": {"files": ["ran"]}})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A build that a client wants."""

    project: str
    mark: str  # also the idempotency token
    nap: str
    fails: bool

    def call(self) -> dict[str, Any]:
        """StartBuild's input."""
        variables = {"MARK": self.mark, "NAP": self.nap, "FAIL": "yes" if self.fails else ""}
        return {
            "projectName": self.project,
            "idempotencyToken": self.mark,
            "environmentVariablesOverride": [{"name": name, "value": value} for name, value in variables.items()],
        }


def mistakes_of_build(wanted: Wanted, build: dict[str, Any]) -> list[str]:
    """What is wrong with how BatchGetBuilds tells of it."""
    status = "FAILED" if wanted.fails else "SUCCEEDED"
    wrong = []
    if build["buildStatus"] != status or not build["buildComplete"]:
        contexts = [(phase["phaseType"], phase.get("contexts")) for phase in build["phases"] if
                    phase.get("phaseStatus") not in ("SUCCEEDED", None)]  # fmt: skip
        wrong.append(f"it is {build['buildStatus']}, not {status}: {contexts}")
    phases = [phase["phaseType"] for phase in build["phases"]]
    # What fails in BUILD is seen in POST_BUILD too, which runs all the same, and what it leaves is uploaded.
    if tuple(phases) != PHASES:
        wrong.append(f"its phases are {phases}")
    bad = {phase["phaseType"] for phase in build["phases"] if phase.get("phaseStatus") not in ("SUCCEEDED", None)}
    if bad != ({"BUILD"} if wanted.fails else set()):
        wrong.append(f"these phases did not succeed: {bad}")
    times = [phase["startTime"] for phase in build["phases"]]
    if times != sorted(times):
        wrong.append("its phases begin in another order")
    return wrong


def mistakes_of_log(wanted: Wanted, lines: list[str]) -> tuple[list[str], dict[int, str]]:
    """What is wrong with its log, and what each command says that it made when it ran."""
    said = [match[1] for line in lines if (match := _AGENT.fullmatch(line))]
    printed = [line for line in lines if line and not _AGENT.fullmatch(line)]
    made = {int(match[1]): match[3] for line in printed if (match := _FIRST.fullmatch(line))}
    wrong = []
    expected = [
        line
        for number, count in enumerate(LINES)
        for line in (
            f"{number} {wanted.mark} begins {made.get(number)}",
            *(f"{number} {wanted.mark} line {each}" for each in range(1, count + 1)),
            f"{number} {wanted.mark} ends {made.get(number)}",
        )
    ]
    if printed != expected:
        wrong.append(f"its log prints something else: {difference(printed, expected)}")
    for phase in PHASES[3:9]:
        if sum(line.startswith(f"Phase complete: {phase} ") for line in said) != 1:
            wrong.append(f"its log does not say once that {phase} is complete")
    if sum(line.startswith("Running command ") for line in said) != len(LINES):
        wrong.append("its log does not say once of each command that it runs")
    return wrong, made


def mistakes_of_artifact(wanted: Wanted, ran: str, made: dict[int, str]) -> list[str]:
    """What is wrong with the file that it left, which should be what its log says."""
    expected = "".join(f"{number} {wanted.mark} {made.get(number)}\n" for number in range(len(LINES)))
    return [] if ran == expected else [f"its artifact is {ran!r}, not {expected!r}"]


def difference(found: list[str], expected: list[str]) -> str:
    """Where two lists part, in a few words."""
    at = next((n for n, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]),
              min(len(found), len(expected)))  # fmt: skip
    return f"from line {at} on {found[at : at + 3]} ({len(found)}), not {expected[at : at + 3]} ({len(expected)})"
