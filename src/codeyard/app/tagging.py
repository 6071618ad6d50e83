"""What of pipelines bears tags besides themselves, and where each kind keeps them: see `api_pipelines.Tagged`."""

from collections.abc import Mapping

from codeyard.ident import Owner
from codeyard.pipelines import custom_types_table, webhooks_table
from codeyard.pipelines.model import ActionType
from codeyard.store import Tx


class TypeTags:
    """Tags of custom action types, whose name in an ARN is owner/category/provider/version."""

    def tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        type = self._type(name)
        return None if type is None else custom_types_table.tags_of(tx, owner, type)

    def held_tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        type = self._type(name)
        found = None if type is None else custom_types_table.found(tx, owner, type)
        return None if found is None or found.deleted else found.tags

    def put_tags(self, tx: Tx, owner: Owner, name: str, tags: Mapping[str, str]) -> None:
        type = self._type(name)
        if type is not None:
            gone = set(custom_types_table.tags_of(tx, owner, type) or {}) - set(tags)
            custom_types_table.remove_tags(tx, owner, type, gone)
            custom_types_table.put_tags(tx, owner, type, tags)

    @staticmethod
    def _type(name: str) -> ActionType | None:
        parts = name.split("/")
        return ActionType(parts[1], parts[0], parts[2], parts[3]) if len(parts) == 4 else None


class WebhookTags:
    """Tags of webhooks, by their names."""

    def tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        found = webhooks_table.find_webhook(tx, owner, name)
        return None if found is None else found.tags

    def held_tags(self, tx: Tx, owner: Owner, name: str) -> Mapping[str, str] | None:
        found = webhooks_table.lock_webhook(tx, owner, name)
        return None if found is None else found.tags

    def put_tags(self, tx: Tx, owner: Owner, name: str, tags: Mapping[str, str]) -> None:
        webhooks_table.set_webhook_tags(tx, owner, name, tags)
