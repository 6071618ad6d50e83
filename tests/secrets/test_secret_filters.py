from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.ident import Owner
from codeyard.secrets.managed_secrets import ManagedSecret
from codeyard.secrets.secret_filters import fits

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = ManagedSecret(
    Owner(), "Prod/db-main", "AbCdEf", "The Main database", None, NOW, NOW, None, None, {}, {"Team": "Core build"}
)


@pytest.mark.parametrize(
    ("key", "values", "found"),
    [
        ("name", ["Prod"], True),
        ("name", ["prod"], False),
        ("name", ["db"], False),
        ("name", ["x", "Prod/"], True),
        ("name", ["!Prod"], False),
        ("name", ["!Test"], True),
        ("name", ["Prod", "!Prod/db"], False),
        ("description", ["the main"], True),
        ("description", ["main"], False),
        ("tag-key", ["Te"], True),
        ("tag-key", ["te"], False),
        ("tag-value", ["Core"], True),
        ("primary-region", ["us-"], True),
        ("owning-service", ["rds"], False),
        ("all", ["MAIN core"], True),
        ("all", ["main absent"], False),
        ("all", ["!database"], False),
    ],
)
def test_a_filter_finds(key: str, values: list[str], found: bool) -> None:
    assert fits(SECRET, [{"Key": key, "Values": values}]) is found


def test_all_filters_must_find_it() -> None:
    assert not fits(SECRET, [{"Key": "name", "Values": ["Prod"]}, {"Key": "tag-key", "Values": ["none"]}])


@given(st.sampled_from(["name", "description", "tag-key", "tag-value", "all"]), st.text(max_size=10))
def test_a_filter_and_its_opposite_never_both_find(key: str, text: str) -> None:
    value = text.lstrip("!")

    found = fits(SECRET, [{"Key": key, "Values": [value]}])

    assert fits(SECRET, [{"Key": key, "Values": [f"!{value}"]}]) is not found
