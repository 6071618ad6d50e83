"""Single files of artifacts, as actions read and make them."""

import asyncio
import io
from dataclasses import replace

from codeyard.artifacts import Entry, Kind
from codeyard.artifacts import tree as trees
from codeyard.artifacts.transfer import save_manifest
from codeyard.pipelines.actions import ActionFailed, Artifact, ErrorCode, Work
from codeyard.pipelines.actions.importing import read_file, tree_of


async def file_of(work: Work, artifact: Artifact, path: str, limit: int) -> bytes:
    """A file of an input, by its path in it. ActionFailed: it is not there, or is of more than `limit` bytes."""
    tree = await tree_of(artifact, work)
    return await asyncio.to_thread(read_file, replace(artifact, tree=tree), path, limit, work.blobs)


async def text_of(work: Work, artifact: Artifact, path: str, limit: int) -> str:
    """The same as text. ActionFailed also if it is not UTF-8."""
    try:
        return (await file_of(work, artifact, path, limit)).decode("utf-8-sig")
    except UnicodeDecodeError:
        text = f"File [{path}] of the artifact {artifact.name} is not UTF-8 text"
        raise ActionFailed(ErrorCode.CONFIGURATION, text) from None


async def with_file(work: Work, artifact: Artifact, path: str, content: bytes) -> Artifact:
    """An output that holds this one file. Invalid: the path cannot be."""

    def store() -> Artifact:
        blob = work.blobs.put(io.BytesIO(content))
        tree = trees.make([Entry(path, Kind.FILE, blob.size, blob.digest)])
        return replace(artifact, tree=save_manifest(tree, work.blobs))

    return await asyncio.to_thread(store)


def input_named(work: Work, name: str, key: str) -> Artifact:
    """The input artifact that the key of the configuration names. ActionFailed: there is none."""
    found = next((each for each in work.inputs if each.name == name), None)
    if found is None:
        raise ActionFailed(ErrorCode.CONFIGURATION, f"{key}: {name or 'nothing'} is not an input artifact")
    return found
