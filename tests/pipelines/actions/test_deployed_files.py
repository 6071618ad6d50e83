"""What of an artifact goes into a bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest, Entry, Kind
from codeyard.errors import Invalid
from codeyard.pipelines.actions.deployed_files import content_type, files

DIGEST = Digest("0" * 64)
paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)
targets = st.lists(st.sampled_from(["a", "b", "c", "..", ".", ""]), min_size=1, max_size=4).map("/".join)


def link(path: str, target: str) -> Entry:
    return Entry(path, Kind.LINK, target=target)


@pytest.mark.parametrize(
    ("path", "target"),
    [("l", "d/f"), ("l", "./d//f"), ("d/l", "f"), ("d/e/l", "../f"), ("d/e/l", "../../d/f"), ("l", "chain")],
)
def test_a_link_to_a_file_becomes_the_file(path: str, target: str) -> None:
    file = Entry("d/f", Kind.FILE, 3, DIGEST)

    assert file._replace(path=path) in files([file, link(path, target), link("chain", "d/f")])


@pytest.mark.parametrize("target", ["none", "/etc/passwd", "../x", "d", "l", "other", "d/../f", "empty", ""])
def test_any_other_link_is_refused(target: str) -> None:
    there = [Entry("d/f", Kind.FILE, 3, DIGEST), Entry("f", Kind.FILE, 3, DIGEST), Entry("empty", Kind.DIRECTORY)]

    with pytest.raises(Invalid, match="is no file of the artifact"):
        files([*there, link("l", target), link("other", "l")])


@given(st.dictionaries(paths, targets, max_size=6), st.sets(paths, max_size=4))
def test_whatever_the_links_only_files_of_the_artifact_come_out(links: dict[str, str], names: set[str]) -> None:
    own = {name: Entry(name, Kind.FILE, at, DIGEST) for at, name in enumerate(sorted(names))}
    there = {path: link(path, target) for path, target in links.items()} | own
    try:
        found = files(there.values())
    except Invalid:
        assert links.keys() - names
        return

    assert {each.path for each in found} == there.keys()
    assert {each.size for each in found} <= {each.size for each in own.values()}


@pytest.mark.parametrize(
    ("path", "type"),
    [
        ("a/index.html", "text/html"), ("APP.JS", "text/javascript"), ("x.tar.gz", "application/gzip"),
        ("x.woff2", "font/woff2"), ("LICENSE", "application/octet-stream"), ("a.b/c", "application/octet-stream"),
        ("data:text/html,x", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_file_s_type_is_by_its_name(path: str, type: str) -> None:
    assert content_type(path) == type
