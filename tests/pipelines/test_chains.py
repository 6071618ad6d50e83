"""Pipelines that start each other."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from codeyard.pipelines.actions import Outcome, Place, Work
from codeyard.pipelines.actions.invoke_pipeline import InvokePipeline
from codeyard.pipelines.chains import check_chain
from codeyard.pipelines.starting import Trigger
from codeyard.pipelines.stored import StoredVersion
from tests.databases import opened
from tests.pipelines.sites import OWNER, Site, a_site, act, definition, stage


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Its actions named `start` start the pipeline that they are told to."""
    for db in opened(f"sqlite:///{tmp_path / 'test.sqlite'}"):
        async with a_site(db) as made:

            async def start(place: Place, name: str, given: Mapping[str, Any]) -> str:
                await check_chain(made.db, place, name)
                trigger = Trigger("StartPipelineExecution", f"{place.pipeline_arn}/{place.execution}")
                return await made.control.start(place.owner, name, given, trigger)

            async def run(work: Work) -> Outcome:
                return await InvokePipeline(start).run(work)

            made.script["start"] = run
            yield made


async def a_pipeline(site: Site, name: str, starts: str | None) -> str:
    """The execution that it begins with."""
    then = act("end") if starts is None else act("start", configuration={"PipelineName": starts})
    shape = {**definition("QUEUED", stage("Source", act("s")), stage("Then", then)), "name": name}
    version = StoredVersion(1, site.clock.now(), shape)
    return (await site.control.definitions.create(OWNER, version, {}, "me"))[1]


async def failed(site: Site) -> list[str]:
    """The pipelines in which an action failed, once nothing goes on any more."""
    await site.until(lambda: idle(site))
    errors = [e["detail"] for e in await site.events() if e["detail"].get("action") == "start"]
    return [each["pipeline"] for each in errors if each["state"] == "FAILED"]


async def idle(site: Site) -> bool:
    await asyncio.sleep(0.05)
    return site.runner.running == 0


async def test_a_chain_with_an_end_comes_to_it(site: Site) -> None:
    await a_pipeline(site, "c", None)
    await a_pipeline(site, "b", "c")
    await a_pipeline(site, "a", "b")

    assert await failed(site) == []


async def test_a_pipeline_that_starts_itself_is_stopped_at_once(site: Site) -> None:
    await a_pipeline(site, "a", "a")

    assert await failed(site) == ["a"]


async def test_a_circle_ends_where_it_would_close(site: Site) -> None:
    await a_pipeline(site, "c", None)
    await a_pipeline(site, "b", "c")
    await a_pipeline(site, "a", "b")
    assert await failed(site) == []
    await site.control.definitions.delete(OWNER, "c")

    await a_pipeline(site, "c", "a")

    assert await failed(site) == ["b"]
