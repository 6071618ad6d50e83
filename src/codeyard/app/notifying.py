"""Messages of approvals: to an SNS topic outside, or posted to a URL."""

import asyncio
import re
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from codeyard.app.outside import Outside
from codeyard.errors import Fault, Invalid
from codeyard.pipelines.actions import Work

_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]{1,30}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}", re.ASCII)
_PATIENCE = 10.0  # seconds


class Notifier:
    """Tells of approvals; a topic needs the setting `outside`."""

    def __init__(self, outside: Outside, url: str) -> None:
        """`url`: the setting `approvals`, where every message is posted to, besides its topic; empty: nowhere."""
        self._outside, self._url = outside, url

    async def tell(self, work: Work, topic: str | None, subject: str, body: str) -> None:
        """Denied, Fault; ActionFailed: the role may not publish."""
        if topic is not None:
            if _TOPIC.fullmatch(topic) is None:  # variables may have come to anything
                raise Invalid("NotificationArn", "it is no ARN of a topic.", "Correct it.")
            await work.permit("sns:Publish", topic)
            await asyncio.to_thread(self._publish, work, topic, subject, body)
        if self._url:
            await asyncio.to_thread(_post, self._url, body)

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
