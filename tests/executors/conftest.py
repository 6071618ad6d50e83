"""What the tests of executors share."""

from tests.artifacts.conftest import tiny_disk

__all__ = ["tiny_disk"]
