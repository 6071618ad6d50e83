import itertools

import pytest

from codeyard.aws import Refused
from tests.pipelines.documents import ALARM, ON_MAIN, accepted, build, condition, pipeline, rule, stage, verdict

ALLOWED = {
    ("beforeEntry", "FAIL"), ("beforeEntry", "SKIP"), ("onSuccess", "FAIL"), ("onSuccess", "ROLLBACK"),
    ("onFailure", "ROLLBACK"),
}  # fmt: skip
MOMENTS = ("beforeEntry", "onSuccess", "onFailure")
RESULTS = ("FAIL", "ROLLBACK", "RETRY", "SKIP")


@pytest.mark.parametrize(("moment", "result"), [*itertools.product(MOMENTS, RESULTS)])
def test_each_moment_has_its_own_results(moment: str, result: str) -> None:
    definition = pipeline(stage("Second", build(), **{moment: condition(result, ON_MAIN)}))

    allowed = (moment, result) in ALLOWED
    assert verdict(definition) == (None if allowed else "InvalidStageDeclarationException")


def test_a_rule_elsewhere_needs_a_store_there() -> None:
    far = {**ALARM, "region": "eu-west-1"}

    with pytest.raises(Refused, match="no artifact store in region eu-west-1"):
        accepted(pipeline(stage("Second", build(), beforeEntry=condition("FAIL", far))))


def test_a_rule_may_have_values_ten_times_as_long_as_an_actions() -> None:
    long = rule("LambdaInvoke", {"FunctionName": "f", "UserParameters": "x" * 10_000})

    assert accepted(pipeline(stage("Second", build(), beforeEntry=condition("SKIP", long))))
