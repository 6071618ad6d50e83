"""Tokens of pages: sealed, so that a client can neither read nor make nor bend one.

A token is good for the operation, account and region that it was made in, and, where the handler says so, for the same
filter; it does not expire.
"""

import base64
import binascii
import hashlib
import json
import os
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from codeyard.aws import Call, Refused

_LONGEST = 2048  # characters; AWS's own models allow more
_NONCE = 12
_VERSION = b"\x01"


class Pages:
    """Opens and seals tokens under one key of 32 bytes, which all servers of one database share."""

    def __init__(self, key: bytes) -> None:
        # A key of its own, that the same secret may serve elsewhere.
        self._cipher = AESGCM(hashlib.sha256(b"codeyard page tokens\0" + key).digest())

    def open(
        self, call: Call, token: str | None, code: str = "InvalidInputException", filter: object = None
    ) -> str | None:
        """Where the page begins, as `seal` was told; None: at the start. Refused with `code`: it is no such token."""
        if token is None:
            return None
        try:
            if len(token) > _LONGEST:
                raise ValueError
            sealed = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), b"-_", validate=True)
            if sealed[:1] != _VERSION:
                raise ValueError
            nonce, rest = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
            return self._cipher.decrypt(nonce, rest, _bound(call, filter)).decode()
        except (ValueError, binascii.Error, InvalidTag):
            raise Refused(code, "The specified next token is invalid.") from None

    def seal(self, call: Call, next: str | None, filter: object = None) -> str | None:
        """The token for the page that begins there. None: there is no further page."""
        if next is None:
            return None
        nonce = os.urandom(_NONCE)
        sealed = _VERSION + nonce + self._cipher.encrypt(nonce, next.encode(), _bound(call, filter))
        token = base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        assert len(token) <= _LONGEST, "the place where a page begins is too long to be told"
        return token


def _bound(call: Call, filter: Any) -> bytes:
    """What a token is good for. The filter is anything that JSON can hold."""
    parts = (call.service, call.operation, call.caller.account, call.region, filter)
    return json.dumps(parts, sort_keys=True, default=str).encode()
