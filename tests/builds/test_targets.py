"""What a project's settings of artifacts and caches mean for a build."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.model import ArtifactTarget
from codeyard.builds.project_parts import (
    ArtifactsType,
    CacheMode,
    CacheType,
    Namespace,
    Packaging,
    ProjectArtifacts,
    ProjectCache,
)
from codeyard.builds.targets import CachePlace, cache_of, target_of, targets_of

KEY = "arn:aws:kms:us-east-1:000000000000:alias/aws/s3"
PLAIN = ProjectArtifacts(ArtifactsType.S3, "bucket")


def test_defaults_are_a_folder_of_the_projects_name_encrypted() -> None:
    assert target_of(PLAIN, "app", KEY) == ArtifactTarget(
        "s3://bucket", "app", zipped=False, namespaced=False, override_name=False, path=None, encrypt_by=KEY
    )


def test_every_setting_counts() -> None:
    artifacts = ProjectArtifacts(
        ArtifactsType.S3, "arn:aws:s3:::bucket", "P", Namespace.BUILD_ID, "/", Packaging.ZIP, True, True
    )

    assert target_of(artifacts, "app", KEY) == ArtifactTarget(
        "s3://bucket", "/", zipped=True, namespaced=True, override_name=True, path="P", encrypt_by=None
    )


@pytest.mark.parametrize("kind", [ArtifactsType.NO_ARTIFACTS, ArtifactsType.CODEPIPELINE])
def test_other_types_go_nowhere(kind: ArtifactsType) -> None:
    assert target_of(ProjectArtifacts(kind), "app", KEY) is None


def test_secondary_artifacts_go_by_their_identifiers() -> None:
    named = replace(PLAIN, artifact_identifier="docs", name="d")
    nameless = replace(PLAIN, artifact_identifier="more", name=None)

    found = targets_of((named, nameless), KEY)

    assert {name: target.name for name, target in found.items()} == {"docs": "d", "more": "more"}


@pytest.mark.parametrize(
    ("cache", "place"),
    [
        (ProjectCache(), None),
        (ProjectCache(CacheType.S3, "b/p"), CachePlace("s3/b/p", "project:app")),
        (ProjectCache(CacheType.S3, "b", cache_namespace="n"), CachePlace("s3/b", "namespace:n")),
        (ProjectCache(CacheType.LOCAL, modes=(CacheMode.SOURCE,)), None),
        (
            ProjectCache(CacheType.LOCAL, modes=(CacheMode.SOURCE, CacheMode.CUSTOM)),
            CachePlace("local/app", "project:app"),
        ),
    ],
)
def test_a_cache_is_where_its_type_says(cache: ProjectCache, place: CachePlace | None) -> None:
    assert cache_of(cache, "app") == place


@given(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]), st.sampled_from(["n", None]))
def test_projects_share_a_cache_only_by_a_namespace(one: str, other: str, namespace: str | None) -> None:
    cache = ProjectCache(CacheType.S3, "bucket", cache_namespace=namespace)

    assert (cache_of(cache, one) == cache_of(cache, other)) == (one == other or namespace is not None)
