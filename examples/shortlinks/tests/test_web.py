import io
import json
from collections.abc import Callable
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from shortlinks import __version__
from shortlinks.store import Store
from shortlinks.web import BODY_AT_MOST, application

Call = Callable[..., tuple[int, dict[str, str], bytes]]
URL = "https://example.com/handbook"


@pytest.fixture
def call(store: Store) -> Call:
    """Sends one request to the application, through wsgiref's checks of the protocol."""
    app = validator(application(store))

    def call(method: str, path: str, body: bytes = b"", **extra: str) -> tuple[int, dict[str, str], bytes]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
            **extra,
        }
        setup_testing_defaults(environ)
        got: list[Any] = []
        answer = app(environ, lambda status, headers, _=None: got.extend([status, headers]) or io.BytesIO().write)
        content = b"".join(answer)
        answer.close()  # type: ignore[attr-defined]
        return int(got[0].split()[0]), dict(got[1]), content

    return call


def link(url: object = URL, **more: object) -> bytes:
    return json.dumps({"url": url, **more}).encode()


def test_a_link_is_made_and_followed(call: Call) -> None:
    status, _, body = call("POST", "/api/links", link(slug="handbook"))
    followed, headers, _ = call("GET", "/handbook")

    assert (status, json.loads(body)["slug"]) == (201, "handbook")
    assert (followed, headers["Location"]) == (302, URL)


def test_an_address_in_any_script_is_sent_as_a_header_can_hold_it(call: Call) -> None:
    call("POST", "/api/links", link("https://example.com/東京?q=a%20b#c", slug="tokyo"))

    _, headers, _ = call("GET", "/tokyo")

    assert headers["Location"] == "https://example.com/%E6%9D%B1%E4%BA%AC?q=a%20b#c"


def test_the_same_link_again_is_not_new(call: Call) -> None:
    assert [call("POST", "/api/links", link())[0] for _ in range(2)] == [201, 200]


def test_links_are_listed(call: Call) -> None:
    call("POST", "/api/links", link(slug="handbook"))

    status, headers, body = call("GET", "/api/links")

    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert [found["url"] for found in json.loads(body)] == [URL]


def test_a_link_is_removed(call: Call) -> None:
    call("POST", "/api/links", link(slug="handbook"))

    assert [call("DELETE", "/api/links/handbook")[0] for _ in range(2)] == [204, 404]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"[]", "JSON object"),
        (link("javascript:alert(1)"), "http://"),
        (link(42), "url is a text"),
        (link(slug="no spaces"), "a slug is"),
    ],
)
def test_a_wrong_request_says_why(call: Call, body: bytes, reason: str) -> None:
    status, _, answer = call("POST", "/api/links", body)

    assert status == 400
    assert reason in json.loads(answer)["error"]


def test_a_large_request_is_not_read(call: Call) -> None:
    assert call("POST", "/api/links", b"", CONTENT_LENGTH=str(BODY_AT_MOST + 1))[0] == 400


@pytest.mark.parametrize("name", ["index.html", "style.css", "app.js"])
def test_the_page_is_served_with_what_it_needs(call: Call, name: str) -> None:
    status, headers, body = call("GET", f"/static/{name}")

    assert status == 200
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert body


@pytest.mark.parametrize("path", ["/nothing", "/static/nothing", "/static/../web.py", "/api", "/a/b/c"])
def test_what_is_not_there_is_not_found(call: Call, path: str) -> None:
    assert call("GET", path)[0] == 404


def test_it_says_that_it_is_well(call: Call) -> None:
    status, _, body = call("GET", "/healthz")

    assert (status, json.loads(body)["version"]) == (200, __version__)
