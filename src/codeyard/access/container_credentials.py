"""How a build gets the credentials of its service role: the endpoint that AWS's SDKs ask in a container.

A build is given the URL (AWS_CONTAINER_CREDENTIALS_FULL_URI) and a token of its own, never the credentials themselves;
the answer is that of ECS, see "Container credential provider" in the AWS SDKs' reference guide. Served over ASGI.
"""

import hmac
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import unquote

from codeyard.access.identities import StoredIdentities
from codeyard.aws import Refused
from codeyard.errors import Fault
from codeyard.secrets.sealing import Key

PATH = "/container-credentials/"
LASTS = 3600  # seconds; SDKs ask again in time
_TITLES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "AccessDenied",
    404: "NotFound",
    405: "MethodNotAllowed",
    503: "Unavailable",
}
ArnOf = Callable[[str], Awaitable[str | None]]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class BuildCredentials:
    """Gives each running build the credentials of its own service role. `role_of(run)` says which that is, if any.

    `project_of(run)` gives the ARN of its project, or of the pipeline whose compute it is: the service that takes the
    role on is that ARN's, and trust policies may ask for it as aws:SourceArn.
    """

    def __init__(self, identities: StoredIdentities, key: Key, role_of: ArnOf, project_of: ArnOf) -> None:
        self._identities = identities
        self._role_of = role_of
        self._project_of = project_of
        self._key = hmac.digest(key.secret, b"codeyard container credentials 1", "sha256")

    def token(self, run: str) -> str:
        """What this build has to show. Nothing of it is stored: every server makes the same one."""
        return hmac.digest(self._key, run.encode(), "sha256").hex()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET …/container-credentials/RUN`."""
        assert scope["type"] == "http", "only HTTP comes here"
        status, answer = await self._answer(scope)
        body = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope) -> tuple[int, dict[str, str]]:
        if scope["method"] != "GET":
            return _problem(405, "Only GET is answered here.")
        run = unquote(scope["path"].rpartition("/")[2])
        given = next((value for name, value in scope["headers"] if name.lower() == b"authorization"), b"")
        # The token before all else: who has none is not told which builds there are.
        known = re.fullmatch(r"[0-9a-f-]{1,64}", run) is not None
        if not hmac.compare_digest(given, self.token(run if known else "").encode()) or not known:
            return _problem(401, "The Authorization header does not hold this build's token.")
        try:
            role = await self._role_of(run)
            if role is None:
                return _problem(404, "There is no such build that runs, or it has no service role.")
            return 200, await self._credentials(run, role)
        except Refused as error:
            return _problem(403, error.message)
        except Fault:
            return _problem(503, "The credentials cannot be read just now. Try again.")  # SDKs do

    async def _credentials(self, run: str, role: str) -> dict[str, str]:
        project = await self._project_of(run)
        if project is None:
            raise Refused("AccessDenied", "There is no such build.", 403)
        session = await self._identities.assume_for(project, role, f"AWSCodeBuild-{run}", LASTS)
        return {
            "AccessKeyId": session.id,
            "SecretAccessKey": session.secret,
            "Token": session.token,
            "Expiration": session.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "RoleArn": role,
        }


def _problem(status: int, message: str) -> tuple[int, dict[str, str]]:
    return status, {"code": _TITLES[status], "message": message}
