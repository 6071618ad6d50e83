"""The wire: what a caller may rely on who answers AWS's operations, and nothing of how bytes become calls.

A service is a class (or several) whose methods bear `@operation("StartBuild")`. A method takes a Call, whose input was
checked against botocore's model, and gives the output by the names of that model's shape: a member that is None or
left out does not appear; a datetime becomes a timestamp. What it raises becomes AWS's error: a Refused by its own code
and text, each other CodeyardError by the table that the service gives (`Service.errors`).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from codeyard.errors import CodeyardError
from codeyard.ident import Owner

Shape = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as their signature proved."""

    account: str
    arn: str  # arn:aws:iam::ACCOUNT:root, or arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
    id: str  # the unique id: the account's number for its root, AROA…:SESSION for a role
    role: str | None = None  # the role's ARN, whose policies decide; None: the root, who may do everything

    @property
    def name(self) -> str:
        """What CodeBuild calls the initiator: `root`, or `role/session` (reference 2.1)."""
        return self.arn.rpartition(":")[2].removeprefix("assumed-role/")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, recognised, authenticated, allowed and checked."""

    service: str  # botocore's name: codebuild, logs, secretsmanager, ssm, sts, iam
    operation: str
    input: Shape = field(repr=False)  # it may hold a secret
    caller: Caller
    region: str
    request_id: str
    context: Mapping[str, str] = field(default_factory=dict, repr=False)  # what conditions may ask of the request

    @property
    def owner(self) -> Owner:
        """Whose resources it speaks of: state is kept apart by account and region."""
        return Owner(self.caller.account, self.region)


class Refused(CodeyardError):
    """AWS's own error: `code` is its type, the text what AWS says. For all that a service's table does not cover."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message, code, "")
        self.args = (code, message, status)
        self.code, self.message, self.status = code, message, status

    def __str__(self) -> str:
        return self.message


Said = Mapping[str, str | tuple[str, ...]]  # what conditions may ask for: values by key
Handler = Callable[[Call], Awaitable[Shape | None]]
Resources = Callable[[Call], str | tuple[str, ...]]
Exact = Callable[[Call, tuple[str, ...]], Awaitable[tuple[str, ...]]]
_H = TypeVar("_H", bound=Callable[..., Awaitable[Shape | None]])
_NAME = "__aws_operation__"


def everything(_call: Call) -> str:
    """The resource of an operation that speaks of none in particular."""
    return "*"


def operation(name: str, resource: Resources = everything) -> Callable[[_H], _H]:
    """Marks a method as the handler of this operation. `resource` gives the ARNs that a policy must allow it on."""

    def mark(handler: _H) -> _H:
        setattr(handler, _NAME, (name, resource))
        return handler

    return mark


@dataclass(frozen=True, slots=True)
class Service:
    """One AWS service as we answer it. Every operation of the model is in a handler or, with a reason, in `declined`.

    `errors` gives the code (and for others than 400 the HTTP status) of each kind of CodeyardError.
    """

    name: str  # botocore's
    handlers: tuple[object, ...]
    errors: Mapping[type[CodeyardError], str | tuple[str, int]]
    declined: Mapping[str, str] = field(default_factory=dict)  # operation → why, a sentence
    other: str | None = None  # why all operations are declined that are named nowhere; None: there are none
    exact: Exact | None = None  # makes of a call's ARNs those that only the state knows, such as a secret's
    said: Callable[[Call], Said] = lambda _call: {}  # what conditions may ask of a call, besides what they may of all

    def operations(self) -> dict[str, tuple[Handler, Resources]]:
        """By name: the handler, and what it needs to be allowed on."""
        found: dict[str, tuple[Handler, Resources]] = {}
        for handlers in self.handlers:
            for attribute in dir(type(handlers)):
                marked = getattr(getattr(type(handlers), attribute), _NAME, None)
                if marked is not None:
                    assert marked[0] not in found, f"{marked[0]} has two handlers"
                    found[marked[0]] = (getattr(handlers, attribute), marked[1])
        return found


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list, and where the next begins: any text of ours; the wire seals it into an opaque token."""

    items: tuple[Any, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An access key as the verifier needs it."""

    id: str
    secret: str = field(repr=False)
    caller: Caller


class Identities(Protocol):
    """Who may do what."""

    async def key(self, id: str, token: str | None) -> Key:
        """The key of this id, of a session if there is a token. Refused: InvalidClientTokenId, ExpiredToken."""
        ...

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        """Nothing, if the caller's policies allow `codebuild:StartBuild` and the like on each of the ARNs.

        `context` is what conditions may ask for (aws:SourceIp, codebuild:…). Refused: AccessDeniedException, with
        AWS's text, which names the caller, the action and the resource.
        """
        ...
