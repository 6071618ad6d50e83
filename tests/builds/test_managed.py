"""A pipeline's own compute."""

from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.managed import managed_name, managed_project
from codeyard.builds.project_overrides import handed_over
from codeyard.builds.project_parts import ProjectEnvironment
from codeyard.builds.project_rules import is_name
from tests.builds.projects import NOW, ROLE

PIPELINES = st.from_regex(r"[A-Za-z0-9.@\-_]{1,100}", fullmatch=True)
SMALL = ProjectEnvironment("LINUX_CONTAINER", "aws/codebuild/standard:5.0", "BUILD_GENERAL1_SMALL")


@given(PIPELINES)
def test_every_pipeline_has_compute_that_keeps_the_rules_of_projects(pipeline: str) -> None:
    made = managed_project(pipeline, ROLE, "version: 0.2", SMALL, NOW)

    assert is_name(managed_name(pipeline))
    assert handed_over(made, {}, "arn").timeout_in_minutes == 55
