"""UPLOAD_ARTIFACTS of a build that a pipeline started: its outputs become trees in the blob store, and no more.

With one output the buildspec's own `artifacts` are it; with several each is the secondary artifact of its name; see
"CodePipeline multiple input/output sample" in the CodeBuild guide.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from codeyard.artifacts.patterns import Selected, Unmatched
from codeyard.builds.buildspec import ArtifactsSpec
from codeyard.builds.expansion import expand_selection
from codeyard.builds.faithful import select_faithfully
from codeyard.builds.gather import Group, gather
from codeyard.builds.job import Job
from codeyard.builds.model import SUCCEEDED, Context, Outcome, Status
from codeyard.builds.storing import store
from codeyard.errors import CodeyardError, Invalid


async def hand_over(job: Job, outputs: tuple[str, ...], facts: dict[str, Any], values: Mapping[str, str]) -> Outcome:
    """Store all of them; `facts["trees"]` says which tree each output is. `values` are those of `expand_selection`."""
    made: list[dict[str, Any]] = []
    facts["artifacts"], facts["artifact_sums"], facts["trees"] = made, {}, {}
    source = (await job.place()).source
    try:
        for name, spec in assigned(job.buildspec.artifacts, outputs):
            groups = await gather(job, expand_selection(spec.selection, dict(values), source), f"artifact-{name}")
            tree = await job.within(asyncio.to_thread(store, job, name, groups, _faithfully))
            made.append(
                {
                    "identifier": name,
                    "location": str(tree.digest),
                    "digest": f"sha256:{tree.digest}",
                    "files": tree.files,
                    "bytes": tree.size,
                }
            )
            facts["trees"][name] = str(tree.digest)
    except Unmatched as error:
        job.say_each(f"artifact-{name}", error.lines)
        return _failed(error.what)
    except Invalid as error:
        return _failed(f"{error.what}: {error.why}")
    except CodeyardError as error:
        return _failed(f"Failed to upload artifacts: {error}")
    return SUCCEEDED


def assigned(spec: ArtifactsSpec | None, outputs: tuple[str, ...]) -> tuple[tuple[str, ArtifactsSpec], ...]:
    """Which part of the buildspec makes which output. Invalid: one is not made, or what is made is none of them."""
    if not outputs:
        return ()
    if spec is None:
        raise Invalid(_named(outputs), "the buildspec has no artifacts.", "Add them.")
    if len(outputs) == 1:
        if not spec.selection.files:
            raise Invalid(_named(outputs), "the buildspec's artifacts have no files of their own.", "Add files.")
        return ((outputs[0], spec),)
    missing = tuple(name for name in outputs if name not in spec.secondary)
    if missing:
        raise Invalid(_named(missing), "the buildspec's secondary-artifacts do not have it.", "Add it there.")
    other = next((name for name in spec.secondary if name not in outputs), None)
    if other is not None:
        why = "it is not an output artifact of the pipeline's action."
        raise Invalid(f"secondary artifact {other}", why, "Declare it, or remove it.")
    return tuple((name, spec.secondary[name]) for name in outputs)


def _named(outputs: tuple[str, ...]) -> str:
    return f"output artifact {', '.join(outputs)}"


def _faithfully(group: Group) -> Selected:
    return select_faithfully(group.found, group.selection, group.inside)


def _failed(message: str) -> Outcome:
    return Outcome(Status.FAILED, Context("CLIENT_ERROR", message))
