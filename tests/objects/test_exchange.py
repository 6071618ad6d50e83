"""A request of a known caller, as far as it is not the wire's."""

from typing import Any

from codeyard.aws import Caller, Key, Said
from codeyard.aws.sigv4 import Request, Scope, Verified
from codeyard.objects.asked import asked
from codeyard.objects.exchange import Exchange
from tests.objects.serving import ROLE


class Watching:
    """Allows all, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...], Said]] = []

    async def key(self, id: str, token: str | None) -> Key:
        raise AssertionError("nobody asks")

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        self.asked.append((action, resources, context))


async def test_conditions_may_ask_of_the_request_as_of_any_other_service_s() -> None:
    """A policy that denies s3:* where aws:SecureTransport is false must not find that key missing."""
    identities = Watching()
    verified = Verified(ROLE, Scope("20260301", "us-east-1", "s3"), "20260301T120000Z", "UNSIGNED-PAYLOAD", "", b"")
    said = {"aws:SecureTransport": "false", "aws:SourceIp": "10.0.0.1"}

    async def receive() -> Any:
        raise AssertionError("there is no body")

    exchange = Exchange(asked(Request("GET", "/code", "", (), ""), ()), verified, identities, receive, said)
    await exchange.allow("ListBucket", prefix="a/")

    assert identities.asked == [("s3:ListBucket", ("arn:aws:s3:::code",), {**said, "s3:prefix": "a/"})]
