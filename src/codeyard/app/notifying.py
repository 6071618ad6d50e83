"""Messages of approvals: to an SNS topic outside, or posted to a URL."""

import asyncio
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from codeyard.app.outside import Outside
from codeyard.errors import Fault, Invalid
from codeyard.pipelines.actions import Work

_PATIENCE = 10.0  # seconds


class Notifier:
    """Where a message goes is for the definition to say; a topic needs the setting `outside`."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def notify(self, work: Work, where: str, subject: str, body: str) -> None:
        """Denied, Fault, Invalid; ActionFailed: the role may not publish."""
        if where.startswith("arn:"):
            await work.permit("sns:Publish", where)
            await asyncio.to_thread(self._publish, work, where, subject, body)
        elif urlsplit(where).scheme in ("http", "https"):
            await asyncio.to_thread(_post, where, body)
        else:
            raise Invalid(f"NotificationArn {where[:200]}", "it is neither a topic's ARN nor a URL.", "Correct it.")

    def _publish(self, work: Work, topic: str, subject: str, body: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self._outside.client(work.place.owner, "sns", topic.split(":")[3])
        try:
            client.publish(TopicArn=topic, Subject=subject, Message=body)
        except (BotoCoreError, ClientError) as error:
            raise Fault(f"topic {topic}", f"nothing could be published: {error}.", "See that it is there.") from None


def _post(url: str, body: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - http and https alone come here
        url, body.encode(), {"content-type": "application/json", "user-agent": "codeyard"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            answer.read(1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Fault(
            f"{urlsplit(url).hostname}", f"it does not take the message: {error}.", "See that it is up."
        ) from None
