import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.pipelines.builtin_types import catalogue
from codeyard.pipelines.masking import MASK, joined, secret_values, separated
from codeyard.pipelines.model import parse
from tests.pipelines.documents import accepted, action, build, pipeline, stage, then

TYPES = catalogue()


def telling(secret: str = "hunter2", url: str = "https://us", name: str = "Tell", in_stage: str = "Second") -> Any:
    tell = action(name, "Invoke/Custom/Codeyard-HTTP", configuration={"Url": url, "Secret": secret})
    return pipeline(stage(in_stage, tell))


def secret_of(definition: Any) -> str:
    text: str = definition["stages"][1]["actions"][0]["configuration"]["Secret"]
    return text


def updated(before: Any, after: Any) -> str:
    """What the secret is once `after` was sent, where `before` was."""
    _, secrets = separated(before, TYPES, {})
    return secret_of(joined(*separated(after, TYPES, secrets)))


def test_a_secret_is_shown_as_asterisks_and_all_else_as_it_is() -> None:
    shown, _ = separated(telling(), TYPES, {})

    assert secret_of(shown) == MASK
    assert shown == telling(MASK)


def test_asterisks_that_come_back_keep_the_secret() -> None:
    assert updated(telling("hunter2"), telling(MASK)) == "hunter2"


def test_another_secret_takes_its_place() -> None:
    assert updated(telling("hunter2"), telling("changed")) == "changed"


def test_the_secret_is_lost_when_the_stage_or_the_action_has_another_name() -> None:
    before, new = telling(), 'for the new action "(Tell|Call)" .* only when updating an existing action'

    with pytest.raises(Refused, match=new):
        updated(before, telling(MASK, in_stage="Third"))
    with pytest.raises(Refused, match=new):
        updated(before, telling(MASK, name="Call"))
    with pytest.raises(Refused, match=new):
        separated(telling(MASK), TYPES, {})


def test_the_secret_is_not_sent_elsewhere_by_who_does_not_know_it() -> None:
    other_type = json.loads(json.dumps(telling(MASK)).replace('"version": "1"', '"version": "2"'))
    elsewhere = telling(MASK)
    elsewhere["stages"][1]["actions"][0]["region"] = "eu-west-1"

    with pytest.raises(Refused, match="other values of the action were changed"):
        updated(telling(), elsewhere)
    with pytest.raises(Refused, match="other values of the action were changed"):
        updated(telling(), telling(MASK, url="https://thief"))
    assert updated(telling(), other_type) == MASK


def test_of_two_secrets_one_may_be_kept_and_one_be_new() -> None:
    kind, known = "Deploy/ThirdParty/AlexaSkillsKit", {"ClientId": "me", "SkillId": "s"}
    before = then(
        action("A", kind, "Source", configuration={**known, "ClientSecret": "first", "RefreshToken": "second"})
    )
    after = then(action("A", kind, "Source", configuration={**known, "ClientSecret": MASK, "RefreshToken": "new"}))
    _, secrets = separated(before, TYPES, {})

    both = joined(*separated(after, TYPES, secrets))["stages"][1]["actions"][0]["configuration"]
    assert (both["ClientSecret"], both["RefreshToken"]) == ("first", "new")


def test_asterisks_where_no_secret_belongs_are_a_value_like_any() -> None:
    definition = then(build(configuration={"EnvironmentVariables": MASK}))

    assert separated(definition, TYPES, {}) == (definition, {})
    assert joined(definition, {}) == definition


def test_an_action_is_given_its_own_secrets_when_it_runs() -> None:
    stored, secrets = separated(accepted(telling()), TYPES, {})
    declared = parse(stored).stages[1].actions[0]

    assert secret_values("Second", declared, secrets) == {"Secret": "hunter2"}
    assert secret_values("Third", declared, secrets) == {}


@given(st.text(alphabet="abcdef0123456789", min_size=12), st.sampled_from(["Tell", "Other"]))
def test_no_secret_lies_in_what_is_stored_or_in_the_names_of_secrets(secret: str, name: str) -> None:
    definition = telling("#" + secret, name=name)
    as_it_was = copy.deepcopy(definition)
    stored, secrets = separated(definition, TYPES, {})

    assert "#" + secret not in json.dumps(stored) + json.dumps(list(secrets))
    assert joined(stored, secrets) == definition == as_it_was
