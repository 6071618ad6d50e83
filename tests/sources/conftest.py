"""What the tests of sources share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def base(tmp_path: Path) -> dict[str, str]:
    """The environment of a person with a home of his own."""
    home = tmp_path / "home"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where sources are brought to."""
    place = tmp_path / "workspace"
    place.mkdir()
    return place
