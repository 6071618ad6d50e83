"""What workers say of their jobs."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines import job_results
from codeyard.pipelines.actions import ErrorCode, Revision, Told

MOST = 20
TEXT = st.text(max_size=8)
INPUTS = st.fixed_dictionaries(
    {"jobId": TEXT},
    optional={
        "executionDetails": st.fixed_dictionaries(
            {}, optional={"summary": TEXT, "externalExecutionId": TEXT, "percentComplete": st.integers(0, 100)}
        ),
        "currentRevision": st.fixed_dictionaries(
            {"revision": TEXT, "changeIdentifier": TEXT},
            optional={"created": st.datetimes(timezones=st.just(UTC)), "revisionSummary": TEXT},
        ),
        "continuationToken": TEXT,
    },
)


@given(INPUTS)
def test_a_success_comes_back_as_it_was_said(input: dict[str, Any]) -> None:
    result = job_results.success(input, MOST)

    assert job_results.from_json(json.loads(json.dumps(job_results.to_json(result)))) == result
    assert result.failure is None
    assert result.continuation == input.get("continuationToken")


def test_a_success_tells_progress_variables_and_the_revision() -> None:
    created = datetime(2026, 3, 1, tzinfo=UTC)
    result = job_results.success(
        {
            "executionDetails": {"summary": "s", "externalExecutionId": "17", "percentComplete": 0},
            "currentRevision": {"revision": "r", "changeIdentifier": "c", "created": created, "revisionSummary": "m"},
            "outputVariables": {"A": "1", "B": ""},
        },
        MOST,
    )

    assert result.told == Told(external_id="17", summary="s", percent=0)
    assert result.current_revision == Revision("r", "m", "c", created=created)
    assert result.variables == {"A": "1", "B": ""}


def test_a_failure_says_its_code() -> None:
    details = {"type": "RevisionOutOfSync", "message": "no", "externalExecutionId": "17"}
    result = job_results.failure({"failureDetails": details})

    assert (result.error.code, result.error.message) == (ErrorCode.OUT_OF_SYNC, "no")
    assert result.told == Told(external_id="17")


@pytest.mark.parametrize(
    ("input", "code"),
    [
        ({"outputVariables": {"A": "1"}, "continuationToken": "t"}, "ValidationException"),
        ({"outputVariables": {"A": "é" * 10}}, "OutputVariablesSizeExceededException"),
    ],
)
def test_what_cannot_be_a_result_is_refused(input: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        job_results.success(input, MOST)

    assert refused.value.code == code


def test_as_many_bytes_as_there_may_be_are_taken() -> None:
    assert job_results.success({"outputVariables": {"A": "x" * 19}}, MOST).variables == {"A": "x" * 19}
