"""What a stack's status and a refusal's words mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.actions import ErrorCode
from codeyard.pipelines.actions.asking import Refused
from codeyard.pipelines.actions.stacks import Stack, is_absent, is_empty

STATUSES = sorted(
    f"{prefix}{what}_{end}"
    for prefix in ("", "UPDATE_", "IMPORT_")
    for what in ("CREATE", "UPDATE", "DELETE", "ROLLBACK", "REVIEW", "IMPORT")
    for end in ("COMPLETE", "FAILED", "IN_PROGRESS")
)


@given(st.sampled_from([*STATUSES, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]))
def test_a_stack_is_at_most_one_of_busy_good_and_failed(status: str) -> None:
    stack = Stack("id", "name", status)

    assert stack.busy + stack.good + stack.failed <= 1
    assert not (stack.good and "ROLLBACK" in status)


@pytest.mark.parametrize(
    ("reason", "said", "absent"),
    [
        ("ValidationError", "Stack with id x does not exist", True),
        ("ChangeSetNotFound", "ChangeSet [c] does not exist", True),
        ("ValidationError", "Template error", False),
        ("AccessDenied", "It does not exist for you", False),
    ],
)
def test_what_is_absent_is_told_apart(reason: str, said: str, absent: bool) -> None:
    assert is_absent(Refused(ErrorCode.CONFIGURATION, said, reason, said)) is absent


def test_no_changes_are_told_in_two_ways() -> None:
    assert is_empty("No updates are to be performed.")
    assert is_empty("The submitted information didn't contain changes. Submit different information.")
    assert not is_empty("Parameters: [X] do not exist in the template")
