"""Asking AWS's services, or what answers for them, as actions do: by clients of boto3's, on threads.

What a service refuses fails the action with the code that fits (`failed`). A wait looks again and again with growing
pauses, and bears a service that is away for a while: a deployment of hours should not fail for a minute's silence.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Work

# A client of boto3's for a service in a region, at the endpoint that is configured for it. Denied: there is none.
Client = Callable[[Owner, str, str], Any]
T = TypeVar("T")

PAUSE = 2.0  # seconds from the first look to the second
_LONGEST_PAUSE = 15.0
_GROWTH = 1.5
_AWAY = 20  # looks in a row that a service may leave unanswered, each of which boto3 has tried several times

_DENIED = frozenset(
    "AccessDenied AccessDeniedException AuthFailure UnauthorizedOperation UnrecognizedClientException "
    "InvalidClientTokenId InvalidSignatureException SignatureDoesNotMatch ExpiredToken ExpiredTokenException "
    "MissingAuthenticationTokenException NotAuthorized".split()
)
_BUSY = frozenset(
    "Throttling ThrottlingException ThrottledException TooManyRequestsException RequestLimitExceeded InternalFailure "
    "InternalError InternalServerException ServerException ServiceUnavailable ServiceUnavailableException".split()
)
_WRONG = ("NotFound", "DoesNotExist", "Validation", "Invalid", "NoSuch", "Required", "ClientException")


class Refused(ActionFailed):
    """A service said no. `reason` is its own code, `said` its own words."""

    def __init__(self, code: ErrorCode, message: str, reason: str, said: str) -> None:
        super().__init__(code, message)
        self.args = (code, message, reason, said)
        self.reason, self.said = reason, said


class Service:
    """One service in the region of an action."""

    def __init__(self, client: Client, work: Work, name: str) -> None:
        self.name, self.account = name, work.place.owner.account
        self.region = work.declared.region or work.place.owner.region
        self._owner, self._client = work.place.owner, client
        self._made: Any = None

    def arn(self, resource: str) -> str:
        """Of a resource of the service's."""
        return f"arn:aws:{self.name}:{self.region}:{self.account}:{resource}"

    async def ask(self, operation: str, **given: Any) -> Mapping[str, Any]:
        """What the operation, in boto3's spelling, answers. Refused, ActionFailed; Denied: nothing may be asked."""
        return await self.with_client(lambda client: getattr(client, operation)(**given), operation)

    async def with_client(self, use: Callable[[Any], T], what: str) -> T:
        """What `use` gives, called on a thread; errors as for `ask`."""

        def call() -> T:
            if self._made is None:
                self._made = self._client(self._owner, self.name, self.region)
            return use(self._made)

        try:
            return await asyncio.to_thread(call)
        except (ClientError, BotoCoreError) as error:
            raise failed(f"{self.name} {what}", error) from None


def failed(what: str, error: ClientError | BotoCoreError) -> ActionFailed:
    """What an action fails with when a service refuses, or cannot be asked."""
    if not isinstance(error, ClientError):
        wrong = isinstance(error, NoCredentialsError | ParamValidationError)
        code = ErrorCode.CONFIGURATION if wrong else ErrorCode.UNAVAILABLE_SYSTEM
        return ActionFailed(code, f"{what}: {error}")
    reason, said = _code(error), str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return Refused(_kind(reason, status), f"{what}: {said} (Error Code: {reason})", reason, said)


async def looked(look: Callable[[], Awaitable[T | None]], pause: float) -> T:
    """What `look` gives once it gives something. ActionFailed: it raised that, or the service was away too long."""
    away = 0
    while True:
        try:
            found = await look()
            away = 0
        except ActionFailed as error:
            away += 1
            if error.code is not ErrorCode.UNAVAILABLE_SYSTEM or away > _AWAY:
                raise
            found = None
        if found is not None:
            return found
        await asyncio.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _kind(reason: str, status: int) -> ErrorCode:
    if reason in _DENIED:
        return ErrorCode.PERMISSION
    if reason in _BUSY or status >= 500:
        return ErrorCode.UNAVAILABLE_SYSTEM
    wrong = any(part in reason for part in _WRONG)
    return ErrorCode.CONFIGURATION if wrong else ErrorCode.JOB_FAILED
