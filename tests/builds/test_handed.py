"""What a pipeline hands to a build."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.artifacts import Digest
from codeyard.builds.handed import Clone, Handed, HandedSource, from_plain, outputs_of, run_of, to_plain
from codeyard.errors import Invalid
from codeyard.ident import BuildId, Owner

TREE = Digest("a" * 64)
PRIMARY = HandedSource("arn:aws:s3:::b/k", tree=TREE, resolved="c" * 40)
NAMES = st.lists(
    st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True), max_size=5, unique_by=lambda n: n.replace("-", "_")
)
CLONES = st.builds(Clone, st.just("https://example.com/r.git"), st.just("c" * 40), st.sampled_from([None, "GITHUB"]))


@given(NAMES, NAMES, CLONES, st.booleans())
def test_it_is_read_back_the_same(inputs: list[str], outputs: list[str], clone: Clone, cloned: bool) -> None:
    primary = HandedSource("v", clone=clone) if cloned else PRIMARY
    secondary = tuple(HandedSource(f"arn:{name}", name, TREE) for name in inputs)
    handed = Handed("release.x@y", primary, secondary, tuple(outputs))

    again = from_plain(json.loads(json.dumps(to_plain(handed))))

    assert again == handed
    assert all(isinstance(source.tree, Digest) for source in again.secondary)
    assert all(re.fullmatch("[A-Za-z0-9_]+", source.variable or "") for source in again.secondary)


@pytest.mark.parametrize(
    "make",
    [
        lambda: HandedSource("v"),
        lambda: HandedSource("v", tree=TREE, clone=Clone("u", "c")),
        lambda: Handed("p", HandedSource("v", "named", TREE)),
        lambda: Handed("p", PRIMARY, (PRIMARY,)),
        lambda: Handed("p", PRIMARY, (HandedSource("v", "a-b", TREE), HandedSource("v", "a_b", TREE))),
        lambda: Handed("p", PRIMARY, tuple(HandedSource("v", f"i{n}", TREE) for n in range(10))),
    ],
)
def test_what_could_not_be_placed_is_refused(make: object) -> None:
    with pytest.raises(Invalid):
        make()  # type: ignore[operator]


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_token_means_one_run_for_ever(one: str, other: str) -> None:
    here, there = Owner(), Owner("111122223333")

    assert BuildId.parse(f"ab:{run_of(here, one)}").run == run_of(here, one)
    assert (run_of(here, one) == run_of(here, other)) is (one == other)
    assert run_of(here, one) != run_of(there, one)


def test_outputs_are_found_by_name() -> None:
    assert outputs_of({"trees": {"app": "a" * 64}}) == {"app": TREE}
    assert outputs_of({}) == {}
