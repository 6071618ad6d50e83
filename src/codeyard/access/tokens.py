"""Session tokens: all there is to know of a session, sealed by the vault's key, so that nothing need be stored."""

import base64
import binascii
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from codeyard.access.model import Limits
from codeyard.aws import Refused
from codeyard.errors import Fault
from codeyard.secrets.sealing import Key

_PLACE = b"codeyard session token 1"
_LONGEST = 16_384  # characters: AWS promises no limit


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a token says."""

    id: str  # of the access key that the token belongs to
    secret: str = field(repr=False)
    account: str
    issued: datetime  # whole seconds
    expires: datetime
    role: str | None = None  # its ARN; None: a session of the account's root
    role_id: str = ""  # a role that was deleted and made again is another
    name: str = ""  # of the session
    limits: Limits = field(default_factory=Limits)


def seal(ticket: Ticket, key: Key) -> str:
    limits = ticket.limits
    told = json.dumps(
        {
            "id": ticket.id,
            "secret": ticket.secret,
            "account": ticket.account,
            "issued": int(ticket.issued.timestamp()),
            "expires": int(ticket.expires.timestamp()),
            "role": ticket.role,
            "role_id": ticket.role_id,
            "name": ticket.name,
            "limits": [limits.policies, dict(limits.tags), limits.source_identity],
        }
    )
    return base64.urlsafe_b64encode(key.seal(told.encode(), _PLACE)).decode()


def unseal(token: str, key: Key) -> Ticket:
    """Refused (InvalidClientTokenId): it is none of ours."""
    try:
        if len(token) > _LONGEST:
            raise ValueError
        told = json.loads(key.open(base64.b64decode(token.encode("ascii"), b"-_", validate=True), _PLACE))
    except (ValueError, binascii.Error, Fault):
        raise invalid() from None
    return Ticket(
        id=told["id"],
        secret=told["secret"],
        account=told["account"],
        issued=datetime.fromtimestamp(told["issued"], UTC),
        expires=datetime.fromtimestamp(told["expires"], UTC),
        role=told["role"],
        role_id=told["role_id"],
        name=told["name"],
        limits=Limits(tuple(told["limits"][0]), told["limits"][1], told["limits"][2]),
    )


def invalid() -> Refused:
    return Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)


def expired() -> Refused:
    return Refused("ExpiredToken", "The security token included in the request is expired", 403)
