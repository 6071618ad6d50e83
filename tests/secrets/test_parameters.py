from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.secrets import parameters
from codeyard.secrets.parameters import KEPT_VERSIONS, Parameter, Tier, Type

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = st.sampled_from(["a", "b", "c", "aws1", "1st", "ssm"])
CHANGES = st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.lists(LABELS, max_size=3)), max_size=8)


def put(before: Parameter | None = None, **given: object) -> Parameter:
    return parameters.put("name", before, {"Value": "value", "Type": "String"} | given, Owner(), "me", NOW)


@given(CHANGES)
def test_a_label_is_a_proper_one_and_on_one_version(changes: list[tuple[bool, int, list[str]]]) -> None:
    labels: dict[str, int] = {}
    for on, version, asked in changes:
        before = labels
        labels, said = (parameters.label if on else parameters.unlabel)(labels, version, asked)

        assert set(labels) <= {"a", "b", "c"}
        assert set(said) <= set(asked)
        assert {name: at for name, at in before.items() if name not in asked}.items() <= labels.items()


def test_a_version_bears_ten_labels_at_most() -> None:
    labels, _ = parameters.label({}, 1, [f"label{number}" for number in range(10)])

    with pytest.raises(Refused) as caught:
        parameters.label(labels, 1, ["more"])

    assert caught.value.code == "ParameterVersionLabelLimitExceeded"


@given(st.integers(1, 10_000), st.dictionaries(st.text(max_size=2), st.integers(1, 10_000), max_size=3))
def test_no_version_with_a_label_is_pushed_out(version: int, labels: dict[str, int]) -> None:
    try:
        oldest = parameters.oldest_kept(version, labels)
    except Refused:
        assert min(labels.values()) <= version - KEPT_VERSIONS
    else:
        assert all(on >= oldest for on in labels.values())
        assert version - oldest == KEPT_VERSIONS - 1


@pytest.mark.parametrize(
    ("size", "asked", "tier"),
    [
        (4096, None, Tier.STANDARD),
        (4097, "Advanced", Tier.ADVANCED),
        (8192, "Advanced", Tier.ADVANCED),
        (4096, "Intelligent-Tiering", Tier.STANDARD),
        (4097, "Intelligent-Tiering", Tier.ADVANCED),
    ],
)
def test_a_tier_holds_so_much(size: int, asked: str | None, tier: Tier) -> None:
    assert put(Value="x" * size, Tier=asked).tier is tier


@pytest.mark.parametrize(
    ("value", "asked", "why"),
    [
        ("x" * 4097, None, "Standard tier parameters support a maximum parameter value of 4096"),
        ("é" * 2049, "Standard", "maximum parameter value of 4096"),
        ("x" * 8193, "Advanced", "maximum parameter value of 8192"),
        ("x" * 8193, "Intelligent-Tiering", "maximum parameter value of 8192"),
    ],
)
def test_a_tier_holds_no_more(value: str, asked: str | None, why: str) -> None:
    with pytest.raises(Refused, match=why):
        put(Value=value, Tier=asked)


def test_a_tier_only_rises() -> None:
    advanced = put(Tier="Advanced")

    assert put(advanced, Overwrite=True).tier is Tier.ADVANCED
    assert put(advanced, Overwrite=True, Tier="Intelligent-Tiering").tier is Tier.ADVANCED
    with pytest.raises(Refused, match="can't downgrade"):
        put(advanced, Overwrite=True, Tier="Standard")


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"Value": ""}, "ValidationException"),
        ({"Type": None}, "ValidationException"),
        ({"Overwrite": True, "Tags": [{"Key": "a", "Value": "b"}]}, "ValidationException"),
        ({"Value": "a {{ssm:other}} b"}, "ValidationException"),
        ({"Value": "{{}}"}, "ValidationException"),
        ({"Value": "half \ud800"}, "ValidationException"),
        ({"AllowedPattern": "nul\0"}, "ValidationException"),
        ({"Description": "\ud800"}, "ValidationException"),
        ({"DataType": "aws:ec2:image"}, "ValidationException"),
        ({"Policies": '[{"Type":"Expiration"}]'}, "InvalidPolicyTypeException"),
    ],
)
def test_what_aws_refuses_is_refused(given: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as caught:
        put(**given)

    assert caught.value.code == code


def test_a_template_is_a_value() -> None:
    assert put(Value="Hello {{name}}, {{ if }} and }}{{").version == 1


def test_only_a_secure_string_has_a_key() -> None:
    secure = put(Type="SecureString")

    assert secure.key_id == "alias/aws/ssm"
    assert put(secure, Overwrite=True, Type=None).type is Type.SECURE_STRING
    assert put(secure, Overwrite=True).key_id is None
