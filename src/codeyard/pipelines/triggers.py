"""The triggers of V2 pipelines: which pushes and pull requests start a pipeline, and what is wrong with a declaration.

Filters are alternatives; within one, its branches, tags and file paths must all fit; of patterns an exclude wins.
Sources: docs.aws.amazon.com/codepipeline/latest/userguide/pipelines-triggers.html and pipelines-filter.html. Pure.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from codeyard.errors import Invalid
from codeyard.pipelines.globs import Glob

_Shape = Mapping[str, Any]

PROVIDER = "CodeStarSourceConnection"
MOST_TRIGGERS = 50
MOST_FILTERS = 3  # of push, and of pullRequest
MOST_PATTERNS = 8  # of includes, and of excludes
MOST_BYTES = 200 * 1024  # of all triggers, as JSON
FILES_SEEN = 100  # of a push or pull request; changes in others are missed


class PullRequestEvent(StrEnum):
    """OPEN is of one reopened too; CLOSED is of one merged, and of one that is not."""

    OPEN = "OPEN"
    UPDATED = "UPDATED"
    CLOSED = "CLOSED"


@dataclass(frozen=True, slots=True)
class PushedBranch:
    """Commits came to a branch. `files` are the paths that differ since its last push, from the root."""

    branch: str
    commit: str
    files: tuple[str, ...] = ()
    created: bool = False  # this push made the branch


@dataclass(frozen=True, slots=True)
class PushedTag:
    """A tag was made or moved. `commit` is what it names."""

    tag: str
    commit: str


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Something became of a pull request. `branch` is the one it would go into, `commit` the head of its own."""

    event: PullRequestEvent
    branch: str
    commit: str
    files: tuple[str, ...] = ()


Event = PushedBranch | PushedTag | PullRequest


@dataclass(frozen=True, slots=True)
class Patterns:
    """What is included, or everything where nothing is said; less what is excluded."""

    includes: tuple[Glob, ...] = ()
    excludes: tuple[Glob, ...] = ()

    def take(self, text: str) -> bool:
        included = not self.includes or any(glob.matches(text) for glob in self.includes)
        return included and not any(glob.matches(text) for glob in self.excludes)


@dataclass(frozen=True, slots=True)
class PushFilter:
    tags: Patterns | None = None
    branches: Patterns | None = None
    files: Patterns | None = None


@dataclass(frozen=True, slots=True)
class PullRequestFilter:
    events: frozenset[PullRequestEvent] = frozenset(PullRequestEvent)
    branches: Patterns | None = None
    files: Patterns | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts the pipeline by way of one source action."""

    action: str
    push: tuple[PushFilter, ...] = ()
    pull_request: tuple[PullRequestFilter, ...] = ()

    @property
    def filtered(self) -> bool:
        """Whether it has a filter. One that has none leaves the action to watch its own branch, as without it."""
        return bool(self.push or self.pull_request)


def parse(shapes: Iterable[_Shape]) -> tuple[Trigger, ...]:
    """The triggers of a declaration in which `violations` finds nothing. Invalid: a pattern is none."""
    return tuple(_trigger(shape["gitConfiguration"]) for shape in shapes)


def starts(trigger: Trigger, event: Event) -> bool:
    """Whether this event in the action's repository starts the pipeline, and so pins `event.commit`.

    A trigger without filters starts nothing: see `filtered`.
    """
    match event:
        case PushedTag(tag=tag):
            return any(filter.tags is not None and filter.tags.take(tag) for filter in trigger.push)
        case PushedBranch():
            return any(_pushed(filter, event) for filter in trigger.push)
        case PullRequest():
            return any(_proposed(filter, event) for filter in trigger.pull_request)


def watches_branch(triggers: Iterable[Trigger], action: str) -> bool:
    """Whether each push to the action's own BranchName starts it, if DetectChanges lets it: no filter is for it."""
    return not any(trigger.action == action and trigger.filtered for trigger in triggers)


def violations(shapes: Sequence[_Shape], providers: Mapping[str, str]) -> list[str]:
    """What is wrong, a sentence each, for InvalidStructureException. `providers`: of each source action, by name.

    The shapes are of the model already: members are of their types, enumerations of their values.
    """
    found = list(_sizes(shapes))
    actions: set[str] = set()
    for number, shape in enumerate(shapes, 1):
        git = shape["gitConfiguration"]
        action = git["sourceActionName"]
        if action not in providers:
            found.append(f"Trigger {number} names a source action that the pipeline does not have: {action}")
        elif providers[action] != PROVIDER:
            text = f"Trigger {number} names source action {action}, whose provider is {providers[action]}"
            found.append(f"{text} and not {PROVIDER}")
        if action in actions:
            found.append(f"There is more than one trigger for source action {action}")
        actions.add(action)
        for kind, check in (("push", _push_violations), ("pullRequest", _pull_request_violations)):
            found += (f"Trigger for source action {action}: {text}" for text in _filters(kind, git.get(kind), check))
    return found


def _trigger(git: _Shape) -> Trigger:
    return Trigger(
        git["sourceActionName"],
        tuple(
            PushFilter(_patterns(each.get("tags")), _patterns(each.get("branches")), _patterns(each.get("filePaths")))
            for each in git.get("push") or ()
        ),
        tuple(
            PullRequestFilter(
                frozenset(map(PullRequestEvent, each.get("events") or PullRequestEvent)),
                _patterns(each.get("branches")),
                _patterns(each.get("filePaths")),
            )
            for each in git.get("pullRequest") or ()
        ),
    )


def _patterns(criteria: _Shape | None) -> Patterns | None:
    if criteria is None:
        return None
    includes, excludes = (tuple(map(Glob.parse, criteria.get(name) or ())) for name in ("includes", "excludes"))
    return Patterns(includes, excludes)


def _pushed(filter: PushFilter, event: PushedBranch) -> bool:
    if filter.branches is None or not filter.branches.take(event.branch):
        return False
    # "Triggers with file path filters do not start a pipeline for the push that creates a branch" (pipelines-filter).
    return filter.files is None or (not event.created and _touched(filter.files, event.files))


def _proposed(filter: PullRequestFilter, event: PullRequest) -> bool:
    if event.event not in filter.events or not (filter.branches is None or filter.branches.take(event.branch)):
        return False
    return filter.files is None or _touched(filter.files, event.files)


def _touched(wanted: Patterns, files: tuple[str, ...]) -> bool:
    """Each file for itself: one that is included and not excluded suffices."""
    return any(wanted.take(file) for file in files[:FILES_SEEN])


def _sizes(shapes: Sequence[_Shape]) -> Iterator[str]:
    if len(shapes) > MOST_TRIGGERS:
        yield f"A pipeline has at most {MOST_TRIGGERS} triggers, and this one has {len(shapes)}"
    size = len(json.dumps(list(shapes), separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass"))
    if size > MOST_BYTES:
        yield f"The triggers of a pipeline have at most {MOST_BYTES} bytes as JSON, and these have {size}"


def _filters(kind: str, filters: Sequence[_Shape] | None, check: Callable[[_Shape], Iterator[str]]) -> Iterator[str]:
    if filters is None:
        return
    if not 1 <= len(filters) <= MOST_FILTERS:
        yield f"{kind} has 1 to {MOST_FILTERS} filters, and not {len(filters)}"
    seen: list[object] = []
    for filter in filters:
        same = _comparable(filter)
        if same in seen:
            yield f"{kind} has the same filter twice"
        seen.append(same)
        yield from check(filter)
        for name in ("tags", "branches", "filePaths"):
            if filter.get(name) is not None:
                yield from _criteria_violations(f"{kind} filter {name}", filter[name])


def _push_violations(filter: _Shape) -> Iterator[str]:
    given = {name for name in ("tags", "branches", "filePaths") if filter.get(name) is not None}
    if given not in ({"tags"}, {"branches"}, {"branches", "filePaths"}):
        named = ", ".join(sorted(given)) or "nothing"
        yield f"a push filter has tags, or branches, or branches and filePaths, and not {named}"


def _pull_request_violations(filter: _Shape) -> Iterator[str]:
    if filter.get("branches") is None and filter.get("filePaths") is not None:
        yield "a pullRequest filter that has filePaths has branches too"
    elif filter.get("branches") is None and not filter.get("events"):
        yield "a pullRequest filter has events or branches"


def _criteria_violations(where: str, criteria: _Shape) -> Iterator[str]:
    if not any(criteria.get(name) for name in ("includes", "excludes")):
        yield f"{where} has includes or excludes"
    for name in ("includes", "excludes"):
        patterns = criteria.get(name) or ()
        if len(patterns) > MOST_PATTERNS:
            yield f"{where} {name} has at most {MOST_PATTERNS} patterns, and not {len(patterns)}"
        for pattern in patterns[: MOST_PATTERNS * 2]:
            try:
                Glob.parse(pattern)
            except Invalid as error:
                yield f"{where} {name}: {error.what} is not valid: {error.why.removesuffix('.')}"


def _comparable(filter: _Shape) -> object:
    """The same for filters that mean the same: the order of patterns and events does not count."""
    criteria = (filter.get(name) or {} for name in ("tags", "branches", "filePaths"))
    lists = ([frozenset(each.get("includes") or ()), frozenset(each.get("excludes") or ())] for each in criteria)
    return [frozenset(filter.get("events") or PullRequestEvent), *lists]
