"""What builds keep for later builds."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codeyard.artifacts.cache import Action, CacheStore, Hit, Outcome, Part, Restored, Saved, Wanted, scope_of
from codeyard.artifacts.disk import DiskStore
from codeyard.errors import Conflict, NotFound
from tests.artifacts.files import contents, lay

PATHS = ("node_modules/**/*",)
KEYED = Wanted("project:app", PATHS, key="npm-1", fallback_keys=("npm-", "n"))
PLAIN = Wanted("project:app", PATHS)


class Clock:
    """Seconds that pass only when asked for: one each time."""

    def __init__(self) -> None:
        self.time = 1_700_000_000.0

    def __call__(self) -> float:
        self.time += 1
        return self.time


def cache_at(root: Path, quota: int = 1 << 30) -> CacheStore:
    return CacheStore(root, DiskStore(root / "blobs"), quota=quota, now=Clock())


@pytest.fixture
def cache(tmp_path: Path) -> CacheStore:
    return cache_at(tmp_path / "cache")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return lay(tmp_path / "work", {"node_modules/a/x.js": "X", "node_modules/.bin/x": "-> ../a/x.js", "src/main": "M"})


def saved(cache: CacheStore, wanted: Wanted, work: Path, content: str = "") -> Saved:
    """Save what `work` has, after writing `content` somewhere in it."""
    if content:
        lay(work, {"node_modules/a/x.js": content})
    return cache.save(wanted, [Part(work, wanted.paths)])


def hit(cache: CacheStore, wanted: Wanted) -> Hit:
    found = cache.lookup(wanted)
    assert found is not None
    return found


def restored(cache: CacheStore, wanted: Wanted, place: Path) -> str:
    """What the one interesting file says once the cache for `wanted` is restored."""
    place.mkdir(parents=True, exist_ok=True)
    cache.restore(hit(cache, wanted), place)
    return (place / "node_modules/a/x.js").read_text()


def test_the_first_build_misses(cache: CacheStore) -> None:
    assert cache.lookup(KEYED) is None
    assert cache.lookup(PLAIN) is None


@pytest.mark.parametrize("wanted", [KEYED, PLAIN], ids=["key", "no key"])
def test_what_one_build_saves_the_next_one_gets(cache: CacheStore, work: Path, tmp_path: Path, wanted: Wanted) -> None:
    assert saved(cache, wanted, work) == Saved(Outcome.SAVED, 1, 1)

    found = hit(cache, wanted)
    target = lay(tmp_path / "next", {"src/main": "new", "node_modules/a/x.js": "old"})
    result = cache.restore(found, target)

    assert (found.exact, found.key, found.files, found.size) == (True, wanted.key, 1, 1)
    assert result == Restored(1, 1)
    assert contents(target) == {"src/main": "new", "node_modules/a/x.js": "X", "node_modules/.bin/x": "-> ../a/x.js"}


def test_a_cache_with_a_key_is_immutable(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    saved(cache, KEYED, work, "first")

    assert saved(cache, KEYED, work, "second").outcome is Outcome.KEPT
    assert restored(cache, KEYED, tmp_path / "next") == "first"


def test_without_a_key_every_build_replaces_the_one_cache(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    saved(cache, PLAIN, work, "first")
    saved(cache, PLAIN, work, "second")

    assert restored(cache, PLAIN, tmp_path / "next") == "second"


def test_a_fallback_key_is_a_prefix_and_the_newest_wins(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    for key in ("npm-old", "npm-newer", "other", "nearly"):
        saved(cache, replace(KEYED, key=key), work, key)
    cache.lookup(replace(KEYED, key="npm-old"))  # being used does not make it newer

    wanted = replace(KEYED, key="npm-next")

    assert (hit(cache, wanted).key, hit(cache, wanted).exact) == ("npm-newer", False)
    assert restored(cache, wanted, tmp_path / "next") == "npm-newer"


def test_fallback_keys_are_tried_in_their_order(cache: CacheStore, work: Path) -> None:
    saved(cache, replace(KEYED, key="b-1"), work)
    saved(cache, replace(KEYED, key="a-1"), work)

    assert hit(cache, replace(KEYED, key="x", fallback_keys=("c", "b", "a"))).key == "b-1"


def test_without_a_key_fallback_keys_are_ignored(cache: CacheStore, work: Path) -> None:
    saved(cache, KEYED, work)

    assert cache.lookup(replace(KEYED, key=None)) is None


@pytest.mark.parametrize("other", [{"paths": ("node_modules/**",)}, {"scope": "project:other"}, {"key": "npm-2"}])
def test_another_scope_or_key_or_other_paths_are_another_cache(
    cache: CacheStore, work: Path, other: dict[str, object]
) -> None:
    wanted = replace(KEYED, fallback_keys=())
    saved(cache, wanted, work)

    assert cache.lookup(replace(wanted, **other)) is None  # type: ignore[arg-type]


def test_projects_share_a_cache_by_its_namespace() -> None:
    assert scope_of("a", "shared") == scope_of("b", "shared")
    assert scope_of("a") != scope_of("b")
    assert scope_of("a", "b") != scope_of("b")


def test_an_action_limits_what_is_done(cache: CacheStore, work: Path) -> None:
    only_restore, only_save = replace(KEYED, action=Action.RESTORE), replace(KEYED, action=Action.SAVE)

    assert saved(cache, only_restore, work).outcome is Outcome.NOT_ASKED
    assert saved(cache, only_save, work).outcome is Outcome.SAVED
    assert cache.lookup(only_save) is None
    assert cache.lookup(only_restore) is not None


def test_nothing_to_save_is_not_saved(cache: CacheStore, tmp_path: Path) -> None:
    assert cache.save(KEYED, [Part(tmp_path / "nowhere", PATHS)]).outcome is Outcome.EMPTY
    assert cache.lookup(KEYED) is None


def test_parts_from_several_places_go_back_to_theirs(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    home = lay(tmp_path / "home", {"root/.m2/repo/a.jar": "jar"})
    cache.save(KEYED, [Part(work, PATHS, "work"), Part(home, ("root/.m2/**/*",), "machine")])

    found = hit(cache, KEYED)
    (tmp_path / "w").mkdir()
    (tmp_path / "m").mkdir()
    cache.restore(found, tmp_path / "w", "work")

    assert cache.restore(found, tmp_path / "m", "machine") == Restored(1, 3)
    assert contents(tmp_path / "m") == {"root/.m2/repo/a.jar": "jar"}
    assert "node_modules/a/x.js" in contents(tmp_path / "w")


def test_files_keep_their_times_and_empty_directories_stay(cache: CacheStore, tmp_path: Path) -> None:
    work = lay(tmp_path / "work", {"node_modules/run": "#!", "node_modules/z": "z"})
    (work / "node_modules/refs").mkdir()
    (work / "node_modules/run").chmod(0o755)
    os.utime(work / "node_modules/run", ns=(5, 1_234_567_890_123_456_789))
    saved(cache, KEYED, work)

    (tmp_path / "next").mkdir()
    cache.restore(hit(cache, KEYED), tmp_path / "next")

    status = (tmp_path / "next/node_modules/run").stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (1_234_567_890_123_456_789, 0o755)
    assert (tmp_path / "next/node_modules/refs").is_dir()


def test_nothing_is_restored_through_a_link(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    saved(cache, KEYED, work)
    target = lay(tmp_path / "next", {"node_modules": "-> ../outside"})
    (tmp_path / "outside").mkdir()

    with pytest.raises(Conflict):
        cache.restore(hit(cache, KEYED), target)

    assert list((tmp_path / "outside").iterdir()) == []


def test_a_cache_whose_contents_are_gone_is_forgotten(cache: CacheStore, work: Path, tmp_path: Path) -> None:
    saved(cache, KEYED, work)
    found = hit(cache, KEYED)
    for blob in (tmp_path / "cache/blobs/blobs").glob("*/*"):
        blob.unlink()
    (tmp_path / "next").mkdir()

    with pytest.raises(NotFound):
        cache_at(tmp_path / "cache").restore(found, tmp_path / "next")

    assert cache.lookup(KEYED) is None
    assert saved(cache_at(tmp_path / "cache"), KEYED, work).outcome is Outcome.SAVED


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": 3}', "\0" * 100])
def test_a_broken_record_is_a_miss(cache: CacheStore, work: Path, tmp_path: Path, content: str) -> None:
    saved(cache, PLAIN, work)
    record = hit(cache, PLAIN).record
    record.write_text(content)

    assert cache.lookup(PLAIN) is None
    assert saved(cache, PLAIN, work).outcome is Outcome.SAVED
    assert cache.lookup(PLAIN) is not None


def test_invalidating_resets_one_scope(cache: CacheStore, work: Path) -> None:
    other = replace(KEYED, scope="project:other")
    saved(cache, KEYED, work)
    saved(cache, PLAIN, work)
    saved(cache, other, work)

    assert cache.invalidate("project:app") == 2
    assert (cache.lookup(KEYED), cache.lookup(PLAIN)) == (None, None)
    assert cache.lookup(other) is not None


def test_the_least_recently_used_goes_when_the_quota_is_reached(tmp_path: Path) -> None:
    cache = cache_at(tmp_path / "cache", quota=2500)
    work = tmp_path / "work"
    saved(cache, replace(KEYED, key="k1"), work, "1" * 1000)
    saved(cache, replace(KEYED, key="k2"), work, "2" * 1000)
    cache.lookup(replace(KEYED, key="k1"))

    result = saved(cache, replace(KEYED, key="k3"), work, "3" * 1000)

    assert [(gone.key, gone.size) for gone in result.evicted] == [("k2", 1000)]
    assert cache.lookup(replace(KEYED, key="k2", fallback_keys=())) is None
    assert restored(cache, replace(KEYED, key="k1"), tmp_path / "1") == "1" * 1000
    assert cache.sweep(dry_run=True).blobs == 0


def test_what_caches_have_in_common_counts_once(tmp_path: Path) -> None:
    cache = cache_at(tmp_path / "cache", quota=2500)
    work = lay(tmp_path / "work", {"node_modules/common": "c" * 2000})

    results = [saved(cache, replace(KEYED, key=f"k{number}"), work, str(number)) for number in range(5)]

    assert [result.evicted for result in results] == [()] * 5


def test_a_cache_larger_than_the_quota_is_not_saved(tmp_path: Path) -> None:
    cache = cache_at(tmp_path / "cache", quota=10)

    assert saved(cache, KEYED, tmp_path / "work", "x" * 11) == Saved(Outcome.TOO_LARGE, 1, 11)
    assert cache.lookup(KEYED) is None


def test_a_sweep_shows_what_it_would_do_then_does_it(cache: CacheStore, work: Path) -> None:
    saved(cache, PLAIN, work, "first")
    saved(cache, PLAIN, work, "second")

    would = cache.sweep(dry_run=True)
    did = cache.sweep()

    assert would == did
    assert did.blobs >= 2  # the old content and its manifest
    assert cache.sweep() == replace(did, blobs=0, size=0)


def test_a_cache_that_is_being_restored_is_not_swept(cache: CacheStore, work: Path) -> None:
    saved(cache, PLAIN, work)
    cache.invalidate(PLAIN.scope)

    with cache._locked(1):  # shared, as a restore holds it
        assert cache.sweep().blobs == 0
    assert cache.sweep().blobs > 0


def test_many_may_save_one_key_at_once_and_one_wins(tmp_path: Path) -> None:
    works = [lay(tmp_path / f"work{number}", {"node_modules/a/x.js": str(number)}) for number in range(8)]
    caches = [cache_at(tmp_path / "cache") for _ in works]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda pair: saved(pair[0], KEYED, pair[1]), zip(caches, works, strict=True)))

    outcomes = [result.outcome for result in results]
    assert outcomes.count(Outcome.SAVED) == 1
    winner = str(outcomes.index(Outcome.SAVED))
    assert restored(caches[0], KEYED, tmp_path / "next") == winner


SAVER = """
import itertools, os, sys
from pathlib import Path
from codeyard.artifacts.cache import CacheStore, Part, Wanted
from codeyard.artifacts.disk import DiskStore

root, work = Path(sys.argv[1]), Path(sys.argv[2])
cache = CacheStore(root, DiskStore(root / "blobs"), quota=2_000_000)
(work / "node_modules/a").mkdir(parents=True)
print("ready", flush=True)
for number in itertools.count():
    (work / "node_modules/a/x.js").write_text(f"{number}" * 60_000)
    cache.save(Wanted("project:app", ("node_modules/**/*",), key=f"npm-{number}"), [Part(work)])
    cache.save(Wanted("project:app", ("node_modules/**/*",)), [Part(work)])
"""


@pytest.mark.parametrize("delay", [0.02, 0.08, 0.2])
def test_a_saver_that_is_killed_leaves_every_cache_whole(tmp_path: Path, delay: float) -> None:
    saver = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(tmp_path / "cache"), str(tmp_path / "work")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert saver.stdout is not None
    saver.stdout.readline()
    time.sleep(delay)
    saver.send_signal(signal.SIGKILL)
    saver.communicate()

    cache = cache_at(tmp_path / "cache")
    hits = [found for number in range(500) if (found := cache.lookup(replace(KEYED, key=f"npm-{number}")))]
    texts = [
        restored(cache, replace(KEYED, key=found.key), tmp_path / f"n{found.key}") for found in hits if found.exact
    ]
    assert [len(text) % 60_000 for text in texts] == [0] * len(texts)
    assert saved(cache, replace(KEYED, key="after"), lay(tmp_path / "w", {"node_modules/a/x.js": "after"})).files == 1
    cache.sweep()
    assert restored(cache, replace(KEYED, key="after"), tmp_path / "next") == "after"


keys = st.sampled_from(["a", "ab", "abc", "b", "bc"])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(keys, max_size=6), keys, st.lists(st.sampled_from(["", "a", "ab", "b", "x"]), max_size=3))
def test_a_lookup_finds_what_the_rules_say(
    tmp_path_factory: pytest.TempPathFactory, there: list[str], key: str, fallbacks: list[str]
) -> None:
    place = tmp_path_factory.mktemp("any")
    cache = cache_at(place / "cache")
    for number, name in enumerate(there):
        saved(cache, replace(KEYED, key=name), lay(place / "w", {"node_modules/n": str(number)}))

    found = cache.lookup(replace(KEYED, key=key, fallback_keys=tuple(fallbacks)))

    first = list(dict.fromkeys(there))  # immutable: the first one of a key stays
    newest = [[name for name in reversed(first) if name.startswith(prefix)] for prefix in fallbacks]
    expected = [key] * (key in first) + [names[0] for names in newest if names]
    assert (found and found.key) == (expected[0] if expected else None)
