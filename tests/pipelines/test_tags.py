"""What tags a pipeline, a webhook or an action type may bear."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.tags import MOST, checked


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ([{"key": "AWS:team", "value": ""}], "InvalidTagsException"),
        ([{"key": "team", "value": "a"}, {"key": "team", "value": "b"}], "InvalidTagsException"),
        ([{"key": "team", "value": "\0"}], "InvalidTagsException"),
        ([{"key": str(number), "value": ""} for number in range(MOST + 1)], "TooManyTagsException"),
    ],
)
def test_tags_that_may_not_be_are_refused(tags: list[dict[str, str]], code: str) -> None:
    with pytest.raises(Refused) as refused:
        checked(tags)

    assert refused.value.code == code


@given(st.dictionaries(st.from_regex(r"[b-z]{1,9}", fullmatch=True), st.from_regex(r"[a-z]{0,9}", fullmatch=True)))
def test_others_are_taken_as_they_are(tags: dict[str, Any]) -> None:
    given_ = [{"key": key, "value": value} for key, value in list(tags.items())[:MOST]]

    assert checked(given_) == dict(list(tags.items())[:MOST])
