"""The tags of pipelines, webhooks and custom action types. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from codeyard.aws import Refused
from codeyard.secrets.sealed import storable

MOST = 50  # of one resource


def checked(given: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Tags as a client gives them, by key. Refused: InvalidTagsException, TooManyTagsException."""
    tags: dict[str, str] = {}
    for tag in given:
        key, value = tag["key"], tag["value"]
        if key.lower().startswith("aws:"):
            text = f"Not allowed to modify system tags. System tags start with 'aws:'. msg=[{key}]"
            raise Refused("InvalidTagsException", text)
        if key in tags:
            raise Refused("InvalidTagsException", f"Tag keys must be unique: {key} occurs more than once.")
        if not key or not storable(key) or not storable(value):
            raise Refused("InvalidTagsException", "A tag needs a key, and neither may have NUL or half characters.")
        tags[key] = value
    if len(tags) > MOST:
        raise Refused("TooManyTagsException", f"A resource can have at most {MOST} tags.")
    return tags
