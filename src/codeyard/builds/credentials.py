"""Source credentials: imported, listed, removed, and given to the part that brings a build's sources."""

import json

from codeyard.aws import Refused, Shape
from codeyard.builds import credentials_table as table
from codeyard.builds.credential_rules import SERVERS, Imported, credential_arn, from_secret, imported, server_of
from codeyard.builds.credentials_table import StoredCredential
from codeyard.builds.project import Project
from codeyard.builds.project_parts import AuthType, ProjectSource
from codeyard.builds.project_sources import auth_of, credential_of, takes_tokens
from codeyard.errors import Denied, Fault
from codeyard.ident import Owner
from codeyard.secrets import Secret, SecretProvider, SecretReference
from codeyard.secrets.sealing import Key
from codeyard.sources import Credential
from codeyard.store import Database, Duplicate


class SourceCredentials:
    """The credentials of all owners, sealed by `key`."""

    def __init__(self, database: Database, key: Key) -> None:
        self._database, self._key = database, key

    async def put(self, owner: Owner, given: Shape) -> str:
        """The ARN of what was imported. Refused: InvalidInput-, ResourceAlreadyExistsException."""
        credential = imported(given)
        stored = self._sealed(owner, credential)
        overwrite = given.get("shouldOverwrite") is not False  # true by default
        keep = table.put_credential if overwrite else table.insert_credential
        try:
            await self._database.write(lambda tx: keep(tx, owner, stored))
        except Duplicate:
            text = f"Source credentials already exist for {credential.server_type}; set shouldOverwrite to replace them"
            raise Refused("ResourceAlreadyExistsException", text) from None
        return credential_arn(owner, credential.server_type)

    async def list(self, owner: Owner) -> tuple[StoredCredential, ...]:
        """All of this owner's."""
        return await self._database.read(lambda tx: table.list_credentials(tx, owner))

    async def delete(self, owner: Owner, arn: str) -> None:
        """Refused: ResourceNotFoundException."""
        server = server_of(owner, arn)
        if server is None or not await self._database.write(lambda tx: table.remove_credential(tx, owner, server)):
            raise Refused("ResourceNotFoundException", f"Source credentials {arn[:2048]} do not exist")

    async def credential(
        self, owner: Owner, project: Project, source: ProjectSource, secrets: SecretProvider
    ) -> Credential | None:
        """What the server of one of the project's sources is shown; None: nothing, as to a public repository.

        The source's own auth wins, then that of a NO_SOURCE primary, then what the account imported (reference 4.7).
        `secrets` answers with what the build's service role may read. What it raises, and Invalid; Denied: what is
        not here. No error says what a secret holds.
        """
        if source.type not in SERVERS:
            return None
        auth = auth_of(source, project.source)
        if auth is None or auth.type is AuthType.OAUTH:
            return await self.of_account(owner, source, secrets)
        if auth.type is AuthType.CODECONNECTIONS:
            fix = "Import a personal access token, or name a secret."
            raise Denied("source auth CODECONNECTIONS", "there are no connections here.", fix)
        if not takes_tokens(source):
            why = f"a token for {source.type} goes to that host alone, by https."
            raise Denied("source auth SECRETS_MANAGER", why, "For a server of your own use the type that is for it.")
        return await _from_secret(auth.resource or "", source.type, secrets)

    async def of_account(self, owner: Owner, source: ProjectSource, secrets: SecretProvider) -> Credential | None:
        """What this owner imported for servers of the source's type, if it may be shown to the one where the source is.
        Raises as `credential` does."""
        here = {each.server_type: each for each in await self.list(owner)}
        if source.type not in here or not takes_tokens(source):
            return None
        opened = self._opened(owner, here[source.type])
        if opened.resource is not None:
            return await _from_secret(opened.resource, source.type, secrets)
        return _shown(opened)

    def _sealed(self, owner: Owner, credential: Imported) -> StoredCredential:
        username = None if credential.username is None else credential.username.reveal()
        text = json.dumps({"token": credential.token.reveal(), "username": username})
        sealed = self._key.seal(text.encode(), _place(owner, credential.server_type))
        return StoredCredential(credential.server_type, credential.auth_type, credential.resource, self._key.id, sealed)

    def _opened(self, owner: Owner, stored: StoredCredential) -> Imported:
        if stored.key_id != self._key.id:
            fix = "Import the credentials again, or restore the key."
            raise Fault(f"source credentials for {stored.server_type}", "another key sealed them.", fix)
        text = json.loads(self._key.open(stored.sealed, _place(owner, stored.server_type)))
        username = None if text["username"] is None else Secret(text["username"])
        return Imported(stored.server_type, stored.auth_type, Secret(text["token"]), username)


async def _from_secret(resource: str, server: str, secrets: SecretProvider) -> Credential:
    return _shown(from_secret(await secrets.secret(SecretReference.parse(resource)), server, resource))


def _shown(imported: Imported) -> Credential:
    username = None if imported.username is None else imported.username.reveal()
    return credential_of(imported.server_type, username, imported.token.reveal())


def _place(owner: Owner, server: str) -> bytes:
    """What the sealed bytes are bound to: in another row they do not open."""
    return f"source-credential\0{owner.account}\0{owner.region}\0{server}".encode()
