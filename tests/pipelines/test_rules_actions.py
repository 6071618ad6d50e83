import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from tests.pipelines.documents import accepted, action, build, commands, pipeline, stage, then, verdict


@given(st.permutations([("A", 1), ("B", 2), ("C", 3), ("D", 4)]), st.permutations(["A", "B", "C", "D"]))
def test_artifacts_flow_along_run_orders_however_the_actions_are_listed(
    listed: list[tuple[str, int]], flow: list[str]
) -> None:
    """Each takes what the one before it in `flow` gives: right only if their orders rise."""
    orders = dict(listed)
    inputs = dict(zip(flow, ["Source", *flow], strict=False))
    definition = then(*(build(name, inputs[name], name, runOrder=order) for name, order in listed))

    rising = sorted(flow, key=orders.__getitem__) == flow
    assert verdict(definition) == (None if rising else "InvalidActionDeclarationException")


def test_commands_may_have_several_inputs() -> None:
    more = commands("make", inputArtifacts=[{"name": "Source"}, {"name": "Built"}])

    assert accepted(pipeline(stage("One", build(outputs="Built")), stage("Two", more)))


def test_a_type_of_the_same_provider_in_another_category_is_another_type() -> None:
    with pytest.raises(Refused, match="Category: 'Deploy', Provider: 'CodeBuild'"):
        accepted(then(action("A", "Deploy/AWS/CodeBuild", "Source", configuration={"ProjectName": "p"})))
