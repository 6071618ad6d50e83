"""Events as EventBridge has them (User Guide, "Monitoring CodePipeline events")."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from codeyard.pipelines.model import Moment
from codeyard.pipelines.news import News
from codeyard.pipelines.stored import StoredRun
from tests.pipelines.works import EXECUTION, NOON, OWNER

ARTIFACT = {"name": "Out", "bucket": "bucket", "key": "key"}


def news() -> News:
    return News(OWNER, "demo", NOON, lambda: "id")


def run(moment: Moment | None = None, **data: Any) -> StoredRun:
    about = {"type": ["Build", "AWS", "CodeBuild", "1"], **data}
    return StoredRun("run", OWNER, "demo", EXECUTION, "S", "a", moment, NOON, NOON, NOON, data=about)


def test_an_execution_tells_who_began_it() -> None:
    told = news()

    told.pipeline(EXECUTION, 3, NOON, "STARTED", {"execution-trigger": {"trigger-type": "Webhook"}})

    assert told.events == [
        {
            "version": "0",
            "id": "id",
            "detail-type": "CodePipeline Pipeline Execution State Change",
            "source": "aws.codepipeline",
            "account": "111122223333",
            "time": "2026-03-01T12:00:00Z",
            "region": "us-east-1",
            "resources": ["arn:aws:codepipeline:us-east-1:111122223333:demo"],
            "detail": {
                "pipeline": "demo",
                "execution-id": EXECUTION,
                "state": "STARTED",
                "start-time": "2026-03-01T12:00:00Z",
                "execution-trigger": {"trigger-type": "Webhook"},
                "version": 3,
            },
        }
    ]


def test_an_action_that_failed_tells_why() -> None:
    told = news()

    error = {"code": "JobFailed", "message": "no"}
    told.action(run(error=error, external_id="x", outputs=[ARTIFACT], region="eu-west-1"), 1, "FAILED")

    detail = told.events[0]["detail"]
    assert detail["execution-result"] == {
        "external-execution-summary": "no",
        "external-execution-id": "x",
        "error-code": "JobFailed",
    }
    assert detail["type"] == {"owner": "AWS", "provider": "CodeBuild", "category": "Build", "version": "1"}
    assert detail["output-artifacts"] == [{"name": "Out", "s3location": {"bucket": "bucket", "key": "key"}}]
    assert (detail["region"], told.events[0]["region"]) == ("eu-west-1", "us-east-1")


def test_an_action_that_begins_has_no_result() -> None:
    told = news()

    told.action(run(), 1, "STARTED")

    assert "execution-result" not in told.events[0]["detail"]


def test_of_rules_there_is_no_news() -> None:
    told = news()

    told.action(run(Moment.ON_SUCCESS), 1, "STARTED")

    assert told.events == []


@given(st.lists(st.tuples(st.sampled_from(["Build", "Deploy"]), st.sampled_from(["STARTED", "FAILED"]))))
def test_events_keep_their_order(given: list[tuple[str, str]]) -> None:
    told = news()

    for stage, state in given:
        told.stage(EXECUTION, 1, stage, state)

    assert [(each["detail"]["stage"], each["detail"]["state"]) for each in told.events] == given
