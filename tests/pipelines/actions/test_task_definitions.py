"""Task definitions with other images; what ECS describes, and what was asked of it."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.actions.task_definitions import covers, image_definitions, with_images

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
names = st.text("abc", min_size=1, max_size=3)


@given(st.dictionaries(st.text(max_size=3), plain, max_size=4), st.integers())
def test_what_was_asked_is_covered_whatever_is_added(wanted: dict[str, Any], more: int) -> None:
    described = copy.deepcopy(wanted) | {"registeredAt-and-so-on": more}

    assert covers(described, wanted)
    assert not covers(wanted, {**wanted, "one more": more})


@given(st.lists(names, unique=True, min_size=1), st.data())
def test_only_the_images_that_are_named_change(all_names: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(all_names), unique=True))
    containers = [{"name": name, "image": "old", "memory": 1} for name in all_names]
    changed = with_images({"family": "f", "containerDefinitions": containers}, dict.fromkeys(chosen, "new"))

    assert [each["name"] for each in changed["containerDefinitions"]] == all_names
    assert {each["name"] for each in changed["containerDefinitions"] if each["image"] == "new"} == set(chosen)
    assert all(each["memory"] == 1 for each in changed["containerDefinitions"])


def test_image_definitions_may_say_more() -> None:
    assert image_definitions('[{"name": "a", "imageUri": "i", "more": 1}]') == {"a": "i"}
