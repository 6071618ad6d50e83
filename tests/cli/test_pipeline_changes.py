"""What came about between two pictures, and how it is told."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.pipeline_changes import change_fields, change_line, changes
from codeyard.cli.pipeline_picture import Picture
from tests.cli.pipelines import ID, NOON, at, declared, drawn, ran, stage

SHOP = declared({"Build": ["Compile:CodeBuild"], "Approve": ["Ask:Approval/Manual"]})
BEGUN = drawn(SHOP, [stage("Build", "InProgress")], [ran("Build", "Compile", "InProgress", 1)])
BUILT = drawn(SHOP, [stage("Build", "Succeeded")], [ran("Build", "Compile", "Succeeded", 1, 9)])
GATED = {"enabled": False, "lastChangedBy": "anna", "lastChangedAt": at(50), "disabledReason": "freeze"}
WAITING = stage("Approve", inboundTransitionState=GATED, inboundExecution={"pipelineExecutionId": ID})
CLOSED = drawn(SHOP, [stage("Build", "Succeeded"), WAITING], [ran("Build", "Compile", "Succeeded", 1, 9)])
ASKED = drawn(SHOP, [stage("Build", "Succeeded")], [
    ran("Build", "Compile", "Succeeded", 1, 9),
    ran("Approve", "Ask", "InProgress", 60, CustomData="Well?", result={"externalExecutionId": "t"}),
])  # fmt: skip
ENDED = drawn(SHOP, [], [
    ran("Build", "Compile", "Succeeded", 1, 9),
    ran("Approve", "Ask", "Failed", 60, 99, result={"errorDetails": {"message": "It is green."}}),
], "Failed")  # fmt: skip
COURSE = [None, BEGUN, BUILT, CLOSED, ASKED, ENDED]


def told(was: Picture | None, now: Picture) -> list[tuple[str, str, str]]:
    return [(each.kind, "/".join(filter(None, (each.stage, each.action))), each.status) for each in changes(was, now)]


def test_each_change_is_told_once_in_the_order_that_it_came_about() -> None:
    course = [told(was, now) for was, now in pairwise(COURSE) if now]

    assert course == [
        [("execution", "", "InProgress"), ("stage", "Build", "InProgress"), ("action", "Build/Compile", "InProgress")],
        [("action", "Build/Compile", "Succeeded"), ("stage", "Build", "Succeeded")],
        [("closed", "Approve", ""), ("waiting", "Approve", "")],
        [("stage", "Approve", "InProgress"), ("action", "Approve/Ask", "WaitsForApproval")],
        [("action", "Approve/Ask", "Failed"), ("stage", "Approve", "Failed"), ("execution", "", "Failed")],
    ]


def test_a_line_has_the_time_the_place_and_what_to_do() -> None:
    [_, asked] = [change_line(change, ASKED) for change in changes(CLOSED, ASKED)]
    stamp = f"{at(60).astimezone():%Y-%m-%d %H:%M:%S}"

    assert asked == f"{stamp}  Approve/Ask  WaitsForApproval  Well?  codeyard pipeline approve shop Approve Ask"


def test_machines_get_what_applies_and_no_more() -> None:
    found = [change_fields(change, ENDED) for change in changes(ASKED, ENDED)]

    assert found[0] == {
        "event": "action", "at": at(99).isoformat(), "pipeline": "shop", "execution": ID, "stage": "Approve",
        "action": "Ask", "status": "Failed", "seconds": 39.0, "text": "It is green.",
    }  # fmt: skip
    assert found[-1] == {"event": "execution", "at": at(100).isoformat(), "pipeline": "shop", "execution": ID,
                         "status": "Failed", "seconds": 100.0}  # fmt: skip


def test_nothing_changed_is_nothing_told() -> None:
    assert [changes(now, now) for now in COURSE if now] == [()] * 5


@given(st.lists(st.sampled_from(COURSE[1:]), min_size=1))
def test_times_never_go_back_within_what_is_told_at_once(course: list[Picture]) -> None:
    for was, now in zip([None, *course], course, strict=False):
        times = [change.at for change in changes(was, now)]

        assert times == sorted(times)
        assert all(time >= NOON for time in times)
