"""What a job says of places: which the host can see, and where."""

from pathlib import Path

import pytest

from codeyard.artifacts.scan import Below
from codeyard.errors import Invalid
from tests.builds.jobs import bench


@pytest.mark.parametrize(
    ("inside", "below"),
    [("/codebuild/output", ""), ("/codebuild/output/src1/src", "src1/src"), ("/codebuild/output/a/../b/", "b")],
)
async def test_what_is_in_the_writable_tree_the_host_sees(tmp_path: Path, inside: str, below: str) -> None:
    made = bench(tmp_path / "home")

    assert await made.job.on_host(inside) == Below(made.job.tools.sandbox.output, below)


@pytest.mark.parametrize(
    "inside",
    ["/codebuild/output-other/x", "/codebuild/output/../readonly", "/codebuild", "/etc", "/"],
)
async def test_what_is_anywhere_else_it_does_not(tmp_path: Path, inside: str) -> None:
    assert await bench(tmp_path / "home").job.on_host(inside) is None


async def test_an_expression_that_no_shell_can_read_is_told_as_what_it_is(tmp_path: Path) -> None:
    made = bench(tmp_path / "home", {"phases": {}}, values={"name": None})

    with pytest.raises(Invalid, match=r"^/bin/sh cannot evaluate \$\(date: it ended before it had"):
        await made.job.evaluate("name", ("$(date",))
