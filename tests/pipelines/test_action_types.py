from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.action_types import ActionTypeSpec, Catalogue, Executor, created, from_wire, to_wire
from codeyard.pipelines.builtin_types import BUILTIN, catalogue
from codeyard.pipelines.model import ActionType

COUNTS = {"minimumCount": 0, "maximumCount": 1}


def given_type(**more: Any) -> dict[str, Any]:
    return {
        "category": "Build",
        "provider": "Jenkins",
        "version": "1",
        "inputArtifactDetails": COUNTS,
        "outputArtifactDetails": COUNTS,
        **more,
    }


def key(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "required": True, "key": True, "secret": False, **more}


def with_keys(*keys: dict[str, Any], **more: Any) -> dict[str, Any]:
    return given_type(configurationProperties=list(keys), **more)


def with_url(url: str) -> dict[str, Any]:
    keys = [key("Job"), key("Token", secret=True), key("Note", required=False)]
    return with_keys(*keys, settings={"entityUrlTemplate": url})


def test_a_created_type_is_a_custom_one_that_workers_do() -> None:
    spec = created(with_keys(key("Job", queryable=True, type="String", description="Its job")))

    assert spec.id == ActionType("Build", "Custom", "Jenkins", "1")
    assert spec.executor is Executor.JOB_WORKER
    assert spec.queryable == spec.known("Job")


def test_a_url_may_name_what_is_required_and_no_secret() -> None:
    spec = created(with_url("https://jenkins.example.com/job/{Config:Job}/{ExternalExecutionId}"))

    assert spec.settings == {"entityUrlTemplate": "https://jenkins.example.com/job/{Config:Job}/{ExternalExecutionId}"}


@pytest.mark.parametrize(
    ("input", "text"),
    [
        (given_type(category="Compute"), "category Compute"),
        (given_type(provider="Codeyard-Other"), "reserved"),
        (given_type(inputArtifactDetails={"minimumCount": 2, "maximumCount": 1}), "minimum count of input artifacts"),
        (given_type(category="Source"), "takes no input"),
        (with_keys(key("A"), key("A")), "must be unique: A"),
        (with_keys(key("A", queryable=True), key("B", queryable=True)), "at most one queryable"),
        (with_keys(key("A", queryable=True, required=False)), "must be required"),
        (with_keys(key("A", queryable=True, secret=True)), "must not be secret"),
        (with_url("jenkins"), "not a URL"),
        (with_url("https://j/{Config:Other}"), "refers to Other"),
        (with_url("https://j/{Config:Token}"), "refers to Token"),
        (with_url("https://j/{Config:Note}"), "refers to Note"),
        (with_url("https://j/{Job}"), "unknown placeholder {Job}"),
    ],
)
def test_a_type_that_breaks_a_rule_is_not_created(input: dict[str, Any], text: str) -> None:
    with pytest.raises(Refused, match=text) as refused:
        created(input)

    assert refused.value.code == "ValidationException"


@given(
    st.lists(
        st.builds(
            key,
            st.text(min_size=1, max_size=50),
            required=st.booleans(),
            key=st.booleans(),
            secret=st.booleans(),
            type=st.sampled_from(["String", "Number", "Boolean"]),
            description=st.text(min_size=1, max_size=20),
        ),
        max_size=10,
        unique_by=lambda one: one["name"],
    )
)
def test_what_is_stored_of_a_type_is_read_back_as_it_was(keys: list[dict[str, Any]]) -> None:
    spec = created(with_keys(*keys))

    assert from_wire(to_wire(spec)) == spec


def test_nobodys_own_type_hides_a_built_in_one() -> None:
    builtin = BUILTIN[0]

    assert Catalogue([builtin], [ActionTypeSpec(builtin.id)]).find(builtin.id) is builtin


def test_a_catalogue_holds_ones_own_types_beside_those_built_in() -> None:
    own = created(given_type())

    assert catalogue((own,)).find(own.id) is own
    assert catalogue().find(own.id) is None
    assert len(list(catalogue((own,)))) == len(BUILTIN) + 1
