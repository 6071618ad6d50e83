"""The rule VariableCheck: whether a variable's value is what a condition wants. Pure.

Values are compared as texts, and MATCHES is of the whole text by Java's regular expressions.
Source: docs.aws.amazon.com/codepipeline/latest/userguide/rule-reference-VariableCheck.html.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from codeyard.errors import Invalid
from codeyard.pipelines.java_regex import BadRegex, JavaRegex

_FIX = "Write an expression without backreferences and lookaround, and a shorter one if it is large."


class Operator(StrEnum):
    EQ = "EQ"
    NE = "NE"
    CONTAINS = "CONTAINS"
    MATCHES = "MATCHES"


@dataclass(frozen=True, slots=True)
class VariableCheck:
    """One check. Holding one proves that its expression, if it has one, can be matched in bounded time."""

    operator: Operator
    value: str
    _regex: JavaRegex | None = field(default=None, repr=False, compare=False)

    @classmethod
    def parse(cls, operator: str, value: str) -> Self:
        """Of the rule's Operator and Value, variables in them resolved. Invalid."""
        if operator not in tuple(Operator):
            why = f"there are {', '.join(Operator)}."
            raise Invalid(f"operator {operator[:40]!r} of a VariableCheck", why, "Choose one of them.")
        if operator != Operator.MATCHES:
            return cls(Operator(operator), value)
        try:
            return cls(Operator.MATCHES, value, JavaRegex(value))
        except BadRegex as error:
            raise Invalid(f"regular expression {value[:200]!r}", str(error), _FIX) from None

    def passes(self, actual: str) -> bool:
        """Whether the variable's value is as wanted. Invalid: it is too long for the expression."""
        match self.operator:
            case Operator.EQ:
                return actual == self.value
            case Operator.NE:
                return actual != self.value
            case Operator.CONTAINS:
                return self.value in actual
            case Operator.MATCHES:
                assert self._regex is not None
                try:
                    return self._regex.matches(actual)
                except BadRegex as error:
                    raise Invalid(f"regular expression {self.value[:200]!r}", str(error), _FIX) from None
