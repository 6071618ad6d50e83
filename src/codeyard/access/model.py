"""Pure: roles, what they are allowed, and what is said to whom they are not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from codeyard.aws import Caller, Refused, policy
from codeyard.aws.policy import Asked, Asker, Decision, Kind, Outcome, Policy

_ROLE_ARN = r"arn:aws:iam::([0-9]{12}):role(/(?:[\x21-\x7e]{1,510}/)?)([A-Za-z0-9_+=,.@-]{1,64})"
_QUERY_SERVICES = ("iam", "sts", "s3")  # whose denial is AccessDenied, and no 400


@dataclass(frozen=True, slots=True)
class RoleArn:
    """Parsed. Whether there is such a role is another question."""

    account: str
    path: str  # / or /some/path/
    name: str

    @classmethod
    def parse(cls, text: str) -> "RoleArn | None":
        match = re.fullmatch(_ROLE_ARN, text)
        return cls(match[1], match[2], match[3]) if match is not None else None

    def __str__(self) -> str:
        return f"arn:aws:iam::{self.account}:role{self.path}{self.name}"


@dataclass(frozen=True, slots=True)
class Role:
    """A role without its policies."""

    id: str  # AROA…, never used again
    arn: RoleArn
    created: datetime
    trust: str  # the document, as it was given
    description: str | None = None
    max_session: int = 3600  # seconds
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.arn.name


@dataclass(frozen=True, slots=True)
class Grants:
    """What a role may do, and who may assume it: its documents, parsed."""

    role: Role
    trust: Policy
    policies: tuple[Policy, ...]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session has beyond its role, as AssumeRole was told."""

    policies: tuple[str, ...] = ()  # session policies, documents: they take away, and never give
    tags: Mapping[str, str] = field(default_factory=dict)
    source_identity: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCaller(Caller):
    """A caller by the keys of a session; `role` None: one of the root's."""

    limits: Limits = field(default_factory=Limits, hash=False)
    issued: datetime | None = None


def session_arn(role: RoleArn, name: str) -> str:
    return f"arn:aws:sts::{role.account}:assumed-role/{role.name}/{name}"


def asker(caller: Caller) -> Asker:
    """The caller as the policies on resources and roles know them."""
    return Asker(caller.account, tuple(arn for arn in (caller.arn, caller.role) if arn is not None))


def identity_context(caller: Caller, grants: Grants | None) -> Mapping[str, str]:
    """What conditions may ask of the caller: "AWS global condition context keys"."""
    limits = caller.limits if isinstance(caller, SessionCaller) else Limits()
    issued = caller.issued if isinstance(caller, SessionCaller) else None
    tags = {**(grants.role.tags if grants is not None else {}), **limits.tags}
    return {
        "aws:PrincipalArn": caller.role or caller.arn,
        "aws:PrincipalAccount": caller.account,
        "aws:PrincipalType": "AssumedRole" if caller.role is not None else "Account",
        "aws:userid": caller.id,
        **({"aws:SourceIdentity": limits.source_identity} if limits.source_identity is not None else {}),
        **({"aws:TokenIssueTime": issued.strftime("%Y-%m-%dT%H:%M:%SZ")} if issued is not None else {}),
        **{f"aws:PrincipalTag/{key}": value for key, value in tags.items()},
    }


def decide(caller: Caller, grants: Grants, asked: Asked) -> tuple[Decision, str]:
    """What the role's policies and the session's say together, and which kind of them denied: for the text."""
    by_role = policy.evaluate(grants.policies, asked)
    limits = caller.limits.policies if isinstance(caller, SessionCaller) else ()
    if by_role.outcome is Outcome.EXPLICIT_DENY or not limits:
        return by_role, "identity-based"
    by_session = policy.evaluate((session_policy(text) for text in limits), asked)
    if by_session.outcome is Outcome.EXPLICIT_DENY or (by_role.allowed and not by_session.allowed):
        return by_session, "session"
    return by_role, "identity-based"


@lru_cache(256)
def session_policy(text: str) -> Policy:
    """Malformed."""
    return policy.parse(text, Kind.IDENTITY, "session policy")


def denied(caller: Caller, action: str, resource: str, decision: Decision, kind: str) -> Refused:
    """AWS's words: "Troubleshoot access denied error messages" in the IAM user guide."""
    who = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
    if decision.outcome is Outcome.EXPLICIT_DENY:
        article = "an" if kind[0] in "aeiou" else "a"
        why = f"with an explicit deny in {article} {kind} policy"
    else:
        why = f"because no {kind} policy allows the {action} action"
    return access_denied(action, f"{who} {why}")


def access_denied(action: str, text: str) -> Refused:
    if action.partition(":")[0] in _QUERY_SERVICES:
        return Refused("AccessDenied", text, 403)
    return Refused("AccessDeniedException", text)
