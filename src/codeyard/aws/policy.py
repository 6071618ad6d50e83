"""Allow or deny, and which statement decided. See "Policy evaluation logic" in the IAM user guide.

A Deny wins over every Allow, and what nothing allows is denied; the order of policies and statements is of no account.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from codeyard.aws.conditions import Context
from codeyard.aws.policy_document import Kind, Malformed, parse
from codeyard.aws.policy_statement import Asker, Effect, Policy, Principal, Standing, Statement

__all__ = [
    "Asked",
    "Asker",
    "Decision",
    "Effect",
    "Kind",
    "Malformed",
    "Outcome",
    "Policy",
    "Principal",
    "Statement",
    "context",
    "evaluate",
    "parse",
]


class Outcome(StrEnum):
    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. `asker` is for policies that stand on a resource: others speak of whoever bears them."""

    action: str  # codebuild:StartBuild
    resource: str  # an ARN, or *
    context: Context = field(default_factory=dict)  # from `context`
    asker: Asker | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    outcome: Outcome
    statement: Statement | None = None  # the one that decided; none for an implicit deny
    policy: str = ""  # its policy's name
    delegated: bool = False  # allowed to the asker's account only, whose own policies must allow it too

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOWED


def evaluate(policies: Iterable[Policy], asked: Asked) -> Decision:
    """What the policies together say."""
    allowed: Decision | None = None
    for policy in policies:
        for statement in policy.statements:
            standing = _standing(statement, asked)
            if standing is Standing.NOT or not _covers(statement, asked):
                continue
            if statement.effect is Effect.DENY:
                return Decision(Outcome.EXPLICIT_DENY, statement, policy.name)
            delegated = standing is Standing.ACCOUNT
            if allowed is None or (allowed.delegated and not delegated):
                allowed = Decision(Outcome.ALLOWED, statement, policy.name, delegated)
    return allowed or Decision(Outcome.IMPLICIT_DENY)


def context(*parts: Mapping[str, str | tuple[str, ...]]) -> Context:
    """One context of several, keys in lower case; what comes later counts."""
    return {key.lower(): value for part in parts for key, value in part.items()}


def _standing(statement: Statement, asked: Asked) -> Standing:
    if statement.principal is None:
        return Standing.ITSELF
    return Standing.NOT if asked.asker is None else statement.principal.means(asked.asker)


def _covers(statement: Statement, asked: Asked) -> bool:
    def lookup(key: str) -> str | None:
        value = asked.context.get(key)
        return value if isinstance(value, str) else None

    return statement.covers(asked.action, asked.resource, asked.context, lookup)
