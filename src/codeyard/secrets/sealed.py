"""A value as a row of the database holds it: sealed, and bound to the row that it is of."""

import json
from dataclasses import dataclass, field

from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.secrets.sealing import Key


class DoesNotOpen(Fault):
    """A value was changed or moved since it was sealed, or another key sealed it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which value it is. Sealed for one place, it opens in no other."""

    owner: Owner
    kind: str  # parameter or secret
    name: str
    version: str
    type: str

    def text(self) -> bytes:
        parts = (self.owner.account, self.owner.region, self.kind, self.name, self.version, self.type)
        return json.dumps(["codeyard stored 1", *parts]).encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """What only the key of this id opens, and only at its place."""

    key: str
    sealed: bytes = field(repr=False)


def seal(key: Key, value: bytes, place: Place) -> Sealed:
    return Sealed(key.id, key.seal(value, place.text()))


def unseal(key: Key, sealed: Sealed, place: Place) -> bytes:
    """The value. DoesNotOpen."""
    what = f"the {place.kind} {place.name}"
    if sealed.key != key.id:
        fix = "Put the key back that it was sealed by, or store it anew."
        raise DoesNotOpen(what, "it was sealed by another key than the server has.", fix)
    try:
        return key.open(sealed.sealed, place.text())
    except Fault as error:
        raise DoesNotOpen(what, error.why, "Store it anew, or restore the database from a backup.") from None


def storable(text: str) -> bool:
    """Whether every database can hold this text: PostgreSQL has no NUL, and half a surrogate pair is no text."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)
