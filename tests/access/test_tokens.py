"""Session tokens: what is sealed comes out again, and nothing else does."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.access import tokens
from codeyard.access.model import Limits
from codeyard.access.tokens import Ticket
from codeyard.aws import Refused
from codeyard.secrets.sealing import Key

VAULT = Key(b"v" * 32)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
times = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))
tickets = st.builds(
    Ticket,
    id=texts,
    secret=texts,
    account=texts,
    issued=times,
    expires=times,
    role=st.none() | texts,
    role_id=texts,
    name=texts,
    limits=st.builds(
        Limits, st.lists(texts, max_size=2).map(tuple), st.dictionaries(texts, texts, max_size=2), st.none() | texts
    ),
)


@given(tickets)
def test_what_was_sealed_comes_out(ticket: Ticket) -> None:
    assert tokens.unseal(tokens.seal(ticket, VAULT), VAULT) == ticket


@given(tickets, st.integers(0), st.characters())
def test_a_token_with_one_other_character_is_none_of_ours(ticket: Ticket, place: int, other: str) -> None:
    token = tokens.seal(ticket, VAULT)
    place %= len(token) - 2  # of the last characters some bits may be padding
    bent = token[:place] + (other if other != token[place] else "!") + token[place + 1 :]

    with pytest.raises(Refused):
        tokens.unseal(bent, VAULT)


def test_another_key_opens_none() -> None:
    ticket = Ticket("i", "s", "a", datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1))

    with pytest.raises(Refused):
        tokens.unseal(tokens.seal(ticket, Key(b"w" * 32)), VAULT)


def test_secrets_do_not_show() -> None:
    ticket = Ticket("i", "hidden", "a", datetime.now(UTC), datetime.now(UTC))

    assert "hidden" not in repr(ticket)
