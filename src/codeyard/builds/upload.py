"""UPLOAD_ARTIFACTS: reports, artifacts, cache (reference 2.2, 5.5)."""

import asyncio
from pathlib import Path
from typing import Any

from codeyard.artifacts import Tree
from codeyard.artifacts.patterns import Unmatched
from codeyard.artifacts.publish import (
    NamespaceType,
    Packaging,
    Published,
    layout,
    publish_to_bucket,
    publish_to_directory,
)
from codeyard.artifacts.scan import read_file
from codeyard.builds.buildspec import ArtifactsSpec
from codeyard.builds.caching import save_cache
from codeyard.builds.expansion import expand_selection, expand_text, names_in, texts_of
from codeyard.builds.gather import Group, gather
from codeyard.builds.handing import hand_over
from codeyard.builds.job import Job
from codeyard.builds.model import SUCCEEDED, ArtifactTarget, Context, Outcome, Status
from codeyard.builds.reporting import make_reports
from codeyard.builds.script import STATE
from codeyard.builds.storing import store
from codeyard.errors import CodeyardError

_DISCOVER = "CODEBUILD_CONFIG_AUTO_DISCOVER"
_DISCOVERY = (_DISCOVER, f"{_DISCOVER}_DIR")
_STATE_AT_MOST = 1 << 20


async def upload(job: Job, facts: dict[str, Any]) -> Outcome:
    """Do all of it; an artifact that cannot be made fails the phase, a report or a cache never does."""
    values = await _values(job)
    outputs = job.settings.outputs
    outcome = await (_artifacts(job, facts, values) if outputs is None else hand_over(job, outputs, facts, values))
    facts["reports"] = await make_reports(job, values)
    facts["cache"] = await save_cache(job, values)
    return outcome


async def _values(job: Job) -> dict[str, str]:
    """The variables, as they are now, that the paths and names of the buildspec mention."""
    spec = job.buildspec
    texts: list[str] = [text for report in spec.reports for text in (report.name, *texts_of(report.selection))]
    if spec.artifacts is not None:
        for artifact in (spec.artifacts, *spec.artifacts.secondary.values()):
            texts += [*texts_of(artifact.selection), artifact.s3_prefix or ""]
    if spec.cache is not None:
        texts += spec.cache.paths
    mentioned = names_in(texts)
    if not mentioned and not await job.within(asyncio.to_thread(_may_discover_otherwise, job)):
        return {}
    names = tuple(dict.fromkeys((*mentioned, *_DISCOVERY)))
    return dict(zip(names, await job.evaluate("names", tuple(f"${{{name}-}}" for name in names)), strict=True))


def _may_discover_otherwise(job: Job) -> bool:
    """Whether the build may have set how reports are discovered, so that its shell is to be asked.

    No shell sets these by itself, and what carries variables from command to command would name them.
    """
    if job.buildspec.version == "0.1":  # nothing carries them: only what it was given counts
        return True
    try:
        return _DISCOVER.encode() in read_file(job.tools.sandbox.output, STATE, _STATE_AT_MOST)
    except (CodeyardError, OSError):  # no command has run, or the build has made something else of it
        return True


async def _artifacts(job: Job, facts: dict[str, Any], values: dict[str, str]) -> Outcome:
    made: list[dict[str, Any]] = []
    facts["artifacts"], facts["artifact_sums"] = made, {}
    spec, settings = job.buildspec.artifacts, job.settings
    if spec is None or settings.artifacts is None:
        return SUCCEEDED
    wanted = [("", spec, settings.artifacts)] if spec.selection.files else []
    if spec.secondary:
        job.say("secondary", "Preparing to copy secondary artifacts")
    for identifier, secondary in spec.secondary.items():
        target = settings.secondary_target(identifier)
        if target is None:
            return _failed(f"secondary artifact {identifier} is not one of the project's")
        wanted.append((identifier, secondary, target))
    for identifier, artifact, target in wanted:
        try:
            fact, sums = await _make(job, identifier, artifact, target, values)
        except Unmatched as error:
            job.say_each(f"artifact-{identifier}", error.lines)
            return _failed(error.what)
        except CodeyardError as error:
            return _failed(f"Failed to upload artifacts: {error}")
        made.append(fact)
        facts["artifact_sums"][identifier] = sums
    return SUCCEEDED


async def _make(
    job: Job, identifier: str, spec: ArtifactsSpec, target: ArtifactTarget, values: dict[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Store the tree, then publish it; gives the facts of its event, and of a zip the sums that AWS tells."""
    source = (await job.place()).source
    groups = await gather(job, expand_selection(spec.selection, values, source), f"artifact-{identifier}")
    tree = await job.within(asyncio.to_thread(store, job, identifier, groups, Group.select))
    name = target.name
    if spec.name is not None and target.override_name:
        (name,) = await job.evaluate(f"name-{identifier}", (spec.name,))
    prefix = expand_text(spec.s3_prefix, values) if spec.s3_prefix else None
    published = await job.within(asyncio.to_thread(_publish, job, tree, target, name, prefix))
    fact = {
        "identifier": identifier,
        "location": published.location,
        "digest": f"sha256:{tree.digest}",
        "files": tree.files,
        "bytes": tree.size,
    }
    if published.md5 is None or published.sha256 is None:
        return fact, {}
    return fact, {"md5sum": published.md5, "sha256sum": published.sha256}


def _publish(job: Job, tree: Tree, target: ArtifactTarget, name: str, prefix: str | None) -> Published:
    id, blobs = job.settings.id, job.tools.blobs
    packaging = Packaging.ZIP if target.zipped else Packaging.NONE
    namespace = NamespaceType.BUILD_ID if target.namespaced else NamespaceType.NONE
    key = layout(target.path, namespace, name, id.run, packaging, s3_prefix=prefix)
    if target.location.startswith("s3://"):
        arn = job.settings.owner.arn(f"build/{id}")
        return publish_to_bucket(
            tree,
            blobs,
            target.location,
            key,
            packaging,
            build_arn=arn,
            open_bucket=job.tools.open_bucket,
            encrypt_by=target.encrypt_by,
        )
    return publish_to_directory(tree, blobs, Path(target.location), key, packaging)


def _failed(message: str) -> Outcome:
    return Outcome(Status.FAILED, Context("CLIENT_ERROR", message))
