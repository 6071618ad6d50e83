"""Whose key it is, and what they may do, from the rows: what the wire asks of `aws.Identities`, and sessions."""

import base64
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from codeyard.access import managed_policies, table, tokens
from codeyard.access.fresh import Fresh
from codeyard.access.model import (
    Grants,
    Limits,
    RoleArn,
    SessionCaller,
    access_denied,
    asker,
    decide,
    denied,
    identity_context,
    session_arn,
)  # fmt: skip
from codeyard.access.table import StoredKey
from codeyard.access.tokens import Ticket
from codeyard.aws import Caller, Key, Refused, Said, policy
from codeyard.aws.conditions import Context
from codeyard.aws.policy import Asked, Asker, Decision, Kind, Malformed
from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.secrets import sealing
from codeyard.store import Database, Duplicate, Tx

# They need no permission ("No permissions are required"), or the one who is asked decides: AssumeRole by its role.
_NOT_BY_POLICIES = frozenset({"sts:getcalleridentity", "sts:getsessiontoken", "sts:assumerole"})
_CHECKLIST = (
    "Please verify that: 1) The provided service role exists, 2) The role name is case-sensitive and matches exactly, "
    "and 3) The role has the necessary trust policy configured."
)


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials, with which to act as a role, or as the account's root."""

    id: str  # ASIA…
    secret: str = field(repr=False)
    token: str = field(repr=False)
    expires: datetime
    caller: Caller


class StoredIdentities:
    """`aws.Identities` over the database. The secrets of keys are sealed by `key`, the vault's."""

    def __init__(self, db: Database, key: sealing.Key, now: Callable[[], datetime]) -> None:
        self._db = db
        self._key = key
        self._now = now
        self._keys: Fresh[str, Key | None] = Fresh(self._load_key, now)
        self._grants: Fresh[str, Grants | None] = Fresh(self._load_grants, now)

    async def key(self, id: str, token: str | None) -> Key:
        """Refused: InvalidClientTokenId, ExpiredToken."""
        if token is not None:
            return await self._session_key(id, token)
        found = await self._keys.get(id) if re.fullmatch("[A-Z0-9]{16,32}", id) else None
        if found is None:
            raise tokens.invalid()
        return found

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        """Refused: AccessDeniedException (AccessDenied for actions of iam, sts and s3)."""
        if action.lower() in _NOT_BY_POLICIES:
            return
        for resource in resources or ("*",):
            decision, kind = await self.decide(caller, action, resource, context)
            if not decision.allowed:
                raise denied(caller, action, resource, decision, kind)

    async def decide(self, caller: Caller, action: str, resource: str, context: Said) -> tuple[Decision, str]:
        """What the caller's own policies say, and which kind of them."""
        if caller.role is None:
            return Decision(policy.Outcome.ALLOWED), "root"
        grants = await self.grants(caller.role)
        if grants is None or not caller.id.startswith(f"{grants.role.id}:"):
            return Decision(policy.Outcome.IMPLICIT_DENY), "identity-based"
        asked = Asked(action, resource, policy.context(context, identity_context(caller, grants)))
        return decide(caller, grants, asked)

    async def grants(self, role_arn: str) -> Grants | None:
        """The role of this ARN with its policies, as of a moment ago at the most; None: there is none."""
        return await self._grants.get(role_arn) if len(role_arn) <= 2048 else None

    async def make_root(self, account: str) -> tuple[str, str]:
        """Id and secret of the account's root key, made the first time."""
        purpose = f"{account}:start"
        found = await self._db.read(lambda tx: table.key_for(tx, purpose))
        if found is None:
            try:
                made, secret = await self.make_key(account, purpose)
                return made.id, secret
            except Duplicate:  # another process that starts was first
                found = await self._db.read(lambda tx: table.key_for(tx, purpose))
        assert found is not None
        return found.id, self._opened(found)

    async def make_key(
        self, account: str, purpose: str | None = None, check: Callable[[Tx], None] = lambda _tx: None
    ) -> tuple[StoredKey, str]:
        """A new key of the account's root, and its secret. `check` may refuse, within the transaction."""
        id, secret = _new_id("AKIA"), _new_secret()
        stored = StoredKey(id, account, self._key.seal(secret.encode(), _place(id)), True, self._now())

        def add(tx: Tx) -> None:
            check(tx)
            table.add_key(tx, stored, purpose)

        await self._db.write(add)
        self.key_changed(id)
        return stored, secret

    async def assume(self, role_arn: str, session_name: str, seconds: int, limits: Limits | None = None) -> Session:
        """A session of the role, whoever asks: that they may is for the caller to see to. Refused: AccessDenied."""
        grants = await self.grants(role_arn)
        if grants is None:
            raise access_denied("sts:AssumeRole", f"Not authorized to perform: sts:AssumeRole on resource: {role_arn}")
        role = grants.role
        return self._session(
            seconds, role.arn.account, limits or Limits(), role=role_arn, role_id=role.id, name=session_name
        )

    async def assume_for(self, source_arn: str, role_arn: str, session_name: str, seconds: int) -> Session:
        """A session of the role for the service whose resource acts: a CodeBuild project, say. Its trust policy decides
        each time, so a role that trusts no more is of no more use. Refused: AccessDenied."""
        _, _, service, _, account, _ = source_arn.split(":", 5)
        context = {"aws:SourceAccount": account, "aws:SourceArn": source_arn}
        asker = Asker(service=f"{service}.amazonaws.com")
        if not (await self.trusts(role_arn, asker, "sts:AssumeRole", context)).allowed:
            raise Refused("AccessDenied", f"CodeBuild is not authorized to perform: sts:AssumeRole on {role_arn}", 403)
        return await self.assume(role_arn, session_name, seconds)

    def root_session(self, account: str, seconds: int) -> Session:
        """A session of the account's root."""
        return self._session(seconds, account, Limits())

    async def trusts(self, role_arn: str, asker: Asker, action: str, context: Context) -> Decision:
        """What the role's trust policy says to whoever would assume it; of no role it is an implicit deny."""
        grants = await self.grants(role_arn)
        if grants is None:
            return Decision(policy.Outcome.IMPLICIT_DENY)
        return policy.evaluate([grants.trust], Asked(action, role_arn, policy.context(context), asker))

    async def may_assume(self, caller: Caller, role_arn: str, action: str, context: Context) -> bool:
        """The role's trust policy decides; where it leaves it to the caller's account, so do the caller's policies."""
        own_grants = await self.grants(caller.role) if caller.role is not None else None
        plain = {key: value for key, value in context.items() if isinstance(value, str)}
        own, _ = await self.decide(caller, action, role_arn, plain)
        full = {**context, **identity_context(caller, own_grants)}
        trust = await self.trusts(role_arn, asker(caller), action, full)
        limited = isinstance(caller, SessionCaller) and bool(caller.limits.policies)
        by_itself = trust.allowed and not trust.delegated and not limited and role_arn.split(":")[4] == caller.account
        return trust.allowed and (own.allowed or (by_itself and own.outcome is not policy.Outcome.EXPLICIT_DENY))

    async def require_service_role(
        self,
        owner: Owner,
        role_arn: str,
        service: str = "codebuild.amazonaws.com",
        source_arn: str | None = None,
    ) -> None:
        """Nothing, if the role is of the owner's account and trusts the service. Refused: InvalidInputException.

        `source_arn` is what the service would act for: the project's ARN, for trust policies that ask for it.
        """
        arn = RoleArn.parse(role_arn)
        if arn is not None and arn.account != owner.account:
            text = "Invalid service role: Service role account ID does not match caller's account"
            raise Refused("InvalidInputException", text)
        context = {"aws:SourceAccount": owner.account, **({"aws:SourceArn": source_arn} if source_arn else {})}
        decision = await self.trusts(role_arn, Asker(service=service), "sts:AssumeRole", context)
        if not decision.allowed:
            text = f"CodeBuild is not authorized to perform: sts:AssumeRole on {role_arn}. {_CHECKLIST}"
            raise Refused("InvalidInputException", text)

    def role_changed(self, role_arn: str) -> None:
        """It, its policies or its trust: by this process, which sees it at once."""
        self._grants.forget(role_arn)

    def key_changed(self, id: str) -> None:
        self._keys.forget(id)

    def _session(
        self, seconds: int, account: str, limits: Limits, role: str | None = None, role_id: str = "", name: str = ""
    ) -> Session:
        issued = self._now().replace(microsecond=0)
        id, secret, expires = _new_id("ASIA"), _new_secret(), issued + timedelta(seconds=seconds)
        ticket = Ticket(id, secret, account, issued, expires, role, role_id, name, limits)
        return Session(id, secret, tokens.seal(ticket, self._key), expires, _caller(ticket))

    async def _session_key(self, id: str, token: str) -> Key:
        ticket = tokens.unseal(token, self._key)
        if not secrets.compare_digest(ticket.id.encode(), id.encode("utf-8", "replace")):
            raise tokens.invalid()
        if self._now() >= ticket.expires:
            raise tokens.expired()
        if ticket.role is not None:
            grants = await self.grants(ticket.role)
            if grants is None or grants.role.id != ticket.role_id:
                raise tokens.invalid()
        return Key(id, ticket.secret, _caller(ticket))

    async def _load_key(self, id: str) -> Key | None:
        stored = await self._db.read(lambda tx: table.key_of(tx, id))
        if stored is None or not stored.active:
            return None
        root = Caller(stored.account, f"arn:aws:iam::{stored.account}:root", stored.account)
        return Key(id, self._opened(stored), root)

    async def _load_grants(self, role_arn: str) -> Grants | None:
        arn = RoleArn.parse(role_arn)
        if arn is None:
            return None
        return await self._db.read(lambda tx: _grants(tx, arn))

    def _opened(self, stored: StoredKey) -> str:
        return self._key.open(stored.sealed, _place(stored.id)).decode()


def _grants(tx: Tx, arn: RoleArn) -> Grants | None:
    role = table.role_named(tx, arn.account, arn.name)
    if role is None or role.arn != arn:
        return None
    inline = table.inline_of(tx, role).items()
    managed = (managed_policies.parsed(each) for each in table.attached_to(tx, role))
    try:
        own = tuple(policy.parse(text, Kind.IDENTITY, name) for name, text in inline)
        trust = policy.parse(role.trust, Kind.TRUST, "trust policy")
    except Malformed as malformed:  # it was none when it was put: another version wrote it
        raise Fault(f"the role {arn}", f"a policy of it cannot be read: {malformed}", "Put the policy again.") from None
    return Grants(role, trust, (*own, *(each for each in managed if each is not None)))


def _caller(ticket: Ticket) -> Caller:
    arn = RoleArn.parse(ticket.role) if ticket.role is not None else None
    if arn is None:
        root = f"arn:aws:iam::{ticket.account}:root"
        return SessionCaller(ticket.account, root, ticket.account, None, ticket.limits, ticket.issued)
    id = f"{ticket.role_id}:{ticket.name}"
    return SessionCaller(ticket.account, session_arn(arn, ticket.name), id, ticket.role, ticket.limits, ticket.issued)


def _place(id: str) -> bytes:
    return b"access key " + id.encode()


def _new_id(prefix: str) -> str:
    return prefix + base64.b32encode(secrets.token_bytes(10)).decode()


def new_role_id() -> str:
    """As AWS's: 21 characters."""
    return "AROA" + base64.b32encode(secrets.token_bytes(11)).decode()[:17]


def _new_secret() -> str:
    return base64.b64encode(secrets.token_bytes(30)).decode()
