"""What becomes of a pipeline's outputs in UPLOAD_ARTIFACTS."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Kind, Selection
from codeyard.artifacts.transfer import load_manifest
from codeyard.builds.buildspec import ArtifactsSpec
from codeyard.builds.handed import outputs_of
from codeyard.builds.handing import assigned
from codeyard.builds.model import SUCCEEDED, Outcome, Status
from codeyard.builds.upload import upload
from codeyard.errors import Invalid
from tests.builds.jobs import Bench, bench

FILES = {"a": "1", "sub/b": "22"}
SECONDARY: dict[str, Any] = {"one": {"files": ["**/*"]}, "two": {"files": ["b"], "base-directory": "sub"}}
BOTH = {"files": ["a"], "secondary-artifacts": SECONDARY}
MORE = {"files": ["a"], "secondary-artifacts": {**SECONDARY, "x": {"files": ["a"]}}}
NO_FILES = {"secondary-artifacts": {"app": {"files": ["a"]}}}
NAMES = st.lists(st.sampled_from(["one", "two", "three", "four"]), unique=True)


async def _upload(home: Path, artifacts: dict[str, Any] | None, *outputs: str) -> tuple[Bench, Outcome, dict[str, Any]]:
    spec = {"phases": {}, **({} if artifacts is None else {"artifacts": artifacts})}
    made = bench(home, spec, files=FILES, settings={"outputs": outputs})
    (made.source / "link").symlink_to("sub/b")
    (made.source / "empty").mkdir()
    (made.source / "a").chmod(0o755)
    facts: dict[str, Any] = {}
    return made, await upload(made.job, facts), facts


async def test_one_output_is_the_buildspecs_own_artifacts(tmp_path: Path) -> None:
    made, outcome, facts = await _upload(tmp_path, {"files": ["**/*"], **NO_FILES}, "app")
    (told,), trees = facts["artifacts"], outputs_of(facts)
    tree = load_manifest(trees["app"], made.job.tools.blobs)

    assert outcome == SUCCEEDED
    assert (told["identifier"], told["location"], told["digest"]) == ("app", trees["app"], f"sha256:{trees['app']}")
    assert {entry.path: entry.kind for entry in tree.entries} == {
        "a": Kind.EXECUTABLE, "empty": Kind.DIRECTORY, "link": Kind.LINK, "sub/b": Kind.FILE,
    }  # fmt: skip
    assert not (tmp_path / "out").exists()


async def test_of_several_each_is_the_secondary_artifact_of_its_name(tmp_path: Path) -> None:
    made, outcome, facts = await _upload(tmp_path, BOTH, "two", "one")
    trees = {name: load_manifest(tree, made.job.tools.blobs) for name, tree in outputs_of(facts).items()}

    assert outcome == SUCCEEDED
    assert {name: tree.files for name, tree in trees.items()} == {"two": 1, "one": 2}


async def test_where_none_is_wanted_none_is_made(tmp_path: Path) -> None:
    _, outcome, facts = await _upload(tmp_path, BOTH)

    assert (outcome, facts["artifacts"], outputs_of(facts)) == (SUCCEEDED, [], {})


@pytest.mark.parametrize(
    ("artifacts", "outputs", "message"),
    [
        (None, ("app",), "output artifact app: the buildspec has no artifacts."),
        (None, ("one", "two"), "output artifact one, two: the buildspec has no artifacts."),
        (NO_FILES, ("app",), "output artifact app: the buildspec's artifacts have no files"),
        (BOTH, ("one", "three"), "output artifact three: the buildspec's secondary-artifacts do not have it."),
        ({"files": ["none"]}, ("app",), "no matching artifact paths found"),
        (MORE, ("one", "two"), "secondary artifact x: "),
    ],
)  # fmt: skip
async def test_an_output_that_is_not_made_fails_the_phase(
    tmp_path: Path, artifacts: dict[str, Any] | None, outputs: tuple[str, ...], message: str
) -> None:
    _, outcome, facts = await _upload(tmp_path, artifacts, *outputs)

    assert (outcome.status, outcome.context.code) == (Status.FAILED, "CLIENT_ERROR")
    assert outcome.context.message.startswith(message)
    assert facts["reports"] == []


@given(NAMES, NAMES, st.booleans())
def test_every_output_is_made_or_it_fails(outputs: list[str], secondary: list[str], files: bool) -> None:
    own = Selection(("a",) if files else ())
    spec = ArtifactsSpec(own, secondary={name: ArtifactsSpec(Selection((name,))) for name in secondary})
    good = files if len(outputs) == 1 else not outputs or set(outputs) == set(secondary)

    try:
        made = assigned(spec, tuple(outputs))
    except Invalid:
        assert not good
    else:
        assert good
        assert [name for name, _ in made] == outputs
