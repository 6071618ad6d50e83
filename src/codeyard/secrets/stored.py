"""Parameters and secrets of a server, for its builds: a SecretProvider that reads only what a service role may read."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from codeyard.aws import Refused
from codeyard.errors import Invalid, NotFound
from codeyard.ident import Owner
from codeyard.secrets import (
    Secret,
    SecretReference,
    parameter_names,
    parameters_table,
    pick,
    secret_names,
    secret_stages,
    secrets_table,
)
from codeyard.secrets import secret_changes as changes
from codeyard.secrets.managed_secrets import Form, ManagedSecret
from codeyard.secrets.sealed import unseal
from codeyard.secrets.sealing import Key
from codeyard.secrets.secrets_table import Version
from codeyard.store import Database, Tx

Permit = Callable[[str, str], Awaitable[None]]  # of an action and a resource's ARN; raises what the build is told


class StoredSecrets:
    """A SecretProvider for the builds of one owner, with the permissions of one role."""

    def __init__(
        self, db: Database, key: Key, owner: Owner, permit: Permit,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._db, self._key, self._owner, self._permit, self._now = db, key, owner, permit, now

    async def parameter(self, name: str) -> Secret:
        """Needs ssm:GetParameters on the parameter; see SecretProvider."""
        await self._permit("ssm:GetParameters", parameter_names.named_arn(self._owner, name))
        try:
            wanted = parameter_names.reference(name, self._owner)
        except Refused:
            raise _missing_parameter(name) from None
        found = await self._db.read(lambda tx: parameters_table.find(tx, self._owner, wanted))
        if found is None:
            raise _missing_parameter(name)
        return _for_environment(f"parameter {name}", unseal(self._key, found.sealed, found.parameter.place))

    async def secret(self, reference: SecretReference) -> Secret:
        """Needs secretsmanager:GetSecretValue on the secret; see SecretProvider."""
        try:
            wanted = secret_names.parse(reference.id, self._owner)
        except Refused as error:
            raise Invalid(f"secret {reference.id}", error.message, "Correct env.secrets-manager.") from None
        secret, held = await self._db.read(lambda tx: _find(tx, self._owner, wanted, reference))
        arn = secret.arn if secret else secret_names.asked_arn(self._owner, reference.id)
        await self._permit("secretsmanager:GetSecretValue", arn)
        if secret is None or secret.gone(self._now()):
            raise _missing_secret(reference)
        if secret.deletion is not None:
            why = "it was marked for deletion, so it can't be read."
            raise Invalid(f"secret {reference.id}", why, "Restore it, or name another.")
        if held is None:
            raise _missing_secret(reference)
        if held.form is Form.BINARY:
            why = "it is binary, and a build takes text only."
            raise Invalid(f"secret {reference.id}", why, "Store it as text, for instance in base64.")
        value = changes.opened(self._key, secret, held)
        return pick(_for_environment(f"secret {reference.id}", value.bytes), reference)


def _find(
    tx: Tx, owner: Owner, wanted: secret_names.SecretId, reference: SecretReference
) -> tuple[ManagedSecret | None, Version | None]:
    """The secret and the version of it that is meant, still sealed."""
    secret = secrets_table.find(tx, owner, wanted)
    if secret is None:
        return None, None
    id = reference.version or secret.stages.get(reference.stage or secret_stages.CURRENT)
    return secret, secrets_table.version(tx, secret, id) if id else None


def _for_environment(what: str, value: bytes) -> Secret:
    if b"\0" in value:
        raise Invalid(what, "it has a NUL in it, and no environment variable can hold one.", "Store it as base64.")
    return Secret(value.decode())


def _missing_parameter(name: str) -> NotFound:
    """The words are AWS's: Troubleshooting CodeBuild, "Parameter does not exist"."""
    fix = "Correct the name in env.parameter-store, or store it with `aws ssm put-parameter`."
    return NotFound(f"parameter {name}", "Parameter does not exist.", fix)


def _missing_secret(reference: SecretReference) -> NotFound:
    asked = f" in version {reference.version or reference.stage}" if reference.version or reference.stage else ""
    fix = "Correct env.secrets-manager, or store it with `aws secretsmanager create-secret`."
    return NotFound(f"secret {reference.id}", f"Secrets Manager can't find it{asked}.", fix)
