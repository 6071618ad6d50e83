"""What is kept for a moment, and when it is read again."""

import asyncio
from datetime import UTC, datetime, timedelta

from codeyard.access.fresh import KEPT, Fresh


class World:
    """A clock, and values that change."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.value = "old"
        self.loads = 0
        self.slow: asyncio.Event | None = None

    async def load(self, key: str) -> str:
        self.loads += 1
        value = self.value
        if self.slow is not None:
            await self.slow.wait()
        return f"{key} {value}"

    def fresh(self) -> Fresh[str, str]:
        return Fresh(self.load, lambda: self.time)


async def test_an_answer_is_kept_for_a_moment() -> None:
    world = World()
    fresh = world.fresh()
    first = [await fresh.get("a"), await fresh.get("a"), await fresh.get("b")]
    world.value = "new"
    world.time += KEPT - timedelta(milliseconds=1)
    second = await fresh.get("a")
    world.time += timedelta(milliseconds=1)

    assert (first, second) == (["a old", "a old", "b old"], "a old")
    assert (await fresh.get("a"), world.loads) == ("a new", 3)


async def test_a_clock_that_goes_back_keeps_nothing() -> None:
    world = World()
    fresh = world.fresh()
    await fresh.get("a")
    world.value = "new"
    world.time -= timedelta(hours=1)

    assert await fresh.get("a") == "a new"


async def test_what_was_forgotten_while_it_was_read_is_read_again() -> None:
    world = World()
    fresh = world.fresh()
    world.slow = asyncio.Event()
    reading = asyncio.create_task(fresh.get("a"))
    await asyncio.sleep(0)
    world.value = "new"
    fresh.forget("a")
    world.slow.set()

    assert await reading == "a old"
    assert await fresh.get("a") == "a new"


async def test_of_those_who_ask_at_once_one_reads() -> None:
    world = World()
    fresh = world.fresh()

    assert set(await asyncio.gather(*(fresh.get("a") for _ in range(100)))) == {"a old"}
    assert world.loads == 1


async def test_it_does_not_grow_without_end() -> None:
    world = World()
    fresh = world.fresh()
    for number in range(10_000):
        await fresh.get(str(number))

    assert len(fresh._kept) <= 4096
