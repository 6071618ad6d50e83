"""Policy documents: from JSON to a Policy, or every mistake at once, in the words of IAM.

See "IAM JSON policy elements reference" in the IAM user guide.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from codeyard.aws.conditions import Condition, mistaken, parse_operator
from codeyard.aws.policy_statement import ANYBODY, Effect, Policy, Principal, Statement
from codeyard.aws.wildcards import matches
from codeyard.errors import Invalid

SYNTAX = "Syntax errors in policy."
_VERSIONS = ("2012-10-17", "2008-10-17")
_ELEMENTS = frozenset("Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split())
_PRINCIPALS = ("AWS", "Service", "Federated", "CanonicalUser")
_TRUST_ACTIONS = tuple(
    "AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity TagSession SetSourceIdentity SetContext".split()
)
_PARTITIONS = ("aws", "aws-cn", "aws-us-gov", "*")
_ARN = r"arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:\S{1,600}"
_SERVICE = r"[a-z0-9][a-z0-9.-]{0,200}\.(amazonaws\.com|amazonaws\.com\.cn|amazon\.com)"
Say = Callable[..., None]  # (where, detail, text=SYNTAX): one more mistake


class Kind(StrEnum):
    """What the policy stands on, which decides the elements that it has."""

    IDENTITY = "identity"  # of a role or session: no Principal
    TRUST = "trust"  # who may assume a role: no Resource
    RESOURCE = "resource"  # on a resource: both


class Malformed(Invalid):
    """A document with mistakes. `message` is AWS's text, with the places; `mistakes` one text for each."""

    def __init__(self, mistakes: tuple[tuple[str, str], ...]) -> None:
        by_text: dict[str, list[str]] = {}
        for text, detail in mistakes:
            by_text.setdefault(text, []).append(detail)
        told = [" ".join((text, *([f"({'; '.join(d)})"] if (d := [x for x in details if x]) else [])))
                for text, details in by_text.items()]  # fmt: skip
        super().__init__("the policy document", " ".join(told), "Correct it.")
        self.args = (mistakes,)
        self.mistakes = tuple(f"{text} {detail}".strip() for text, detail in mistakes)
        self.message = " ".join(told)

    def __str__(self) -> str:
        return self.message


def parse(text: str, kind: Kind, name: str = "") -> Policy:
    """The policy, whose name is kept for those who ask what decided. Malformed."""
    mistakes: list[tuple[str, str]] = []

    def say(where: str, detail: str, text: str = SYNTAX) -> None:
        mistakes.append((text, ": ".join(part for part in (where, detail) if part)))

    statements = _document(text, kind, say)
    if mistakes:
        raise Malformed(tuple(mistakes[:20]))
    return Policy(tuple(statements), name)


def _document(text: str, kind: Kind, say: Say) -> list[Statement]:
    try:
        document = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        detail = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        say("", detail[:200], "This policy contains invalid Json" if not isinstance(error, _Twice) else SYNTAX)
        return []
    if not isinstance(document, dict):
        say("", "it must be an object")
        return []
    for element in document.keys() - {"Version", "Id", "Statement"}:
        say("", f"there is no element {element[:40]!r}")
    version = document.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        say("Version", "must be 2012-10-17 or 2008-10-17")
    if not isinstance(document.get("Id", ""), str):
        say("Id", "must be a string")
    return _statements(document.get("Statement"), kind, version == _VERSIONS[0], say)


def _statements(given: Any, kind: Kind, variables: bool, say: Say) -> list[Statement]:
    listed = given if isinstance(given, list) else [given]
    if not given or not all(isinstance(each, dict) for each in listed):
        say("Statement", "must be a statement or a list of them")
        return []
    found = [_statement(f"Statement[{i}]", each, kind, variables, say) for i, each in enumerate(listed)]
    sids = [statement.sid for statement in found if statement.sid]
    if len(set(sids)) < len(sids):
        say("", "", "Statement IDs (SID) in a single policy must be unique.")
    return found


def _statement(where: str, given: dict[str, Any], kind: Kind, variables: bool, say: Say) -> Statement:
    for element in given.keys() - _ELEMENTS:
        say(where, f"there is no element {element[:40]!r}")
    effect = given.get("Effect")
    if effect not in ("Allow", "Deny"):
        say(f"{where}.Effect", "must be Allow or Deny")
    for element in ("Action", "Resource", "Principal"):
        if element in given and f"Not{element}" in given:
            say(where, f"{element} and Not{element} exclude each other")
    actions = _actions(where, given, kind, say)
    resources = _resources(where, given, kind, say)
    return Statement(
        effect=Effect.ALLOW if effect == "Allow" else Effect.DENY,
        actions=actions,
        sid=_sid(where, given.get("Sid", ""), kind, say),
        not_actions="NotAction" in given,
        resources=resources,
        not_resources="NotResource" in given,
        principal=_principal(where, given, kind, say),
        conditions=_conditions(f"{where}.Condition", given.get("Condition", {}), say),
        variables=variables,
    )


def _sid(where: str, sid: Any, kind: Kind, say: Say) -> str:
    if not isinstance(sid, str):
        say(f"{where}.Sid", "must be a string")
        return ""
    if kind is not Kind.RESOURCE and re.fullmatch(r"[0-9A-Za-z]*", sid) is None:
        rule = "Check that your input satisfies the regular expression [0-9A-Za-z]*"
        say(f"{where}.Sid", repr(sid[:40]), f"Statement IDs (SID) should be alpha-numeric. {rule}")
    return sid


def _actions(where: str, given: Mapping[str, Any], kind: Kind, say: Say) -> tuple[str, ...]:
    element = "NotAction" if "NotAction" in given else "Action"
    actions = _texts(f"{where}.{element}", given.get(element, []), say)
    if not actions:
        say(where, "", "Policy statement must contain actions.")
    for action in actions:
        vendor, colon, name = action.partition(":")
        if action == "*" and kind is not Kind.TRUST:
            continue
        if not colon and action != "*":
            text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            say(f"{where}.{element}", repr(action[:80]), text)
        elif ":" in name:
            say(f"{where}.{element}", repr(action[:80]), "Actions/Condition can contain only one colon.")
        elif action != "*" and re.fullmatch(r"[a-zA-Z0-9-]+", vendor) is None:
            say(f"{where}.{element}", "", f"Vendor {vendor[:80]} is not valid")
        elif kind is Kind.TRUST and not _assumes(action):
            say(f"{where}.{element}", repr(action[:80]), "AssumeRole policy may only specify STS AssumeRole actions.")
    return actions


def _assumes(action: str) -> bool:
    return any(matches(action, f"sts:{name}", ignore_case=True) for name in _TRUST_ACTIONS) and action != "*"


def _resources(where: str, given: Mapping[str, Any], kind: Kind, say: Say) -> tuple[str, ...] | None:
    element = "NotResource" if "NotResource" in given else "Resource"
    if kind is Kind.TRUST:
        if element in given:
            say(where, "", "Has prohibited field Resource")
        return None
    resources = _texts(f"{where}.{element}", given.get(element, []), say)
    if not resources:
        say(where, "", "Policy statement must contain resources.")
    return tuple(_resource(f"{where}.{element}", resource, say) for resource in resources)


def _resource(where: str, text: str, say: Say) -> str:
    """The ARN, whole: to one that ends early IAM adds what is missing, as wildcards."""
    parts = text.split(":", 5)
    if text == "*":
        return text
    if parts[0] != "arn" or len(parts) < 3:
        say(where, "", f'Resource {text[:200]} must be in ARN format or "*".')
    elif parts[1] not in _PARTITIONS:
        say(where, "", f'Partition "{parts[1][:40]}" is not valid for resource "{text[:200]}".')
    elif not parts[2]:
        say(where, repr(text[:200]), "Resource vendor must be fully qualified and cannot contain regexes.")
    return text + ":*" * (6 - len(parts))


def _principal(where: str, given: Mapping[str, Any], kind: Kind, say: Say) -> Principal | None:
    element = "NotPrincipal" if "NotPrincipal" in given else "Principal"
    if kind is Kind.IDENTITY:
        if element in given:
            say(where, "", "Policy document should not specify a principal.")
        return None
    value = given.get(element)
    if value is None:
        say(where, "", "Missing required field Principal")
        return None
    if value == ANYBODY:
        return Principal({"AWS": (ANYBODY,)}, element == "NotPrincipal")
    if not isinstance(value, dict) or not value:
        say(f"{where}.{element}", 'must be "*" or an object of AWS, Service, Federated or CanonicalUser')
        return None
    named = {kind: _texts(f"{where}.{element}.{kind[:40]}", texts, say) for kind, texts in value.items()}
    for type, texts in named.items():
        for text in texts:
            if not _is_principal(type, text):
                say(f"{where}.{element}", "", f'Invalid principal in policy: "{type[:40].upper()}":"{text[:200]}"')
    return Principal(named, element == "NotPrincipal")


def _is_principal(type: str, text: str) -> bool:
    if type == "AWS":
        return text == ANYBODY or re.fullmatch(rf"[0-9]{{12}}|{_ARN}", text) is not None
    if type == "Service":
        return re.fullmatch(_SERVICE, text) is not None
    return type in _PRINCIPALS and bool(text)


def _conditions(where: str, given: Any, say: Say) -> tuple[Condition, ...]:
    if not isinstance(given, dict):
        say(where, "must be an object")
        return ()
    found: list[Condition] = []
    for name, keys in given.items():
        operator = parse_operator(name)
        if operator is None:
            say(where, f"there is no operator {name[:60]!r}")
        elif not isinstance(keys, dict):
            say(f"{where}.{name}", "must be an object of keys and values")
        else:
            found += [_condition(f"{where}.{name}", operator, key, value, say) for key, value in keys.items()]
    return tuple(found)


def _condition(where: str, operator: Any, key: str, value: Any, say: Say) -> Condition:
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | bool | int | float) for each in listed):
        say(f"{where}.{key[:60]}", "must be a string or a list of strings")
        listed = []
    values = tuple(each if isinstance(each, str) else json.dumps(each) for each in listed)
    wrong = next((each for each in values if mistaken(operator[0], each)), None)
    if wrong is not None:
        say(f"{where}.{key[:60]}", f"{wrong[:60]!r} cannot be compared by {operator[0]}")
    if re.fullmatch(r"[A-Za-z0-9-]+:.+", key, re.DOTALL) is None:
        text = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
        say(where, repr(key[:60]), text)
    return Condition(operator[0], key.lower(), values, operator[1], operator[2])


def _texts(where: str, given: Any, say: Say) -> tuple[str, ...]:
    listed = given if isinstance(given, list) else [given]
    if all(isinstance(each, str) for each in listed):
        return tuple(listed)
    say(where, "must be a string or a list of strings")
    return ()


class _Twice(ValueError):
    """A name twice in one object: readers differ on which counts, so IAM takes neither."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Twice("a name occurs twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
