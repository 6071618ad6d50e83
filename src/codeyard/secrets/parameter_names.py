"""Names of parameters: which there may be, and what a text that names one means. Pure.

Sources: Systems Manager API reference, PutParameter, Name; user guide, "Working with parameter hierarchies" and
"Working with parameter labels".
"""

import re
from dataclasses import dataclass

from codeyard.aws import Call, Refused
from codeyard.ident import Owner

LONGEST = 1011  # characters; with its ARN it has at most 2048
DEEPEST = 15  # levels
_LETTERS = re.compile(r"[A-Za-z0-9_./-]+")
_ARN = re.compile(r"arn:aws:ssm:([^:]*):([^:]*):parameter(/[^/].*)", re.DOTALL)
_SELECTOR = re.compile(r"[0-9]{1,18}|[A-Za-z0-9_.-]{1,100}")
_LABEL = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]{0,99}")
# AWS's own words, for whatever is wrong with a name.
_SPELLING = (
    'Parameter name: can\'t be prefixed with "ssm" (case-insensitive). If formed as a path, it can consist of '
    "sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 "
    "symbols .-_"
)
_PATH = (
    "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "
    '"/". It can\'t be prefixed with "aws" or "ssm" (case-insensitive). It must use only letters, numbers, or the '
    "following symbols: . (period), - (hyphen), _ (underscore). Special characters are not allowed. All sub-paths, if "
    'specified, must use the forward slash symbol "/". Valid example: /get/parameters2-/by1./path0_.'
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What `name`, `name:3`, `name:label` or an ARN means. At most one of version and label is set."""

    names: tuple[str, ...]  # the first of them that exists; none if it belongs to another account or region
    version: int | None = None
    label: str | None = None
    selector: str | None = None  # as it was written, with its colon


def new_name(text: str) -> str:
    """The name itself, if a parameter may be called that. Refused."""
    if not _LETTERS.fullmatch(text) or len(text) > LONGEST or text.endswith("/") or "//" in text:
        raise Refused("ValidationException", _SPELLING)
    if "/" in text and not text.startswith("/"):
        raise Refused("ValidationException", "Parameter name must be a fully qualified name.")
    reserved = text.lower().lstrip("/")
    if reserved.startswith("aws") and text.count("/") > 1:
        raise Refused("AccessDeniedException", f"No access to reserved parameter name: {text}.")
    if reserved.startswith(("aws", "ssm")):
        prefixed = 'Parameter name: can\'t be prefixed with "aws" or "ssm" (case-insensitive).'
        raise Refused("ValidationException", _SPELLING if text.count("/") > 1 else prefixed)
    if text.count("/") > DEEPEST:
        message = f"A hierarchy can have a maximum of {DEEPEST} levels, and {text} has {text.count('/')}."
        raise Refused("HierarchyLevelLimitExceededException", message)
    return text


def known_name(text: str) -> str:
    """The name itself, if a parameter could be called that; of an operation that takes no ARN. Refused."""
    if not _LETTERS.fullmatch(text) or len(text) > LONGEST:
        raise Refused("ValidationException", _SPELLING)
    return text


def reference(text: str, owner: Owner) -> Reference:
    """What a reader's text names. Refused if it can name nothing."""
    arn = _ARN.fullmatch(text)
    path, colon, selected = (arn[3] if arn else text).partition(":")
    known_name(path)
    if colon and not _SELECTOR.fullmatch(selected):
        raise Refused("ValidationException", f"{selected!r} is neither a version nor a label of a parameter.")
    names: tuple[str, ...] = (path,)
    if arn:  # the parameters a and /a have the same ARN
        names = (path, path[1:]) if (arn[2], arn[1]) == (owner.account, owner.region) else ()
    if not colon:
        return Reference(names)
    if selected.isdigit():
        return Reference(names, version=int(selected), selector=f":{selected}")
    return Reference(names, label=selected, selector=f":{selected}")


def path(text: str) -> str:
    """A path of GetParametersByPath as it is compared with: with one slash at its end. Refused."""
    if not text.startswith("/") or "//" in text or not _LETTERS.fullmatch(text) or len(text) > LONGEST:
        raise Refused("ValidationException", _PATH)
    return text.rstrip("/") + "/"


def is_label(text: str) -> bool:
    """Whether a version may bear it: AWS takes the other labels of a call, and gives this one back as invalid."""
    return bool(_LABEL.fullmatch(text)) and not text.lower().startswith(("aws", "ssm"))


def arn(owner: Owner, name: str) -> str:
    """The ARN of a parameter: the slash before its name is there once, whether the name has one or not."""
    return f"arn:aws:ssm:{owner.region}:{owner.account}:parameter/{name.removeprefix('/')}"


def named_arn(owner: Owner, text: str) -> str:
    """The ARN that permission is needed on, for whatever text names a parameter: its own, in one spelling."""
    try:
        wanted = reference(text, owner)
    except Refused:  # it names nothing, and is refused once the call is looked at
        return arn(owner, text)
    return arn(owner, wanted.names[0]) if wanted.names else text


def one(call: Call) -> str:
    """The resource of an operation with a Name."""
    return named_arn(call.owner, call.input["Name"])


def several(call: Call) -> tuple[str, ...]:
    """The resources of an operation with Names."""
    return tuple(named_arn(call.owner, name) for name in call.input["Names"])


def below(call: Call) -> str:
    """The resource of an operation with a Path: whoever may read a path may read all levels of it."""
    return arn(call.owner, call.input["Path"])


def listed(call: Call) -> str:
    """The resource of an operation that lists all there are."""
    return f"arn:aws:ssm:{call.region}:{call.caller.account}:*"
