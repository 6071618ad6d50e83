import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.secrets import tags

TAGS = st.dictionaries(st.text("ab:", min_size=1, max_size=3), st.text("xy", max_size=2), max_size=6)


@given(TAGS, TAGS)
def test_tags_that_are_added_and_removed_again_leave_the_others(held: dict[str, str], added: dict[str, str]) -> None:
    more = tags.tagged(held, tags.to_wire(added), "code", "many")

    assert more == held | added
    assert tags.untagged(more, added) == {key: value for key, value in held.items() if key not in added}


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ({"Key": "aws:x", "Value": ""}, "bad"),
        ({"Key": "a\0", "Value": ""}, "bad"),
        ({"Key": "a", "Value": "\0"}, "bad"),
    ],
)
def test_what_is_no_tag_is_refused(tag: dict[str, str], code: str) -> None:
    with pytest.raises(Refused) as caught:
        tags.tagged({}, [tag], "bad", "many")

    assert caught.value.code == code


def test_there_are_fifty_at_most() -> None:
    with pytest.raises(Refused) as caught:
        tags.tagged({}, [{"Key": str(number), "Value": ""} for number in range(51)], "bad", "many")

    assert caught.value.code == "many"
