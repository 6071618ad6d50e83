"""Which secrets a list is asked for. Pure.

Source: Secrets Manager API reference, Filter; user guide, "Find secrets": a `!` before a value means: not this.
"""

import re
from collections.abc import Callable, Sequence

from codeyard.aws import Shape
from codeyard.secrets.managed_secrets import ManagedSecret

_NOT_CASED = ("description", "all")
_WORDS = re.compile(r"[^\s/_+=.@:!-]+")


def fits(secret: ManagedSecret, filters: Sequence[Shape]) -> bool:
    """Whether all filters find it. Of a filter's values one is enough, and none of those with a `!` may be found."""
    return all(_found(secret, given.get("Key") or "all", given.get("Values") or ()) for given in filters)


def _found(secret: ManagedSecret, key: str, values: Sequence[str]) -> bool:
    texts = _texts(secret)[key]
    test = _any_word if key == "all" else _prefix
    if key in _NOT_CASED:
        texts, values = [text.lower() for text in texts], [value.lower() for value in values]
    wanted = [value for value in values if not value.startswith("!")]
    unwanted = [value[1:] for value in values if value.startswith("!")]
    if any(test(texts, value) for value in unwanted):
        return False
    return not wanted or any(test(texts, value) for value in wanted)


def _texts(secret: ManagedSecret) -> dict[str, list[str]]:
    by_key = {
        "name": [secret.name], "description": [secret.description or ""], "tag-key": list(secret.tags),
        "tag-value": list(secret.tags.values()), "primary-region": [secret.owner.region], "owning-service": [],
    }  # fmt: skip
    return {**by_key, "all": [text for texts in by_key.values() for text in texts]}


def _prefix(texts: Sequence[str], value: str) -> bool:
    return any(text.startswith(value) for text in texts)


def _any_word(texts: Sequence[str], value: str) -> bool:
    """The value is broken into words; each is to begin a word somewhere."""
    words = [word for text in texts for word in [text, *_WORDS.findall(text)]]
    asked: list[str] = _WORDS.findall(value)
    matches: Callable[[str], bool] = lambda part: any(word.startswith(part) for word in words)  # noqa: E731
    return all(matches(part) for part in asked)
