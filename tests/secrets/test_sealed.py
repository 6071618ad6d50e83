import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.ident import Owner
from codeyard.secrets.sealed import DoesNotOpen, Place, seal, storable, unseal
from codeyard.secrets.sealing import Key

KEY = Key(b"k" * 32)
TEXT = st.text("ab-/\"',", max_size=3)
PLACES = st.builds(Place, st.builds(Owner, TEXT, TEXT), TEXT, TEXT, TEXT, TEXT)


@given(PLACES, PLACES, st.binary(max_size=20))
def test_a_value_opens_only_in_its_place(place: Place, other: Place, value: bytes) -> None:
    sealed = seal(KEY, value, place)

    assert unseal(KEY, sealed, place) == value
    if other != place:
        with pytest.raises(DoesNotOpen):
            unseal(KEY, sealed, other)


def test_another_key_does_not_open_it() -> None:
    place = Place(Owner(), "secret", "name", "1", "string")

    with pytest.raises(DoesNotOpen, match="another key"):
        unseal(Key(b"x" * 32), seal(KEY, b"value", place), place)


@pytest.mark.parametrize(("text", "held"), [("", True), ("ä\n😀", True), ("a\0", False), ("\ud800", False)])
def test_what_a_database_can_hold(text: str, held: bool) -> None:
    assert storable(text) is held
