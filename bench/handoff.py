"""Handing a tree of files from stage to stage, against zip, copy and unzip, in one run on one disk.

    python -m bench.handoff [--files 12000] [--megabytes 600] [--directory DIR]

The peer does at every hand-off what AWS's stages do: zip, copy to the bucket, copy from it, unzip; the bucket is a
directory on the same disk, which flatters it. Ours: store what the stage made, place it for the next one, verify it.
Half of the files' bytes are text that packs well, half are random. It takes about four times the tree's size in
temporary files, and removes them.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from codeyard.artifacts import Holder, Tree
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.stamps import Stamps
from codeyard.artifacts.transfer import advance, everything, place_tree, store_tree, verify_tree

STAGES = 4


def main() -> None:
    """Run everything and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=12_000)
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--directory", type=Path, default=None, help="where to work; the temporary directory if absent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="handoff-", dir=options.directory) as place:
        _run(Path(place), options.files, options.megabytes << 20)


def _run(place: Path, files: int, size: int) -> None:
    source = place / "source"
    changed = _make(source, files, size)
    time.sleep(2.1)  # files younger than this are never taken on trust, and a real build takes longer
    print(f"{files} files, {size >> 20} MB, {STAGES} stages; {os.cpu_count()} cores")
    zipped = _peer(place, source)
    for step, seconds in zipped.items():
        print(f"  peer  {step:<42}{seconds * 1000:>9.0f} ms")
    peer = sum(zipped.values())
    print(f"  peer  {'one hand-off':<42}{peer * 1000:>9.0f} ms   1/1")

    steps: dict[str, float] = {}
    with DiskStore(place / "store") as store:
        chains = {
            "cold": _cold(place, source, store, steps),
            "unchanged": _unchanged(place, source, store, steps),
            "1 % changed": _changing(place, source, store, changed, steps),
        }
    for step, seconds in steps.items():
        print(f"  ours  {step:<42}{seconds * 1000:>9.0f} ms   1/{peer / seconds:.0f}")
    for name, seconds in chains.items():
        whole = peer * STAGES
        print(f"{STAGES} stages, {name:<12} {seconds:>7.3f} s against {whole:.1f} s   1/{whole / seconds:.0f}")


def _peer(place: Path, source: Path) -> dict[str, float]:
    """One hand-off by zip, each part timed."""
    bundle, bucket, fetched, unpacked = (place / name for name in ("a.zip", "bucket", "b.zip", "unpacked"))
    bucket.mkdir()
    timed = {
        "zip": _time(lambda: _call("zip", "-q", "-r", str(bundle), ".", cwd=source)),
        "copy to the bucket": _time(lambda: _call("cp", "-r", str(bundle), str(bucket))),
        "copy from the bucket": _time(lambda: _call("cp", "-r", str(bucket / "a.zip"), str(fetched))),
        "unzip": _time(lambda: _call("unzip", "-q", str(fetched), "-d", str(unpacked))),
    }
    for path in (bucket, unpacked):
        shutil.rmtree(path)
    bundle.unlink()
    fetched.unlink()
    return timed


def _cold(place: Path, source: Path, store: DiskStore, steps: dict[str, float]) -> float:
    """The store is empty. The first stage's directory is given up to the store, as a build's is once its sandbox is
    gone; the others hand on a directory of their own, every byte of which is read; each places its input in a new
    directory for readers, where nothing is linked unchecked; and the last one reads every byte where it lies."""
    shutil.copytree(source, place / "spent")
    os.sync()
    with _timing(steps, "store, cold, files taken over"):
        tree = store_tree(place / "spent", everything(place / "spent"), store, adopt=store.adopt)
    total = steps["store, cold, files taken over"]
    for stage in range(STAGES):
        if stage:
            with _timing(steps, "store, nothing changed, every byte read"):
                assert store_tree(source, everything(source), store) == tree
            total += steps["store, nothing changed, every byte read"]
        with _timing(steps, "place for readers"):
            place_tree(tree, store, place / f"input{stage}", holder=Holder.READER)
        total += steps["place for readers"]
    with _timing(steps, "verify, every byte read"):
        _sound(tree, place / "input0", None)
    with _timing(steps, "place for a writer (bytes copied)"):
        place_tree(tree, store, place / "own")
    for name in ("spent", "own", *(f"input{stage}" for stage in range(STAGES))):
        shutil.rmtree(place / name)
    with _timing(steps, "store, cold, bytes copied"):
        store_tree(source, everything(source), DiskStore(place / "other"))
    shutil.rmtree(place / "other")
    return total + steps["verify, every byte read"]


def _unchanged(place: Path, source: Path, store: DiskStore, steps: dict[str, float]) -> float:
    """A trusted directory, stored before, and an input that is in its place: all of it is looked at, none is read."""
    memory, seen = Stamps(place / "memory"), Stamps(place / "seen")
    tree = store_tree(source, everything(source), store, memory=memory)
    place_tree(tree, store, place / "handed", holder=Holder.READER)
    time.sleep(2.1)  # see _run
    _sound(tree, place / "handed", seen)
    memory.save()
    seen.save()

    total = 0.0
    for _ in range(STAGES):
        with _timing(steps, "store, nothing changed"):
            store_tree(source, everything(source), store, memory=memory)
        with _timing(steps, "advance, nothing changed"):
            advance(tree, tree, store, place / "handed")
        with _timing(steps, "verify, nothing changed"):
            _sound(tree, place / "handed", seen)
        total += sum(steps[f"{step}, nothing changed"] for step in ("store", "advance", "verify"))
    return total


def _changing(place: Path, source: Path, store: DiskStore, changed: list[Path], steps: dict[str, float]) -> float:
    """The same, but each stage writes one file in a hundred anew."""
    memory, seen = Stamps(place / "memory"), Stamps(place / "seen")
    tree = store_tree(source, everything(source), store, memory=memory)
    total = 0.0
    for stage in range(STAGES):
        for path in changed:
            path.write_bytes(random.randbytes(max(1, path.stat().st_size - stage)))
        with _timing(steps, "store, 1 % changed"):
            now = store_tree(source, everything(source), store, memory=memory)
        with _timing(steps, "advance, 1 % changed"):
            advance(tree, now, store, place / "handed")
        with _timing(steps, "verify, 1 % changed"):
            _sound(now, place / "handed", seen)
        total += sum(steps[f"{step}, 1 % changed"] for step in ("store", "advance", "verify"))
        tree = now
    assert verify_tree(tree, place / "handed") == ()
    return total


def _sound(tree: Tree, root: Path, memory: Stamps | None) -> None:
    wrong = verify_tree(tree, root, memory=memory)
    assert wrong == (), wrong[:3]


def _make(root: Path, files: int, size: int) -> list[Path]:
    """The tree, in directories of forty files; and one file in a hundred of it."""
    root.mkdir()
    maker = random.Random(7)
    text = " ".join(maker.choice(["import", "return", "value", "yard", "build", "0", "=", "\n"]) for _ in range(20_000))
    each = size // files
    paths = []
    for number in range(files):
        path = root / f"part{number // 800}" / f"module{number // 40}" / f"file{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        half = each // 2
        path.write_bytes(maker.randbytes(each - half) + (text * (half // len(text) + 1)).encode()[:half])
        paths.append(path)
    return paths[::100]


def _call(*command: str, cwd: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _timing(steps: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    steps[name] = time.perf_counter() - started


if __name__ == "__main__":
    main()
