"""What groups may be set to; the table of refusals is in test_api, as clients see them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.deploys.group_rules import check_group_name, created, rollback_events, selection_of, updated
from codeyard.deploys.model import RollbackEvent

LEAST = {"serviceRoleArn": "arn:aws:iam::000000000000:role/deploys"}
WEB = {"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}
PROD = {"Key": "env", "Value": "prod", "Type": "KEY_AND_VALUE"}


def test_a_new_group_has_awss_defaults() -> None:
    found = created(LEAST)

    assert found == {**LEAST, "deploymentConfigName": "CodeDeployDefault.OneAtATime"}
    assert not selection_of(found).selects({"role": "web"})
    assert rollback_events(found) == frozenset()


def test_without_a_role_there_is_none() -> None:
    with pytest.raises(Refused) as refused:
        created({})

    assert refused.value.code == "RoleRequiredException"


def test_cloud_and_own_machines_selections_are_united_and_sets_are_narrowed() -> None:
    found = selection_of(
        created({**LEAST, "ec2TagFilters": [WEB], "onPremisesTagSet": {"onPremisesTagSetList": [[PROD], [WEB], []]}})
    )

    assert found.selects({"role": "web"})
    assert found.selects({"role": "web", "env": "prod"})
    assert not found.selects({"env": "prod"})


def test_what_is_given_replaces_an_empty_list_clears_and_the_rest_stays() -> None:
    rollback = {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]}
    was = created({**LEAST, "ec2TagFilters": [WEB], "autoRollbackConfiguration": rollback})

    cleared = updated(was, {"ec2TagFilters": []})
    listed = updated(was, {"ec2TagSet": {"ec2TagSetList": [[PROD]]}})

    assert not selection_of(cleared).selects({"role": "web"})
    assert "ec2TagFilters" not in listed
    assert selection_of(listed).selects({"env": "prod"})
    assert rollback_events(listed) == {RollbackEvent.FAILURE}
    assert updated(was, {}) == was


@pytest.mark.parametrize(("name", "code"), [
    (None, "DeploymentGroupNameRequiredException"), ("", "DeploymentGroupNameRequiredException"),
    ("a b", "InvalidDeploymentGroupNameException"), ("x" * 101, "InvalidDeploymentGroupNameException"),
])  # fmt: skip
def test_a_groups_name_is_checked(name: str | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        check_group_name(name)

    assert refused.value.code == code


filters = st.fixed_dictionaries(
    {},
    optional={
        "Key": st.text(max_size=2),
        "Value": st.text(max_size=2),
        "Type": st.sampled_from(["KEY_ONLY", "VALUE_ONLY", "KEY_AND_VALUE"]),
    },
)
settings = st.fixed_dictionaries(
    {"serviceRoleArn": st.just(LEAST["serviceRoleArn"])},
    optional={
        "ec2TagFilters": st.lists(filters, max_size=12),
        "ec2TagSet": st.fixed_dictionaries({}, optional={"ec2TagSetList": st.lists(st.lists(filters, max_size=3))}),
        "onPremisesInstanceTagFilters": st.lists(filters, max_size=2),
        "loadBalancerInfo": st.sampled_from([{}, {"elbInfoList": []}, {"elbInfoList": [{"name": "x"}]}]),
        "autoRollbackConfiguration": st.fixed_dictionaries({}, optional={"enabled": st.booleans()}),
    },
)


@given(settings, settings)
def test_what_is_accepted_can_be_used_and_changed_to_itself(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Whatever is given is refused, or its meaning can be worked out, now and after any change."""
    try:
        was = created(one)
        now = updated(was, two)
    except Refused:
        return

    selection_of(now).selects({"a": "b"})
    assert updated(now, {}) == now
    assert updated(was, one) == was
