import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.triggers import (
    FILES_SEEN,
    PullRequest,
    PullRequestEvent,
    PushedBranch,
    PushedTag,
    parse,
    starts,
    violations,
    watches_branch,
)

PROVIDERS = {"Source": "CodeStarSourceConnection", "Other": "CodeStarSourceConnection", "Bucket": "S3"}
WORDS = st.sampled_from(["main", "dev", "a", "b"])
CRITERIA = st.fixed_dictionaries(
    {}, optional={"includes": st.lists(WORDS, max_size=2), "excludes": st.lists(WORDS, max_size=2)}
)


def trigger(action: str = "Source", **git: Any) -> dict[str, Any]:
    return {"providerType": "CodeStarSourceConnection", "gitConfiguration": {"sourceActionName": action, **git}}


def only(*includes: str) -> dict[str, Any]:
    return {"includes": list(includes)}


def but(*excludes: str) -> dict[str, Any]:
    return {"excludes": list(excludes)}


MAIN = {"branches": only("main")}
BOTH = {"includes": ["release/**"], "excludes": ["release/old/**"]}
PUSH = PushedBranch("main", "c0ffee", ("src/a.py", "docs/b.md"))
OPENED = PullRequest(PullRequestEvent.OPEN, "main", "c0ffee", ("src/a.py",))


@pytest.mark.parametrize(
    ("git", "event", "does"),
    [
        ({"push": [MAIN]}, PUSH, True),
        ({"push": [MAIN]}, PushedBranch("dev", "1"), False),
        ({"push": [MAIN]}, PushedTag("main", "1"), False),
        ({"push": [MAIN]}, OPENED, False),
        ({"push": [MAIN, {"branches": only("dev")}]}, PushedBranch("dev", "1"), True),
        ({"push": [{"branches": but("main")}]}, PUSH, False),
        ({"push": [{"branches": but("main")}]}, PushedBranch("dev", "1"), True),
        ({"push": [{"branches": BOTH}]}, PushedBranch("release/1", "1"), True),
        ({"push": [{"branches": BOTH}]}, PushedBranch("release/old/1", "1"), False),
        ({"push": [{"tags": only("v*")}]}, PushedTag("v1", "1"), True),
        ({"push": [{"tags": only("v*")}]}, PushedTag("w1", "1"), False),
        ({"push": [{"tags": only("v*")}]}, PushedBranch("v1", "1"), False),
        ({"push": [{**MAIN, "filePaths": only("src/**")}]}, PUSH, True),
        ({"push": [{**MAIN, "filePaths": only("lib/**")}]}, PUSH, False),
        ({"push": [{**MAIN, "filePaths": but("docs/**")}]}, PUSH, True),
        ({"push": [{**MAIN, "filePaths": but("**")}]}, PUSH, False),
        ({"push": [{**MAIN, "filePaths": only("**")}]}, PushedBranch("main", "1", ("a",), created=True), False),
        ({"push": [MAIN]}, PushedBranch("main", "1", ("a",), created=True), True),
        ({"push": [{**MAIN, "filePaths": only("**")}]}, PushedBranch("main", "1"), False),
        ({"pullRequest": [MAIN]}, OPENED, True),
        ({"pullRequest": [MAIN]}, PUSH, False),
        ({"pullRequest": [{**MAIN, "events": ["CLOSED"]}]}, OPENED, False),
        ({"pullRequest": [{"events": ["OPEN"]}]}, OPENED, True),
        ({"pullRequest": [{**MAIN, "filePaths": only("src/*")}]}, OPENED, True),
        ({"pullRequest": [{**MAIN, "filePaths": only("lib/*")}]}, OPENED, False),
        ({"push": [{"tags": only("v*")}], "pullRequest": [MAIN]}, OPENED, True),
        ({}, PUSH, False),
    ],
)
def test_which_events_start_a_pipeline(git: dict[str, Any], event: PushedBranch, does: bool) -> None:
    shapes = [trigger(**git)]
    (parsed,) = parse(shapes)

    assert not violations(shapes, PROVIDERS)
    assert starts(parsed, event) is does


def test_only_the_first_hundred_files_are_looked_at() -> None:
    (parsed,) = parse([trigger(push=[{**MAIN, "filePaths": only("src/**")}])])
    others = tuple(f"docs/{number}" for number in range(FILES_SEEN))

    assert starts(parsed, PushedBranch("main", "1", (*others[1:], "src/a")))
    assert not starts(parsed, PushedBranch("main", "1", (*others, "src/a")))


def test_an_action_watches_its_branch_where_no_filter_is_for_it() -> None:
    triggers = parse([trigger(push=[MAIN]), trigger("Other")])

    assert not watches_branch(triggers, "Source")
    assert watches_branch(triggers, "Other")
    assert watches_branch((), "Source")


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        ([trigger("Nowhere", push=[MAIN])], "names a source action that the pipeline does not have: Nowhere"),
        ([trigger("Bucket", push=[MAIN])], "whose provider is S3 and not CodeStarSourceConnection"),
        ([trigger(push=[MAIN]), trigger(push=[MAIN])], "more than one trigger for source action Source"),
        ([trigger(push=[])], "push has 1 to 3 filters, and not 0"),
        ([trigger(pullRequest=[MAIN] * 4)], "pullRequest has 1 to 3 filters, and not 4"),
        ([trigger(push=[MAIN, MAIN])], "push has the same filter twice"),
        (
            [trigger(push=[{"branches": only("a", "b")}, {"branches": only("b", "a")}])],
            "push has the same filter twice",
        ),
        ([trigger(push=[{}])], "and not nothing"),
        ([trigger(push=[{"filePaths": only("a")}])], "and not filePaths"),
        ([trigger(push=[{**MAIN, "tags": only("a")}])], "and not branches, tags"),
        ([trigger(push=[{"tags": only("a"), "filePaths": only("a")}])], "and not filePaths, tags"),
        ([trigger(pullRequest=[{"filePaths": only("a")}])], "that has filePaths has branches too"),
        ([trigger(pullRequest=[{}])], "has events or branches"),
        ([trigger(push=[{"branches": {}}])], "push filter branches has includes or excludes"),
        ([trigger(push=[{"branches": only(*"abcdefghi")}])], "includes has at most 8 patterns, and not 9"),
        ([trigger(push=[{"branches": but("x" * 256)}])], "has 256 characters, and may have 1 to 255"),
        ([trigger(push=[{"branches": but("[")}])], "a [ is not closed"),
        ([trigger(str(number), push=[MAIN]) for number in range(51)], "at most 50 triggers, and this one has 51"),
        ([trigger(push=[{"branches": only("x" * 210_000)}])], "at most 204800 bytes as JSON"),
    ],
)
def test_what_is_wrong_with_triggers_is_told(shapes: list[dict[str, Any]], why: str) -> None:
    found = violations(shapes, PROVIDERS)

    assert any(why in text for text in found)
    assert not any(re.search(r"[.\n]$", text) for text in found)


@given(criteria=CRITERIA, branch=WORDS, added=WORDS)
def test_to_exclude_more_never_starts_more(criteria: dict[str, Any], branch: str, added: str) -> None:
    (before,) = parse([trigger(push=[{"branches": criteria}])])
    more = {**criteria, "excludes": [*criteria.get("excludes", ()), added]}
    (after,) = parse([trigger(push=[{"branches": more}])])
    event = PushedBranch(branch, "1")

    assert not starts(after, event) or starts(before, event)
    assert branch != added or not starts(after, event)


@given(filters=st.lists(st.builds(lambda found: {"branches": found}, CRITERIA), min_size=1, max_size=3), branch=WORDS)
def test_filters_are_alternatives(filters: list[dict[str, Any]], branch: str) -> None:
    event = PushedBranch(branch, "1")
    (together,) = parse([trigger(push=filters)])
    each = [parse([trigger(push=[filter])])[0] for filter in filters]

    assert starts(together, event) == any(starts(one, event) for one in each)
