"""The machines that deployments are for: let in, known again, listed, removed."""

import hmac
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime

from codeyard.aws import Page
from codeyard.deploys import enrolment, targets_table
from codeyard.deploys.model import Target
from codeyard.deploys.targets_table import Enrolled
from codeyard.errors import Conflict, Denied
from codeyard.ident import Owner
from codeyard.store import Database, Duplicate, Tx

_LONGEST = 200  # characters of what an agent shows


class Targets:
    """All that have enrolled. `key` is that of enrolment tokens."""

    def __init__(self, db: Database, key: bytes, now: Callable[[], datetime]) -> None:
        self._db, self._key, self._now = db, key, now

    async def enrol(self, token: str, name: str, tags: Mapping[str, str], secret_hash: str) -> Target:
        """The new target; the same one for the same secret, that an answer may be lost.

        Denied: by the token. Invalid: a part is not of its form. Conflict: another machine has the name.
        """
        now = self._now()
        invitation = enrolment.read(self._key, token, now)
        has = enrolment.granted(invitation, enrolment.checked_tags(tags))
        target = Target(str(uuid.uuid4()), invitation.owner, enrolment.checked_name(name), has, now, now)
        new = Enrolled(target, enrolment.checked_hash(secret_hash))

        def work(tx: Tx) -> Target:
            there = targets_table.named(tx, target.owner, name)
            if there is not None and there.target.removed is None:
                if hmac.compare_digest(there.secret_hash, secret_hash):
                    return there.target
                raise _taken(name)
            targets_table.put(tx, new)
            return target

        try:
            return await self._db.write(work)
        except Duplicate:
            raise _taken(name) from None

    async def known(self, shown: str) -> Target:
        """Whose agent shows this: its id, a dot and its secret. Denied: nobody's, or one's that was removed."""
        id, _, secret = shown.partition(".")
        found = None
        if len(shown) <= _LONGEST:
            found = await self._db.read(lambda tx: targets_table.find(tx, id))
        expected = "" if found is None or found.target.removed is not None else found.secret_hash
        if not hmac.compare_digest(expected, enrolment.hash_of(secret)) or found is None:
            fix = "The server's machine makes new tokens: codeyard agent token."
            raise Denied("this agent", "the server does not know its secret, or it was removed there.", fix)
        return found.target

    async def named(self, owner: Owner, name: str) -> Target | None:
        """Whether or not it was removed."""
        found = await self._db.read(lambda tx: targets_table.named(tx, owner, name))
        return None if found is None else found.target

    async def list(self, owner: Owner, after: str | None = None) -> Page:
        """A page of targets by name, the removed ones too."""
        return await self._db.read(lambda tx: targets_table.listed(tx, owner, after))

    async def remove(self, owner: Owner, name: str) -> bool:
        """Whether there was one. Its agent is refused from now on."""
        now = self._now()
        return await self._db.write(lambda tx: targets_table.remove(tx, owner, name, now))


def _taken(name: str) -> Conflict:
    fix = f"Choose another with --name; or, if that machine is gone, codeyard agents remove {name}"
    return Conflict(f"target {name}", "a machine of this name has enrolled already.", fix)
