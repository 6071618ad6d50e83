"""What a short link is: which URLs and slugs are allowed, and which slug a URL gets. Pure."""

import hashlib
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o or u to misread
SHORTEST = 4
URL_AT_MOST = 2000  # characters
RESERVED = frozenset({"api", "healthz", "static"})  # the first parts of our own paths

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")


class Refused(ValueError):
    """The caller asked for something that is not allowed; the text says what."""


def checked_url(text: str) -> str:
    """`text` if a browser may be sent there, else Refused."""
    if len(text) > URL_AT_MOST:
        raise Refused(f"a URL has at most {URL_AT_MOST} characters")
    if any(character <= " " or character == "\x7f" for character in text):
        raise Refused("a URL has no spaces, line ends or control characters")
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise Refused(f"not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not host:
        raise Refused("a URL starts with http:// or https:// and names a host")
    return text


def checked_slug(text: str) -> str:
    """`text` if it can follow the host's name, else Refused."""
    if _SLUG.fullmatch(text) is None:
        raise Refused("a slug is 1 to 40 of a-z, 0-9 and -, and neither begins nor ends with -")
    if text in RESERVED:
        raise Refused(f"the slug {text!r} is ours")
    return text


def slugs_for(url: str) -> Iterator[str]:
    """The slugs to try for a URL, shortest first.

    They come from the URL's own hash: the same URL gets the same slug everywhere, and nobody has to count.
    """
    number = int.from_bytes(hashlib.sha256(url.encode()).digest(), "big")
    slug = ""
    while number:
        number, digit = divmod(number, len(ALPHABET))
        slug += ALPHABET[digit]
        if len(slug) >= SHORTEST and slug not in RESERVED:
            yield slug
