"""Who may use the console: a browser that once had a login link, by a signed cookie.

A link is good for twelve hours after it was made, a session ends twelve hours after it was last used. Nothing is
stored: who has the server's own secret makes and checks all of it; who has the link key, which follows from it, makes
links.
"""

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qs, quote, urlsplit

LIFETIME = timedelta(hours=12)
LINK_LIFETIME = timedelta(hours=12)
LOGIN = "/console/login"
_LOGIN_KEY = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{43})")
_COOKIE = re.compile(r"1\.([0-9]{1,12})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})")
_LONGEST = 4096  # characters that anybody may send as a key


@dataclass(frozen=True, slots=True)
class Session:
    """One browser's, until `expires`."""

    id: str = field(repr=False)
    expires: datetime


def link_key(session_key: bytes) -> str:
    """What login links are made with; sessions cannot be made with it."""
    return _signed(session_key, "login links", "")


def login_link(base_url: str, made_with: str, now: datetime) -> str:
    """The address that lets browsers in for LINK_LIFETIME, made with a link key. Whoever has it may do all that the
    account's root may do in the console."""
    expires = str(int((now + LINK_LIFETIME).timestamp()))
    return f"{base_url.rstrip('/')}{LOGIN}?key={expires}.{_signed(made_with.encode(), 'login', expires)}"


class Sessions:
    """Makes and checks keys, cookies and the tokens of forms. `secure`: browsers come by https alone."""

    def __init__(self, key: bytes, now: Callable[[], datetime], secure: bool) -> None:
        self._key, self._now, self._secure = key, now, secure
        self._link_key = link_key(key).encode()
        # Cookies know no ports: two servers on one host must not overwrite each other's.
        name = f"codeyard-{_signed(key, 'cookie name', '')[:8]}"
        self.cookie = f"__Secure-{name}" if secure else name

    def admits(self, given: str) -> bool:
        """Whether this is a login link, or the key in it, and its time is not over."""
        if len(given) > _LONGEST:
            return False
        key = given.strip()
        if "key=" in key:
            key = parse_qs(urlsplit(key).query).get("key", [""])[0]
        match = _LOGIN_KEY.fullmatch(key)
        if match is None or not _same(match[2], _signed(self._link_key, "login", match[1])):
            return False
        return self._now().timestamp() < int(match[1])

    def begin(self) -> Session:
        return Session(secrets.token_urlsafe(16), self._now() + LIFETIME)

    def read(self, cookie: str | None) -> Session | None:
        """The session of this cookie; None: it is none of ours, or over."""
        match = _COOKIE.fullmatch(cookie or "")
        if match is None:
            return None
        expires, id, signature = match.groups()
        if not _same(signature, self._sign(expires, id)):
            return None
        session = Session(id, datetime.fromtimestamp(int(expires), self._now().tzinfo))
        return session if self._now() < session.expires else None

    def renewed(self, session: Session) -> Session | None:
        """The same session for longer, if that is due: not with each request."""
        if session.expires - self._now() > LIFETIME * 0.9:
            return None
        return Session(session.id, self._now() + LIFETIME)

    def header(self, session: Session) -> str:
        """Set-Cookie's value."""
        expires = str(int(session.expires.timestamp()))
        left = max(0, int((session.expires - self._now()).total_seconds()))
        return self._set(f"1.{expires}.{session.id}.{self._sign(expires, session.id)}", left)

    def ended(self) -> str:
        """Set-Cookie's value that makes the browser forget the session."""
        return self._set("", 0)

    def form_token(self, session: Session) -> str:
        """What a form of this session must send along, so that no other site's form does."""
        return _signed(self._key, "form", session.id)

    def sent(self, session: Session, token: str) -> bool:
        """Whether the form was one of this session's."""
        return _same(token, self.form_token(session))

    def _sign(self, expires: str, id: str) -> str:
        return _signed(self._key, "session", f"{expires}.{id}")

    def _set(self, value: str, seconds: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{self.cookie}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


def local_path(given: str) -> str:
    """Where to go after the login: a path of the console, whatever was asked for."""
    if re.fullmatch(r"/console(?:/[A-Za-z0-9_:./-]*)?", given) and ".." not in given:
        return quote(given, safe="/:")
    return "/console"


def _signed(key: bytes, purpose: str, what: str) -> str:
    digest = hmac.digest(key, f"codeyard console 1\0{purpose}\0{what}".encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode())
