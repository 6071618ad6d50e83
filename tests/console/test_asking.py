import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from codeyard.aws import Refused, Shape
from codeyard.console.asking import Asking
from codeyard.console.words import State, build_state
from tests.console.yard import REGION, Yard, build, project, queued


def only(state: State) -> Callable[[Shape], bool]:
    return lambda shape: build_state(shape) is state


async def test_who_asks_at_the_same_time_shares_an_answer(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1))
    ask = Asking(yard.call)
    found = await asyncio.gather(*(ask.build(REGION, yard.builds[0]["id"]) for _ in range(50)))

    assert {each["id"] for each in found if each} == {yard.builds[0]["id"]}
    assert len(yard.asked) == 1


async def test_now_means_now(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(build("web", 1, "IN_PROGRESS", 64, "BUILD"))
    ask, id = Asking(yard.call), yard.builds[0]["id"]
    await ask.build(REGION, id)
    yard.builds[0]["buildStatus"] = "SUCCEEDED"
    before, now = await ask.build(REGION, id), await ask.build_now(REGION, id)

    assert before is not None
    assert now is not None
    assert [before["buildStatus"], now["buildStatus"]] == ["IN_PROGRESS", "SUCCEEDED"]


async def test_one_who_leaves_does_not_take_the_answer_along(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def slow(_service: str, _operation: str, given: Shape, _region: str) -> Shape:
        await release.wait()
        return {"builds": [{"id": given["ids"][0]}]}

    ask = Asking(slow)
    one, other = (asyncio.create_task(ask.build(REGION, "web:1")) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    release.set()

    assert await other == {"id": "web:1"}


async def test_an_error_is_everybodys_and_is_forgotten(tmp_path: Path) -> None:
    answers = iter([Refused("AccessDeniedException", "no"), None])

    async def call(_service: str, _operation: str, _given: Shape, _region: str) -> Shape:
        if (error := next(answers)) is not None:
            raise error
        return {}

    ask = Asking(call)
    with pytest.raises(Refused):
        await ask.build(REGION, "web:1")

    assert await ask.build_now(REGION, "web:1") is None


async def test_the_overview_has_each_project_with_its_last_ten(tmp_path: Path) -> None:
    yard = Yard(tmp_path, projects={name: project(name) for name in ("api", "new")})
    yard.add(queued("web", 13, 1), build("web", 12, "IN_PROGRESS", 64, "BUILD"))
    yard.add(*(build("web", number, ago=6000 - number) for number in range(11, 0, -1)))
    found = await Asking(yard.call).overview(REGION, None)

    assert [(line.project["name"], len(line.builds)) for line in found.lines] == [("api", 0), ("new", 0), ("web", 10)]
    assert [each["buildNumber"] for each in found.active] == [13, 12]
    assert found.complete


async def test_builds_of_one_sort_are_looked_for_in_a_few_pages(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.add(*(build("web", number) for number in range(1200, 0, -1)))
    yard.builds[350]["buildStatus"] = "FAILED"
    ask = Asking(yard.call)
    failed = await ask.builds(REGION, None, only(State.FAILED))
    fault = await ask.builds(REGION, None, only(State.FAULT))

    assert [each["buildNumber"] for each in failed.items] == [850]
    assert failed.next == "400"
    assert (fault.items, fault.next) == ((), "500")
