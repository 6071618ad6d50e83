from hypothesis import given
from hypothesis import strategies as st

from tests.pipelines.documents import approval, pipeline, stage, verdict


@given(st.integers(0, 2), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_a_variable_can_be_referred_to_exactly_by_what_runs_later(
    giver_stage: int, giver_order: int, taker_stage: int, taker_order: int
) -> None:
    giver = approval(name="Giver", namespace="Given", runOrder=giver_order)
    taker = approval(name="Taker", runOrder=taker_order, configuration={"CustomData": "#{Given.x}"})
    actions = {0: [approval()], 1: [approval()], 2: [approval()]}
    actions[giver_stage].append(giver)
    actions[taker_stage].append(taker)
    definition = pipeline(*(stage(f"S{at}", *those) for at, those in actions.items()))

    later = (giver_stage, giver_order) < (taker_stage, taker_order)
    assert verdict(definition) == (None if later else "InvalidActionDeclarationException")
