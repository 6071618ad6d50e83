"""Which pipelines have sources that are looked at, and their definitions for whoever looks.

A definition is read and parsed once to know whether anything of it is looked at, and again with its secrets each time
that somebody does: in between only its version is remembered, and nothing secret.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from codeyard.errors import Invalid
from codeyard.ident import Owner
from codeyard.pipelines import pipelines_table
from codeyard.pipelines.changes import Watched, sources
from codeyard.pipelines.masking import joined
from codeyard.pipelines.model import parse
from codeyard.pipelines.pipelines_table import Current
from codeyard.pipelines.stored import StoredVersion
from codeyard.store import Database, Tx

_AT_ONCE = 100  # definitions that are read in one go
_log = logging.getLogger(__name__)


class Watching:
    """See the module. `unsealed` gives the secrets of a pipeline's definition, by path."""

    def __init__(self, database: Database, unsealed: Callable[[Owner, str, bytes], Mapping[str, str]]) -> None:
        self._database, self._unsealed = database, unsealed
        self._known: dict[Current, bool] = {}  # of the versions that there are

    async def names(self) -> list[Current]:
        """All pipelines whose sources are looked at."""
        every = await self._database.read(pipelines_table.current)
        known = {each: self._known[each] for each in every if each in self._known}
        new = (each for each in every if each not in self._known)
        while some := tuple(islice(new, _AT_ONCE)):
            found = await self._database.read(lambda tx, some=some: _versions(tx, some))  # type: ignore[misc]
            known |= await asyncio.to_thread(_looked_at, found)
        self._known = known
        return [each for each in every if known.get(each)]

    async def watched(self, name: Current) -> Watched | None:
        """The pipeline with its secrets; None: it is gone."""
        found = await self._database.read(lambda tx: _versions(tx, (name,)))
        return await asyncio.to_thread(self._parsed, name, found[name]) if found else None

    def _parsed(self, name: Current, version: StoredVersion) -> Watched:
        sealed = version.secrets
        secrets = {} if sealed is None else self._unsealed(name.owner, name.pipeline, sealed)
        declaration = parse(joined(version.shape, secrets))
        return Watched(name.owner, name.pipeline, name.created.isoformat(), declaration)


def _versions(tx: Tx, wanted: Sequence[Current]) -> dict[Current, StoredVersion]:
    found = ((each, pipelines_table.version_of(tx, each.owner, each.pipeline, each.version)) for each in wanted)
    return {each: version for each, version in found if version is not None}


def _looked_at(found: Mapping[Current, StoredVersion]) -> dict[Current, bool]:
    answers: dict[Current, bool] = {}
    for each, version in found.items():
        try:
            answers[each] = bool(sources(parse(version.shape)))
        except Invalid as error:  # a filter that was taken once and is none by now
            _log.warning("poll_refused pipeline=%s error=%s", each.pipeline, error)
            answers[each] = False
    return answers
