from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shortlinks.rules import Refused, slugs_for
from shortlinks.store import Store

URL = "https://example.com/handbook"


def test_a_new_link_gets_the_shortest_slug(store: Store) -> None:
    link, new = store.add(URL)

    assert new
    assert link.slug == next(slugs_for(URL))


def test_the_same_url_is_the_same_link(store: Store) -> None:
    first, _ = store.add(URL)
    second, new = store.add(URL)

    assert second == first
    assert not new


def test_a_slug_that_is_taken_gives_way_to_a_longer_one(store: Store) -> None:
    store.add("https://example.com/other", slug=next(slugs_for(URL)))

    link, _ = store.add(URL)

    assert len(link.slug) == 5


def test_a_chosen_slug_is_kept(store: Store) -> None:
    assert store.add(URL, slug="handbook")[0].slug == "handbook"


def test_a_chosen_slug_cannot_be_taken_over(store: Store) -> None:
    store.add(URL, slug="handbook")

    with pytest.raises(Refused, match="leads elsewhere"):
        store.add("https://evil.example", slug="handbook")


def test_following_counts(store: Store) -> None:
    store.add(URL, slug="handbook")

    assert [store.follow("handbook") for _ in range(3)] == [URL] * 3
    assert store.newest()[0].hits == 3


def test_an_unknown_slug_leads_nowhere(store: Store) -> None:
    assert store.follow("nothing") is None


def test_a_removed_link_is_gone(store: Store) -> None:
    store.add(URL, slug="handbook")

    assert store.remove("handbook")
    assert not store.remove("handbook")
    assert store.newest() == []


def test_links_are_there_after_a_restart(tmp_path: Path) -> None:
    Store(tmp_path / "db").add(URL, slug="handbook")

    assert Store(tmp_path / "db").follow("handbook") == URL


def test_no_hit_is_lost_among_many_at_once(store: Store) -> None:
    store.add(URL, slug="handbook")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.follow, ["handbook"] * 200))

    assert store.newest()[0].hits == 200


def test_a_slug_cannot_carry_sql(store: Store) -> None:
    store.add(URL, slug="handbook")

    assert not store.remove("' OR 1=1 --")
    assert len(store.newest()) == 1
