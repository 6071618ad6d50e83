"""What the tests of the console share."""

from collections.abc import Iterator

import pytest

from tests.console.browser import Browser, browsing


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser") / "profile") as found:
        yield found
