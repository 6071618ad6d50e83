"""The bench on which actions are tried keeps the promises of a Work."""

import asyncio
from pathlib import Path

from codeyard.durable import Answer
from codeyard.pipelines.actions import Work
from tests.pipelines.works import a_blob, a_tree, action, bench_at


async def test_a_step_is_remembered_by_the_next_process(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Test/Custom/T/1"))
    done: list[int] = []

    async def once() -> Answer:
        done.append(1)
        return {"n": len(done)}

    work: Work = bench
    first = await work.step("once", once)
    second = await bench.again().step("once", once)

    assert first == second == {"n": 1}


async def test_a_tree_has_a_zip_and_a_blob_its_bytes_when_they_are_needed(tmp_path: Path) -> None:
    tree, blob = a_tree(tmp_path, "Tree", {"a/b": b"x"}), a_blob(tmp_path, "Blob", b"raw")
    bench = bench_at(tmp_path, action("Test/Custom/T/1", inputs=["Tree", "Blob"]), [tree, blob])
    before = bench.keys()
    zipped, raw = [await bench.zipped(each) for each in bench.inputs]

    assert before == []
    assert (zipped.there, bench.stored(zipped.key)[:2], bench.stored(raw.key)) == (True, b"PK", b"raw")
    assert bench.files(tree) == {"a/b": b"x"}


async def test_an_answer_is_waited_for(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Test/Custom/T/1"))
    waiting = asyncio.ensure_future(bench.answer(1))
    bench.give({"n": 1})
    await asyncio.sleep(0)
    early = waiting.done()
    bench.give({"n": 2})

    assert not early
    assert await waiting == {"n": 2}
