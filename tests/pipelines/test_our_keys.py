import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.deploys.waves import Minimum, Rule
from codeyard.pipelines.our_keys import HTTP, RELEASE, headers, is_path, is_script, is_url, minimum, statuses, tags


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("role=web", {"role": "web"}),
        ("role=web, zone = a", {"role": "web", "zone": "a"}),
        ("role=", {"role": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("role", None),
        ("=web", None),
        ("", None),
        ("a=1,", None),
        ("a=1,a=2", None),
        (",".join(f"k{number}=v" for number in range(11)), None),
    ],
)
def test_tags_are_all_that_a_target_must_have(text: str, found: dict[str, str] | None) -> None:
    assert tags(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", Minimum(Rule.HOST_COUNT, 0)),
        ("12", Minimum(Rule.HOST_COUNT, 12)),
        ("50%", Minimum(Rule.FLEET_PERCENT, 50)),
        ("OneAtATime", Minimum(Rule.MOST_CONCURRENCY, 1)),
        ("AllAtOnce", Minimum(Rule.HOST_COUNT, 0)),
        ("100%", None),
        ("-1", None),
        ("half", None),
    ],
)
def test_a_minimum_is_a_count_a_share_or_a_name(text: str, found: Minimum | None) -> None:
    assert minimum(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("200", (range(200, 201),)),
        ("200, 202-299,3xx", (range(200, 201), range(202, 300), range(300, 400))),
        ("299-200", None),
        ("600", None),
        ("", None),
        ("200,", None),
    ],
)
def test_status_codes_are_single_or_ranges(text: str, found: tuple[range, ...] | None) -> None:
    assert statuses(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"X-A": "b"}', {"X-A": "b"}),
        ("{}", {}),
        ('{"X A": "b"}', None),
        ('{"X-A": "b\\r\\nEvil: 1"}', None),
        ('{"X-A": 1}', None),
        ("[]", None),
        ("[" * 900, None),
    ],
)
def test_headers_cannot_bring_in_others(text: str, found: dict[str, str] | None) -> None:
    assert headers(text) == found


def test_urls_bear_no_password() -> None:
    assert is_url("https://example.com:8443/hook?a=b")
    assert not any(map(is_url, ["ftp://a", "https://", "https://a:b@c/", "https://a b", "http://[", "http://a:x/"]))


def test_paths_do_not_climb() -> None:
    assert is_path("/srv/app")
    assert not any(map(is_path, ["/", "//", "srv", "/srv/..", "/srv/./a", "/a\nb", ""]))
    assert is_script("./bin/check")
    assert not any(map(is_script, ["/bin/sh", "../a", "a/../../b", ".", ""]))


@given(st.sampled_from([*RELEASE.values(), *HTTP.values()]), st.text(max_size=40))
def test_any_text_is_read_without_harm(one: tuple[object, str], text: str) -> None:
    read, wanted = one

    assert callable(read)
    assert read(text) is not NotImplemented
    assert wanted
