"""A policy as values: what its document says, checked. Made by `policy_document.parse`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from codeyard.aws.conditions import Condition, Context
from codeyard.aws.wildcards import Lookup, matches

ANYBODY = "*"


class Effect(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


class Standing(StrEnum):
    """How a Principal element means somebody."""

    NOT = "not"
    ACCOUNT = "account"  # their account, which decides by their own policies
    ITSELF = "itself"


@dataclass(frozen=True, slots=True)
class Asker:
    """Whom a Principal element may mean: a service, or somebody of an account by any of their ARNs."""

    account: str | None = None
    arns: tuple[str, ...] = ()  # of a session: its own and its role's
    service: str | None = None  # codebuild.amazonaws.com


@dataclass(frozen=True, slots=True)
class Principal:
    """The Principal or (`negated`) the NotPrincipal element. `named` is by type (AWS, Service, …)."""

    named: Mapping[str, tuple[str, ...]]
    negated: bool = False

    def means(self, asker: Asker) -> Standing:
        found = {self._one(kind, text, asker) for kind, texts in self.named.items() for text in texts}
        best = next((standing for standing in (Standing.ITSELF, Standing.ACCOUNT) if standing in found), Standing.NOT)
        if not self.negated:
            return best
        return Standing.ITSELF if best is Standing.NOT else Standing.NOT

    def _one(self, kind: str, text: str, asker: Asker) -> Standing:
        if kind == "Service":
            return Standing.ITSELF if asker.service == text else Standing.NOT
        if kind != "AWS":
            return Standing.NOT
        if text == ANYBODY or text in asker.arns:
            return Standing.ITSELF
        account = text.removeprefix("arn:aws:iam::").removesuffix(":root")
        return Standing.ACCOUNT if asker.account is not None and asker.account == account else Standing.NOT


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Of Action and NotAction one is there, of Resource and NotResource at the most one."""

    effect: Effect
    actions: tuple[str, ...]
    sid: str = ""
    not_actions: bool = False  # all but those
    resources: tuple[str, ...] | None = None  # None: the policy stands on a resource, and means that
    not_resources: bool = False
    principal: Principal | None = None
    conditions: tuple[Condition, ...] = ()
    variables: bool = True  # a document of 2008 has none

    def covers(self, action: str, resource: str, context: Context, lookup: Lookup) -> bool:
        """Whether it speaks of such a request, whoever makes it."""
        variables = lookup if self.variables else None
        named = any(matches(pattern, action, ignore_case=True) for pattern in self.actions)
        if named is self.not_actions:
            return False
        if self.resources is not None:
            on = any(matches(pattern, resource, variables) for pattern in self.resources)
            if on is self.not_resources:
                return False
        return all(condition.met(context, variables) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Policy:
    """A document's statements. The name is for people: which policy it was that decided."""

    statements: tuple[Statement, ...]
    name: str = ""
