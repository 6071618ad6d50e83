"""What a secret of Secrets Manager is, and what a call's value is. Pure.

Sources: Secrets Manager API reference, CreateSecret, DescribeSecret, DeleteSecret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from codeyard.aws import Refused, Shape
from codeyard.ident import Owner
from codeyard.secrets import SECRET_LIMIT, secret_stages, tags
from codeyard.secrets.sealed import Place, storable
from codeyard.secrets.secret_names import arn

KEPT_VERSIONS = 100


class Form(StrEnum):
    STRING = "string"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Value:
    """What is to be kept secret."""

    form: Form
    bytes: bytes = field(repr=False)

    def to_wire(self) -> dict[str, object]:
        if self.form is Form.STRING:
            return {"SecretString": self.bytes.decode()}
        return {"SecretBinary": self.bytes}


@dataclass(frozen=True, slots=True)
class ManagedSecret:
    """A secret: all about it but its values."""

    owner: Owner
    name: str
    suffix: str
    description: str | None
    kms_key: str | None
    created: datetime
    changed: datetime
    accessed: datetime | None  # the day; None: never
    deletion: datetime | None  # when it goes for good; None: it is not to be deleted
    stages: secret_stages.Stages
    tags: tags.Tags

    @property
    def arn(self) -> str:
        return arn(self.owner, self.name, self.suffix)

    def gone(self, now: datetime) -> bool:
        """Whether its recovery window is over, so that nothing is left of it but rows that nobody removed yet."""
        return self.deletion is not None and self.deletion <= now

    def place(self, version: str, form: Form) -> Place:
        return Place(self.owner, "secret", f"{self.name}-{self.suffix}", version, form)


def given_value(given: Shape) -> Value | None:
    """The value that a call brings, if any. Refused."""
    text, binary = given.get("SecretString"), given.get("SecretBinary")
    if text is not None and binary is not None:
        message = "You can't specify both a binary secret value and a string secret value in the same secret."
        raise Refused("InvalidParameterException", message)
    if text is None and binary is None:
        return None
    if text is not None and not storable(text.replace("\0", "")):  # a value is sealed, so NUL is no trouble
        raise Refused("InvalidParameterException", "The secret is no text: it has half a character.")
    value = Value(Form.STRING, text.encode()) if text is not None else Value(Form.BINARY, bytes(binary or b""))
    if not 0 < len(value.bytes) <= SECRET_LIMIT:
        message = f"The secret has {len(value.bytes)} bytes, and may have 1 to {SECRET_LIMIT}."
        raise Refused("InvalidParameterException", message)
    return value


def deletion(given: Shape, now: datetime) -> datetime:
    """When a secret that is deleted now goes for good. Refused."""
    days, force = given.get("RecoveryWindowInDays"), given.get("ForceDeleteWithoutRecovery")
    if force and days is not None:
        message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays."
        raise Refused("InvalidParameterException", message)
    if days is not None and not 7 <= days <= 30:
        message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive)."
        raise Refused("InvalidParameterException", message)
    return now if force else now + timedelta(days=30 if days is None else days)


def check_texts(given: Shape) -> None:
    """Refused, if a description or a key's id is nothing that the database can hold."""
    for member in ("Description", "KmsKeyId"):
        if not storable(given.get(member) or ""):
            raise Refused("InvalidParameterException", f"The {member} has NUL or half a character in it.")


def declined_members(given: Shape, reasons: Mapping[str, str]) -> None:
    """Refused, if the call asks for what is not done here."""
    for member, reason in reasons.items():
        if given.get(member):
            raise Refused("InvalidRequestException", f"{member} is not possible here: {reason}")


def about(secret: ManagedSecret) -> dict[str, object]:
    """What DescribeSecret and ListSecrets say of it in the same words."""
    return {
        "ARN": secret.arn, "Name": secret.name, "Description": secret.description, "KmsKeyId": secret.kms_key,
        "LastChangedDate": secret.changed, "LastAccessedDate": secret.accessed, "DeletedDate": secret.deletion,
        "Tags": tags.to_wire(secret.tags), "CreatedDate": secret.created,
    }  # fmt: skip


def missing() -> Refused:
    return Refused("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")


def missing_value(version: str | None, stage: str | None) -> Refused:
    which = f"VersionId: {version}" if version else f"staging label: {stage}"
    message = f"Secrets Manager can't find the specified secret value for {which}"
    return Refused("ResourceNotFoundException", message)


def marked_for_deletion() -> Refused:
    message = "You can't perform this operation on the secret because it was marked for deletion."
    return Refused("InvalidRequestException", message)
