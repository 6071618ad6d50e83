import asyncio
import time

import pytest

from codeyard.aws import Refused
from codeyard.secrets.allowed_pattern import Patterns


@pytest.mark.parametrize(
    ("pattern", "value"), [(r"\d+", "123"), (r"^\d+$", "123"), ("a|b", "b"), ("ä.*", "ä\U0001f600")]
)
async def test_a_value_that_matches_passes(pattern: str, value: str) -> None:
    await Patterns().check(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value", "code"),
    [
        (r"\d+", "12x", "ParameterPatternMismatchException"),
        ("b", "abc", "ParameterPatternMismatchException"),
        ("(", "x", "InvalidAllowedPatternException"),
    ],
)
async def test_another_is_refused_without_being_told(pattern: str, value: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        await Patterns().check(pattern, value)

    assert caught.value.code == code
    assert "abc" not in str(caught.value)


async def test_a_pattern_that_takes_for_ever_is_stopped_and_holds_nobody_up() -> None:
    begun = time.monotonic()
    patterns = Patterns()

    async def endless() -> None:
        with pytest.raises(Refused, match="takes too long"):
            await patterns.check("(a+)+b", "a" * 4000)

    slow = asyncio.create_task(endless())
    await patterns.check("a", "a")
    quick = time.monotonic() - begun
    await slow

    assert quick < 1.5
    assert time.monotonic() - begun < 10
