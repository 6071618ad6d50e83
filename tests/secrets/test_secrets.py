"""Secrets that do not show themselves, and references to them."""

import copy
import json
import pickle
import traceback
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid, NotFound
from codeyard.secrets import Secret, SecretReference, missing_parameter, missing_secret, pick

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db-AbCdEf"
names = st.text("abcXYZ019/_+=.@-", min_size=1, max_size=20)
versions = st.none() | st.text("abcXYZ019-", min_size=1, max_size=20)


@dataclass(frozen=True)
class Holder:
    secret: Secret


@pytest.mark.parametrize("show", [str, repr, "{}".format, "{:>30}".format, "{!r}".format, lambda s: f"{s}", Holder])
def test_a_secret_shows_only_stars(show: type[str]) -> None:
    assert "hunter2" not in str(show(Secret("hunter2")))
    assert "***" in str(show(Secret("hunter2")))


@pytest.mark.parametrize("leak", [pickle.dumps, json.dumps, lambda secret: pickle.dumps(Holder(secret)), vars])
def test_a_secret_is_not_written_anywhere_by_accident(leak: type[str]) -> None:
    with pytest.raises(TypeError) as caught:
        leak(Secret("hunter2"))

    assert "hunter2" not in str(caught.value)


def test_a_secret_stays_one_when_its_owner_is_copied() -> None:
    holder = Holder(Secret("hunter2"))

    assert repr(asdict(holder)) == repr(copy.deepcopy(holder).__dict__) == "{'secret': ***}"
    assert copy.copy(holder.secret).reveal() == "hunter2"


def test_a_secret_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Secret("hunter2").other = "x"


def test_secrets_are_equal_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("prod/db", SecretReference("prod/db")),
        ("prod/db:user", SecretReference("prod/db", "user")),
        ("prod/db:user:AWSPREVIOUS", SecretReference("prod/db", "user", "AWSPREVIOUS")),
        ("prod/db:user::v-1", SecretReference("prod/db", "user", None, "v-1")),
        ("prod/db:::v-1", SecretReference("prod/db", None, None, "v-1")),
        ("prod/db::AWSPREVIOUS", SecretReference("prod/db", None, "AWSPREVIOUS")),
        ("prod/db:::", SecretReference("prod/db")),
        ("prod/db:a key with spaces", SecretReference("prod/db", "a key with spaces")),
        (ARN, SecretReference(ARN)),
        (f"{ARN}:user", SecretReference(ARN, "user")),
        (f"{ARN}:user::v-1", SecretReference(ARN, "user", None, "v-1")),
    ],
)
def test_a_reference_is_cut_into_its_fields(text: str, reference: SecretReference) -> None:
    assert SecretReference.parse(text) == reference


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "name is empty"),
        (":key", "name is empty"),
        ("a name", "has other characters"),
        ("x" * 513, "too long"),
        ("name:key:stage:id", "both a stage and an id"),
        (f"{ARN}:key:stage:id", "both a stage and an id"),
        ("name:key::id:more", "4 fields follow"),
        ("name::sta ge", "stage or id"),
        ("name:::" + "v" * 257, "stage or id"),
        ("arn:aws:secretsmanager:eu-central-1", "ARN is not"),
        ("arn:aws:ssm:eu-central-1:123456789012:parameter:name", "ARN is not"),
        ("arn:aws:secretsmanager:eu-central-1:123456789012:secret:", "name is empty"),
    ],
)
def test_a_reference_that_is_wrong_says_why(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        SecretReference.parse(text)


def test_a_reference_tells_all_its_mistakes_at_once() -> None:
    with pytest.raises(Invalid, match=r"other characters.*4 fields.*both a stage"):
        SecretReference.parse("a name:key:stage:id:more")


@given(names, st.none() | st.text("abc .{}\"'", min_size=1), versions, versions, st.booleans())
def test_a_reference_reads_as_it_was_written(
    name: str, key: str | None, stage: str | None, version: str | None, arn: bool
) -> None:
    identity = ARN.replace("prod/db-AbCdEf", name) if arn else name
    reference = SecretReference(identity, key, stage, None if stage else version)

    assert SecretReference.parse(str(reference)) == reference


def test_an_arn_has_the_name_with_and_without_what_aws_adds() -> None:
    assert SecretReference.parse(ARN).names == ("prod/db-AbCdEf", "prod/db")
    assert SecretReference.parse("prod/db-AbCdEf").names == ("prod/db-AbCdEf",)
    assert SecretReference.parse(ARN.removesuffix("-AbCdEf")).names == ("prod/db",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("text", "é\n"),
        ("number", "1.10"),
        ("big", "1" * 5000),
        ("truth", "true"),
        ("nothing", "null"),
        ("list", '[1, "a"]'),
        ("object", '{"in": 1.5}'),
        ("", "of no name"),
    ],
)
def test_a_key_is_picked_as_text(key: str, value: str) -> None:
    whole = '{"text": "é\\n", "number": 1.10, "truth": true, "nothing": null, "list": [1, "a"], "object": {"in": 1.5},'
    whole += f' "big": {"1" * 5000}, "": "of no name"}}'
    # A number too long for Python breaks only what must be written anew.
    plain = whole if key not in ("list", "object") else whole.replace("1" * 5000, "1")

    assert pick(Secret(plain), SecretReference("name", key)).reveal() == value


def test_without_a_key_the_whole_secret_is_picked() -> None:
    assert pick(Secret("{not json"), SecretReference("name")).reveal() == "{not json"


@pytest.mark.parametrize("whole", ["hunter2", '["hunter2"]', '{"hunter2"', '{"hunter2": ' * 10_000, '"hunter2"', ""])
def test_a_key_of_what_is_no_json_object_is_invalid(whole: str) -> None:
    with pytest.raises(Invalid, match="not a JSON object") as caught:
        pick(Secret(whole), SecretReference("name", "key"))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_a_key_that_is_not_there_is_named_and_nothing_else_is() -> None:
    whole = Secret('{"user": "hunter2"}')

    with pytest.raises(NotFound, match="no key 'absent'") as caught:
        pick(whole, SecretReference("name", "absent"))

    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "user" not in str(caught.value)


def test_what_is_missing_is_said_as_aws_says_it() -> None:
    assert "Parameter does not exist" in str(missing_parameter("/app/token"))
    assert "Secrets Manager can't find it in version v-1" in str(missing_secret(SecretReference.parse("name:::v-1")))
