import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.secrets import secret_stages
from codeyard.secrets.secret_stages import CURRENT, LIMIT, PREVIOUS

VERSIONS = ("a", "b", "c")
LABELS = st.sampled_from([CURRENT, PREVIOUS, "AWSPENDING", "mine"])
ID = st.sampled_from(VERSIONS) | st.none()
PUT = st.tuples(st.just("put"), st.sampled_from(VERSIONS), st.lists(LABELS, max_size=3))
MOVE = st.tuples(st.just("move"), LABELS, ID, ID)


def changed(stages: dict[str, str], change: tuple[object, ...]) -> dict[str, str]:
    """The labels after the change, or as they were if it is refused."""
    try:
        if change[0] == "put":
            return secret_stages.put(stages, *change[1:])  # type: ignore[arg-type]
        return secret_stages.move(stages, *change[1:])  # type: ignore[arg-type]
    except Refused:
        return stages


@given(PUT, st.lists(PUT | MOVE, max_size=12))
def test_exactly_one_version_is_current_whatever_is_done(first: tuple[object, ...], rest: list[object]) -> None:
    """A mapping has a label once; so it is enough that it is there."""
    stages = changed({}, first)
    for change in rest:
        stages = changed(stages, change)  # type: ignore[arg-type]

        assert stages[CURRENT] in VERSIONS
        assert set(stages.values()) <= set(VERSIONS)


@given(st.lists(PUT | MOVE, max_size=12), st.sampled_from(VERSIONS))
def test_what_was_current_becomes_previous(before: list[tuple[object, ...]], version: str) -> None:
    stages = secret_stages.put({}, "a", [])
    for change in before:
        stages = changed(stages, change)

    after = secret_stages.put(stages, version, [])

    assert after[CURRENT] == version
    assert after.get(PREVIOUS) == (stages[CURRENT] if stages[CURRENT] != version else stages.get(PREVIOUS))


def test_the_first_version_is_current_whatever_was_asked() -> None:
    assert secret_stages.put({}, "a", ["AWSPENDING"]) == {"AWSPENDING": "a", CURRENT: "a"}


def test_going_back_swaps_current_and_previous() -> None:
    stages = {CURRENT: "b", PREVIOUS: "a"}

    assert secret_stages.move(stages, CURRENT, "a", "b") == {CURRENT: "a", PREVIOUS: "b"}


@pytest.mark.parametrize(
    ("stage", "to", "source", "why"),
    [
        (CURRENT, None, "b", "It can't be completely removed"),
        (CURRENT, "a", None, "RemoveFromVersionId can't be empty. Staging label AWSCURRENT is currently attached to"),
        (CURRENT, "a", "c", "isn't currently attached to version c"),
        ("mine", None, "a", "isn't currently attached"),
        ("mine", None, None, "at least one"),
        ("a label", "a", None, "other characters"),
    ],
)
def test_what_aws_refuses_is_refused(stage: str, to: str | None, source: str | None, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        secret_stages.move({CURRENT: "b", PREVIOUS: "a"}, stage, to, source)

    assert caught.value.code == "InvalidParameterException"


def test_a_label_may_go_to_a_version_from_none() -> None:
    assert secret_stages.move({CURRENT: "b"}, "mine", "b", None) == {CURRENT: "b", "mine": "b"}


def test_a_secret_has_twenty_labels_at_most() -> None:
    stages = {CURRENT: "a"} | {f"label-{number}": "a" for number in range(LIMIT - 1)}

    with pytest.raises(Refused) as caught:
        secret_stages.put(stages, "b", ["more"])

    assert caught.value.code == "LimitExceededException"
