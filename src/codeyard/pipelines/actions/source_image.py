"""The source that is a container image: which one a tag means now, in ECR's stead in any registry."""

import asyncio
import io
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from codeyard.artifacts import BlobStore, Digest, Entry, Kind
from codeyard.artifacts import tree as trees
from codeyard.artifacts.transfer import save_manifest
from codeyard.durable import Answer
from codeyard.errors import Denied, NotFound
from codeyard.ident import Owner
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Revision, Told, Work
from codeyard.pipelines.actions.registries import Image, LoginFor, Name, image, name_of
from codeyard.pipelines.actions.repositories import Repositories

PROVIDER = "ECR"
_FILE = "imageDetail.json"
_AT_ONCE = 16  # registries that are asked


def nobody(_host: str) -> None:
    """No registry is logged in to."""


class ImageAction:
    """`login` gives what a registry is shown, by its HOST[:PORT]."""

    def __init__(self, repositories: Repositories, login: LoginFor = nobody) -> None:
        self._repositories, self._login = repositories, login
        # Of their own: a registry that is slow, on purpose or not, must not hold up what else this process does.
        self._threads = ThreadPoolExecutor(_AT_ONCE, "registries")

    async def run(self, work: Work) -> Outcome:
        """See Action. ActionFailed; Invalid: the repository's name cannot be."""
        given, owner = work.declared.configuration, work.place.owner
        repository, tag = given["RepositoryName"], given.get("ImageTag") or "latest"
        name = name_of(repository, self._repositories.registry)
        await work.permit("ecr:DescribeImages", f"arn:aws:ecr:{owner.region}:{owner.account}:repository/{repository}")
        pinned = work.pinned.image_digest if work.pinned is not None else None

        async def find() -> Answer:
            found = await self._find(name, repository, tag, pinned)
            return {"digest": found.digest, "size": found.size, "put": found.put}

        answer = await work.step("image", find)
        found = Image(answer["digest"], answer["size"], answer["put"])
        await work.tell(Told(external_id=found.digest))
        tags = [] if pinned else [tag]
        detail = image_detail(found, name, repository, tags, owner)

        async def keep() -> Answer:
            return {"tree": str(await asyncio.to_thread(_kept, detail, work.blobs))}

        tree = Digest.parse((await work.step("artifact", keep))["tree"])
        return Outcome(
            outputs=(replace(work.outputs[0], tree=tree, revision=found.digest),),
            variables={
                "ImageDigest": found.digest,
                "ImageTag": tag,
                "ImageURI": detail["ImageURI"],
                "RegistryId": owner.account,
                "RepositoryName": repository,
            },
            revision=Revision(found.digest),
            external_id=found.digest,
        )

    async def _find(self, name: Name, repository: str, tag: str, pinned: str | None) -> Image:
        try:
            asked = partial(image, name, pinned or tag, self._login(name.host))
            return await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        except NotFound:
            if pinned:
                text = f"The image with digest {pinned[:80]} does not exist in the repository {repository}."
                raise ActionFailed(ErrorCode.UNAVAILABLE_REVISION, text) from None
            text = f"The image with tag {tag} does not exist in the repository {repository}."
            raise ActionFailed(ErrorCode.CONFIGURATION, text) from None
        except Denied as refused:
            text = f"Insufficient permissions. Unable to access the repository {repository}: {refused.why}"
            raise ActionFailed(ErrorCode.PERMISSION, text) from None


def image_detail(found: Image, name: Name, repository: str, tags: list[str], owner: Owner) -> Mapping[str, Any]:
    """What imageDetail.json holds ("imageDetail.json file for Amazon ECS blue/green deployment actions"). When the
    image was pushed is left out where its registry does not say it."""
    return {
        "ImageSizeInBytes": found.size,
        "ImageDigest": found.digest,
        "Version": "1.0",
        **({"ImagePushedAt": found.put} if found.put else {}),
        "RegistryId": owner.account,
        "RepositoryName": repository,
        "ImageURI": f"{name}@{found.digest}",
        "ImageTags": tags,
    }


def _kept(detail: Mapping[str, Any], blobs: BlobStore) -> Digest:
    """The digest of the tree of that one file."""
    content = json.dumps(detail, separators=(",", ":")).encode()
    blob = blobs.put(io.BytesIO(content))
    tree = trees.make([Entry(_FILE, Kind.FILE, blob.size, blob.digest)])
    return save_manifest(tree, blobs)
