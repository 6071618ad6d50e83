"""The operations on webhooks of V1 pipelines."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.ident import Owner
from codeyard.pipelines import tags
from codeyard.pipelines.stored_webhooks import Opened, StoredWebhooks
from codeyard.pipelines.webhooks import parse, to_wire, webhook_arn

Target = Literal["exists", "no pipeline", "no action"]
TargetExists = Callable[[Owner, str, str], Awaitable[Target]]
PATH = "/webhooks/codepipeline"


def _named(call: Call) -> str:
    given: Mapping[str, Any] = call.input.get("webhook") or call.input
    return webhook_arn(call.owner, given.get("name") or given.get("webhookName") or "")


def _put(call: Call) -> tuple[str, ...]:
    """The webhook, and the pipeline that it is to start."""
    pipeline = call.input["webhook"]["targetPipeline"]
    return _named(call), f"arn:aws:codepipeline:{call.owner.region}:{call.owner.account}:{pipeline}"


def _all(call: Call) -> str:
    return webhook_arn(call.owner, "*")


class WebhookOperations:
    """Put, delete and list webhooks; say why none is registered with GitHub."""

    def __init__(self, webhooks: StoredWebhooks, target_exists: TargetExists, pages: Pages, public_url: str) -> None:
        """`target_exists` is asked for an owner, a pipeline, and an action of its first stage. `public_url` is where
        the server is reached from outside, such as https://ci.example.com."""
        self._webhooks, self._target_exists, self._pages = webhooks, target_exists, pages
        self._url = public_url.rstrip("/") + PATH

    @operation("PutWebhook", _put)
    async def put_webhook(self, call: Call) -> Shape:
        webhook = parse(call.input["webhook"])
        told = None if call.input.get("tags") is None else tags.checked(call.input["tags"])
        target = await self._target_exists(call.owner, webhook.pipeline, webhook.action)
        if target == "no pipeline":
            text = f"Account '{call.owner.account}' does not have a pipeline with name '{webhook.pipeline}'"
            raise Refused("PipelineNotFoundException", text)
        if target == "no action":
            text = f"Pipeline '{webhook.pipeline}' has no action '{webhook.action}' in its first stage"
            raise Refused("ValidationException", text)
        return {"webhook": self._item(call.owner, await self._webhooks.put(call.owner, webhook, told))}

    @operation("DeleteWebhook", _named)
    async def delete_webhook(self, call: Call) -> Shape:
        await self._webhooks.delete(call.owner, call.input["name"])
        return {}

    @operation("ListWebhooks", _all)
    async def list_webhooks(self, call: Call) -> Shape:
        after = self._pages.open(call, call.input.get("NextToken"), "InvalidNextTokenException")
        page = await self._webhooks.list(call.owner, after, call.input.get("MaxResults"))
        items = [self._item(call.owner, opened) for opened in page.items]
        return {"webhooks": items, "NextToken": self._pages.seal(call, page.next)}

    @operation("RegisterWebhookWithThirdParty", _named)
    async def register_webhook_with_third_party(self, call: Call) -> Shape:
        """Refused, always: no token of the user's is used to change a repository's settings."""
        name = await self._existing(call)
        text = f"Webhook '{name}' is not registered from here: add its url to the repository's webhooks at GitHub"
        raise Refused("ValidationException", f"{text}, with content type application/json and the same secret")

    @operation("DeregisterWebhookWithThirdParty", _named)
    async def deregister_webhook_with_third_party(self, call: Call) -> Shape:
        """Nothing was registered, so nothing is left to do."""
        await self._existing(call)
        return {}

    async def _existing(self, call: Call) -> str:
        name: str = call.input.get("webhookName") or ""
        if await self._webhooks.find(call.owner, name) is None:
            raise Refused("WebhookNotFoundException", f"Webhook '{name}' does not exist")
        return name

    def _item(self, owner: Owner, opened: Opened) -> dict[str, Any]:
        """A ListWebhookItem."""
        row = opened.row
        return {
            "definition": to_wire(opened.webhook),
            "url": f"{self._url}?t={opened.url_token}",
            "errorMessage": row.error_message,
            "errorCode": row.error_code,
            "lastTriggered": row.last_triggered,
            "arn": webhook_arn(owner, row.name),
            "tags": [{"key": key, "value": value} for key, value in row.tags.items()],
        }
