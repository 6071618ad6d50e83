"""Which source credentials can be imported, and what a secret says that holds one. Pure."""

import json
import re
from dataclasses import dataclass, field

from codeyard.aws import Refused, Shape
from codeyard.errors import Invalid
from codeyard.ident import Owner
from codeyard.secrets import Secret, SecretReference

SERVERS = ("GITHUB", "BITBUCKET", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED")  # ServerType
_TEXT = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,4096}")  # git's protocol for credentials ends each at a newline
_FORM = 'It is a JSON object with "ServerType", "AuthType", "Token" and, for BASIC_AUTH, "Username".'


@dataclass(frozen=True, slots=True)
class Imported:
    """What ImportSourceCredentials was given. `token` is an ARN for SECRETS_MANAGER."""

    server_type: str
    auth_type: str
    token: Secret
    username: Secret | None = field(default=None)

    @property
    def resource(self) -> str | None:
        """The secret's ARN, which may be shown."""
        return self.token.reveal() if self.auth_type == "SECRETS_MANAGER" else None


def imported(given: Shape) -> Imported:
    """The credential of ImportSourceCredentials' input. Refused, with no word of what is in it."""
    server, auth = given["serverType"], given["authType"]
    username: str | None = given.get("username")
    if auth == "OAUTH":
        raise _invalid("an OAUTH connection cannot be imported: import a personal access token")
    if auth == "CODECONNECTIONS":
        raise _invalid("there are no connections here: import a personal access token, or name a secret")
    if auth == "BASIC_AUTH" and (server != "BITBUCKET" or username is None):
        raise _invalid("authType BASIC_AUTH is for serverType BITBUCKET, and requires a username")
    if auth != "BASIC_AUTH" and username is not None:
        raise _invalid("username is for authType BASIC_AUTH only")
    for text in (given["token"], username):
        if text is not None and _TEXT.fullmatch(text) is None:
            raise _invalid("the token or the username is too long, or holds a control character")
    if auth == "SECRETS_MANAGER" and not _is_secret(given["token"]):
        raise _invalid("the token of authType SECRETS_MANAGER is the ARN of a secret")
    return Imported(server, auth, Secret(given["token"]), None if username is None else Secret(username))


def from_secret(text: Secret, server: str, resource: str) -> Imported:
    """The token that a secret holds (reference 4.7), for a server of this type. Invalid, naming `resource` alone."""
    try:
        document = json.loads(text.reveal())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Invalid(f"secret {resource}", "it is no JSON object.", _FORM)
    for_server, token, username = (document.get(name) for name in ("ServerType", "Token", "Username"))
    if for_server != server:  # or none at all: a start with another type would take it to another server
        raise Invalid(f"secret {resource}", f"it does not say that its token is for {server}.", _FORM)
    if not isinstance(token, str) or _TEXT.fullmatch(token) is None:
        raise Invalid(f"secret {resource}", "it holds no Token, or one that git cannot be given.", _FORM)
    basic = document.get("AuthType") == "BASIC_AUTH"
    if basic and (not isinstance(username, str) or _TEXT.fullmatch(username) is None):
        raise Invalid(f"secret {resource}", "it holds no Username, which BASIC_AUTH needs.", _FORM)
    return Imported(server, str(document.get("AuthType")), Secret(token), Secret(str(username)) if basic else None)


def credential_arn(owner: Owner, server: str) -> str:
    """Of the account's credential for this type of server (reference 2.1)."""
    return owner.arn(f"token/{server.lower()}")


def server_of(owner: Owner, arn: str) -> str | None:
    """What `credential_arn` was given."""
    return next((server for server in SERVERS if credential_arn(owner, server) == arn), None)


def _is_secret(arn: str) -> bool:
    try:
        return SecretReference.parse(arn).id.startswith("arn:")
    except Invalid:
        return False


def _invalid(text: str) -> Refused:
    return Refused("InvalidInputException", f"Invalid input: {text}")
