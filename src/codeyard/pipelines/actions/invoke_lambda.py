"""Invoke/AWS/Lambda, and the rule LambdaInvoke: a function is called with a job, and answers by the job's result.

See "Invoke an AWS Lambda function in a pipeline" in the User Guide. What the function returns says nothing. It is
called with the same job again if we die between calling it and writing that down, as Lambda itself may, whose events
come at least once.
"""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from codeyard.aws import Refused
from codeyard.durable import Answer
from codeyard.ident import Owner
from codeyard.pipelines import job_data
from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Work
from codeyard.pipelines.actions.job_rounds import EncryptionKey, Rounds, outcome, owner_of
from codeyard.pipelines.job_data import About, GiveCredentials
from codeyard.pipelines.job_results import Result
from codeyard.pipelines.jobs import Doer
from codeyard.pipelines.jobs_table import Stored
from codeyard.store import Database

# A client of boto3's for a service in a region, at the endpoint that is configured for it.
Client = Callable[[Owner, str, str], Any]

_FUNCTION = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:[a-z0-9-]{1,30}:[0-9]{12}:function:)?[A-Za-z0-9_-]{1,140}(?::(?:\$LATEST|[A-Za-z0-9_-]{1,128}))?",
    re.ASCII,
)
SILENCE = timedelta(minutes=20)  # until a function that has not said anything is taken to have failed
PAUSE = 30.0  # seconds from a continuation token until the function is called with it
_WRONG = frozenset(
    "ResourceNotFoundException InvalidParameterValueException InvalidRequestContentException ValidationException "
    "RequestTooLargeException UnsupportedMediaTypeException".split()
)
_DENIED = frozenset(
    "AccessDeniedException AccessDenied UnrecognizedClientException InvalidClientTokenId InvalidSignatureException "
    "ExpiredTokenException MissingAuthenticationTokenException".split()
)


class InvokeLambda:
    """Calls the function by a client of boto3's, with credentials for the artifacts that nobody keeps."""

    def __init__(
        self,
        db: Database,
        now: Callable[[], datetime],
        encryption_key: EncryptionKey,
        client: Client,
        credentials: GiveCredentials,
        *,
        silence: timedelta = SILENCE,
        pause: float = PAUSE,
    ) -> None:
        self._rounds, self._now = Rounds(db, now, encryption_key), now
        self._client, self._credentials = client, credentials
        self._silence, self._pause = silence, pause

    async def run(self, work: Work) -> Outcome:
        if _FUNCTION.fullmatch(_name(work)) is None:  # a part of an ARN would name another than the role is asked about
            text = "FunctionName must be the name of a function, with or without an alias, or a whole ARN"
            raise ActionFailed(ErrorCode.CONFIGURATION, text)
        await work.permit("lambda:InvokeFunction", _arn(work))
        about = await self._rounds.about(work, ActionTypeSpec(work.declared.type))
        number, result = 0, Result()
        while True:
            until = await self._call(work, about, number, result)
            result = await self._replied(work, number, until)
            if result.continuation is None:
                return await outcome(work, result)
            number += 1

    async def _call(self, work: Work, about: About, number: int, last: Result) -> datetime:
        """Until when the function has to have said something."""

        async def call() -> Answer:
            if number > 0:
                await work.tell(last.told)
                await asyncio.sleep(self._pause)
            until = self._now() + self._silence
            stored = await self._rounds.post(
                work, about, Doer.FUNCTION, number, last.continuation, queue="", deadline=min(until, work.deadline)
            )
            if stored.result is None:
                await self._invoke(work, stored)
            return {"until": (stored.job.created + self._silence).isoformat()}

        return datetime.fromisoformat((await work.step(f"call {number}", call))["until"])

    async def _replied(self, work: Work, number: int, until: datetime) -> Result:
        """The job's result. ActionFailed: there was none in time."""
        try:
            async with asyncio.timeout(max(0.0, (until - self._now()).total_seconds())):
                return await self._rounds.result(work, number)
        except TimeoutError:
            late = await self._rounds.give_up(work, number)
        if late is not None:
            return late
        text = (
            f"The AWS Lambda function {_name(work)} failed to return a result. Check the function to verify that it "
            "has permission to call the PutJobSuccessResult action and that it made a call to PutJobSuccessResult."
        )
        raise ActionFailed(ErrorCode.JOB_FAILED, text)

    async def _invoke(self, work: Work, stored: Stored) -> None:
        about = stored.about
        read, written = [each.arn for each in about.inputs], [each.arn for each in about.outputs]
        try:
            credentials = await self._credentials(about.role, read, written)
        except Refused as refused:
            raise ActionFailed(ErrorCode.PERMISSION, refused.message) from None
        event = json.dumps(job_data.event(stored.job, about, credentials)).encode()
        try:
            await asyncio.to_thread(self._send, stored.owner, _name(work), event)
        except (ClientError, BotoCoreError) as error:
            raise _failed(_name(work), error) from None

    def _send(self, owner: Owner, function: str, event: bytes) -> None:
        client = self._client(owner, "lambda", owner.region)
        client.invoke(FunctionName=function, InvocationType="Event", Payload=event)


def _name(work: Work) -> str:
    return work.declared.configuration.get("FunctionName", "")


def _arn(work: Work) -> str:
    owner, name = owner_of(work), _name(work)
    return name if name.startswith("arn:") else f"arn:aws:lambda:{owner.region}:{owner.account}:function:{name}"


def _failed(function: str, error: ClientError | BotoCoreError) -> ActionFailed:
    """What the action fails with, where the function could not be called."""
    why = str(error)
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        why = f"{error.response.get('Error', {}).get('Message', '')} (error code: {code})"
        kind = ErrorCode.CONFIGURATION if code in _WRONG else ErrorCode.UNAVAILABLE_SYSTEM
        kind = ErrorCode.PERMISSION if code in _DENIED else kind
    elif isinstance(error, NoCredentialsError | ParamValidationError):
        kind = ErrorCode.CONFIGURATION
    else:
        kind = ErrorCode.UNAVAILABLE_SYSTEM
    return ActionFailed(kind, f"The AWS Lambda function {function} could not be invoked: {why}")
