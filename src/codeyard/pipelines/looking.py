"""Looks at a source once: what is there, and what of it is new since the last look."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from codeyard.artifacts.buckets import OpenBucket
from codeyard.errors import NotFound
from codeyard.pipelines.actions.source_git import Access, Asked
from codeyard.pipelines.actions.source_s3 import location_of, revision_of
from codeyard.pipelines.changes import (
    Change,
    Seen,
    Source,
    Watched,
    moved,
    needs_files,
    push_detail,
    push_event,
    watches,
)
from codeyard.pipelines.model import Action
from codeyard.pipelines.triggers import FILES_SEEN, Trigger, starts

REFS_LIMIT = 10_000  # that are watched of one repository


@dataclass(frozen=True, slots=True)
class Found:
    """What is there now, and what of it starts something; nothing does on the first look."""

    seen: Seen
    changes: tuple[Change, ...] = ()


class Looking:
    """See the module. `open_bucket` gives the buckets of a pipeline, as the role of the action may use them."""

    def __init__(self, access: Access, open_bucket: Callable[[Watched, Action], OpenBucket]) -> None:
        self._access, self._open_bucket = access, open_bucket

    async def look(self, watched: Watched, source: Source, seen: Seen | None) -> Found:
        """What a source has, with what changed since `seen`; None: this is the first look. CodeyardError."""
        if source.declared.type.provider == "S3":
            open_bucket = self._open_bucket(watched, source.declared)  # here: it asks for rights on this loop
            return _newest(source, seen, await asyncio.to_thread(_object, open_bucket, source.declared))
        asked = self._access.asked(source.declared)
        if source.trigger is not None:
            return await self._refs(watched, source, source.trigger, asked, seen)
        ref = f"refs/heads/{asked.branch}"
        refs = await self._access.refs(watched.owner, asked, (ref,))
        found = _newest(source, seen, refs.get(ref, ""))
        if source.declared.type.provider != "CodeStarSourceConnection":
            return found
        detail = push_detail(source.declared.configuration, ref, refs.get(ref, ""))
        return replace(found, changes=tuple(replace(change, detail=detail) for change in found.changes))

    async def _refs(self, watched: Watched, source: Source, trigger: Trigger, asked: Asked, seen: Seen | None) -> Found:
        patterns = ("refs/heads/*", "refs/tags/*")
        refs = await self._access.refs(watched.owner, asked, patterns)
        now = {ref: commit for ref, commit in sorted(refs.items()) if watches(trigger, ref)}
        now = dict(list(now.items())[:REFS_LIMIT])
        if seen is None:
            return Found(now)
        changes: list[Change] = []
        for ref in moved(seen, now):
            before, after = seen.get(ref), now[ref]
            files: tuple[str, ...] = ()
            if before is not None and needs_files(trigger, ref):
                files = await self._changed(watched, asked, ref, before, after)
            if starts(trigger, push_event(ref, before, after, files)):
                detail = push_detail(source.declared.configuration, ref, after)
                changes.append(Change(source.name, source.kind, ref, after, detail))
        return Found(now, tuple(changes))

    async def _changed(self, watched: Watched, asked: Asked, ref: str, before: str, after: str) -> tuple[str, ...]:
        """The files that differ, or where nothing is known any more of what was before, those that there are now."""
        histories, url = self._access.histories, asked.where.url
        credential = await self._access.shown(watched.owner, asked)
        await histories.commit(url, credential, after, ref)
        with suppress(NotFound):
            await histories.commit(url, credential, before, None)
            return await histories.changed(url, before, after, FILES_SEEN)
        return await histories.changed(url, None, after, FILES_SEEN)


def _object(open_bucket: OpenBucket, declared: Action) -> str:
    """The object's revision. It blocks."""
    bucket, key = location_of(declared)
    try:
        return revision_of(open_bucket(f"s3://{bucket}").facts(key))
    except NotFound:
        return ""  # it is not there yet


def _newest(source: Source, seen: Seen | None, revision: str) -> Found:
    now = {"": revision} if revision else {}
    if seen is None or not moved(seen, now):
        return Found(now)
    return Found(now, (Change(source.name, source.kind, detail=source.name),))
