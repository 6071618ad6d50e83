"""Parameter Store and Secrets Manager, asked through boto3: AWS itself, or any endpoint that speaks its protocol.

Credentials, region and endpoint are whatever boto3 finds: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL,
AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL_SECRETS_MANAGER and so on.
"""

import asyncio
import threading
from typing import Any

from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound
from codeyard.secrets import Secret, SecretReference, missing_parameter, missing_secret, pick

_MISSING = frozenset({"ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException"})
_INVALID = frozenset({"InvalidParameterException", "InvalidRequestException", "ValidationException"})
_BUSY = frozenset({"InternalFailure", "InternalServerError", "InternalServiceError", "ServiceUnavailable"})
_INSTALL = "Install it: pip install boto3"
_CONFIGURE = "Set AWS_REGION, and credentials that boto3 finds: AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret key."


class AwsSecrets:
    """A SecretProvider that asks AWS anew for each value: nothing is kept."""

    def __init__(self, region: str | None = None) -> None:
        """`region`: None is the one that boto3 finds."""
        self._region = region
        self._session: Any = None
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()  # a boto3 session makes one client at a time; a client serves many threads

    async def parameter(self, name: str) -> Secret:
        """ssm:GetParameters, decrypted; see SecretProvider."""
        return await asyncio.to_thread(self._parameter, name)

    async def secret(self, reference: SecretReference) -> Secret:
        """secretsmanager:GetSecretValue; see SecretProvider."""
        return pick(await asyncio.to_thread(self._secret, reference), reference)

    def _parameter(self, name: str) -> Secret:
        answer = self._ask("ssm", "get_parameters", missing_parameter(name), Names=[name], WithDecryption=True)
        if not answer["Parameters"]:  # it is among the InvalidParameters then
            raise missing_parameter(name)
        return Secret(answer["Parameters"][0]["Value"])

    def _secret(self, reference: SecretReference) -> Secret:
        asked = {"SecretId": reference.id, "VersionStage": reference.stage, "VersionId": reference.version}
        wanted = {key: value for key, value in asked.items() if value}
        answer = self._ask("secretsmanager", "get_secret_value", missing_secret(reference), **wanted)
        if "SecretString" not in answer:
            why = "it is binary, and a build takes text only."
            raise Invalid(f"secret {reference.id}", why, "Store it as text, for instance in base64.")
        return Secret(answer["SecretString"])

    def _ask(self, service: str, operation: str, missing: NotFound, **asked: object) -> Any:
        """What the operation answers; `missing` is raised when AWS has not got it."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise Invalid(missing.what, "AWS is asked through boto3, which is not installed.", _INSTALL) from None
        try:
            return getattr(self._client(service), operation)(**asked)
        except ClientError as error:
            raise _refused(error.response.get("Error", {}), missing) from error
        except BotoCoreError as error:
            raise _unasked(error, missing.what) from error

    def _client(self, service: str) -> Any:
        with self._lock:
            if service not in self._clients:
                import boto3
                from botocore.config import Config

                retries = {"mode": "standard", "total_max_attempts": 4}
                config = Config(connect_timeout=5, read_timeout=20, retries=retries, user_agent_extra="codeyard")
                self._session = self._session or boto3.session.Session(region_name=self._region)
                self._clients[service] = self._session.client(service, config=config)
            return self._clients[service]


def _refused(error: dict[str, str], missing: NotFound) -> CodeyardError:
    """What AWS's error means. Its own words are kept: the build's phase context shows them, as CodeBuild's does."""
    code, text = error.get("Code", "Unknown"), error.get("Message", "")
    if code in _MISSING:
        return missing
    why = f"{code}: {text}"
    if code in _INVALID:
        return Invalid(missing.what, why, "Correct the reference.")
    if code in _BUSY or "Throttl" in code:
        return Fault(missing.what, why, "Try again.")
    return Denied(missing.what, why, "Allow it to the role or user whose credentials are used, or use another's.")


def _unasked(error: Exception, what: str) -> CodeyardError:
    """What it means that boto3 could not ask, or got no answer."""
    from botocore.exceptions import ConnectionError as Unreached
    from botocore.exceptions import HTTPClientError, ParamValidationError

    if isinstance(error, ParamValidationError):
        return Invalid(what, f"{error}.", "Correct the reference.")
    if isinstance(error, HTTPClientError | Unreached):
        return Fault(what, f"{error}.", "See that the endpoint can be reached: AWS_ENDPOINT_URL, AWS_REGION, proxies.")
    return Denied(what, f"{error}.", _CONFIGURE)
