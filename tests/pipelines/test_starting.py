"""What the start of an execution brings along."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.actions import SourceOverride
from codeyard.pipelines.model import Action, ActionType, Declaration, DeclaredVariable, Stage
from codeyard.pipelines.starting import Trigger, digest_of, given_facts, inherited, overrides, pinned, variables

S3 = Action("Fetch", ActionType("Source", "AWS", "S3"))
OPEN_S3 = Action("Open", ActionType("Source", "AWS", "S3"), configuration={"AllowOverrideForS3ObjectKey": "true"})
GIT = Action("Git", ActionType("Source", "AWS", "CodeCommit"))
IMAGE = Action("Image", ActionType("Source", "AWS", "ECR"))
PLAN = Declaration(
    "demo",
    "role",
    (Stage("Source", (S3, OPEN_S3, GIT, IMAGE)),),
    variables=(DeclaredVariable("A", "one"), DeclaredVariable("B")),
)


def pin(action: str, kind: str, value: str = "x") -> dict[str, Any]:
    return {"actionName": action, "revisionType": kind, "revisionValue": value}


def refusal(work: Any, *given: Any, **more: Any) -> str:
    with pytest.raises(Refused) as refused:
        work(*given, **more)
    return refused.value.code


def test_what_is_given_goes_before_the_default() -> None:
    given = {"variables": [{"name": "A", "value": "two"}, {"name": "B", "value": "three"}]}

    assert variables(PLAN, given, required=True) == {"A": "two", "B": "three"}


def test_a_variable_without_a_value_is_refused_only_where_it_is_asked_for() -> None:
    assert refusal(variables, PLAN, {}, required=True) == "ValidationException"
    assert variables(PLAN, {}, required=False) == {"A": "one"}


@pytest.mark.parametrize("required", [True, False])
def test_a_variable_that_was_not_declared_is_refused(required: bool) -> None:
    given = {"variables": [{"name": "B", "value": "x"}, {"name": "C", "value": "x"}]}

    assert refusal(variables, PLAN, given, required=required) == "ValidationException"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pin("Fetch", "S3_OBJECT_VERSION_ID"), SourceOverride(version_id="x")),
        (pin("Open", "S3_OBJECT_KEY"), SourceOverride(object_key="x")),
        (pin("Git", "COMMIT_ID"), SourceOverride(commit="x")),
        (pin("Image", "IMAGE_DIGEST"), SourceOverride(image_digest="x")),
    ],
)
def test_a_revision_is_pinned_by_its_type(given: dict[str, Any], expected: SourceOverride) -> None:
    facts = given_facts(PLAN, {"sourceRevisions": [given]}, required=False)

    assert pinned(facts, given["actionName"]) == expected
    assert pinned(facts, "another") is None


def test_an_object_may_be_pinned_by_key_and_version_together() -> None:
    found = overrides(PLAN, {"sourceRevisions": [pin("Open", "S3_OBJECT_KEY"), pin("Open", "S3_OBJECT_VERSION_ID")]})

    assert found == {"Open": {"object_key": "x", "version_id": "x"}}


@pytest.mark.parametrize(
    "given",
    [
        [pin("None", "COMMIT_ID")],
        [pin("Fetch", "COMMIT_ID")],
        [pin("Git", "IMAGE_DIGEST")],
        [pin("Fetch", "S3_OBJECT_KEY")],  # the action does not allow it
        [pin("Git", "COMMIT_ID"), pin("Git", "COMMIT_ID", "y")],
    ],
)
def test_a_pin_that_fits_no_source_is_refused(given: list[Any]) -> None:
    assert refusal(overrides, PLAN, {"sourceRevisions": given}) == "ValidationException"


def test_a_rollback_has_its_targets_variables_and_revisions_alone() -> None:
    facts = {"variables": {"A": "1"}, "revisions": {}, "trigger": Trigger("X").shape, "stop": "no"}

    assert inherited(facts) == {"variables": {"A": "1"}, "revisions": {}}


@given(st.dictionaries(st.sampled_from(["name", "variables", "clientRequestToken"]), st.text(max_size=5)), st.text())
def test_the_digest_is_of_all_but_the_token(given: dict[str, str], token: str) -> None:
    assert digest_of({**given, "clientRequestToken": token}) == digest_of({**given, "clientRequestToken": None})
    assert digest_of({**given, "name": "one"}) != digest_of({**given, "name": "two"})
