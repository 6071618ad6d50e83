"""Which sources are looked at, and what becomes of what is new."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.changes import (
    MOST_STARTS,
    Begin,
    Change,
    Watched,
    begin_shape,
    begins,
    mark,
    moved,
    parse_begin,
    push_detail,
    sources,
)
from codeyard.pipelines.model import parse
from tests.pipelines.documents import OWNER, PUSH, ROLE, STORE, action, git, s3

ECR = action("Fetch", "Source/AWS/ECR", "", "Source", configuration={"RepositoryName": "app"})
PULLS = {"pullRequest": [{"events": ["OPEN"], "branches": {"includes": ["main"]}}]}


def watched(source: dict[str, Any], filters: dict[str, Any] | None = None, **configuration: str) -> Watched:
    source = {**source, "configuration": {**source["configuration"], **configuration}}
    trigger = {"gitConfiguration": {"sourceActionName": source["name"], **(filters or {})}}
    shape = {
        "name": "P",
        "roleArn": ROLE,
        "artifactStore": STORE,
        "stages": [{"name": "S", "actions": [source]}],
        "triggers": [] if filters is None else [trigger],
    }
    return Watched(OWNER, "P", "1", parse(shape))


@pytest.mark.parametrize(
    ("one", "kinds"),
    [
        (watched(s3()), [("PollForSourceChanges", False)]),
        (watched(s3(), PollForSourceChanges="true"), [("PollForSourceChanges", False)]),
        (watched(s3(), PollForSourceChanges="false"), []),
        (watched(ECR), []),
        (watched(git()), [("WebhookV2", False)]),
        (watched(git(), {}), [("WebhookV2", False)]),
        (watched(git(), DetectChanges="false"), []),
        (watched(git(), PUSH, DetectChanges="false"), [("WebhookV2", True)]),
        (watched(git(), PULLS), []),
    ],
)
def test_sources_are_looked_at_as_aws_would_hear_of_them(one: Watched, kinds: list[tuple[str, bool]]) -> None:
    assert [(each.kind, each.trigger is not None) for each in sources(one.declaration)] == kinds


def test_a_mark_changes_with_what_is_looked_at_and_holds_no_token() -> None:
    first, second = watched(git()), watched(git(), BranchName="other")
    filtered, wider = watched(git(), PUSH), watched(git(), {"push": [{"tags": {"includes": ["v*"]}}]})
    marks = [mark(each, sources(each.declaration)[0]) for each in (first, second, filtered, wider)]

    token = watched(git(), OAuthToken="secret")

    assert len(set(marks)) == 4
    assert mark(token, sources(token.declaration)[0]) == marks[0]


def test_one_execution_takes_all_that_is_newest_and_each_pin_has_its_own() -> None:
    newest = [Change("A", "WebhookV2"), Change("B", "PollForSourceChanges", detail="B")]
    pins = [Change("C", "WebhookV2", f"refs/heads/{number}", f"{number:040}") for number in range(MOST_STARTS + 5)]

    found = begins([*newest, *pins], "t")

    assert found[-1] == Begin("PollForSourceChanges", "B", "t-0")
    assert len(found) == MOST_STARTS + 1
    assert len({each.token for each in found}) == len(found)
    assert [parse_begin(json.loads(json.dumps(begin_shape(each)))) for each in found] == list(found)


def test_a_detail_fits() -> None:
    long = push_detail({"FullRepositoryId": "o/r"}, "refs/heads/" + "x" * 2000, "c" * 40)

    assert json.loads(long) == {"commit-id": "c" * 40}


SEEN = st.dictionaries(st.sampled_from(["", "refs/heads/a", "refs/heads/b", "refs/tags/a"]), st.sampled_from("123"))


@given(SEEN, SEEN)
def test_what_was_seen_is_never_a_change_again(before: dict[str, str], after: dict[str, str]) -> None:
    assert moved(after, after) == ()
    assert set(moved(before, after)) == {ref for ref in after if after[ref] != before.get(ref)}
