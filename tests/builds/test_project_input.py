"""What CreateProject and UpdateProject make of a caller's input."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given

from codeyard.aws import Refused
from codeyard.builds.model import Variable, VariableType
from codeyard.builds.project import Project
from codeyard.builds.project_input import created, updated
from codeyard.builds.project_parts import Visibility
from tests.builds.projects import CHANGES, INPUTS, LATER, NOW, environment, project, project_input


@given(INPUTS)
def test_an_update_of_nothing_changes_only_the_time(given: dict[str, Any]) -> None:
    made = created(given, NOW)

    changed = updated(made, {"name": made.name}, LATER)

    assert changed == replace(made, last_modified=LATER)


@given(INPUTS, CHANGES)
def test_an_update_gives_what_creating_it_so_would_have_given_or_is_refused(
    given: dict[str, Any], changes: dict[str, Any]
) -> None:
    made, whole = created(given, NOW), {**given, **changes, "name": given["name"]}

    updating, creating = _outcome(lambda: updated(made, changes, LATER)), _outcome(lambda: created(whole, NOW))

    assert updating == (creating if isinstance(creating, str) else replace(creating, last_modified=LATER))


def _outcome(make: Callable[[], Project]) -> Project | str:
    try:
        return make()
    except Refused as refused:
        return refused.message


def test_a_part_that_is_given_replaces_the_whole_of_what_was_there() -> None:
    made = project(environment=environment(privilegedMode=True, environmentVariables=[{"name": "A", "value": "1"}]))

    changed = updated(made, {"environment": environment(image="other")}, LATER)

    assert changed.environment.image == "other"
    assert not changed.environment.privileged_mode
    assert changed.environment.environment_variables == ()


def test_empty_parts_and_a_limit_of_minus_one_take_a_setting_away() -> None:
    made = project(
        description="x",
        sourceVersion="v1",
        concurrentBuildLimit=3,
        vpcConfig={"vpcId": "vpc-1", "subnets": ["s-1"], "securityGroupIds": ["sg-1"]},
    )
    given = {"description": "", "sourceVersion": "", "concurrentBuildLimit": -1, "vpcConfig": {}}

    changed = updated(made, given, LATER)

    assert (changed.description, changed.source_version) == (None, None)
    assert (changed.concurrent_build_limit, changed.vpc_config) == (None, None)


def test_an_update_gives_no_new_name_visibility_or_cache() -> None:
    made = replace(project(), cache_scope="abc")

    changed = updated(made, {"name": "other", "projectVisibility": "PUBLIC_READ", "cacheScope": "x"}, LATER)

    assert (changed.name, changed.project_visibility, changed.cache_scope) == ("site", Visibility.PRIVATE, "abc")


def test_a_variable_is_plain_text_unless_told_otherwise() -> None:
    given = [{"name": "A", "value": "1"}, {"name": "B", "value": "/b", "type": "PARAMETER_STORE"}]

    made = created(project_input(environment=environment(environmentVariables=given)), NOW)

    expected = (Variable("A", "1"), Variable("B", "/b", VariableType.PARAMETER_STORE))
    assert made.environment.environment_variables == expected
