"""Tokens of enrolment, and what a machine may be called."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys.enrolment import (
    Invitation,
    checked_name,
    checked_tags,
    enrolment_key,
    granted,
    hash_of,
    parse_tags,
    read,
    written,
)
from codeyard.errors import Denied, Invalid
from codeyard.ident import Owner
from tests.deploys.deployments import NOW

KEY = enrolment_key(b"k" * 32)
LATER = NOW + timedelta(hours=1)


def invitation(**tags: str) -> Invitation:
    return Invitation(Owner("111111111111", "eu-west-1"), tags, LATER)


def test_a_token_says_what_was_written_until_it_expires() -> None:
    token = written(KEY, invitation(role="web"))

    assert read(KEY, token, NOW) == invitation(role="web")
    with pytest.raises(Denied, match="expired at 2026-03-01 13:00 UTC"):
        read(KEY, token, LATER)


@given(st.data())
def test_a_token_that_was_changed_anywhere_or_is_anothers_is_none(data: st.DataObject) -> None:
    token = written(KEY, invitation(role="web"))
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.characters().filter(lambda found: found != token[place]))
    changed = token[:place] + letter + token[place + 1 :]

    for key, text in ((KEY, token[:place]), (enrolment_key(b"x" * 32), token)):
        with pytest.raises(Denied):
            read(key, text, NOW)
    # The last letter of a base64 text has bits that say nothing.
    if place not in (len(token) - 1, token.rindex(".") - 1):
        with pytest.raises(Denied):
            read(KEY, changed, NOW)


@given(st.text(max_size=200))
def test_any_text_is_refused_and_none_breaks_it(text: str) -> None:
    with pytest.raises(Denied):
        read(KEY, text, NOW)


def test_a_machine_gets_the_tokens_tags_or_those_of_them_that_it_asks_for() -> None:
    both = invitation(role="web", env="prod")

    assert granted(both, {}) == {"role": "web", "env": "prod"}
    assert granted(both, {"env": "prod"}) == {"env": "prod"}
    for asked in ({"env": "test"}, {"rack": "1"}):
        with pytest.raises(Denied, match="does not allow it"):
            granted(both, asked)


@pytest.mark.parametrize("texts", [["role"], ["=web"], ["role="], ["k" * 129 + "=v"], ["k=\x1b[2J"]])
def test_tags_that_are_none_are_refused(texts: list[str]) -> None:
    with pytest.raises(Invalid):
        parse_tags(texts)


def test_eleven_tags_are_too_many() -> None:
    with pytest.raises(Invalid, match="10 are the most"):
        checked_tags({str(number): "x" for number in range(11)})


@pytest.mark.parametrize("name", ["", "-a", "a b", "a/b", "a:b", "é", "a" * 101, "a\n"])
def test_names_that_could_be_taken_for_something_else_are_refused(name: str) -> None:
    with pytest.raises(Invalid):
        checked_name(name)


def test_of_a_secret_only_its_hash_is_known() -> None:
    assert hash_of("secret") == "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
