"""What the tests of deployments share."""

from tests.artifacts.conftest import tiny_disk

__all__ = ["tiny_disk"]
