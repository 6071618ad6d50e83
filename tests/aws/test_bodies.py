import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.aws.bodies import Bodies, Gone, Limits, Receive

LIMITS = Limits(body=100, seconds=0.2, held=250, small=20)


def coming(*chunks: bytes, ends: bool = True) -> Receive:
    """What an HTTP server gives; if it does not end, nothing more comes."""
    messages = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages += [{"type": "http.request"}] if ends else []

    async def receive() -> MutableMapping[str, Any]:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    return receive


async def read(bodies: Bodies, receive: Receive, announced: str | None = None) -> bytes:
    async with bodies.read(receive, announced) as body:
        return body


@given(st.lists(st.binary(max_size=20), max_size=5))
async def test_a_body_is_put_together(chunks: list[bytes]) -> None:
    assert await read(Bodies(LIMITS), coming(*chunks)) == b"".join(chunks)


@pytest.mark.parametrize(
    ("chunks", "announced"),
    [([b"x" * 101], None), ([b"x" * 60] * 2, None), ([b"x"], "101"), ([b"x"], "-1"), ([b"x"], "9" * 5000)],
)
async def test_too_long_a_body_is_refused(chunks: list[bytes], announced: str | None) -> None:
    with pytest.raises(Refused) as refused:
        await read(Bodies(LIMITS), coming(*chunks), announced)

    assert refused.value.status == 413


async def test_a_body_that_does_not_end_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        await read(Bodies(LIMITS), coming(b"x", ends=False))

    assert refused.value.status == 408


async def test_what_is_held_is_bounded_and_let_go() -> None:
    bodies = Bodies(LIMITS)
    async with bodies.read(coming(b"x" * 100), None), bodies.read(coming(b"x" * 100), None):
        with pytest.raises(Refused) as refused:
            await read(bodies, coming(b"x" * 100))
    again = await read(bodies, coming(b"x" * 100))

    assert refused.value.status == 503
    assert len(again) == 100


async def test_a_small_body_is_taken_whatever_large_ones_are_held() -> None:
    bodies = Bodies(LIMITS)
    async with bodies.read(coming(b"x" * 100), None), bodies.read(coming(b"x" * 100), None):
        with pytest.raises(Refused):
            await read(bodies, coming(b"x" * 60))
        small = [await read(bodies, coming(b"x" * 20)) for _ in range(10)]

    assert {len(each) for each in small} == {20}


async def test_a_client_that_goes_leaves_nothing_held() -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    bodies = Bodies(LIMITS)
    with pytest.raises(Gone):
        await read(bodies, receive)

    assert await read(bodies, coming(b"x")) == b"x"
