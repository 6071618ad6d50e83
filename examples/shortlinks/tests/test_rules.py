from itertools import islice, pairwise

import pytest

from shortlinks.rules import ALPHABET, SHORTEST, Refused, checked_slug, checked_url, slugs_for


@pytest.mark.parametrize("url", ["https://example.com", "http://localhost:8080/a?b=c#d", "https://ex.com/ü"])
def test_a_web_address_is_a_url(url: str) -> None:
    assert checked_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://",
        "http://a b",
        "http://a\r\nX: y",
        "http://[::1",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        checked_url(url)


def test_a_url_of_many_characters_is_refused() -> None:
    with pytest.raises(Refused, match="at most 2000"):
        checked_url("https://example.com/" + "a" * 2000)


@pytest.mark.parametrize("slug", ["a", "handbook", "q3-report", "2026"])
def test_a_slug_is_a_word_that_is_easy_to_say(slug: str) -> None:
    assert checked_slug(slug) == slug


@pytest.mark.parametrize("slug", ["", "-a", "a-", "A", "a/b", "a.b", "x" * 41, "api", "healthz", "static"])
def test_a_slug_that_could_be_mistaken_is_refused(slug: str) -> None:
    with pytest.raises(Refused):
        checked_slug(slug)


def test_a_url_has_the_same_slugs_every_time() -> None:
    first, again = slugs_for("https://example.com"), slugs_for("https://example.com")

    assert list(islice(first, 10)) == list(islice(again, 10))


def test_each_slug_is_one_longer_than_the_one_before() -> None:
    slugs = list(islice(slugs_for("https://example.com"), 5))

    assert [len(slug) for slug in slugs] == list(range(SHORTEST, SHORTEST + 5))
    assert all(after.startswith(before) for before, after in pairwise(slugs))


def test_slugs_are_spelt_without_letters_that_look_alike() -> None:
    *_, longest = slugs_for("https://example.com")

    assert set(longest) <= set(ALPHABET)
    assert not set(longest) & set("ilou")
