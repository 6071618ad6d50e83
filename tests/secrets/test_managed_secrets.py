from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.secrets import managed_secrets as managed
from codeyard.secrets.managed_secrets import Form, Value

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_a_text_comes_back_as_it_was(text: str) -> None:
    value = managed.given_value({"SecretString": text})

    assert value is not None
    assert value.to_wire() == {"SecretString": text}


def test_a_value_does_not_show_itself() -> None:
    assert "hidden" not in repr(Value(Form.STRING, b"hidden"))


@pytest.mark.parametrize(
    "given", [{"SecretString": "x" * 65_537}, {"SecretBinary": b""}, {"SecretString": "a", "SecretBinary": b"a"}]
)
def test_a_value_is_one_and_of_64_kilobytes_at_most(given: dict[str, object]) -> None:
    with pytest.raises(Refused):
        managed.given_value(given)


def test_no_value_is_none() -> None:
    assert managed.given_value({"Name": "x"}) is None


@given(st.integers())
def test_it_goes_after_7_to_30_days_or_not_at_all(days: int) -> None:
    try:
        until = managed.deletion({"RecoveryWindowInDays": days}, NOW)
    except Refused:
        assert not 7 <= days <= 30
    else:
        assert until == NOW + timedelta(days=days)


def test_what_is_not_done_here_is_said() -> None:
    with pytest.raises(Refused, match="Regions is not possible here: because"):
        managed.declined_members({"Regions": ["x"]}, {"Regions": "because."})
