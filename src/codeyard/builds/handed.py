"""What a pipeline hands to a build, and what it wants of it: artifacts by the digests of their trees. Pure.

A build that was handed its sources has none of its project's, nor does anything of it go where its project says; see
"CodePipeline multiple input/output sample" in the CodeBuild guide.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codeyard.artifacts import Digest
from codeyard.builds.members import from_members, to_members
from codeyard.errors import Invalid
from codeyard.ident import Owner

_RUNS = uuid.UUID("5b0e4f4e-6a4c-4b0e-9a57-7a1c5a3d9f10")
_AT_MOST = 10  # inputs of a Commands action, which has the most


@dataclass(frozen=True, slots=True)
class Clone:
    """A repository at a commit, to be cloned with all its history (CODEBUILD_CLONE_REF).

    `server` is the SourceType whose imported credentials let it in, None: nobody's. `known` says that the server's
    settings name it, so that what projects may not reach does not count.
    """

    url: str  # as git reads it, with no credential in it
    commit: str
    server: str | None = None
    known: bool = False


@dataclass(frozen=True, slots=True)
class HandedSource:
    """One input: a tree whose manifest is in the blob store, or a clone. `version` and `resolved` are what
    CODEBUILD_SOURCE_VERSION (the artifact's ARN) and CODEBUILD_RESOLVED_SOURCE_VERSION say of it."""

    version: str
    identifier: str | None = None  # the artifact's name; None: the primary one
    tree: Digest | None = None
    clone: Clone | None = None
    resolved: str | None = None

    def __post_init__(self) -> None:
        if (self.tree is None) is (self.clone is None):
            raise Invalid(f"input {self.identifier or 'artifact'}", "it is not one tree, or one clone.", "Name one.")

    @property
    def variable(self) -> str | None:
        """What follows CODEBUILD_SRC_DIR_, and names its directory: no shell can read a name with a dash in it."""
        return None if self.identifier is None else self.identifier.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Handed:
    """All that a pipeline gives one build. `outputs` are the names of the artifacts that it wants."""

    pipeline: str
    primary: HandedSource
    secondary: tuple[HandedSource, ...] = ()
    outputs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [source.variable for source in self.secondary]
        if self.primary.identifier is not None or None in names or len(names) >= _AT_MOST:
            why = f"each input but the primary one has a name, and there are {_AT_MOST} at most."
            raise Invalid("input artifacts", why, "Name them.")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise Invalid(f"input artifacts {twice}", "two have this name, dashes read as underscores.", "Rename one.")

    @property
    def initiator(self) -> str:
        return f"codepipeline/{self.pipeline}"

    def pipeline_arn(self, owner: Owner) -> str:
        return f"arn:aws:codepipeline:{owner.region}:{owner.account}:{self.pipeline}"


def run_of(owner: Owner, token: str) -> str:
    """The run of the build that this token starts: the same for ever, so that who asks again after a crash finds it."""
    return str(uuid.uuid5(_RUNS, f"{owner.account}/{owner.region}/{token}"))


def outputs_of(facts: Mapping[str, Any]) -> dict[str, Digest]:
    """The trees that a handed build made, by the names of the pipeline's outputs. `facts` are the build's."""
    return {name: Digest.parse(digest) for name, digest in (facts.get("trees") or {}).items()}


def to_plain(handed: Handed) -> dict[str, Any]:
    """For a row; `from_plain` reads it back the same."""
    return to_members(handed)


def from_plain(given: Mapping[str, Any]) -> Handed:
    """What `to_plain` wrote."""
    handed = from_members(Handed, given)
    return replace(handed, primary=_exact(handed.primary), secondary=tuple(map(_exact, handed.secondary)))


def _exact(source: HandedSource) -> HandedSource:
    return source if source.tree is None else replace(source, tree=Digest.parse(source.tree))
