"""Every error says what went wrong, why, and how to fix it.

    CodeyardError
    ├── Invalid     the request, the file or the option is wrong
    │   └── Misspelt    a file is wrong in places that can be pointed at
    ├── NotFound    it names something that is not there
    ├── Conflict    it is right, but not now
    ├── Denied      it is right, but not for this caller
    └── Fault       ours: a part of the system broke

A build that fails is a result, not an error.
"""

from dataclasses import dataclass


class CodeyardError(Exception):
    """`what` went wrong, `why`, and how to `fix` it: three sentences or parts of one, none of them empty."""

    def __init__(self, what: str, why: str, fix: str) -> None:
        super().__init__(what, why, fix)  # in args, so that it survives pickling: steps are journaled
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        return f"{self.what}: {self.why} {self.fix}"


class Invalid(CodeyardError):
    """The request, the file or the option is wrong; the same request can never succeed."""


class NotFound(CodeyardError):
    """What is named does not exist."""


class Conflict(CodeyardError):
    """The request is right, but the state of things forbids it now."""


class Denied(CodeyardError):
    """The request is right, but this caller may not make it."""


class Fault(CodeyardError):
    """A part of the system broke: not the caller's doing."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong at one place of a text. `line` and `column` start at 1; 0 means the whole text."""

    line: int
    column: int
    what: str
    fix: str
    text: str = ""  # the line itself
    warning: bool = False  # a trap, not an error: it runs, but seldom as meant
    key: str = ""  # where it is in the document, e.g. "phases.build.commands[2]"


class Misspelt(Invalid):
    """A text with mistakes, all of them gathered."""

    def __init__(self, what: str, mistakes: tuple[Mistake, ...]) -> None:
        first = mistakes[0]
        super().__init__(what, first.what, first.fix)
        self.args = (what, mistakes)
        self.mistakes = mistakes
