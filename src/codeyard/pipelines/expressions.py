"""References to variables, `#{namespace.key}`, in any text: found, and replaced once. Pure.

Source: User Guide, "Variables reference". There is no escape and no default, and what a value brings in is not looked
at again. A secret of a configuration is put in after this, so none is ever read as a reference.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from codeyard.errors import Invalid

LIMIT = 100 * 1024  # bytes of one action's configuration once resolved (Quotas)
Values = Mapping[str, Mapping[str, str]]  # by namespace, then by key

_REFERENCE = re.compile(r"#\{([^{}]*)\}")  # a brace ends the search, so hostile text takes no longer than its length
_INSIDE = re.compile(r"([A-Za-z0-9@_-]+)\.([A-Za-z0-9@_^\[\]*$-]+)")


class Unresolved(Invalid):
    """References that name nothing; `names` are all of them, as they were written."""

    def __init__(self, names: tuple[str, ...]) -> None:
        listed = ", ".join(names[:20])
        super().__init__(
            f"The following variables could not be resolved: {listed}",
            "no action that ran before has given them.",
            "Check the namespace and the key, and that the action that gives them comes earlier.",
        )
        self.args = (names,)
        self.names = names


class TooLong(Invalid):
    """What the values come to is more than one action may be given."""

    def __init__(self, limit: int = LIMIT) -> None:
        super().__init__(
            "The resolved configuration",
            f"it is longer than {limit} bytes.",
            "Hand large values over in an artifact.",
        )
        self.args = (limit,)


def references(text: str) -> list[tuple[str, str]]:
    """The namespace and key of each reference, in order; a malformed one is none."""
    return [found for _, found in _found(text) if found is not None]


def malformed(text: str) -> list[str]:
    """What stands in `#{}` and is not one namespace and one key joined by a dot, as it is written."""
    return [written for written, found in _found(text) if found is None]


def refers(text: str) -> bool:
    """Whether anything in it is to be replaced, so that its value is not known yet."""
    return _REFERENCE.search(text) is not None


def resolve(configuration: Mapping[str, str], values: Values) -> dict[str, str]:
    """The configuration with each reference replaced. Unresolved, which names all; TooLong."""
    return dict(zip(configuration, resolve_all(configuration.values(), values), strict=True))


def resolve_all(texts: Iterable[str], values: Values) -> list[str]:
    """Texts of one action, such as its commands, each reference in them replaced. Unresolved; TooLong."""
    texts = list(texts)
    missing = [name for text in texts for name in _missing(text, values)]
    if missing:
        raise Unresolved(tuple(dict.fromkeys(missing)))
    left, resolved = LIMIT, []
    for text in texts:
        pieces = []
        for piece in _pieces(text, values):
            left -= len(piece.encode("utf-8", "surrogatepass"))
            if left < 0:
                raise TooLong()
            pieces.append(piece)
        resolved.append("".join(pieces))
    return resolved


def _found(text: str) -> Iterator[tuple[str, tuple[str, str] | None]]:
    for match in _REFERENCE.finditer(text):
        inside = _INSIDE.fullmatch(match[1])
        yield match[0], (inside[1], inside[2]) if inside else None


def _missing(text: str, values: Values) -> Iterator[str]:
    for written, found in _found(text):
        if found is None or found[1] not in values.get(found[0], {}):
            yield written


def _pieces(text: str, values: Values) -> Iterator[str]:
    at = 0
    for match in _REFERENCE.finditer(text):
        yield text[at : match.start()]
        namespace, _, key = match[1].partition(".")
        yield values[namespace][key]
        at = match.end()
    yield text[at:]
