"""UPLOAD_ARTIFACTS: what is published where, and what fails it."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeyard.builds.job import Interrupted
from codeyard.builds.model import SUCCEEDED, ArtifactTarget, Context, Outcome, Status
from codeyard.builds.upload import upload
from codeyard.objects import Encryption
from codeyard.objects.buckets import embedded
from codeyard.objects.directory import ObjectDirectory
from codeyard.secrets.sealing import KeyFile
from tests.builds.jobs import ID, Bench, bench

ACCOUNT = "000000000000"

FILES = {"a": "1", "sub/b": "22"}


def _bench(home: Path, artifacts: dict[str, Any] | None, **more: Any) -> Bench:
    return bench(home, {"phases": {}, **({} if artifacts is None else {"artifacts": artifacts})}, files=FILES, **more)


async def _upload(made: Bench) -> tuple[Outcome, dict[str, Any]]:
    facts: dict[str, Any] = {}
    return await upload(made.job, facts), facts


async def test_an_artifact_is_published_and_told(tmp_path: Path) -> None:
    outcome, facts = await _upload(_bench(tmp_path, {"files": ["**/*"]}))
    (made,) = facts["artifacts"]

    assert outcome == SUCCEEDED
    assert (tmp_path / "out/project/sub/b").read_text() == "22"
    assert (made["identifier"], made["files"], made["bytes"]) == ("", 2, 3)
    assert made["digest"].startswith("sha256:")


@pytest.mark.parametrize(
    ("state", "asked"), [("export A='1'", False), ("export CODEBUILD_CONFIG_AUTO_DISCOVER=x", True)]
)
async def test_the_shell_is_asked_only_where_the_build_may_have_told_how_reports_are_found(
    tmp_path: Path, state: str, asked: bool
) -> None:
    made = _bench(tmp_path, None)
    (tmp_path / "codebuild/output/tmp/env.sh").write_text(state)
    await _upload(made)

    assert ("value-names" in made.sandbox.ran) is asked


async def test_one_that_is_stopped_uploads_nothing(tmp_path: Path) -> None:
    made = _bench(tmp_path, {"files": ["**/*"]})
    (tmp_path / "codebuild/output/tmp/env.sh").write_text("")
    made.job.tools.stop.set()

    with pytest.raises(Interrupted):
        await _upload(made)


async def test_a_step_done_again_gives_the_same_digest(tmp_path: Path) -> None:
    made = _bench(tmp_path, {"files": ["**/*"]})

    assert await _upload(made) == await _upload(made)


async def test_without_artifacts_or_a_place_for_them_nothing_is_made(tmp_path: Path) -> None:
    none = await _upload(_bench(tmp_path / "a", None))
    nowhere = await _upload(_bench(tmp_path / "b", {"files": ["none"]}, settings={"artifacts": None}))

    assert (none[0], none[1]["artifacts"]) == (SUCCEEDED, [])
    assert (nowhere[0], nowhere[1]["artifacts"]) == (SUCCEEDED, [])


@pytest.mark.parametrize(
    ("artifacts", "message"),
    [
        ({"files": ["none"]}, "no matching artifact paths found"),
        ({"files": ["*"], "base-directory": "dist"}, "no matching base directory path found for dist"),
        ({"files": ["a"], "secondary-artifacts": {"s": {"files": ["none"]}}}, "no matching artifact paths found"),
    ],
)
async def test_nothing_to_publish_is_aws_s_client_error(
    tmp_path: Path, artifacts: dict[str, Any], message: str
) -> None:
    target = ArtifactTarget(str(tmp_path / "out"), "x")
    outcome, facts = await _upload(_bench(tmp_path, artifacts, settings={"any_secondary": target}))

    assert outcome == Outcome(Status.FAILED, Context("CLIENT_ERROR", message))
    assert facts["reports"] == []


async def test_a_secondary_artifact_must_be_the_project_s(tmp_path: Path) -> None:
    artifacts = {"files": ["a"], "secondary-artifacts": {"other": {"files": ["a"]}}}
    outcome, _ = await _upload(_bench(tmp_path, artifacts))

    assert outcome.context == Context("CLIENT_ERROR", "secondary artifact other is not one of the project's")


async def test_only_secondary_artifacts_is_enough(tmp_path: Path) -> None:
    target = ArtifactTarget(str(tmp_path / "out"), "x")
    artifacts = {"secondary-artifacts": {"one": {"files": ["a"]}, "two": {"files": ["sub/*"]}}}
    outcome, facts = await _upload(_bench(tmp_path, artifacts, settings={"any_secondary": target}))

    assert outcome == SUCCEEDED
    assert [made["identifier"] for made in facts["artifacts"]] == ["one", "two"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"one", "two"}


async def test_the_name_is_what_the_shell_makes_of_it_if_the_project_lets_it(tmp_path: Path) -> None:
    artifacts = {"files": ["a"], "name": "v$V"}
    await _upload(_bench(tmp_path, artifacts, values={"name-": ("v7",)}))
    fixed = ArtifactTarget(str(tmp_path / "fixed"), "kept", override_name=False)
    await _upload(_bench(tmp_path, artifacts, values={"name-": ("v7",)}, settings={"artifacts": fixed}))

    assert (tmp_path / "out/v7/a").is_file()
    assert (tmp_path / "fixed/kept/a").is_file()


@pytest.mark.parametrize("name", ["../../out-of-here", "a/../../b"])
async def test_a_name_does_not_lead_out(tmp_path: Path, name: str) -> None:
    await _upload(_bench(tmp_path / "in", {"files": ["a"], "name": "x"}, values={"name-": (name,)}))

    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def _bucket_bench(home: Path, artifacts: dict[str, Any], target: ArtifactTarget) -> tuple[Bench, ObjectDirectory]:
    keys = KeyFile(home.with_name("vault.key"))
    keys.newest()
    objects = ObjectDirectory(home.with_name("objects"), keys)
    objects.create(ACCOUNT, "bucket", "us-east-1")
    made = _bench(home, artifacts, settings={"artifacts": target})
    made.job.tools = replace(made.job.tools, open_bucket=embedded(objects, ACCOUNT))
    return made, objects


async def test_an_artifact_goes_to_a_bucket_by_the_projects_settings(tmp_path: Path) -> None:
    target = ArtifactTarget("s3://bucket", "/", namespaced=True, override_name=False, path="/P/", encrypt_by="alias/k")
    made, objects = _bucket_bench(tmp_path / "home", {"files": ["**/*"]}, target)
    outcome, facts = await _upload(made)
    stored, _ = objects.list(ACCOUNT, "bucket")

    assert outcome == SUCCEEDED
    assert [one.key for one in stored] == [f"P/{ID.run}/a", f"P/{ID.run}/sub/b"]
    assert {one.about.encryption for one in stored} == {Encryption("aws:kms", "alias/k")}
    assert stored[0].about.metadata == {"codebuild-buildarn": f"arn:aws:codebuild:us-east-1:{ACCOUNT}:build/{ID}"}
    assert facts["artifacts"][0]["location"] == f"arn:aws:s3:::bucket/P/{ID.run}"
    assert facts["artifact_sums"] == {"": {}}


async def test_a_zip_in_a_bucket_is_told_with_its_sums(tmp_path: Path) -> None:
    target = ArtifactTarget("s3://bucket", "app.zip", zipped=True)
    made, objects = _bucket_bench(tmp_path / "home", {"files": ["a"]}, target)
    _, facts = await _upload(made)
    with objects.open(ACCOUNT, "bucket", "app.zip") as found:
        content, about = b"".join(found.read()), found.stored.about
    md5, sha256 = hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()

    assert facts["artifacts"][0]["location"] == "arn:aws:s3:::bucket/app.zip"
    assert facts["artifact_sums"] == {"": {"md5sum": md5, "sha256sum": sha256}}
    assert (about.metadata["codebuild-content-md5"], about.metadata["codebuild-content-sha256"]) == (md5, sha256)
    assert about.encryption is None


async def test_a_bucket_that_refuses_fails_the_phase_with_its_code(tmp_path: Path) -> None:
    made, _ = _bucket_bench(tmp_path / "home", {"files": ["a"]}, ArtifactTarget("s3://none", "x"))
    outcome, facts = await _upload(made)

    assert outcome.status is Status.FAILED
    assert outcome.context.code == "CLIENT_ERROR"
    assert outcome.context.message.startswith("Failed to upload artifacts: ")
    assert "NoSuchBucket: The specified bucket does not exist" in outcome.context.message
    assert facts["artifacts"] == []


async def test_variables_in_paths_are_those_of_the_end(tmp_path: Path) -> None:
    made = _bench(tmp_path, {"files": ["$D/*"]}, values={"names": ("sub", "", "")})
    await _upload(made)

    assert (tmp_path / "out/project/sub/b").is_file()


async def test_files_outside_the_source_keep_their_paths(tmp_path: Path) -> None:
    made = _bench(tmp_path, {"files": ["/root/x", "a"]}, sandbox_files={"/root/x": "far"})
    await _upload(made)

    assert (tmp_path / "out/project/root/x").read_text() == "far"
    assert (tmp_path / "out/project/a").is_file()


async def test_a_report_is_made_though_the_artifact_failed(tmp_path: Path) -> None:
    spec = {"phases": {}, "artifacts": {"files": ["none"]}, "reports": {"unit": {"files": ["r.xml"]}}}
    made = bench(tmp_path, spec, files={"r.xml": "<testsuite><testcase name='t'/></testsuite>"})
    outcome, facts = await _upload(made)

    assert outcome.status is Status.FAILED
    assert [(report["name"], report["status"]) for report in facts["reports"]] == [("project-unit", "SUCCEEDED")]
