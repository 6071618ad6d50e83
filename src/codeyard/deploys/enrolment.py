"""How a machine is let in: a token that a server's operator makes, and the name and tags that a machine may have. Pure.

A token names an account and region, the tags that may be had by it, and when it ends; it is signed by a key that
follows from the vault's, so every server of one database knows its own, and nothing of it is stored. What a machine
shows afterwards is a secret of its own making, of which the server keeps the SHA-256.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from codeyard.errors import Denied, Invalid
from codeyard.ident import Owner

MOST_TAGS = 10  # AddTagsToOnPremisesInstances
_LONGEST = 8192  # characters of a token
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_FORM = "codeyard1."
_SECRET = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a token says."""

    owner: Owner
    tags: Mapping[str, str]  # a machine gets all of them, or those of them that it asks for
    expires: datetime


def enrolment_key(vault_secret: bytes) -> bytes:
    return hmac.digest(vault_secret, b"codeyard agent enrolment 1", "sha256")


def written(key: bytes, invitation: Invitation) -> str:
    """The token."""
    told = {
        "account": invitation.owner.account,
        "region": invitation.owner.region,
        "tags": dict(invitation.tags),
        "expires": int(invitation.expires.timestamp()),
    }
    text = _encoded(json.dumps(told, sort_keys=True).encode())
    return f"{_FORM}{text}.{_encoded(hmac.digest(key, text.encode(), 'sha256'))}"


def read(key: bytes, token: str, now: datetime) -> Invitation:
    """What a token says. Denied: it is none of ours, or it has expired."""
    text, _, signature = token.removeprefix(_FORM).partition(".")
    fix = "Make one on the server's machine: codeyard agent token."
    try:
        fits = token.startswith(_FORM) and len(token) <= _LONGEST
        if not fits or not hmac.compare_digest(hmac.digest(key, text.encode(), "sha256"), _decoded(signature)):
            raise Denied("the enrolment token", "it is none of this server's.", fix)
    except (ValueError, binascii.Error):
        raise Denied("the enrolment token", "it is none of this server's.", fix) from None
    told = json.loads(_decoded(text))
    expires = datetime.fromtimestamp(told["expires"], UTC)
    if expires <= now:
        raise Denied("the enrolment token", f"it expired at {expires:%Y-%m-%d %H:%M} UTC.", fix)
    return Invitation(Owner(told["account"], told["region"]), told["tags"], expires)


def granted(invitation: Invitation, asked: Mapping[str, str]) -> dict[str, str]:
    """The tags of a machine that asks for these. Denied: the token has not one of them."""
    for key, value in asked.items():
        if invitation.tags.get(key) != value:
            fix = f"Leave it out, or make a token with it: codeyard agent token --tag {key}={value}"
            raise Denied(f"tag {key}={value}", "the enrolment token does not allow it.", fix)
    return dict(asked or invitation.tags)


def parse_tags(texts: Iterable[str]) -> dict[str, str]:
    """Of `key=value`s. Invalid."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise Invalid(f"tag {text!r}", "it is not KEY=VALUE.", "Write it like role=web.")
        found[key] = value
    return checked_tags(found)


def checked_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags themselves. Invalid: there are too many, or one is too long."""
    if len(tags) > MOST_TAGS:
        raise Invalid("the tags", f"there are {len(tags)}; {MOST_TAGS} are the most.", "Leave some out.")
    for key, value in tags.items():
        if not 0 < len(key) <= 128 or not 0 < len(value) <= 256 or not (key + value).isprintable():
            why = "a key has 1 to 128 printable characters, and a value 1 to 256."
            raise Invalid(f"tag {key[:140]!r}", why, "Choose another.")
    return dict(tags)


def checked_name(name: str) -> str:
    """The name itself, of a machine. Invalid."""
    if _NAME.fullmatch(name) is None:
        why = "it is not 1 to 100 letters, digits and . _ -, of which the first is a letter or digit."
        raise Invalid(f"name {name[:120]!r}", why, "Choose another with --name.")
    return name


def checked_hash(text: str) -> str:
    """The hash itself, of a secret. Invalid."""
    if _SECRET.fullmatch(text) is None:
        raise Invalid("the secret's hash", "it is not 64 lower-case hex digits.", "Use this version's agent.")
    return text


def hash_of(secret: str) -> str:
    """What is kept of a secret. It has 256 random bits, so that one round is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
