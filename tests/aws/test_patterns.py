import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws.patterns import LONGEST, pattern
from tests.wire.served import service_model

TAG = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$"
SERVICES = ("codebuild", "logs", "secretsmanager", "ssm", "sts", "iam")
PATTERNS = sorted(
    {
        shape["pattern"]
        for service in SERVICES
        for shape in service_model(service)._service_description["shapes"].values()
        if "pattern" in shape
    }
)


def matches(text: str, value: str) -> bool:
    found = pattern(text)
    assert found is not None
    return found.matches(value)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("[a-z]+", "abc", True),
        ("[a-z]+", "abc1", False),  # the whole text, as Java's matches()
        ("^[a-z]+$", "abc\n", False),
        (r"\d{12}", "٣" * 12, False),  # ASCII's digits, as Java's
        (r"[\w-_]+", "a-_9", True),
        (TAG, "Größe 3/ä=é", True),
        (TAG, "日本語", True),
        (TAG, "a#b", False),
        (TAG, "a\u200bb", False),
        (TAG, "\ue000", False),  # what stands for a letter is none
        (r"^([\p{L}\p{Z}\p{N}\p{P}\p{M}]*)$", "¿qué?", True),
        ("[\\u0020-\\u00FF]+", "\u0100", False),
        ("[\\u0020-\\uFFFD\\u10000-\\u10FFFF]+", "💥", True),
    ],
)
def test_a_pattern_matches_as_in_java(text: str, value: str, expected: bool) -> None:
    assert matches(text, value) is expected


@pytest.mark.parametrize("text", ["(a+)+", "([a-z]+-)+", "(a*)*b", "((ab?)*c?)*", "[", r"\p{Foo", "(?<x>a)"])
def test_a_pattern_that_is_risky_or_unknown_is_not_checked(text: str) -> None:
    assert pattern(text) is None


def test_nearly_all_of_awss_patterns_are_checked() -> None:
    unchecked = [text for text in PATTERNS if pattern(text) is None]

    assert unchecked == [r"^([a-z]+-)+\d+$"]


HOSTILE = [
    unit * (size // len(unit)) + end
    for unit in ("a", "a-", "/", "0", " ", "é", "a/", "-a.", "\n")
    for size in (LONGEST - 1, 50, 400)
    for end in ("", "!", "\x00")
]


@pytest.mark.parametrize("text", [text for text in PATTERNS if pattern(text) is not None])
def test_no_text_takes_long(text: str) -> None:
    started = time.perf_counter()
    took = [(matches(text, hostile), time.perf_counter()) for hostile in HOSTILE]

    assert took[-1][1] - started < 5


@given(st.text(max_size=30))
def test_categories_are_unicodes(value: str) -> None:
    """A pattern of letters and digits says of any text what Python says of each character."""
    expected = all(one.isalpha() or one.isnumeric() or re.match(r"\w", one, re.ASCII) for one in value)
    found = matches(r"[\p{L}\p{N}_]*", value)

    assert found == expected or any(one.isnumeric() and one.isalpha() for one in value)


def test_too_long_a_text_matches_nothing_but_a_plain_pattern() -> None:
    assert matches("[a-z]*", "a" * (LONGEST * 10))
    assert not matches("a[a-z]*b?", "a" * (LONGEST + 1))
