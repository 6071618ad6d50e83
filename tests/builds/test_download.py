"""DOWNLOAD_SOURCE: what it fetches, writes down and says."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codeyard.builds.download import download
from codeyard.builds.model import SUCCEEDED, Outcome, Status
from codeyard.builds.runtimes import MANIFEST
from codeyard.builds.tools import Revision, Sources, WhichSources
from codeyard.sources import Fetched, SourceError, SourceKind, SourceSpec
from tests.builds.jobs import ROOT, Bench, bench, write

SPEC = "version: 0.2\nphases:\n  build:\n    commands: [ls, pwd]\n  install:\n    commands: []\n"


async def _download(made: Bench) -> tuple[Outcome, dict[str, Any]]:
    facts: dict[str, Any] = {}
    return await download(made.job, facts), facts


async def test_the_sources_are_in_place_and_the_facts_told(tmp_path: Path) -> None:
    made = bench(tmp_path, files={"buildspec.yml": SPEC, "sub/a": "1"})
    outcome, facts = await _download(made)

    assert outcome == SUCCEEDED
    assert (made.source / "sub/a").read_text() == "1"
    assert facts["buildspec"] == SPEC
    assert facts["source"]["resolved"] == "f" * 40
    assert json.loads(json.dumps(facts)) == facts
    assert "Phases found in YAML: 2" in made.said
    assert not (tmp_path / "incoming").exists()


async def test_a_step_done_again_ends_the_same(tmp_path: Path) -> None:
    made = bench(tmp_path, files={"buildspec.yml": SPEC})
    first = await _download(made)
    write(made.source, {"leftover": "of a process that died"})
    again = await _download(made)

    assert again == first
    assert not (made.source / "leftover").exists()


async def test_secondary_sources_lie_beside_the_primary(tmp_path: Path) -> None:
    spec = SourceSpec(SourceKind.DIRECTORY, "x", identifier="lib")
    made = bench(tmp_path, files={"buildspec.yml": SPEC}, secondary=(spec,))
    _, facts = await _download(made)

    assert facts["source"]["secondary"]["lib"]["directory"] == f"{ROOT}/output/src{made.job.tag}/lib"
    assert (made.source.parent / "lib/buildspec.yml").is_file()


async def test_a_source_that_cannot_be_had_fails_with_aws_s_words(tmp_path: Path) -> None:
    async def missing(spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        raise SourceError("reference not found for primary source", "no branch is called x.", "Check it.")

    outcome, facts = await _download(bench(tmp_path, fetch=missing))

    assert (outcome.status, outcome.context.code) == (Status.FAILED, "CLIENT_ERROR")
    assert outcome.context.message == "reference not found for primary source"
    assert facts == {}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "stat /codebuild/output/src{tag}/src/buildspec.yml: no such file or directory"),
        ({"buildspec.yml": "version: 0.2\nphases: {bild: {commands: [ls]}}"}, "Invalid buildspec phase name: bild. "),
    ],
)
async def test_a_buildspec_that_is_missing_or_wrong_is_a_yaml_file_error(
    tmp_path: Path, files: dict[str, str], message: str
) -> None:
    made = bench(tmp_path, files=files)
    outcome, facts = await _download(made)

    assert (outcome.status, outcome.context.code) == (Status.FAILED, "YAML_FILE_ERROR")
    assert outcome.context.message.startswith(message.format(tag=made.job.tag))
    assert "buildspec" not in facts  # nothing that the next step could not read


@pytest.mark.parametrize("named", ["./ci/b.yml", "link/b.yml", "/ci/../ci//b.yml"])
async def test_a_buildspec_is_found_by_any_path_and_link_within_the_source(tmp_path: Path, named: str) -> None:
    async def linked(spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        write(destination, {"ci/b.yml": SPEC})
        (destination / "link").symlink_to("ci")
        return Fetched(None, "", "", "", "", files=1, bytes=1)

    made = bench(tmp_path, fetch=linked, settings={"buildspec": named})
    outcome, _ = await _download(made)

    assert outcome == SUCCEEDED


async def test_a_buildspec_in_a_bucket_that_is_gone_is_a_yaml_file_error(tmp_path: Path) -> None:
    made = bench(tmp_path, settings={"buildspec": "arn:aws:s3:::bucket/key"})
    outcome, _ = await _download(made)

    assert (outcome.context.code, outcome.context.message) == (
        "YAML_FILE_ERROR",
        "buildspec arn:aws:s3:::bucket/key: gone",
    )


async def test_an_inline_buildspec_is_written_where_the_log_says(tmp_path: Path) -> None:
    made = bench(tmp_path, settings={"buildspec": SPEC})
    await _download(made)

    assert "YAML location is /codebuild/readonly/buildspec.yml" in made.said
    assert (tmp_path / "codebuild/readonly/buildspec.yml").read_text() == SPEC


async def test_a_credential_helper_that_is_asked_for_is_said_not_to_be_there(tmp_path: Path) -> None:
    made = bench(tmp_path, files={"buildspec.yml": f"{SPEC}env: {{git-credential-helper: yes}}\n"})
    await _download(made)

    assert "Skipping git-credential-helper: git commands get no credentials of the source here" in made.said


async def test_secrets_are_in_no_fact_and_masked_from_here_on(tmp_path: Path) -> None:
    text = json.dumps({"version": 0.2, "env": {"parameter-store": {"P": "/p"}}, "phases": {}})
    made = bench(tmp_path, files={"buildspec.yml": text}, secrets={"/p": "hush-hush"})
    outcome, facts = await _download(made)

    assert outcome == SUCCEEDED
    assert "hush-hush" not in json.dumps(facts)
    assert facts["secret_names"] == ["P"]
    assert made.job.masked("a hush-hush b") == "a *** b"
    assert (tmp_path / "masks").stat().st_mode & 0o077 == 0
    assert "export P='hush-hush'" in (tmp_path / "codebuild/readonly/environment.sh").read_text()


async def test_what_is_to_be_hidden_is_written_down_whole_or_not_at_all(tmp_path: Path) -> None:
    """Whoever dies while writing it leaves no half of it in its place, so the next process can go on."""
    text = json.dumps({"version": 0.2, "env": {"parameter-store": {"P": "/p"}}, "phases": {}})
    made = bench(tmp_path, files={"buildspec.yml": text}, secrets={"/p": "hush-hush"})
    (tmp_path / ".masks.new").mkdir()  # the writing fails, where dying would have ended it
    with pytest.raises(IsADirectoryError):
        await _download(made)

    assert not (tmp_path / "masks").exists()


async def test_a_secret_that_is_missing_fails_without_the_others(tmp_path: Path) -> None:
    env = {"parameter-store": {"P": "/p", "Q": "/none"}}
    made = bench(
        tmp_path,
        files={"buildspec.yml": json.dumps({"version": 0.2, "env": env, "phases": {}})},
        secrets={"/p": "hush"},
    )
    outcome, _ = await _download(made)

    assert outcome.context.code == "Decrypted Variables Error"
    assert outcome.context.message.startswith("Q: parameter /none: Parameter does not exist.")


RUNTIMES = "runtimes: {nodejs: {versions: {18: {commands: ['n 18']}, default: {commands: ['n $VERSION']}}}}"


def _runtime(version: str) -> dict[str, str]:
    phases = {"install": {"runtime-versions": {"nodejs": version}}}
    return {"buildspec.yml": json.dumps({"version": 0.2, "phases": phases})}


async def test_runtimes_are_selected_from_the_image_s_manifest(tmp_path: Path) -> None:
    made = bench(tmp_path, files=_runtime("18"), values={"runtimes": ("18",)}, sandbox_files={MANIFEST: RUNTIMES})
    outcome, _ = await _download(made)

    assert outcome == SUCCEEDED
    assert "Selecting 'nodejs' runtime version '18' based on manual selections..." in made.said
    assert "Running command n 18" in made.said


async def test_an_image_without_a_manifest_goes_on_with_a_warning(tmp_path: Path) -> None:
    made = bench(tmp_path, files=_runtime("18"), values={"runtimes": ("18",), "probes": ("", "v18.2.0")})
    outcome, _ = await _download(made)

    assert outcome == SUCCEEDED
    assert "Skipping install of runtimes. Runtime version selection is not supported by this build image" in made.said
    assert "Using 'nodejs' 18.2.0 of the PATH for version '18'" in made.said


async def test_a_runtime_that_cannot_be_installed_fails_the_download(tmp_path: Path) -> None:
    made = bench(
        tmp_path, files=_runtime("18"), values={"runtimes": ("18",)}, sandbox_files={MANIFEST: RUNTIMES}, codes=[9]
    )
    outcome, _ = await _download(made)

    assert outcome.context.message == "Error while executing command: n 18. Reason: exit status 9"


async def test_a_build_is_told_what_its_pipeline_says_of_its_sources(tmp_path: Path) -> None:
    """And an input called `src` has a place of its own."""
    spec = SourceSpec(SourceKind.DIRECTORY, "x", identifier="src")
    made = bench(tmp_path, files={"buildspec.yml": SPEC}, secondary=(spec,))
    revisions = {None: Revision("arn:one", "abc"), "src": Revision("arn:two")}
    made.job.sources = _with(made.job.sources, revisions)

    _, facts = await _download(made)
    source, other = facts["source"], facts["source"]["secondary"]["src"]

    assert (source["version"], source["resolved"]) == ("arn:one", "abc")
    assert (other["version"], other["resolved"]) == ("arn:two", "f" * 40)
    assert other["directory"] == f"{ROOT}/output/src{made.job.tag}/src-2"
    assert (made.source.parent / "src-2/buildspec.yml").is_file()


def _with(sources: WhichSources, revisions: Mapping[str | None, Revision]) -> WhichSources:
    async def told() -> Sources:
        return replace(await sources(), revisions=revisions)

    return told
