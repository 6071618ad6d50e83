"""Keys on the disk and in lists: any key has a place of its own, and lists are as S3's."""

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.objects.listing import Page, keys_from, page
from codeyard.objects.names import Name, bucket_name, key_name, parse, path_of

KEYS = st.one_of(
    st.text(alphabet="/ab.", min_size=1, max_size=8),
    st.lists(st.sampled_from(["/", "!", "0", "x" * 40, "x" * 79]), min_size=1, max_size=8).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
)


def directory(keys: set[str]) -> dict[str, list[Name]]:
    """What the directories would hold."""
    found: dict[str, dict[bytes, Name]] = {"": {}}
    for key in keys:
        place = ""
        for part in path_of(key).split("/"):
            name = parse(part)
            assert name is not None
            found.setdefault(place, {})[name.name.encode()] = name
            place = f"{place}/{part}" if place else part
    return {place: sorted(names.values()) for place, names in found.items()}


def expected(keys: set[str], prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """The rules of S3, said plainly."""
    shown: list[tuple[bytes, bool]] = []
    for key in sorted(key.encode() for key in keys if key.startswith(prefix)):
        at = key.find(delimiter.encode(), len(prefix.encode())) if delimiter else -1
        item = (key, False) if at < 0 else (key[: at + len(delimiter.encode())], True)
        if item[0] > after.encode() and item not in shown[-1:]:
            shown.append(item)
    now = shown[:limit]
    last = now[-1][0].decode() if now and len(shown) > limit else None
    return Page(
        tuple(text.decode() for text, common in now if not common),
        tuple(text.decode() for text, common in now if common),
        last,
    )


@given(st.sets(KEYS, max_size=20), KEYS | st.just(""), st.sampled_from(["", "/", "a", "x!"]), KEYS | st.just(""))
def test_a_list_is_what_s3_would_give(keys: set[str], prefix: str, delimiter: str, after: str) -> None:
    read = directory(keys).__getitem__

    for limit in (1, 3, 1000):
        assert page(read, prefix, delimiter, after, limit) == expected(keys, prefix, delimiter, after, limit)


@given(st.sets(KEYS, max_size=30), st.integers(1, 5), st.sampled_from(["", "/"]))
def test_pages_together_are_the_whole_list(keys: set[str], limit: int, delimiter: str) -> None:
    read = directory(keys).__getitem__
    whole = page(read, "", delimiter, "", 1000)

    pages = [page(read, "", delimiter, "", limit)]
    while pages[-1].last is not None:
        pages.append(page(read, "", delimiter, pages[-1].last, limit))

    assert tuple(key for part in pages for key in part.keys) == whole.keys
    assert tuple(common for part in pages for common in part.prefixes) == whole.prefixes


@given(st.sets(KEYS, max_size=30))
@example({"/" * 1024})
@example({"x" * 1024, "x" * 80, "x" * 80 + "/", "x" * 80 + "!", "x" * 79})
def test_all_keys_come_back_in_the_order_of_their_bytes(keys: set[str]) -> None:
    found = [key.decode() for key in keys_from(directory(keys).__getitem__, b"", b"")]

    assert found == sorted(keys, key=str.encode)


@given(KEYS)
@example("../../etc/passwd")
@example(".")
@example("a//b/")
@example("\0\n\x7f%2e%2e/~/=+")
@example("é" * 512)
def test_no_key_leads_out_of_its_directory(key: str) -> None:
    path = path_of(key)

    assert path.isascii()
    assert path.isprintable()
    assert not {"", ".", ".."} & set(path.split("/"))
    assert all(len(part) <= 255 for part in path.split("/"))
    assert len(path) <= 3 * 1024 + 64
    assert not PurePosixPath(path).is_absolute()


@given(st.lists(KEYS, min_size=2, max_size=2, unique=True))
def test_no_two_keys_are_in_each_others_way(keys: list[str]) -> None:
    one, other = (path_of(key) for key in keys)

    assert one != other
    assert not PurePosixPath(other).is_relative_to(one)


@pytest.mark.parametrize("name", ["abc", "a-b.c", "0123", "a" * 63, "amzn-s3-demo-bucket", "1.2.3"])
def test_good_names_of_buckets(name: str) -> None:
    assert bucket_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "ab", "a" * 64, "Abc", "a_b", "-ab", "ab-", "a..b", "192.168.0.1", "xn--a", "a-s3alias", "a/b", "..", "a\nb"],
)
def test_bad_names_of_buckets(name: str) -> None:
    with pytest.raises(Refused, match="The specified bucket is not valid"):
        bucket_name(name)


def test_a_key_has_at_most_1024_bytes() -> None:
    assert key_name("é" * 512)
    with pytest.raises(Refused) as refused:
        key_name("é" * 512 + "a")

    assert refused.value.code == "KeyTooLongError"
