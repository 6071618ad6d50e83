from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Caller, Refused
from codeyard.aws.paging import Pages
from tests.calls import call

PAGES = Pages(b"k" * 32)
HERE = call("codebuild", "ListBuilds")
TOKEN = PAGES.seal(HERE, "build-7") or ""


@given(st.text(max_size=300))
def test_what_was_sealed_is_opened(place: str) -> None:
    assert PAGES.open(HERE, PAGES.seal(HERE, place)) == place


def test_no_token_is_the_start_and_no_further_page_has_no_token() -> None:
    assert PAGES.open(HERE, None) is None
    assert PAGES.seal(HERE, None) is None


def test_a_token_tells_nothing() -> None:
    assert "build-7" not in TOKEN
    assert PAGES.seal(HERE, "build-7") != TOKEN


@pytest.mark.parametrize(
    "elsewhere",
    [
        call("codebuild", "ListProjects"),
        call("logs", "ListBuilds"),
        call("codebuild", "ListBuilds", region="eu-west-1"),
        replace(HERE, caller=Caller("111111111111", "arn:aws:iam::111111111111:root", "111111111111")),
    ],
)
def test_a_token_is_good_for_its_operation_account_and_region_alone(elsewhere: Any) -> None:
    with pytest.raises(Refused) as refused:
        PAGES.open(elsewhere, TOKEN)

    assert refused.value.code == "InvalidInputException"


def test_a_token_is_good_for_its_filter_alone() -> None:
    token = PAGES.seal(HERE, "x", filter={"sortOrder": "ASCENDING"})

    assert PAGES.open(HERE, token, filter={"sortOrder": "ASCENDING"}) == "x"
    with pytest.raises(Refused):
        PAGES.open(HERE, token, filter={"sortOrder": "DESCENDING"})


def test_another_servers_key_opens_nothing() -> None:
    with pytest.raises(Refused):
        Pages(b"x" * 32).open(HERE, TOKEN)


@given(st.integers(0, len(TOKEN) - 1), st.characters())
def test_a_bent_token_is_refused(at: int, letter: str) -> None:
    bent = TOKEN[:at] + letter + TOKEN[at + 1 :]
    try:
        place = PAGES.open(HERE, bent, code="InvalidParameterException")
    except Refused as refused:
        place = refused.code

    assert place == "InvalidParameterException" or bent == TOKEN


@given(st.text(max_size=100) | st.just("A" * 1_000_000))
def test_any_other_text_is_refused(token: str) -> None:
    with pytest.raises(Refused):
        PAGES.open(HERE, token)
