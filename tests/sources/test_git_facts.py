"""What git prints of refs and commits is read, whatever their writers put into them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.sources.git_facts import MESSAGE_LIMIT, parse_commit, parse_paths, parse_refs

ONE, TWO = "1" * 40, "2" * 40
COMMIT = b"""tree 3333
parent 4444
author A U Thor <a@example.com> 1700000000 +0130
committer C <c@example.com> 1700000060 -0800
gpgsig -----BEGIN
 author Forged <f@example.com> 1 +0000

Title

Body
"""


def test_an_annotated_tag_is_the_commit_that_it_leads_to() -> None:
    listing = f"{ONE}\trefs/heads/main\n{ONE}\trefs/tags/v1\n{TWO}\trefs/tags/v1^{{}}\nnonsense\n".encode()

    assert parse_refs(listing) == {"refs/heads/main": ONE, "refs/tags/v1": TWO}


def test_a_commit_has_its_own_author_times_and_message() -> None:
    facts = parse_commit(ONE, COMMIT)

    assert (facts.author, facts.message) == ("A U Thor", "Title\n\nBody")
    assert facts.authored == datetime(2023, 11, 14, 23, 43, 20, tzinfo=timezone(timedelta(minutes=90)))
    assert facts.committed == datetime(2023, 11, 14, 22, 14, 20, tzinfo=UTC)


@pytest.mark.parametrize("person", [b"", b"X <x> 99999999999999 +0000", b"X <x> 1 +9999", b"no time at all"])
def test_a_time_that_no_calendar_has_is_some_time(person: bytes) -> None:
    facts = parse_commit(ONE, b"author %b\ncommitter %b\n\nm" % (person, person))

    assert facts.authored.tzinfo is not None
    assert facts.message == "m"


@given(st.binary(max_size=300))
def test_any_bytes_make_a_commit_that_can_be_shown(raw: bytes) -> None:
    facts = parse_commit(ONE, raw)

    assert "\0" not in facts.message + facts.author
    facts.message.encode()
    assert facts.authored.astimezone(UTC) == facts.authored


def test_what_is_long_is_cut() -> None:
    assert len(parse_commit(ONE, b"\n\n" + b"x" * (MESSAGE_LIMIT + 1)).message) == MESSAGE_LIMIT
    assert parse_paths(b"a\0b\0c\0", 2) == ("a", "b")
