import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.secrets.passwords import random_password

KINDS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)


@given(st.integers(4, 64), st.text("abcXYZ019!?", max_size=6))
def test_each_kind_is_in_it_and_nothing_excluded(length: int, excluded: str) -> None:
    password = random_password({"PasswordLength": length, "ExcludeCharacters": excluded})

    assert len(password) == length
    assert all(set(password) & set(kind) for kind in KINDS)
    assert not set(password) & set(excluded)


def test_it_has_32_characters_unless_told() -> None:
    assert len(random_password({})) == 32


def test_kinds_are_left_out() -> None:
    password = random_password(
        {"ExcludeLowercase": True, "ExcludeUppercase": True, "ExcludePunctuation": True, "IncludeSpace": True}
    )

    assert set(password) <= set(string.digits + " ")
    assert " " in password


@pytest.mark.parametrize(
    "given",
    [
        {"PasswordLength": 3},
        {f"Exclude{kind}": True for kind in ("Numbers", "Punctuation", "Uppercase", "Lowercase")},
    ],
)
def test_what_cannot_be_made_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(Refused) as caught:
        random_password(given)

    assert caught.value.code == "InvalidParameterException"
