from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.session import LIFETIME, LINK_LIFETIME, Sessions, link_key, local_path, login_link

KEY, OTHER = b"a" * 32, b"b" * 32
NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


class Clock:
    """A time that the test moves."""

    def __init__(self) -> None:
        self.moment = NOON

    def __call__(self) -> datetime:
        return self.moment


def value(header: str) -> str:
    """The cookie's value in Set-Cookie."""
    return header.partition(";")[0].partition("=")[2]


def test_the_link_that_is_printed_lets_in_for_twelve_hours_and_so_does_its_key_alone() -> None:
    clock = Clock()
    sessions = Sessions(KEY, clock, False)
    link = login_link("http://127.0.0.1:4599/", link_key(KEY), NOON)
    later = f"{int(NOON.timestamp()) + 10**6}.{link.rpartition('.')[2]}"

    assert link.startswith("http://127.0.0.1:4599/console/login?key=")
    assert sessions.admits(link.rpartition("=")[2])
    assert sessions.admits(f" {link}\n")
    assert not Sessions(OTHER, Clock(), False).admits(link)
    assert not sessions.admits(later)
    clock.moment += LINK_LIFETIME
    assert not sessions.admits(link)


@given(st.text(max_size=100))
def test_nothing_else_lets_in(text: str) -> None:
    assert not Sessions(KEY, Clock(), False).admits(text)


@given(st.text(max_size=200))
def test_no_cookie_that_was_made_up_is_a_session(text: str) -> None:
    assert Sessions(KEY, Clock(), False).read(text) is None


def test_a_session_lasts_for_twelve_hours_and_is_renewed_when_it_is_used() -> None:
    clock = Clock()
    sessions = Sessions(KEY, clock, False)
    session = sessions.begin()
    cookie = value(sessions.header(session))
    assert sessions.renewed(session) is None
    clock.moment += timedelta(hours=11)
    renewed = sessions.renewed(session)
    assert renewed is not None
    again = value(sessions.header(renewed))
    clock.moment += timedelta(hours=2)

    assert sessions.read(cookie) is None
    assert sessions.read(again) == renewed
    assert renewed.expires == NOON + timedelta(hours=11) + LIFETIME


@pytest.mark.parametrize("at", range(0, 90, 7))
def test_a_cookie_with_another_character_is_none(at: int) -> None:
    sessions = Sessions(KEY, Clock(), False)
    cookie = value(sessions.header(sessions.begin()))
    at = min(at, len(cookie) - 2)
    bent = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]

    assert sessions.read(cookie) is not None
    assert sessions.read(bent) is None
    assert Sessions(OTHER, Clock(), False).read(cookie) is None


def test_the_cookie_is_kept_from_scripts_and_from_other_sites() -> None:
    plain, secure = (Sessions(KEY, Clock(), https) for https in (False, True))
    header = plain.header(plain.begin())

    assert header.startswith(f"{plain.cookie}=1.")
    assert header.endswith("; Path=/console; Max-Age=43200; HttpOnly; SameSite=Strict")
    assert secure.header(secure.begin()).endswith("; Secure")
    assert secure.cookie.startswith("__Secure-")


def test_two_servers_on_one_host_have_cookies_of_their_own() -> None:
    assert Sessions(KEY, Clock(), False).cookie != Sessions(OTHER, Clock(), False).cookie


def test_a_form_is_good_for_its_own_session_alone() -> None:
    sessions = Sessions(KEY, Clock(), False)
    mine, others = sessions.begin(), sessions.begin()

    assert sessions.sent(mine, sessions.form_token(mine))
    assert not sessions.sent(mine, sessions.form_token(others))
    assert not sessions.sent(mine, "")


def test_no_key_shows_in_a_repr() -> None:
    session = Sessions(KEY, Clock(), False).begin()

    assert session.id not in repr(session)


@given(st.text())
def test_the_login_leads_nowhere_but_to_the_console(asked: str) -> None:
    for path in (asked, f"/console/{asked}", f"/console{asked}", f"//{asked}"):
        found = local_path(path)
        assert found == "/console" or found.startswith("/console/")
        assert ".." not in found
        assert "\n" not in found
