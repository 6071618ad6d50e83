"""Webhooks of V1 pipelines: what may be one, which requests are from who they say, and which of those start a pipeline.

Sources: docs.aws.amazon.com/codepipeline/latest/APIReference/API_WebhookDefinition.html and API_WebhookFilterRule.html;
docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries. Pure.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Any

from codeyard.aws import Refused, Shape
from codeyard.ident import Owner
from codeyard.pipelines.json_path import BadPath, JsonPath
from codeyard.secrets import Secret
from codeyard.secrets.sealed import storable

MOST_FILTERS = 5
REDACTED = "****"  # what ListWebhooks says of a SecretToken
_CIDR = re.compile(r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]{1,100})\}")
_BAD_AUTHENTICATION = "InvalidWebhookAuthenticationParametersException"


class Authentication(StrEnum):
    GITHUB_HMAC = "GITHUB_HMAC"
    IP = "IP"
    UNAUTHENTICATED = "UNAUTHENTICATED"


@dataclass(frozen=True, slots=True)
class Filter:
    """A path that must lead somewhere in the request's body, and there, if `equals` is given, to this text."""

    path: str
    equals: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """What PutWebhook was given, checked. `token` is there for GITHUB_HMAC, `addresses` (a CIDR) for IP."""

    name: str
    pipeline: str
    action: str
    authentication: Authentication
    filters: tuple[Filter, ...]
    addresses: str | None = None
    token: Secret | None = None


def webhook_arn(owner: Owner, name: str) -> str:
    return f"arn:aws:codepipeline:{owner.region}:{owner.account}:webhook:{name}"


def parse(definition: Shape) -> Webhook:
    """Of a WebhookDefinition that fits the model. Refused: InvalidWebhookFilterPattern-, …AuthenticationParameters-."""
    filters = tuple(Filter(each["jsonPath"], each.get("matchEquals")) for each in definition["filters"])
    if not 1 <= len(filters) <= MOST_FILTERS:
        raise Refused("ValidationException", f"A webhook has 1 to {MOST_FILTERS} filters, and not {len(filters)}")
    for each in filters:
        _check(each)
    authentication = Authentication(definition["authentication"])
    given = definition["authenticationConfiguration"]
    token, addresses = given.get("SecretToken"), given.get("AllowedIPRange")
    if (token is not None) != (authentication is Authentication.GITHUB_HMAC):
        raise _bad_authentication("SecretToken is for GITHUB_HMAC, which needs it")
    if (addresses is not None) != (authentication is Authentication.IP):
        raise _bad_authentication("AllowedIPRange is for IP, which needs it")
    if addresses is not None and not _is_cidr(addresses):
        raise _bad_authentication("AllowedIPRange must be a valid CIDR range")
    if token is not None and not storable(token):
        raise _bad_authentication("SecretToken has characters that no text has")
    return Webhook(
        definition["name"],
        definition["targetPipeline"],
        definition["targetAction"],
        authentication,
        filters,
        addresses,
        None if token is None else Secret(token),
    )


def is_authentic(webhook: Webhook, body: bytes, headers: Mapping[str, str], client: str) -> bool:
    """Whether the request is from whom the webhook is for. Headers by their names in lower case; `client`: address."""
    match webhook.authentication:
        case Authentication.UNAUTHENTICATED:
            return True
        case Authentication.IP:
            return webhook.addresses is not None and _is_within(client, webhook.addresses)
        case Authentication.GITHUB_HMAC:
            return webhook.token is not None and _is_signed(webhook.token, body, headers)


def is_wanted(filters: Iterable[Filter], document: Any, configuration: Mapping[str, str]) -> bool:
    """Whether all filters fit this JSON document. json_path.TooLarge.

    `{Branch}` in a filter's text is what the target action's configuration says, without its secrets.
    """
    return all(_fits(filter, document, configuration) for filter in filters)


def to_json(filters: Iterable[Filter]) -> str:
    """As the database holds them."""
    return json.dumps([[each.path, each.equals] for each in filters])


def from_json(text: str) -> tuple[Filter, ...]:
    return tuple(Filter(path, equals) for path, equals in json.loads(text))


def to_wire(webhook: Webhook) -> dict[str, Any]:
    """The WebhookDefinition that anybody may see."""
    hidden = {"SecretToken": None if webhook.token is None else REDACTED, "AllowedIPRange": webhook.addresses}
    return {
        "name": webhook.name,
        "targetPipeline": webhook.pipeline,
        "targetAction": webhook.action,
        "filters": [{"jsonPath": each.path, "matchEquals": each.equals} for each in webhook.filters],
        "authentication": webhook.authentication.value,
        "authenticationConfiguration": {name: value for name, value in hidden.items() if value is not None},
    }


def _check(filter: Filter) -> None:
    try:
        JsonPath.parse(filter.path)
    except BadPath as error:
        text = f"The specified event filter rule is in an invalid format: jsonPath {filter.path!r}: {error}"
        raise Refused("InvalidWebhookFilterPatternException", text) from None
    if not storable(filter.path) or not storable(filter.equals or ""):
        text = "The specified event filter rule is in an invalid format: it has characters that no text has."
        raise Refused("InvalidWebhookFilterPatternException", text)


def _fits(filter: Filter, document: Any, configuration: Mapping[str, str]) -> bool:
    found = JsonPath.parse(filter.path).select(document)
    if filter.equals is None:
        return bool(found)
    # Once over, so that what a configuration holds is never looked up in turn; a key that is not there stays as it is.
    wanted = _PLACEHOLDER.sub(lambda key: configuration.get(key[1], key[0]), filter.equals)
    return any(_text(value) == wanted for value in found)


def _text(value: Any) -> str | None:
    """A value as a filter compares it: of a number and a boolean, what JSON writes; nothing else is equal to a text."""
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (bool, int, float)) else None


def _is_signed(token: Secret, body: bytes, headers: Mapping[str, str]) -> bool:
    """By the better of the signatures that GitHub sends: where there is a sha256, the sha1 does not count."""
    key = token.reveal().encode()
    for header, algorithm in (("x-hub-signature-256", hashlib.sha256), ("x-hub-signature", hashlib.sha1)):
        given = headers.get(header)
        if given is not None:
            name, _, signature = given.partition("=")
            wanted = hmac.new(key, body, algorithm).hexdigest()
            same = hmac.compare_digest(signature.encode(errors="replace"), wanted.encode())
            return same and name == algorithm().name
    return False


def _is_within(client: str, addresses: str) -> bool:
    try:
        address, network = ip_address(client), ip_network(addresses, strict=False)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # a socket for both families shows IPv4 so
    return (address if mapped is None else mapped) in network


def _is_cidr(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return _CIDR.fullmatch(text) is not None


def _bad_authentication(why: str) -> Refused:
    return Refused(_BAD_AUTHENTICATION, f"The specified authentication type is in an invalid format: {why}.")
