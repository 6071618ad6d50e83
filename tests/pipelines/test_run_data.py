"""What is written down of runs, and read back."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.pipelines.actions import Artifact, CloneRef, Outcome, Revision, Told
from codeyard.pipelines.model import Moment
from codeyard.pipelines.run_data import (
    Gathered,
    artifact_json,
    declared_data,
    gathered,
    outcome_data,
    parse_artifact,
    parse_revision,
    revision_json,
    told_data,
    type_of,
)
from codeyard.pipelines.state import RunStatus
from codeyard.pipelines.stored import StoredRun
from tests.pipelines.works import EXECUTION, NOON, OWNER, action

DIGESTS = st.integers(0, 2**64).map(lambda number: Digest(f"{number:064x}"))
ARTIFACTS = st.builds(
    Artifact,
    st.sampled_from(["Src", "Out"]),
    st.just("bucket"),
    st.just("key"),
    tree=st.none() | DIGESTS,
    raw=st.none() | DIGESTS,
    clone=st.none() | st.builds(CloneRef, st.text(), st.text(), st.text()),
    there=st.booleans(),
    revision=st.none() | st.text(),
)
MOMENTS = st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC))
REVISIONS = st.builds(Revision, st.text(), st.text(), st.text(), st.text(), MOMENTS)


def run(number: int, name: str, status: RunStatus = RunStatus.SUCCEEDED, **data: Any) -> StoredRun:
    at = NOON + timedelta(seconds=number)
    moment = data.pop("moment", None)
    return StoredRun(
        str(number), OWNER, "P", EXECUTION, "S", name, moment, at, at, at, status, data={"type": ["B"] * 4, **data}
    )


def made(key: str) -> list[Any]:
    return [artifact_json(Artifact("Out", "bucket", key))]


@given(ARTIFACTS)
def test_an_artifact_is_read_as_it_was_written(artifact: Artifact) -> None:
    assert parse_artifact(artifact_json(artifact)) == artifact


@given(REVISIONS)
def test_a_revision_is_read_as_it_was_written(revision: Revision) -> None:
    assert parse_revision(revision_json(revision)) == revision


def test_of_an_action_that_was_tried_again_the_last_success_counts() -> None:
    runs = [
        run(1, "a", outputs=made("first"), namespace="N", variables={"V": "first"}),
        run(2, "a", outputs=made("second"), namespace="N", variables={"V": "second"}),
        run(3, "a", RunStatus.FAILED, outputs=made("third"), namespace="N", variables={"V": "third"}),
        run(4, "a", RunStatus.IN_PROGRESS, outputs=made("fourth"), namespace="N"),
    ]

    found = gathered(runs)

    assert found.artifacts["Out"].key == "second"
    assert found.variables == {"N": {"V": "second"}}


def test_what_rules_make_is_no_artifact() -> None:
    assert gathered([run(1, "r", moment=Moment.BEFORE_ENTRY, outputs=made("x"), namespace="N")]) == Gathered()


def test_a_rollback_has_its_own_before_its_targets() -> None:
    own = gathered([run(1, "a", outputs=made("own"))])
    below = gathered([run(1, "a", outputs=made("below"), namespace="N", variables={"V": "1"})])

    found = own.over(below)

    assert (found.artifacts["Out"].key, found.variables) == ("own", {"N": {"V": "1"}})


def test_what_is_not_known_is_not_written() -> None:
    assert told_data(Told(summary="busy", percent=0)) == {"summary": "busy", "percent": 0}
    assert outcome_data(Outcome()) == {"outputs": [], "variables": {}}
    assert declared_data(action("Build/AWS/CodeBuild/1"), {"A": "*"}) == {
        "type": ["Build", "AWS", "CodeBuild", "1"],
        "configuration": {"A": "*"},
    }


def test_a_run_knows_its_type() -> None:
    declared = action("Build/AWS/CodeBuild/1")

    assert type_of(run(1, "a", type=declared_data(declared, {})["type"])) == declared.type
