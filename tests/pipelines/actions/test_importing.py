"""What came from outside becomes a tree, and files of trees are read with bounds."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from codeyard.artifacts import Kind
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode
from codeyard.pipelines.actions.importing import import_directory, read_file, scratch, tree_of
from tests.pipelines.works import BUCKET, a_blob, a_tree, action, bench_at


def packed(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, each in files.items():
            archive.writestr(name, each)
    return content.getvalue()


def test_a_directory_is_taken_over_with_links_and_modes(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    place = tmp_path / "given"
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "run").write_text("x")
    (place / "bin" / "run").chmod(0o755)
    (place / "link").symlink_to("bin/run")
    (place / "big").write_bytes(os.urandom(1 << 20))
    before = (place / "big").stat().st_ino

    tree = import_directory(place, bench.blobs)

    kinds = {entry.path: entry.kind for entry in tree.entries}
    assert kinds == {"big": Kind.FILE, "bin/run": Kind.EXECUTABLE, "link": Kind.LINK}
    digest = next(entry.digest for entry in tree.entries if entry.path == "big")
    assert (tmp_path / "blobs" / "blobs" / f"{digest}"[:2] / f"{digest}"[2:]).stat().st_ino == before


async def test_the_tree_of_what_somebody_put_is_that_of_its_zip(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    bench.put("key", packed({"a/b": b"1"}))
    artifact = Artifact("In", BUCKET, "key", there=True)

    tree = await tree_of(artifact, bench, tmp_path / "scratch")
    again = await tree_of(artifact, bench.again())

    assert bench.files(Artifact("In", BUCKET, "key", tree=tree)) == {"a/b": b"1"}
    assert again == tree
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_tree_that_is_there_is_no_work(tmp_path: Path) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    artifact = a_tree(tmp_path, "In", {"a": b"1"})

    assert await tree_of(artifact, bench) == artifact.tree


@pytest.mark.parametrize(
    ("artifact", "text"),
    [
        (Artifact("In", BUCKET, "no-zip", there=True), "is not a zip file"),
        (Artifact("In", BUCKET, "absent", there=True), "could not be found. Name of artifact bucket: artifacts"),
        (Artifact("In", BUCKET, "absent"), "holds no files"),
    ],
)
async def test_what_is_no_zip_has_no_tree(tmp_path: Path, artifact: Artifact, text: str) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    bench.put("no-zip", b"text")

    with pytest.raises(ActionFailed, match=text) as failed:
        await tree_of(artifact, bench)

    assert failed.value.code is ErrorCode.CONFIGURATION


@pytest.mark.parametrize("path", ["dir/file", "./dir/file", "/dir/file"])
def test_a_file_of_an_artifact(tmp_path: Path, path: str) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    artifact = a_tree(tmp_path, "In", {"dir/file": b"text", "dir/other": b""})

    assert read_file(artifact, path, 4, bench.blobs) == b"text"


@pytest.mark.parametrize(
    ("path", "limit", "text"),
    [
        ("dir", 9, r"File \[dir\] was not found in the artifact In"),
        ("../dir/file", 9, "was not found"),
        ("link", 9, "is a symbolic link"),
        ("dir/file", 3, "has 4 bytes. At most 3"),
    ],
)
def test_what_cannot_be_read_of_an_artifact_is_told(tmp_path: Path, path: str, limit: int, text: str) -> None:
    bench = bench_at(tmp_path, action("Test/AWS/X/1"))
    artifact = a_tree(tmp_path, "In", {"dir/file": b"text"}, links={"link": "dir/file"})

    with pytest.raises(ActionFailed, match=text):
        read_file(artifact, path, limit, bench.blobs)
    with pytest.raises(ActionFailed, match="is not a zip file"):
        read_file(a_blob(tmp_path, "In", b"x"), path, limit, bench.blobs)


def test_what_a_killed_process_left_is_removed_and_what_another_works_in_is_not(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from codeyard.pipelines.actions.importing import scratch\n"
    code += "with scratch(Path(sys.argv[1])) as place: print(place, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        place = Path(other.stdout.readline().strip())
        (place / "object").write_text("half")
        with scratch(tmp_path):
            there = place.exists()
        other.kill()
    with scratch(tmp_path) as mine:
        left = list(tmp_path.iterdir())

    assert there
    assert left == [mine]
    assert list(tmp_path.iterdir()) == []
