"""What a stored build asks of the engine."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.app.requests import cache_place, settings_of
from codeyard.artifacts import Digest
from codeyard.builds import life
from codeyard.builds.handed import Handed, HandedSource
from codeyard.builds.model import ArtifactTarget, ComputeType, Settings, Variable
from codeyard.builds.project_parts import Visibility
from codeyard.builds.stored import StoredBuild, parse, progress_json, request_json
from codeyard.ident import Owner
from tests.builds.projects import INPUTS, NOW, OWNER, environment, project

KEY = "arn:aws:kms:us-east-1:000000000000:alias/aws/s3"
S3 = {"type": "S3", "location": "bucket"}
LOCAL = {"type": "LOCAL", "modes": ["LOCAL_CUSTOM_CACHE"]}


def a_build(owner: Owner = OWNER, variables: tuple[Variable, ...] = (), **given: Any) -> StoredBuild:
    """One that was started of a project with these members."""
    return life.started(owner, project(**given), variables, "root", 7, NOW)


def settings(stored: StoredBuild, **given: Any) -> Settings:
    usual: dict[str, Any] = {"build_url": "http://here/builds/1", "service_variables": {}, "hidden": ()}
    return settings_of(stored, **usual | given)


def test_a_build_is_known_by_what_it_was_started_with() -> None:
    stored = a_build(timeoutInMinutes=17)

    found = settings(stored)

    assert (found.id, found.owner, found.number, found.initiator) == (stored.id, OWNER, 7, "root")
    assert (found.submitted, found.timeout, found.image) == (NOW, timedelta(minutes=17), "busybox")


def test_variables_of_the_call_are_kept_apart_from_the_projects() -> None:
    """So that the engine can let them win: the call's, the project's, the buildspec's (reference 3.2)."""
    theirs = environment(environmentVariables=[{"name": "A", "value": "project"}, {"name": "B", "value": "project"}])

    found = settings(a_build(variables=(Variable("A", "call"),), environment=theirs))

    assert found.overrides == (Variable("A", "call"),)
    assert found.project_variables == (Variable("A", "project"), Variable("B", "project"))


def test_what_the_server_gives_is_no_variable_of_anybodys_and_is_hidden() -> None:
    given = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "t0ken"}

    found = settings(a_build(), service_variables=given, hidden=("t0ken",))

    assert found.service_variables == given
    assert found.hidden == ("t0ken",)
    assert (found.overrides, found.project_variables) == ((), ())


@pytest.mark.parametrize("buildspec", ["", None])
def test_no_buildspec_means_the_one_in_the_source(buildspec: str | None) -> None:
    source = {"type": "GITHUB", "location": "https://example.com/a.git"}

    assert settings(a_build(source=source | ({} if buildspec is None else {"buildspec": buildspec}))).buildspec is None


def test_a_compute_type_gives_its_size() -> None:
    found = settings(a_build(environment=environment(computeType="BUILD_GENERAL1_LARGE")))

    assert found.compute == ComputeType("BUILD_GENERAL1_LARGE", 8, 16 << 30)


def test_a_compute_type_that_has_no_size_here_has_what_the_build_was_promised() -> None:
    stored = a_build()
    unknown = replace(stored.project, environment=replace(stored.project.environment, compute_type="CUSTOM"))

    found = settings(replace(stored, project=unknown))

    assert found.compute == ComputeType("CUSTOM", stored.need.cpus, stored.need.memory)


def test_artifacts_go_where_the_project_says() -> None:
    zipped = {**S3, "path": "out", "name": "app.zip", "packaging": "ZIP", "namespaceType": "BUILD_ID"}
    second = [{**S3, "name": "pages", "artifactIdentifier": "docs", "encryptionDisabled": True}]

    found = settings(a_build(artifacts=zipped, secondaryArtifacts=second))

    assert found.artifacts == ArtifactTarget(
        "s3://bucket", "app.zip", zipped=True, namespaced=True, path="out", encrypt_by=KEY, override_name=False
    )
    assert found.secondary_artifacts == {"docs": ArtifactTarget("s3://bucket", "pages", override_name=False)}


def test_a_project_with_no_artifacts_has_no_target() -> None:
    found = settings(a_build())

    assert (found.artifacts, dict(found.secondary_artifacts)) == (None, {})


def test_the_key_is_the_projects_in_its_own_region() -> None:
    here = Owner("111122223333", "eu-west-1")

    assert settings(a_build(here, encryptionKey="alias/mine")).encryption_key == (
        "arn:aws:kms:eu-west-1:111122223333:alias/mine"
    )


def test_the_log_path_is_the_streams_name() -> None:
    usual, silent = a_build(), a_build(logsConfig={"cloudWatchLogs": {"status": "DISABLED"}})
    named = a_build(logsConfig={"cloudWatchLogs": {"status": "ENABLED", "groupName": "g", "streamName": "s"}})

    assert settings(usual).log_path == usual.run
    assert settings(named).log_path == f"s/{named.run}"
    assert settings(silent).log_path is None


def test_only_a_public_project_has_a_public_url() -> None:
    stored = a_build()
    public = replace(stored, project=replace(stored.project, project_visibility=Visibility.PUBLIC_READ))

    assert settings(stored).public_url is None
    assert settings(public).public_url == settings(public).build_url == "http://here/builds/1"


def test_no_cache_is_no_cache() -> None:
    found = settings(a_build())

    assert (found.cache, found.cache_scope) == (False, None)


@pytest.mark.parametrize("modes", [["LOCAL_SOURCE_CACHE"], ["LOCAL_DOCKER_LAYER_CACHE"]])
def test_a_local_cache_that_needs_no_store_has_none(modes: list[str]) -> None:
    assert cache_place(a_build(cache={"type": "LOCAL", "modes": modes})) is None


@pytest.mark.parametrize("cache", [LOCAL, {"type": "S3", "location": "bucket/prefix"}])
def test_invalidating_a_cache_gives_another_scope_in_the_same_place(cache: dict[str, Any]) -> None:
    before = a_build(cache=cache)
    after = replace(before, project=replace(before.project, cache_scope="another"))

    was, now = cache_place(before), cache_place(after)

    assert was is not None
    assert now is not None
    assert was.store == now.store
    assert was.scope != now.scope


def test_a_namespace_is_shared_and_survives_that() -> None:
    cache = {"type": "S3", "location": "bucket/prefix", "cacheNamespace": "team"}
    mine = a_build(cache=cache)
    theirs = a_build(name="other", cache=cache)
    after = replace(mine, project=replace(mine.project, cache_scope="another"))

    assert cache_place(mine) == cache_place(theirs) == cache_place(after)


@given(INPUTS, st.booleans())
def test_whatever_the_project_a_build_that_was_stored_asks_for_the_same(given: dict[str, Any], asked: bool) -> None:
    """A worker that takes it up later, from the database, runs the same build."""
    stored = a_build(variables=(Variable("A", "1"),) if asked else (), **given)
    read = parse(
        request_json(stored), progress_json(stored), id=stored.id, owner=stored.owner, number=stored.number,
        need=stored.need, queue_until=stored.queue_until, priority=stored.priority, limit=stored.limit,
        worker=stored.worker, version=stored.version,
    )  # fmt: skip

    assert settings(read) == settings(stored)


@given(INPUTS)
def test_whatever_the_project_it_makes_sense(given: dict[str, Any]) -> None:
    found = settings(a_build(**given))

    assert found.cache is (found.cache_scope is not None)
    assert found.timeout > timedelta(0)
    assert found.compute.cpus > 0
    assert found.compute.memory > 0
    assert (found.encryption_key or "").startswith("arn:aws:kms:")
    assert found.public_url is None  # only UpdateProjectVisibility makes it public


def test_what_a_pipeline_wants_of_a_build() -> None:
    stored = a_build(artifacts=S3)
    handed = Handed("p", HandedSource("v", tree=Digest("a" * 64)), outputs=("app",))

    assert settings(stored).outputs is None
    assert settings(replace(stored, handed=handed)).outputs == ("app",)
