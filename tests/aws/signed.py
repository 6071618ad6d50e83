"""Keys, requests signed by them, and what is said to those that are wrong."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from codeyard.aws import Caller, Key, Refused, sigv4
from codeyard.aws.sigv4 import Dialect, Request, Verified

ACCOUNT = "123456789012"
CALLER = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
KEY = Key("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", CALLER)
S3_KEY = Key("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", CALLER)
SESSION = Key("ASIAEXAMPLE", "a-secret-of-a-session", CALLER)
TOKEN = "the+token/of=a session"
SUITE = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
S3_DAY = datetime(2013, 5, 24, tzinfo=UTC)
EMPTY = hashlib.sha256(b"").hexdigest()


async def key_of(id: str, token: str | None) -> Key:
    if token is not None:
        if (id, token) == (SESSION.id, "expired"):
            raise Refused("ExpiredToken", "it is over")
        if (id, token) == (SESSION.id, TOKEN):
            return SESSION
    for key in (KEY, S3_KEY):
        if key.id == id and token is None:
            return key
    raise Refused("InvalidClientTokenId", "nobody")


async def ask(
    request: Request,
    now: datetime = SUITE,
    dialect: Dialect = Dialect.JSON,
    service: str | None = None,
    region: str | None = "us-east-1",
) -> Verified:
    return await sigv4.verify(request, key_of, service, region, now, dialect)


async def refusal(request: Request, **how: Any) -> tuple[str, str, int]:
    with pytest.raises(Refused) as refused:
        await ask(request, **how)
    return refused.value.code, refused.value.message, refused.value.status


def of(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Request:
    """The request as a server sees it."""
    parts = urlsplit(url)
    lower = {name.lower(): value for name, value in headers.items()}
    lower.setdefault("host", parts.netloc)
    return Request(method, parts.path or "/", parts.query, tuple(lower.items()), hashlib.sha256(body).hexdigest())
