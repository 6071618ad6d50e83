"""Single files of artifacts."""

import io
import zipfile
from pathlib import Path

import pytest

from codeyard.errors import Invalid
from codeyard.pipelines.actions import ActionFailed, Artifact
from codeyard.pipelines.actions.artifact_files import file_of, input_named, text_of, with_file
from tests.pipelines.works import BUCKET, a_tree, action, bench_at


async def test_a_file_is_read_from_a_tree_or_from_an_object(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("d/f", "in the zip")
    bench = bench_at(tmp_path, action("Deploy/AWS/ECS/1"))
    bench.put("there", packed.getvalue())
    tree = a_tree(tmp_path, "Tree", {"d/f": b"in the tree"})

    assert await file_of(bench, tree, "d/f", 100) == b"in the tree"
    assert await file_of(bench, Artifact("There", BUCKET, "there", there=True), "d/f", 100) == b"in the zip"


async def test_a_text_is_utf_8_and_no_longer_than_allowed(tmp_path: Path) -> None:
    tree = a_tree(tmp_path, "Tree", {"marked": "\ufeffé".encode(), "other": b"\xff"})
    bench = bench_at(tmp_path, action("Deploy/AWS/ECS/1"))

    assert await text_of(bench, tree, "marked", 5) == "é"
    with pytest.raises(ActionFailed, match="is not UTF-8"):
        await text_of(bench, tree, "other", 5)
    with pytest.raises(ActionFailed, match="At most 4"):
        await text_of(bench, tree, "marked", 4)


async def test_an_output_holds_one_file(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Deploy/AWS/ECS/1", outputs=["Out"]))

    assert bench.files(await with_file(bench, bench.outputs[0], "d/f", b"x")) == {"d/f": b"x"}
    with pytest.raises(Invalid):
        await with_file(bench, bench.outputs[0], "../f", b"x")


def test_an_input_is_found_by_its_name(tmp_path: Path) -> None:
    tree = a_tree(tmp_path, "Tree", {})
    bench = bench_at(tmp_path, action("Deploy/AWS/ECS/1", inputs=["Tree"]), [tree])

    assert input_named(bench, "Tree", "Key") == tree
    with pytest.raises(ActionFailed, match="Key: nothing is not an input artifact"):
        input_named(bench, "", "Key")
