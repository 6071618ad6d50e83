"""Names and ARNs of secrets: which there may be, and what a text that names one means.

Sources: Secrets Manager API reference, CreateSecret, Name; user guide, "Find secrets", on partial ARNs.
"""

import re
import string
from dataclasses import dataclass
from random import SystemRandom

from codeyard.aws import Call, Refused
from codeyard.ident import Owner

_NAME = re.compile(r"[A-Za-z0-9/_+=.@!-]{1,512}")
_ARN = re.compile(r"arn:aws:secretsmanager:([^:]*):([^:]*):secret:([^:]+)")
_SUFFIXED = re.compile(r"(.+)-([A-Za-z0-9]{6})", re.DOTALL)
_ANY = "??????"  # the random end of an ARN, where it is not known: policies compare by patterns


@dataclass(frozen=True, slots=True)
class SecretId:
    """What names a secret. Without a suffix, the one of that name; with one, only if it ends in that."""

    name: str
    suffix: str | None = None
    foreign: bool = False  # an ARN of another account or region, where we have nothing


def new_name(text: str) -> str:
    """The name itself, if a secret may be called that. Refused, in AWS's words."""
    if not _NAME.fullmatch(text):
        raise Refused(
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )
    return text


def parse(text: str, owner: Owner) -> SecretId:
    """A name, a full ARN, or an ARN without the six characters at its end. Refused.

    An ARN that ends like a full one is one: AWS warns of names that end so. A partial ARN of such a name would be
    allowed by policies that mean another secret.
    """
    arn = _ARN.fullmatch(text)
    if arn is None:
        return SecretId(new_name(text))
    foreign = (arn[2], arn[1]) != (owner.account, owner.region)
    full = _SUFFIXED.fullmatch(arn[3])
    if full is None:
        return SecretId(new_name(arn[3]), None, foreign)
    return SecretId(new_name(full[1]), full[2], foreign)


def mint_suffix() -> str:
    """Six characters, so that who was allowed to read a secret is not allowed to read the next of its name."""
    letters = string.ascii_letters + string.digits
    return "".join(SystemRandom().choices(letters, k=6))


def arn(owner: Owner, name: str, suffix: str) -> str:
    return f"arn:aws:secretsmanager:{owner.region}:{owner.account}:secret:{name}-{suffix}"


def asked_arn(owner: Owner, text: str) -> str:
    """The ARN that a text stands for, as far as it says: `…-??????` where only the name is known."""
    try:
        wanted = parse(text, owner)
    except Refused:
        return arn(owner, text, _ANY)  # it names nothing, and is refused once the call is looked at
    if wanted.foreign:
        return text if wanted.suffix else f"{text}-{_ANY}"
    return arn(owner, wanted.name, wanted.suffix or _ANY)


def one(call: Call) -> str:
    """The resource of an operation with a SecretId."""
    return asked_arn(call.owner, call.input["SecretId"])


def created(call: Call) -> str:
    """The resource of CreateSecret."""
    return arn(call.owner, call.input["Name"], _ANY)
