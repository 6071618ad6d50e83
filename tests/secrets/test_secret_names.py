import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.secrets import secret_names
from codeyard.secrets.secret_names import SecretId

OWNER = Owner()
ARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
NAME = st.from_regex(r"[A-Za-z0-9/_+=.@!-]{1,40}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("name", SecretId("name")),
        ("name-AbCdEf", SecretId("name-AbCdEf")),
        (f"{ARN}prod/db-AbCdEf", SecretId("prod/db", "AbCdEf")),
        (f"{ARN}prod/db", SecretId("prod/db")),
        (f"{ARN.replace('us-east', 'eu-west')}name-AbCdEf", SecretId("name", "AbCdEf", True)),
        (f"{ARN.replace('000000000000', '111111111111')}name", SecretId("name", None, True)),
    ],
)
def test_a_text_means(text: str, meant: SecretId) -> None:
    assert secret_names.parse(text, OWNER) == meant


@pytest.mark.parametrize("text", ["", "a b", "a:b", "x" * 513, "nul\0", "ä", ARN, "arn:aws:ssm:a:b:parameter/x"])
def test_no_other_text_does(text: str) -> None:
    with pytest.raises(Refused, match="Invalid name"):
        secret_names.parse(text, OWNER)


@given(NAME)
def test_a_full_arn_means_the_secret_that_it_was_made_of(name: str) -> None:
    suffix = secret_names.mint_suffix()

    assert secret_names.parse(secret_names.arn(OWNER, name, suffix), OWNER) == SecretId(name, suffix)


@given(NAME, st.booleans())
def test_what_permission_is_asked_for_fits_the_secret_that_is_meant(name: str, whole: bool) -> None:
    """Whatever secret a text finds, its own ARN is among those that the asked one, as a pattern, stands for."""
    text = f"{ARN}{name}" if whole else name
    wanted = secret_names.parse(text, OWNER)
    found = secret_names.arn(OWNER, wanted.name, wanted.suffix or "Ab12Cd")

    pattern = "".join("." if c == "?" else re.escape(c) for c in secret_names.asked_arn(OWNER, text))

    assert re.fullmatch(pattern, found)


def test_suffixes_are_six_letters_or_digits_and_differ() -> None:
    suffixes = {secret_names.mint_suffix() for _ in range(100)}

    assert len(suffixes) == 100
    assert all(re.fullmatch("[A-Za-z0-9]{6}", suffix) for suffix in suffixes)
