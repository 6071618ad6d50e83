"""Values that a build may use and nobody may read.

A SecretProvider answers what a buildspec's `env.parameter-store` and `env.secrets-manager` name:
  - with a Secret, whose text only `reveal()` gives;
  - NotFound when there is no such thing (for a parameter the text says `Parameter does not exist`, as AWS's does),
    Denied when it may not be read, Invalid when what is named cannot be answered with, Fault when the place broke;
  - no error, repr or log line of it holds a value;
  - it may be asked many things at the same time.

Masking is separate: `masking.Masker` takes the revealed values and hides them in what a build prints.
"""

import json
import re
from dataclasses import dataclass, field
from typing import NoReturn, Protocol, Self

from codeyard.errors import Invalid, NotFound

MASK = "***"
SECRET_LIMIT = 65_536  # bytes of a SecretString, by Secrets Manager's quotas

# Secrets Manager, CreateSecret, Name.
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
# An ARN may end in the six characters that Secrets Manager adds to the name, or leave them out.
_SUFFIX = re.compile(r"-[A-Za-z0-9]{6}\Z")
_FORM = "secret-id[:json-key[:version-stage[:version-id]]]"


class Secret:
    """A text that does not show itself: as a string, in a format, a copy of its owner, or a traceback it is `***`.

    It cannot be pickled or made JSON of, so that no journal holds it by accident.
    """

    __slots__ = ("__value",)
    __value: str

    def __init__(self, value: str) -> None:
        object.__setattr__(self, "_Secret__value", value)

    def reveal(self) -> str:
        """The text itself, for the one place that must have it."""
        return self.__value

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return self.__value == other.__value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: it would be written in clear")


@dataclass(frozen=True, slots=True)
class SecretReference:
    """What `env.secrets-manager` names. At most one of `stage` and `version` is set; neither means AWSCURRENT."""

    id: str  # a name or an ARN
    key: str | None = field(default=None)  # of the JSON object that the secret is; None: the whole of it
    stage: str | None = field(default=None)  # a version's label, such as AWSPREVIOUS
    version: str | None = field(default=None)  # a version's id

    @classmethod
    def parse(cls, text: str) -> Self:
        """`secret-id[:json-key[:version-stage[:version-id]]]`, an empty field being none; Invalid.

        An ARN has six colons of its own, so it is cut off first. Build specification reference, env.secrets-manager.
        """
        parts = text.split(":")
        own = 7 if text.startswith("arn:") else 1
        identity, fields = ":".join(parts[:own]), [part or None for part in parts[own:]]
        if mistakes := _mistakes(parts[:own], fields):
            fix = (
                "Write a name or a full ARN; give a version by its stage or by its id; leave a field empty to skip it."
            )
            raise Invalid(f"secret reference {text!r}", f"it is not {_FORM}: {'; '.join(mistakes)}.", fix)
        key, stage, version = (*fields, None, None, None)[:3]
        return cls(identity, key, stage, version)

    @property
    def names(self) -> tuple[str, ...]:
        """The secret's name; for an ARN, first with and then without the six characters that AWS adds."""
        name = self.id.rpartition(":")[2]
        bare = _SUFFIX.sub("", name)
        return (name,) if bare == name or self.id == name else (name, bare)

    def __str__(self) -> str:
        fields = (self.id, self.key or "", self.stage or "", self.version or "")
        return ":".join(fields).rstrip(":")


def _mistakes(identity: list[str], fields: list[str | None]) -> list[str]:
    found = []
    if len(identity) > 1 and (len(identity) < 7 or identity[2] != "secretsmanager" or identity[5] != "secret"):
        found.append("its ARN is not arn:partition:secretsmanager:region:account:secret:name")
    elif not _NAME.fullmatch(identity[-1]):
        found.append("the secret's name is empty, too long, or has other characters than letters, digits and /_+=.@-")
    if len(fields) > 3:
        found.append(f"{len(fields)} fields follow the secret, and 3 may")
    if not all(re.fullmatch(r"[!-~]{1,256}", version) for version in fields[1:] if version):
        found.append("the version's stage or id is too long, or has other characters than ASCII's visible ones")
    if len(fields) >= 3 and fields[1] and fields[2]:
        found.append("it gives both a stage and an id of the version")
    return found


class SecretProvider(Protocol):
    """A place that knows parameters and secrets; see the package's docstring for what holds."""

    async def parameter(self, name: str) -> Secret:
        """The decrypted value of the parameter `name` (a name, a path, or an ARN; `name:3` is its third version)."""
        ...

    async def secret(self, reference: SecretReference) -> Secret:
        """The secret's text, or the one key of it that `reference` picks."""
        ...


def pick(whole: Secret, reference: SecretReference) -> Secret:
    """The part of a SecretString that `reference` means: all of it, or the value of its `key`.

    A number, true, false or null is its JSON text; a list or an object is JSON again. Invalid if the secret is not a
    JSON object, NotFound if it has no such key; neither says what the secret holds.
    """
    if reference.key is None:
        return whole
    text = whole.reveal()
    document = _object(text, verbatim=True)
    value = document.get(reference.key) if document else None
    if isinstance(value, dict | list):
        document = _object(text, verbatim=False)
    if document is None:
        why = f"it is not a JSON object, so it has no key {reference.key!r}."
        raise Invalid(
            f"secret {reference.id}", why, "Store it as a JSON object, or leave the key out of the reference."
        )
    if reference.key not in document:
        fix = "Correct the key in the reference, or add it to the secret."
        raise NotFound(f"secret {reference.id}", f"it has no key {reference.key!r}.", fix)
    return Secret(value if isinstance(value, str) else json.dumps(document[reference.key], ensure_ascii=False))


def _object(text: str, *, verbatim: bool) -> dict[str, object] | None:
    """The JSON object that the text is, or None; `verbatim` leaves numbers as they are written: 1.10 stays "1.10"."""
    number = str if verbatim else None
    try:
        document = json.loads(text, parse_int=number, parse_float=number)
    except (ValueError, RecursionError):
        return None  # not chained either: a JSONDecodeError carries the whole text
    return document if isinstance(document, dict) else None


def missing_parameter(name: str) -> NotFound:
    """No parameter is called that. The words are AWS's: Troubleshooting CodeBuild, "Parameter does not exist"."""
    fix = "Correct the name in env.parameter-store, or store it with `codeyard secret set`."
    return NotFound(f"parameter {name}", "Parameter does not exist.", fix)


def missing_secret(reference: SecretReference) -> NotFound:
    """There is no such secret, or no such version of it."""
    asked = f" in version {reference.version or reference.stage}" if reference.version or reference.stage else ""
    fix = "Correct env.secrets-manager, or store it with `codeyard secret set --kind secret`."
    return NotFound(f"secret {reference.id}", f"Secrets Manager can't find it{asked}.", fix)
