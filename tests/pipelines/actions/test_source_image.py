"""Images as sources: what a tag means in a real registry, with and without a password or a token."""

import json
from pathlib import Path
from typing import Any

import pytest

from codeyard.pipelines.actions import ActionFailed, ErrorCode, SourceOverride
from codeyard.pipelines.actions.registries import Login
from codeyard.pipelines.actions.repositories import Repositories
from codeyard.pipelines.actions.source_image import ImageAction
from codeyard.pipelines.model import Action
from codeyard.secrets import Secret
from tests.docker_registry import registry
from tests.pipelines.works import action, bench_at


def declared(repository: str, **more: str) -> Action:
    given = {"RepositoryName": repository, "ImageTag": "1", **more}
    return action("Source/AWS/ECR/1", given, outputs=["Image"])


def as_ann(_host: str) -> Login | None:
    return Login("ann", Secret("right"))


WAYS: list[dict[str, Any]] = [
    {},
    {"login": "ann:right"},
    {"tokens": True},
    {"tokens": True, "login": "ann:right"},
]


@pytest.mark.parametrize("way", WAYS, ids=str)
async def test_a_tag_becomes_its_digest_and_the_file_that_deployments_read(tmp_path: Path, way: dict[str, Any]) -> None:
    with registry(b"layer", **way) as address:
        whole = bench_at(tmp_path / "1", declared(f"{address}/team/image"))
        outcome = await ImageAction(Repositories(), as_ann).run(whole)
        pinned = SourceOverride(image_digest=outcome.external_id)
        short = bench_at(tmp_path / "2", declared("image", ImageTag="gone"), pinned=pinned)
        again = await ImageAction(Repositories.parse(f"ecr={address}/team"), as_ann).run(short)

    digest = outcome.variables["ImageDigest"]
    assert outcome.variables == {
        "ImageDigest": digest,
        "ImageTag": "1",
        "ImageURI": f"{address}/team/image@{digest}",
        "RegistryId": "111122223333",
        "RepositoryName": f"{address}/team/image",
    }
    detail = json.loads(whole.files(outcome.outputs[0])["imageDetail.json"])
    assert detail.pop("ImageSizeInBytes") > 100
    assert detail == {
        "ImageDigest": digest,
        "Version": "1.0",
        "RegistryId": "111122223333",
        "RepositoryName": f"{address}/team/image",
        "ImageURI": f"{address}/team/image@{digest}",
        "ImageTags": ["1"],
    }
    assert (again.external_id, again.variables["ImageURI"]) == (digest, f"{address}/team/image@{digest}")
    assert whole.permitted[0][0] == "ecr:DescribeImages"


REFUSALS = [
    ({"ImageTag": "2"}, None, ErrorCode.CONFIGURATION, "image with tag 2 does not exist"),
    ({}, f"sha256:{'0' * 64}", ErrorCode.UNAVAILABLE_REVISION, "does not exist"),
]


@pytest.mark.parametrize(("given", "pinned", "code", "text"), REFUSALS)
async def test_an_image_that_is_not_there_fails_the_action(
    tmp_path: Path, given: dict[str, str], pinned: str | None, code: ErrorCode, text: str
) -> None:
    with registry(b"layer") as address:
        override = SourceOverride(image_digest=pinned) if pinned else None
        bench = bench_at(tmp_path, declared(f"{address}/team/image", **given), pinned=override)
        with pytest.raises(ActionFailed, match=text) as failed:
            await ImageAction(Repositories()).run(bench)

    assert failed.value.code is code


async def test_a_registry_that_lets_nobody_in_fails_the_action_and_no_password_is_told(tmp_path: Path) -> None:
    def wrong(_host: str) -> Login | None:
        return Login("ann", Secret("not-this-one"))

    with registry(b"layer", login="ann:right") as address:
        bench = bench_at(tmp_path, declared(f"{address}/team/image"))
        with pytest.raises(ActionFailed, match="Insufficient permissions") as failed:
            await ImageAction(Repositories(), wrong).run(bench)

    assert failed.value.code is ErrorCode.PERMISSION
    assert "not-this-one" not in repr(failed.value)
