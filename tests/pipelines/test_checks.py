import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.pipelines.checks import Operator, VariableCheck


@pytest.mark.parametrize(
    ("operator", "value", "passing", "failing"),
    [
        ("EQ", "main", "main", "Main"),
        ("NE", "main", "dev", "main"),
        ("CONTAINS", "fix", "a fix for it", "a Fix for it"),
        ("CONTAINS", "", "", None),
        ("MATCHES", "release-\\d+", "release-12", "a release-12"),
        ("EQ", "10", "10", "10.0"),
    ],
)
def test_each_operator_compares_texts(operator: str, value: str, passing: str, failing: str | None) -> None:
    check = VariableCheck.parse(operator, value)

    assert check.passes(passing)
    assert failing is None or not check.passes(failing)


@pytest.mark.parametrize(
    ("operator", "value"), [("GT", "1"), ("eq", "1"), ("", ""), ("MATCHES", "("), ("MATCHES", "(a)\\1")]
)
def test_what_cannot_be_checked_is_told(operator: str, value: str) -> None:
    with pytest.raises(Invalid):
        VariableCheck.parse(operator, value)


def test_a_text_too_long_for_its_expression_is_told() -> None:
    check = VariableCheck.parse("MATCHES", "(a|b)*a(a|b){400}")

    with pytest.raises(Invalid, match="too large for so long a text"):
        check.passes("ab" * 100_000)


@given(value=st.text(max_size=20), actual=st.text(max_size=20))
def test_equal_and_not_equal_never_agree(value: str, actual: str) -> None:
    equal, unequal = (VariableCheck.parse(operator, value).passes(actual) for operator in (Operator.EQ, Operator.NE))

    assert equal != unequal
    assert not equal or VariableCheck.parse(Operator.CONTAINS, value).passes(actual)
