"""What happens to a secret, within one transaction: it is found or refused, gets a value, is read."""

from dataclasses import replace
from datetime import datetime

from codeyard.aws import Refused
from codeyard.errors import CodeyardError
from codeyard.ident import Owner
from codeyard.secrets import managed_secrets as managed
from codeyard.secrets import secret_stages, secrets_table
from codeyard.secrets.managed_secrets import KEPT_VERSIONS, ManagedSecret, Value
from codeyard.secrets.sealed import DoesNotOpen, seal, storable, unseal
from codeyard.secrets.sealing import Key
from codeyard.secrets.secret_names import SecretId
from codeyard.secrets.secrets_table import Version
from codeyard.store import Tx


def found(tx: Tx, owner: Owner, wanted: SecretId, now: datetime) -> ManagedSecret:
    """The secret, also one that is marked for deletion. Refused."""
    return _there(secrets_table.find(tx, owner, wanted), now)


def usable(tx: Tx, owner: Owner, wanted: SecretId, now: datetime) -> ManagedSecret:
    """The secret, if it is not marked for deletion. Refused."""
    return _unmarked(found(tx, owner, wanted, now))


def locked(tx: Tx, owner: Owner, wanted: SecretId, now: datetime) -> ManagedSecret:
    """The secret, to be changed, also one that is marked for deletion. Refused."""
    return _there(secrets_table.lock(tx, owner, wanted), now)


def changeable(tx: Tx, owner: Owner, wanted: SecretId, now: datetime) -> ManagedSecret:
    """The secret, to be changed, if it is not marked for deletion. Refused."""
    return _unmarked(locked(tx, owner, wanted, now))


def create(tx: Tx, key: Key, made: ManagedSecret, value: Value | None, token: str) -> tuple[ManagedSecret, bool]:
    """The secret, and whether it has a version of this token: a repeated call finds what the first made. Refused."""
    before = secrets_table.lock(tx, made.owner, SecretId(made.name))
    if before is not None and before.gone(made.created):
        secrets_table.remove(tx, made.owner, made.name)
        before = None
    if before is None:
        secrets_table.add(tx, made)
        return (made, False) if value is None else (put(tx, key, made, value, token, [], made.created), True)
    if before.deletion is not None:
        raise Refused(
            "InvalidRequestException",
            "You can't create this secret because a secret with this name is already scheduled for deletion.",
        )
    if value is None or not _repeats(tx, key, before, value, token):
        message = f"The operation failed because the secret {made.name} already exists."
        raise Refused("ResourceExistsException", message)
    return before, True


def put(
    tx: Tx, key: Key, secret: ManagedSecret, value: Value, token: str, stages: list[str], now: datetime
) -> ManagedSecret:
    """The secret once a version with this id has the value; as it is, if it was put before. Refused."""
    if _repeats(tx, key, secret, value, token):
        return secret
    changed = replace(secret, stages=secret_stages.put(secret.stages, token, stages), changed=now)
    sealed = seal(key, value.bytes, secret.place(token, value.form))
    secrets_table.add_version(tx, secret, Version(token, value.form, now, sealed))
    secrets_table.save(tx, changed)
    spare = secrets_table.version_ids(tx, changed)[KEPT_VERSIONS:]
    if spare:
        secrets_table.remove_versions(tx, changed, [id for id, _ in spare if not secret_stages.of(changed.stages, id)])
    return changed


def version(tx: Tx, secret: ManagedSecret, id: str | None, stage: str | None) -> Version:
    """The version that is meant; neither id nor stage means AWSCURRENT. Refused."""
    wanted = id or secret.stages.get(stage or secret_stages.CURRENT)
    # What no column can hold names no version.
    held = secrets_table.version(tx, secret, wanted) if wanted and storable(wanted) else None
    if held is None:
        raise managed.missing_value(id, stage or secret_stages.CURRENT)
    if id and stage and secret.stages.get(stage) != id:
        message = "You provided a VersionStage that is not associated to the provided VersionId."
        raise Refused("InvalidRequestException", message)
    return held


def opened(key: Key, secret: ManagedSecret, held: Version) -> Value:
    """DoesNotOpen."""
    return Value(held.form, unseal(key, held.sealed, secret.place(held.id, held.form)))


def read(key: Key, secret: ManagedSecret, held: Version) -> dict[str, object]:
    """What GetSecretValue and BatchGetSecretValue say of a version. DoesNotOpen."""
    return {
        "ARN": secret.arn, "Name": secret.name, "VersionId": held.id, **opened(key, secret, held).to_wire(),
        "VersionStages": secret_stages.of(secret.stages, held.id) or None, "CreatedDate": held.created,
    }  # fmt: skip


def error_of(asked: str, error: CodeyardError) -> dict[str, str]:
    """An error in the list that BatchGetSecretValue gives besides the values."""
    if isinstance(error, Refused):
        return {"SecretId": asked, "ErrorCode": error.code, "Message": error.message}
    code = "DecryptionFailure" if isinstance(error, DoesNotOpen) else "InternalServiceError"
    return {"SecretId": asked, "ErrorCode": code, "Message": str(error)}


def _repeats(tx: Tx, key: Key, secret: ManagedSecret, value: Value, token: str) -> bool:
    """Whether this very value was put under this token before. Refused: another was."""
    held = secrets_table.version(tx, secret, token)
    if held is None:
        return False
    if opened(key, secret, held) != value:
        raise Refused(
            "ResourceExistsException",
            f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
            f"{secret.arn}.",
        )
    return True


def _there(secret: ManagedSecret | None, now: datetime) -> ManagedSecret:
    if secret is None or secret.gone(now):
        raise managed.missing()
    return secret


def _unmarked(secret: ManagedSecret) -> ManagedSecret:
    if secret.deletion is not None:
        raise managed.marked_for_deletion()
    return secret
