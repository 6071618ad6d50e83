"""UPLOAD_ARTIFACTS: what is published where, and what fails it."""

from pathlib import Path
from typing import Any

import pytest

from codeyard.builds.model import SUCCEEDED, ArtifactTarget, Context, Outcome, Status
from codeyard.builds.upload import upload
from tests.builds.jobs import Bench, bench

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
