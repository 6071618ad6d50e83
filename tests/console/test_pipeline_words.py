import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.console.pipeline_words import IDLE, short, standing, trigger, who

STATUSES = ["InProgress", "Stopping", "Stopped", "Succeeded", "Failed", "Cancelled", "Superseded", "Skipped",
            "Abandoned", "Errored", "Overridden"]  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_of_aws_has_words_and_a_tone(status: str) -> None:
    found = standing(status)

    assert found.label.replace(" ", "").lower() == status.lower()
    assert found.value != "idle"
    assert found.live == (status in ("InProgress", "Stopping"))


def test_none_means_that_it_did_not_run() -> None:
    assert standing(None) is standing("") is IDLE


@given(st.text(max_size=60))
def test_whatever_a_status_says_no_class_comes_of_it(status: str) -> None:
    assert standing(status).value in {"idle", "running", "stopped", "succeeded", "failed", "skipped", "fault"}


@pytest.mark.parametrize(
    ("arn", "name"),
    [
        ("arn:aws:iam::000000000000:root", "root"),
        ("arn:aws:iam::000000000000:user/team/ann", "user/team/ann"),
        ("arn:aws:sts::000000000000:assumed-role/deployers/ann", "deployers/ann"),
        ("arn:aws:events:x:000000000000:rule/nightly", "arn:aws:events:x:000000000000:rule/nightly"),
        ("whoever", "whoever"),
        ("", ""),
    ],
)  # fmt: skip
def test_an_identity_is_told_without_what_all_have(arn: str, name: str) -> None:
    assert who(arn) == name


def test_a_trigger_is_told_with_who_it_was() -> None:
    given = {"triggerType": "StartPipelineExecution", "triggerDetail": "arn:aws:iam::000000000000:root"}

    assert trigger({"trigger": given}) == ("Started", "root")
    assert trigger({}) == ("–", "")
    assert short("27f7a65e-fce5-477e-be87-ffd18037e6de") == "27f7a65e"
