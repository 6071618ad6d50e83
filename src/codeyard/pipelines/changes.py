"""Which source actions are looked at for changes, what a change is, and what it starts. Pure.

AWS polls S3, CodeCommit and GitHub's first version unless PollForSourceChanges is false. It is told of pushes to the
repositories of connections, unless DetectChanges is false; here these are looked at in the same way.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from codeyard.ident import Owner
from codeyard.pipelines.model import Action, Declaration
from codeyard.pipelines.triggers import PushedBranch, PushedTag, Trigger, parse

POLL, PUSH = "PollForSourceChanges", "WebhookV2"  # trigger types
MOST_STARTS = 50  # by one look; of more refs that changed at once, the others start nothing
_BRANCH, _TAG = "refs/heads/", "refs/tags/"
_CONNECTION = "CodeStarSourceConnection"
# The key that says whether to look, true where it is left out; nobody looks at other providers' sources.
_FLAGS = {**dict.fromkeys(("S3", "CodeCommit", "GitHub"), "PollForSourceChanges"), _CONNECTION: "DetectChanges"}
_DETAIL_LIMIT = 1024  # characters: the model's TriggerDetail

Seen = Mapping[str, str]  # of an action's own branch or object: {"": revision}; else the commit of each ref; no more


@dataclass(frozen=True, slots=True)
class Watched:
    """A pipeline, for whoever looks at its sources. `identity` is another when one of its name was deleted and made
    again. The secrets of the declaration are in clear."""

    owner: Owner
    pipeline: str
    identity: str
    declaration: Declaration = field(repr=False)


@dataclass(frozen=True, slots=True)
class Source:
    """A source action that is looked at. `trigger` is not None if it has filters, by which refs are watched instead
    of the action's own branch."""

    declared: Action = field(repr=False)  # its configuration may hold a token
    trigger: Trigger | None = None

    @property
    def name(self) -> str:
        return self.declared.name

    @property
    def kind(self) -> str:
        return PUSH if self.declared.type.provider == _CONNECTION else POLL


@dataclass(frozen=True, slots=True)
class Change:
    """Something of a source is new. `ref` and `commit` are set where the commit is what the execution is to take."""

    action: str
    kind: str  # POLL or PUSH
    ref: str = ""
    commit: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Begin:
    """An execution to start, with triggerType and triggerDetail. `pinned` is a commit by source action; the same
    `token` means the same start."""

    kind: str
    detail: str
    token: str
    pinned: Mapping[str, str] = field(default_factory=dict)

    @property
    def given(self) -> dict[str, Any]:
        """What StartPipelineExecution would be given for it, beside the pipeline's name."""
        revisions = [
            {"actionName": action, "revisionType": "COMMIT_ID", "revisionValue": commit}
            for action, commit in self.pinned.items()
        ]
        return {"clientRequestToken": self.token, **({"sourceRevisions": revisions} if revisions else {})}


def sources(declaration: Declaration) -> tuple[Source, ...]:
    """The source actions that are looked at."""
    triggers = {each.action: each for each in parse(declaration.triggers) if each.filtered}
    found: list[Source] = []
    for action in declaration.stages[0].actions:
        provider, given = action.type.provider, action.configuration
        if action.type.category != "Source" or action.type.owner == "Custom":
            continue
        if provider == _CONNECTION and action.name in triggers:
            # Pull requests cannot be seen from outside: a trigger that has nothing else is not looked at.
            found += [Source(action, triggers[action.name])] if triggers[action.name].push else []
        elif provider in _FLAGS and (given.get(_FLAGS[provider]) or "true").lower() == "true":
            found.append(Source(action))
    return tuple(found)


def mark(watched: Watched, source: Source) -> str:
    """Another when what was seen of this source says nothing any more: its pipeline, its place or its filters are
    others."""
    given = {key: value for key, value in source.declared.configuration.items() if key != "OAuthToken"}
    triggers = [
        each
        for each in watched.declaration.triggers
        if source.trigger is not None and each["gitConfiguration"]["sourceActionName"] == source.name
    ]
    told = json.dumps([watched.identity, str(source.declared.type), given, triggers], sort_keys=True, default=str)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def watches(trigger: Trigger, ref: str) -> bool:
    """Whether a push to this ref may start something, whatever files it changes."""
    if ref.startswith(_BRANCH):
        name = ref.removeprefix(_BRANCH)
        return any(each.branches is not None and each.branches.take(name) for each in trigger.push)
    name = ref.removeprefix(_TAG)
    return ref.startswith(_TAG) and any(each.tags is not None and each.tags.take(name) for each in trigger.push)


def needs_files(trigger: Trigger, ref: str) -> bool:
    """Whether it depends on the files that a push to this ref changes."""
    name = ref.removeprefix(_BRANCH)
    return ref.startswith(_BRANCH) and any(
        each.files is not None and each.branches is not None and each.branches.take(name) for each in trigger.push
    )


def moved(before: Seen, after: Seen) -> tuple[str, ...]:
    """The refs that are new or lead elsewhere, in the order of their names."""
    return tuple(sorted(ref for ref, commit in after.items() if commit and before.get(ref) != commit))


def push_event(ref: str, before: str | None, after: str, files: Iterable[str] = ()) -> PushedBranch | PushedTag:
    """What became of a ref, for the filters."""
    if ref.startswith(_TAG):
        return PushedTag(ref.removeprefix(_TAG), after)
    return PushedBranch(ref.removeprefix(_BRANCH), after, tuple(files), created=before is None)


def push_detail(configuration: Mapping[str, str], ref: str, commit: str) -> str:
    """`triggerDetail` of a push, by the names that the events of pipelines have for it (reference 6.4)."""
    told = {"full-repository-name": configuration.get("FullRepositoryId", ""), "commit-id": commit}
    told["connection-arn"] = configuration.get("ConnectionArn", "")
    kind, name = ("tag-name", ref.removeprefix(_TAG)) if ref.startswith(_TAG) else ("branch-name", ref)
    full = json.dumps({**told, kind: name.removeprefix(_BRANCH)})
    return full if len(full) <= _DETAIL_LIMIT else json.dumps({"commit-id": commit})


def begins(changes: Iterable[Change], token: str) -> tuple[Begin, ...]:
    """The executions that these changes of one pipeline start: one for all that are to take what is newest, and one
    for each commit that is pinned."""
    newest: list[Change] = []
    pinned: list[Change] = []
    for change in changes:
        (pinned if change.commit else newest).append(change)
    found = [
        Begin(each.kind, each.detail, f"{token}-{number}", {each.action: each.commit})
        for number, each in enumerate(pinned[:MOST_STARTS], 1)
    ]
    if newest:
        first = next((each for each in newest if each.kind == POLL), newest[0])
        found.append(Begin(first.kind, first.detail, f"{token}-0"))
    return tuple(found)


def begin_shape(begin: Begin) -> dict[str, Any]:
    return {"kind": begin.kind, "detail": begin.detail, "token": begin.token, "pinned": dict(begin.pinned)}


def parse_begin(shape: Mapping[str, Any]) -> Begin:
    """What `begin_shape` gave."""
    return Begin(shape["kind"], shape["detail"], shape["token"], shape["pinned"])
