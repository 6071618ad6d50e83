"""Versions in a directory: none is lost, none appears, whoever dies in between."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.errors import Fault
from codeyard.objects import NULL, About, Encryption, Stored
from codeyard.objects.directory import Condition, ObjectDirectory
from codeyard.objects.versions import Former, Marked, Versioning, counting
from tests.objects.serving import ACCOUNT, directory

ENABLED, SUSPENDED = Versioning.ENABLED, Versioning.SUSPENDED
NONE = b"a mark"


@pytest.fixture
def store(tmp_path: Path) -> ObjectDirectory:
    found = directory(tmp_path / "data")
    found.create(ACCOUNT, "bucket", "us-east-1")
    found.set_versioning(ACCOUNT, "bucket", ENABLED)
    return found


def put(store: ObjectDirectory, content: bytes, key: str = "dir/k", **more: Condition) -> str:
    with store.draft(ACCOUNT, "bucket", About(encryption=Encryption() if len(content) % 2 else None)) as draft:
        draft.write(content)
        return store.put(ACCOUNT, "bucket", key, draft, **more).version_id  # type: ignore[arg-type]


def delete(store: ObjectDirectory, version: str | None = None) -> str:
    gone = store.delete(ACCOUNT, "bucket", "dir/k", version)
    return gone.version_id if gone is not None else ""


def contents(store: ObjectDirectory, key: str = "dir/k") -> list[tuple[str, bytes]]:
    """What there is of a key by the list, the newest first: the id and the bytes."""
    found = store.list_versions(ACCOUNT, "bucket", key).versions
    assert [latest for _, latest in found] == [at == 0 for at in range(len(found))]
    return [(one.version_id, NONE if one.marker else got(store, one.version_id, key)) for one, _ in found]


def got(store: ObjectDirectory, version: str | None, key: str = "dir/k") -> bytes:
    with store.open(ACCOUNT, "bucket", key, version) as found:
        return b"".join(found.read())


def place(store: ObjectDirectory) -> Path:
    return store._place(ACCOUNT, "bucket")


def files(store: ObjectDirectory) -> list[Path]:
    return sorted(path for top in ("objects", "versions") for path in (place(store) / top).rglob("*") if path.is_file())


# ── what counts ──

VERSIONS = st.lists(st.sampled_from("abcde"), unique=True).flatmap(
    lambda ids: st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)).map(
        lambda nulls: [f"null.{id}" if null else id for id, null in zip(ids, nulls, strict=True)]
    )
)


@given(VERSIONS, st.booleans())
def test_what_counts_is_the_rest_after_the_newest_with_one_null_at_most(versions: list[str], again: bool) -> None:
    newest = Stored("k", 0, "", None, version=versions[0]) if versions else None  # type: ignore[arg-type]
    every = [Former(len(versions) - at, version, "") for at, version in enumerate(versions)]
    counted = counting(every if again else every[1:], newest)
    nulls = [one for one in [newest, *counted] if one is not None and one.version_id == NULL]

    assert all(one in every[1:] for one in counted)
    assert {one.version for one in every[1:] if one.version_id != NULL} <= {one.version for one in counted}
    assert all(newer.number > older.number for newer, older in pairwise(counted))
    assert len(nulls) == any(one.version_id == NULL for one in every)


STEPS = st.lists(st.sampled_from(["put", "delete", "enable", "suspend"]) | st.integers(0, 4), max_size=14)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(STEPS, st.booleans())
def test_whatever_is_done_the_versions_are_those_of_s3(
    store: ObjectDirectory, steps: list[str | int], before: bool
) -> None:
    store.delete(ACCOUNT, "bucket", "dir/k")
    for id, _ in contents(store):
        delete(store, id)
    enabled = True
    store.set_versioning(ACCOUNT, "bucket", ENABLED)
    if before:  # as it was put before versions were kept
        (place(store) / "versioning").unlink()
        put(store, b"before")
        store.set_versioning(ACCOUNT, "bucket", ENABLED)
    model = [(NULL, b"before")] if before else []

    for number, step in enumerate(steps):
        match step:
            case "put" | "delete":
                content = b"%d" % number * (number + 1) if step == "put" else NONE
                id = put(store, content) if step == "put" else delete(store)
                assert (id == NULL) is not enabled
                model = [(id, content), *((old, bytes) for old, bytes in model if enabled or old != NULL)]
            case int(at) if at < len(model):
                assert delete(store, model[at][0]) == model[at][0]
                del model[at]
            case "enable" | "suspend":
                enabled = step == "enable"
                store.set_versioning(ACCOUNT, "bucket", ENABLED if enabled else SUSPENDED)
        assert contents(store) == model
        there = bool(model) and model[0][1] != NONE
        assert [one.key for one in store.list(ACCOUNT, "bucket")[0]] == ["dir/k"] * there

    assert len(files(store)) == len(model)
    assert os.listdir(place(store) / "drafts") == []


# ── who dies in between ──


def kept(store: ObjectDirectory, aside: Path) -> dict[Path, Path]:
    """All files by second names, to be put back."""
    aside.mkdir()
    found = {path: aside / str(number) for number, path in enumerate(files(store))}
    for path, second in found.items():
        os.link(path, second)
    return found


@pytest.mark.parametrize("last", ["put", "null", "mark", "null mark", "the newest goes", "a mark goes"])
def test_a_change_whose_end_never_came_is_done_or_was_never_begun(
    store: ObjectDirectory, tmp_path: Path, last: str
) -> None:
    """Every change ends by removing names; here they are put back, as if its process had died before."""
    store.set_versioning(ACCOUNT, "bucket", SUSPENDED)
    put(store, b"null")
    store.set_versioning(ACCOUNT, "bucket", ENABLED)
    first, second = put(store, b"1"), put(store, b"22")
    mark = delete(store) if last == "a mark goes" else ""
    before, names = contents(store), kept(store, tmp_path / "aside")
    if last.startswith("null"):
        store.set_versioning(ACCOUNT, "bucket", SUSPENDED)
    match last:
        case "put" | "null":
            put(store, b"new")
        case "mark" | "null mark":
            delete(store)
        case _:
            delete(store, mark or second)
    after = contents(store)
    for path, other in names.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(other, path)
    died = contents(store)
    newest = put(store, b"again")

    assert died in (before, after)
    null = [] if last.startswith("null") else [(NULL, b"null")]
    left = [one for one in died if one[0] != newest]
    assert contents(store) == [
        (newest, b"again"),
        *(one for one in left if one[0] != NULL),
        *(n for n in null if n in left),
    ]
    assert first in dict(contents(store))
    assert len(files(store)) == len(contents(store))


_WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.objects.test_versions import delete, directory, put
store = directory(Path({data!r}))
print("go", flush=True)
number = 0
while True:
    number += 1
    print(put(store, b"%08d" % number * 512), flush=True)
    if number % 3 == 0:
        delete(store, delete(store))
"""


@pytest.mark.slow
def test_killing_a_writer_loses_no_version_that_was_answered(store: ObjectDirectory, tmp_path: Path) -> None:
    text = _WRITER.format(root=str(Path(__file__).parents[2]), data=str(tmp_path / "data"))
    answered: set[str] = set()
    for round_ in range(4):
        writer = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.05 + 0.037 * round_)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        answered |= {line.strip() for line in writer.stdout if line.endswith("\n")}
        writer.stdout.close()
        found = contents(store)

        assert answered <= {id for id, _ in found}
        assert len({id for id, _ in found}) == len(found) <= len(answered) + 2 * (round_ + 1)
        assert all(content == content[:8] * 512 for _, content in found if content is not NONE)
    assert answered


# ── several at once ──


def test_several_writers_at_once_lose_no_version(store: ObjectDirectory, tmp_path: Path) -> None:
    others = [directory(tmp_path / "data") for _ in range(4)]
    (place(store) / "versioning").unlink()

    def write(store: ObjectDirectory) -> list[str]:
        return [put(store, b"x" * (number + 1)) for number in range(12)]

    with ThreadPoolExecutor(5) as pool:
        writing = pool.map(write, others)
        store.set_versioning(ACCOUNT, "bucket", ENABLED)
        answered = [id for ids in writing for id in ids if id != NULL]
    found = [id for id, _ in contents(store) if id != NULL]

    assert sorted(found) == sorted(answered)
    assert got(store, None) == b"x" * 12


def test_conditions_are_of_the_newest(store: ObjectDirectory) -> None:
    put(store, b"1")
    mark = delete(store)
    put(store, b"22", condition=Condition(absent=True))

    assert got(store, None) == b"22"
    with pytest.raises(Marked) as refused:
        store.open(ACCOUNT, "bucket", "dir/k", mark)
    assert (refused.value.status, refused.value.marker.version_id) == (405, mark)


def test_a_version_in_another_ones_place_is_not_read(store: ObjectDirectory) -> None:
    first = put(store, b"1")
    put(store, b"333")
    put(store, b"4")
    one, other = sorted((place(store) / "versions").rglob("0*"))
    other.replace(one)

    with pytest.raises(Fault, match="another version"):
        got(store, first)
