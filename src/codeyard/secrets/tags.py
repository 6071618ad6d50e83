"""Tags of parameters and secrets: what may be one, and what adding and removing makes of them. Pure."""

from collections.abc import Iterable, Mapping

from codeyard.aws import Refused, Shape
from codeyard.secrets.sealed import storable

LIMIT = 50  # of one resource; Systems Manager's and Secrets Manager's quotas

Tags = Mapping[str, str]


def tagged(tags: Tags, added: Iterable[Shape], invalid: str, too_many: str) -> dict[str, str]:
    """The tags with these put in. Refused by the code `invalid` or `too_many`, which the services name differently."""
    result = dict(tags)
    for tag in added:
        key, value = tag.get("Key") or "", tag.get("Value") or ""
        if not key or not storable(key) or not storable(value):
            raise Refused(invalid, "A tag needs a key, and neither key nor value may have NUL or half characters.")
        if key.lower().startswith("aws:"):
            raise Refused(invalid, f"The tag key {key!r} is not valid: keys that begin with aws: are AWS's own.")
        result[key] = value
    if len(result) > LIMIT:
        raise Refused(too_many, f"The resource would have {len(result)} tags, and may have {LIMIT}.")
    return result


def untagged(tags: Tags, removed: Iterable[str]) -> dict[str, str]:
    """The tags without these. Keys that are not there are no mistake."""
    gone = set(removed)
    return {key: value for key, value in tags.items() if key not in gone}


def to_wire(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
