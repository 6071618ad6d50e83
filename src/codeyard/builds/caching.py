"""The cache of a build (reference 1.9, 6): restored after the sources, saved at the end; it never fails a build.

Files of the source tree are kept beneath `source/`, those of the rest of the sandbox beneath `machine/`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from codeyard.artifacts.cache import Action, Hit, Outcome, Part, Wanted, scope_of
from codeyard.artifacts.removal import remove_tree
from codeyard.builds.expansion import expand_text
from codeyard.builds.gather import copy_out, split_outside
from codeyard.builds.job import Job
from codeyard.errors import CodeyardError

_SOURCE, _MACHINE = "source", "machine"


async def restore_cache(job: Job) -> list[dict[str, Any]]:
    """Put back what an earlier build left; gives the facts of its event."""
    spec, store = job.buildspec.cache, job.tools.cache
    if spec is None:
        job.say("cache", "Cache is not defined in the buildspec")
        job.say("cache-skip", "Skip cache due to: no paths specified to be cached")
        return []
    if store is None:
        job.say("cache-skip", "Skip cache due to: the cache is off")
        return []
    try:
        wanted = await _wanted(job, "restore")
        hit = await asyncio.to_thread(store.lookup, wanted)
        if wanted.action is Action.SAVE:
            return []
        if hit is None:
            job.say("cache-miss", f"No cache found for {wanted.key or wanted.scope}")
            return [_facts("restore", False, wanted.key or "", 0, 0)]
        await job.within(_restore(job, hit))
    except (CodeyardError, OSError) as error:
        job.say("cache-failed", f"Unable to download cache: {error}")
        return []
    job.say("cache-hit", f"Restored {hit.files} file(s) from the cache {hit.key or wanted.scope}")
    return [_facts("restore", True, hit.key or "", hit.files, hit.size)]


async def save_cache(job: Job, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """Keep what the buildspec says for the next build; gives the facts of its event."""
    spec, store = job.buildspec.cache, job.tools.cache
    if spec is None or store is None:
        return []
    try:
        wanted = await _wanted(job, "save")
        if wanted.key is not None and not job.succeeding:
            # It could never be mended. AWS does not say what it does; without a key the next build replaces it.
            job.say("cache-not-saved", f"Cache not saved: {_OF_FAILURE}")
            return [_facts("save", False, _OF_FAILURE, 0, 0)]
        parts = await _parts(job, tuple(expand_text(path, values) for path in spec.paths))
        saved = await job.within(asyncio.to_thread(store.save, wanted, parts))
    except (CodeyardError, OSError) as error:
        job.say("cache-not-saved", f"Unable to upload cache: {error}")
        return []
    for number, evicted in enumerate(saved.evicted):
        job.say(f"cache-evicted-{number}", f"Removed the cache {evicted.key or evicted.scope} to make room")
    if saved.outcome is Outcome.NOT_ASKED:
        return []
    if saved.outcome is Outcome.SAVED:
        job.say("cache-saved", f"Saved {saved.files} file(s) to the cache {wanted.key or wanted.scope}")
    else:
        job.say("cache-not-saved", f"Cache not saved: {_REASONS[saved.outcome]}")
    good = saved.outcome is Outcome.SAVED
    return [_facts("save", good, (wanted.key or "") if good else _REASONS[saved.outcome], saved.files, saved.size)]


_OF_FAILURE = "the build failed, and a cache with a key does not change"
_REASONS = {
    Outcome.KEPT: "there is one with this key already, and it does not change",
    Outcome.EMPTY: "no files match its paths",
    Outcome.TOO_LARGE: "it is larger than all caches may be together",
}


async def _wanted(job: Job, moment: str) -> Wanted:
    """The block, its key evaluated by the build's shell."""
    spec = job.buildspec.cache
    assert spec is not None
    keys = (spec.key, *spec.fallback_keys) if spec.key is not None else ()
    evaluated = await job.evaluate(f"cache-{moment}", keys)
    if moment == "save" and job.facts.get("cache_key"):
        evaluated = (job.facts["cache_key"], *evaluated[1:])  # the one that was looked for (reference 6.2)
    elif evaluated:
        job.facts["cache_key"] = evaluated[0]
    return Wanted(
        scope=job.settings.cache_scope or scope_of(job.settings.id.project),
        paths=spec.paths,
        key=evaluated[0] if evaluated else None,
        fallback_keys=evaluated[1:],
        action=None if spec.action is None else Action(spec.action.value),
    )


async def _restore(job: Job, hit: Hit) -> None:
    store, sandbox = job.tools.cache, await job.sandbox()
    assert store is not None
    source = await job.on_host((await job.place()).source)
    assert source is not None
    await asyncio.to_thread(store.restore, hit, source, _SOURCE)
    staged = job.tools.sandbox.home / "gathered" / "cache"
    await asyncio.to_thread(remove_tree, staged)
    staged.mkdir(parents=True)
    await asyncio.to_thread(store.restore, hit, staged, _MACHINE)
    for top in sorted(staged.iterdir()):
        await sandbox.place(top, f"/{top.name}")


async def _parts(job: Job, paths: tuple[str, ...]) -> list[Part]:
    source = (await job.place()).source
    root = await job.on_host(source)
    assert root is not None
    inner, outer = split_outside(paths, source)
    parts = [Part(root, inner, _SOURCE)] if inner else []
    if outer:
        copies = await copy_out(job, outer, "cache")
        parts.append(Part(copies, tuple(path.lstrip("/") for path in outer), _MACHINE))
    return parts


def _facts(action: str, hit: bool, key: str, files: int, size: int) -> dict[str, Any]:
    return {"action": action, "hit": hit, "key": key, "files": files, "bytes": size}
