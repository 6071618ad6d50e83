"""Links of Signature Version 2, as botocore signs them."""

import asyncio
from datetime import UTC, datetime
from urllib.parse import quote, urlencode, urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Key, Refused
from codeyard.aws.sigv4 import Request
from codeyard.objects.asked import Asked, asked
from codeyard.objects.old_links import is_old_link, verify_old_link
from tests.calls import ROOT

ID, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a/token+="
DOMAIN = "s3.example.com"
KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30)
HEADERS = st.dictionaries(
    st.sampled_from(["content-type", "content-md5", "x-amz-meta-a", "x-amz-acl", "x-amz-copy-source"]),
    st.text("abc/=;- ", max_size=8).map(str.strip),
)
QUERIES = st.dictionaries(
    st.sampled_from(["response-content-type", "versionId", "uploadId", "acl", "prefix"]),
    st.text("ab é&=+/", max_size=5),
)


async def key_of(id: str, token: str | None) -> Key:
    if id != ID or token not in (None, TOKEN):
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
    return Key(ID, SECRET, ROOT)


def link(
    method: str, url: str, headers: dict[str, str] | None = None, token: str | None = None, expires: int = 60
) -> str:
    """Signed by botocore, which has the bucket from the host's name into the path before it signs."""
    request = AWSRequest(method, url, dict(headers or {}))
    parts = urlsplit(url)
    request.auth_path = f"/bucket{parts.path}" if parts.netloc != DOMAIN else parts.path
    HmacV1QueryAuth(Credentials(ID, SECRET, token), expires).add_auth(request)
    return str(request.url)


def received(method: str, url: str, headers: dict[str, str] | None = None) -> Asked:
    """As a server has it from the wire."""
    parts = urlsplit(url)
    told = (("host", parts.netloc), *(headers or {}).items())
    return asked(Request(method, parts.path or "/", parts.query, told, ""), (DOMAIN,))


def signer(request: Asked) -> str:
    """Whose link it is. Refused."""
    return asyncio.run(verify_old_link(request, key_of, datetime.now(UTC))).key.id


@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]), key=KEYS, headers=HEADERS, query=QUERIES,
    token=st.sampled_from([None, TOKEN]), safe=st.sampled_from(["/~", "/!$&'()*+,:;=@~", ""]), by_host=st.booleans(),
)  # fmt: skip
def test_what_botocore_signs_is_verified(
    method: str, key: str, headers: dict[str, str], query: dict[str, str], token: str | None, safe: str, by_host: bool
) -> None:
    place = f"http://bucket.{DOMAIN}" if by_host else f"http://{DOMAIN}/bucket"
    url = f"{place}/{quote(key, safe=safe)}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    request = received(method, link(method, url, headers, token), headers)

    assert (request.bucket, request.key) == ("bucket", key)
    assert is_old_link(request)
    assert signer(request) == ID


@pytest.mark.parametrize(
    ("method", "change", "headers"),
    [
        ("PUT", ("", ""), {}),
        ("GET", ("/a?", "/b?"), {}),
        ("GET", ("/bucket/", "/tekcub/"), {}),
        ("GET", ("Signature=", "Signature=A"), {}),
        ("GET", ("Expires=", "Expires=1"), {}),
        ("GET", ("?", "?acl&"), {}),
        ("GET", ("?", "?versionId=1&"), {}),
        ("GET", ("?", "?response-content-type=text%2Fhtml&"), {}),
        ("GET", ("", ""), {"x-amz-copy-source": "/other/secret"}),
        ("GET", ("", ""), {"content-type": "text/html"}),
        ("GET", (f"http://{DOMAIN}/bucket/", f"http://bucket.{DOMAIN}/bucket/"), {}),
    ],
)
def test_a_link_that_was_changed_is_refused(method: str, change: tuple[str, str], headers: dict[str, str]) -> None:
    changed = link("GET", f"http://{DOMAIN}/bucket/a").replace(*change, 1)

    with pytest.raises(Refused) as refused:
        signer(received(method, changed, headers))
    assert (refused.value.code, refused.value.status) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("expires", ["", "soon", "-1", "1e9", "٣", "9" * 13])
def test_when_it_expires_is_seconds_since_the_epoch(expires: str) -> None:
    url = f"http://{DOMAIN}/bucket/a?AWSAccessKeyId={ID}&Signature=x&Expires={quote(expires)}"

    with pytest.raises(Refused, match="seconds since epoch"):
        signer(received("GET", url))


def test_it_expires() -> None:
    with pytest.raises(Refused, match="Request has expired") as refused:
        signer(received("GET", link("GET", f"http://{DOMAIN}/bucket/a", expires=-2)))
    assert refused.value.code == "AccessDenied"


def test_a_key_that_is_none_and_a_session_that_ended_sign_nothing() -> None:
    url = link("GET", f"http://{DOMAIN}/bucket/a", token="ended")

    for changed in (url, url.replace(ID, "AKIANONE")):
        with pytest.raises(Refused) as refused:
            signer(received("GET", changed))
        assert refused.value.code == "InvalidAccessKeyId"


def test_what_is_asked_for_of_an_object_is_signed_without_an_equals_sign_or_with_one() -> None:
    for query in ("acl", "acl=", "uploadId=1&partNumber=2"):
        assert signer(received("GET", link("GET", f"http://{DOMAIN}/bucket/a?{query}"))) == ID
