"""Webhooks: put, listed, removed, and found by the token of their URL."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from codeyard.aws import Page, Refused
from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.pipelines import webhooks_table as table
from codeyard.pipelines.webhooks import Webhook
from codeyard.pipelines.webhooks_table import StoredWebhook
from codeyard.secrets import Secret
from codeyard.secrets.sealing import Key
from codeyard.store import Database, Duplicate, Tx

MOST_WEBHOOKS = 300  # of a region; CodePipeline's quotas
_PAGE = 100
_LONGEST_TOKEN = 200


def new_token() -> str:
    """What makes a URL that nobody can guess."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Opened:
    """A webhook with its secrets, and the row it was read from."""

    webhook: Webhook
    url_token: str = field(repr=False)
    row: StoredWebhook


class StoredWebhooks:
    """The webhooks of all owners, sealed by `key`."""

    def __init__(
        self, database: Database, key: Key, token: Callable[[], str] = new_token, most: int = MOST_WEBHOOKS
    ) -> None:
        """`most`: webhooks that an owner may have."""
        self._database, self._key, self._token, self._most = database, key, token, most

    async def put(self, owner: Owner, webhook: Webhook, tags: Mapping[str, str] | None) -> Opened:
        """As it is stored: made, or in place of the one of its name, whose URL it keeps, and whose tags where none are
        given. Refused: LimitExceeded-, ConcurrentModificationException."""
        fresh = self._token()

        def work(tx: Tx) -> Opened:
            was = table.lock_webhook(tx, owner, webhook.name)
            if was is None and table.count_webhooks(tx, owner) >= self._most:
                text = f"The account has {self._most} webhooks in this region, and may have no more."
                raise Refused("LimitExceededException", text)
            token = fresh if was is None else self._url_token(was, fresh)
            row = self._row(owner, webhook, token, tags)
            if was is None:
                table.insert_webhook(tx, row)
            else:
                kept = was.tags if tags is None else row.tags
                row = replace(row, tags=kept, last_triggered=was.last_triggered)
                table.save_webhook(tx, row)
            return Opened(webhook, token, row)

        try:
            return await self._database.write(work)
        except Duplicate:
            text = f"Webhook {webhook.name} was changed by somebody else at the same time. Try again."
            raise Refused("ConcurrentModificationException", text) from None

    async def find(self, owner: Owner, name: str) -> StoredWebhook | None:
        """The row of this name, sealed as it is."""
        return await self._database.read(lambda tx: table.find_webhook(tx, owner, name))

    async def list(self, owner: Owner, after: str | None, most: int | None = None) -> Page:
        """A page of `Opened`, in order of name from after this one on; at most 100."""
        size = min(most or _PAGE, _PAGE)
        rows = await self._database.read(lambda tx: table.list_webhooks(tx, owner, after, size + 1))
        opened = tuple(self.opened(row) for row in rows[:size])
        return Page(opened, rows[size - 1].name if len(rows) > size else None)

    async def delete(self, owner: Owner, name: str) -> None:
        """One that is not there is no mistake."""
        await self._database.write(lambda tx: table.remove_webhook(tx, owner, name))

    async def by_token(self, token: str) -> Opened | None:
        """The webhook of the URL with this token. The database is asked for a digest, so its time tells nothing."""
        if not token or len(token) > _LONGEST_TOKEN:
            return None
        digest = _digest(token)
        row = await self._database.read(lambda tx: table.find_by_digest(tx, digest))
        if row is None:
            return None
        opened = self.opened(row)
        same = hmac.compare_digest(opened.url_token.encode(), token.encode(errors="replace"))
        return opened if same else None

    async def triggered(self, row: StoredWebhook, at: datetime) -> None:
        """Note that a request started the pipeline."""
        await self._database.write(lambda tx: table.mark_triggered(tx, row.owner, row.digest, at))

    async def failed(self, row: StoredWebhook, code: str, message: str) -> None:
        """Note why a request that was right could not start it."""
        await self._database.write(lambda tx: table.mark_failed(tx, row.owner, row.digest, code, message))

    def opened(self, row: StoredWebhook) -> Opened:
        """With its secrets. Fault: another key sealed them, or they were changed since."""
        if row.key_id != self._key.id:
            fix = "Put the key back that it was sealed by; or delete the webhook, and put it anew."
            raise Fault(f"webhook {row.name}", "another key sealed its secrets.", fix)
        held = json.loads(self._key.open(row.sealed, _place(row.owner, row.name)))
        token = None if held["secret"] is None else Secret(held["secret"])
        fields = (row.name, row.pipeline, row.action, row.authentication, row.filters, row.addresses, token)
        return Opened(Webhook(*fields), held["url"], row)

    def _url_token(self, was: StoredWebhook, fresh: str) -> str:
        """What its URL has; a new one where the key is lost that it was sealed by, so that putting it anew mends it."""
        return self.opened(was).url_token if was.key_id == self._key.id else fresh

    def _row(self, owner: Owner, webhook: Webhook, token: str, tags: Mapping[str, str] | None) -> StoredWebhook:
        secret = None if webhook.token is None else webhook.token.reveal()
        text = json.dumps({"url": token, "secret": secret})
        return StoredWebhook(
            owner,
            webhook.name,
            webhook.pipeline,
            webhook.action,
            webhook.authentication,
            webhook.addresses,
            webhook.filters,
            _digest(token),
            self._key.id,
            self._key.seal(text.encode(), _place(owner, webhook.name)),
            dict(tags or {}),
        )


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _place(owner: Owner, name: str) -> bytes:
    """What the sealed bytes are bound to: in another row they do not open."""
    return f"pipeline-webhook\0{owner.account}\0{owner.region}\0{name}".encode()
