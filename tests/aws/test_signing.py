"""What is signed, by which key: AWS's published examples, and that those who verify agree with those who sign."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused, signing, sigv4
from codeyard.aws.sigv4 import Chunks, Dialect, Request, Verified
from tests.aws.signed import EMPTY, KEY, S3_DAY, S3_KEY, SUITE, ask, of, refusal


def suite(signature: str, signed: str, method: str = "GET", path: str = "/", query: str = "", **more: str) -> Request:
    """A request of AWS's published test suite."""
    proof = f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={signed}, "
    headers = {"host": "example.amazonaws.com", **{k.replace("_", "-"): v for k, v in more.items()}}
    headers |= {"x-amz-date": "20150830T123600Z", "authorization": f"{proof}Signature={signature}"}
    return Request(method, path, query, tuple(headers.items()), EMPTY)


VANILLA = suite("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "host;x-amz-date")
PUBLISHED = {
    "get-vanilla": VANILLA,
    "get-slash": replace(VANILLA, path="//"),
    "get-slash-dot-slash": replace(VANILLA, path="/./"),
    "get-relative": replace(VANILLA, path="/example/.."),
    "post-vanilla": suite(
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", "host;x-amz-date", "POST"
    ),
    "get-vanilla-query-order-key-case": suite(
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        "host;x-amz-date",
        query="Param2=value2&Param1=value1",
    ),
    "get-header-value-trim": suite(
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        "host;my-header1;my-header2;x-amz-date",
        my_header1=" value1",
        my_header2=' "a   b   c"',
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
async def test_the_published_requests_are_right(name: str) -> None:
    verified = await ask(PUBLISHED[name], service="service")

    assert (verified.key, verified.region, verified.service) == (KEY, "us-east-1", "service")


async def test_the_published_example_of_iam_is_right() -> None:
    proof = (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )
    headers = {
        "host": "iam.amazonaws.com",
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "x-amz-date": "20150830T123600Z",
        "authorization": proof,
    }

    assert (await ask(of("GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", headers))).key == KEY


async def test_the_published_object_of_s3_is_right() -> None:
    proof = (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
        "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )
    headers = {
        "host": "examplebucket.s3.amazonaws.com",
        "range": "bytes=0-9",
        "x-amz-content-sha256": EMPTY,
        "x-amz-date": "20130524T000000Z",
        "authorization": proof,
    }
    request = of("GET", "https://examplebucket.s3.amazonaws.com/test.txt", headers)

    assert (await ask(request, S3_DAY, Dialect.S3, "s3")).key == S3_KEY


PUBLISHED_LINK = (
    "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
    "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
    "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
)


async def test_the_published_link_of_s3_is_right_and_is_the_one_we_make() -> None:
    url = "https://examplebucket.s3.amazonaws.com/test.txt"
    made = sigv4.presign("GET", url, S3_KEY, "us-east-1", "s3", S3_DAY, timedelta(days=1))

    assert made == PUBLISHED_LINK
    assert (
        await ask(of("GET", made, {}), S3_DAY + timedelta(hours=23), Dialect.S3, "s3")
    ).payload == "UNSIGNED-PAYLOAD"


async def test_the_published_chunks_of_s3_are_right_in_their_order_only() -> None:
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    scope = sigv4.Scope("20130524", "us-east-1", "s3")
    key = signing.signing_key(S3_KEY.secret, scope)
    verified = Verified(S3_KEY, scope, "20130524T000000Z", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", seed, key)
    first = ("a" * 65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648")
    second = ("a" * 1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497")
    last = ("", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9")

    chunks = Chunks(verified)
    for text, signature in (first, second, last):
        chunks.chunk(hashlib.sha256(text.encode()).hexdigest(), signature)
    with pytest.raises(Refused, match="does not match"):
        Chunks(verified).chunk(hashlib.sha256(second[0].encode()).hexdigest(), second[1])


def test_the_published_trailer_of_s3_is_right() -> None:
    scope = sigv4.Scope("20130524", "us-east-1", "s3")
    key = signing.signing_key(S3_KEY.secret, scope)
    last = "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"
    verified = Verified(S3_KEY, scope, "20130524T000000Z", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", last, key)

    right = sigv4.trailer_signature(key, verified.stamp, scope, last, b"x-amz-checksum-crc32c:sOO8/Q==\n")
    Chunks(verified).trailer(b"x-amz-checksum-crc32c:sOO8/Q==\n", right)

    assert right == "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=12).filter(
    lambda name: not name.startswith("x-amz")
)


@given(
    st.sampled_from(["s3", "logs"]), texts, st.lists(st.tuples(texts, texts), max_size=4), st.dictionaries(names, texts)
)
async def test_what_is_signed_is_right_and_every_other_request_is_not(
    service: str, path: str, query: list[tuple[str, str]], headers: dict[str, str]
) -> None:
    """Signing and verifying agree, whatever the request."""
    dialect = Dialect.S3 if service == "s3" else Dialect.JSON
    raw = "&".join(f"{signing._encoded(k)}={signing._encoded(v)}" for k, v in query if not k.startswith("X-Amz-"))
    plain = Request("GET", "/" + signing._encoded(path, "/"), raw, (("host", "h"), *headers.items()), EMPTY)
    plain = replace(
        plain, headers=tuple({k: v for k, v in plain.headers if k not in ("authorization", "date")}.items())
    )
    signed = replace(plain, headers=sigv4.sign(plain, KEY, "us-east-1", service, SUITE))

    assert (await ask(signed, SUITE, dialect, service)).key == KEY
    assert (await refusal(replace(signed, method="PUT"), now=SUITE, dialect=dialect))[2] in (400, 403)
