"""The images that AWS keeps for CodeBuild."""

from codeyard.builds.curated_images import NAMES, PLATFORMS
from tests.builds.projects import assert_shape


def test_the_list_is_of_awss_shape_and_names_each_image_once() -> None:
    assert_shape({"platforms": PLATFORMS}, "ListCuratedEnvironmentImages")
    assert len(set(NAMES)) == len(NAMES)
    assert "aws/codebuild/standard:7.0" in NAMES
