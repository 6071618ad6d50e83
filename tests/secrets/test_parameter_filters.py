from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.ident import Owner
from codeyard.secrets import parameter_filters as filters
from codeyard.secrets.parameters import Attached, Parameter, Tier, Type

HELD = Parameter(
    Owner(), "/app/db/host", 3, Type.SECURE_STRING, Tier.ADVANCED, "text", None, None, "alias/aws/ssm",
    datetime(2026, 1, 1, tzinfo=UTC), "me",
)  # fmt: skip
BORNE = Attached({"team": "core"}, {"old": 1, "good": 3})


@pytest.mark.parametrize(
    ("key", "option", "values", "found"),
    [
        ("Name", None, ["/app/db/host"], True),
        ("Name", None, ["/app"], False),
        ("Name", "BeginsWith", ["/x", "/app"], True),
        ("Name", "Contains", ["db"], True),
        ("Path", None, ["/app"], False),
        ("Path", "Recursive", ["/app"], True),
        ("Path", "OneLevel", ["/app/db/"], True),
        ("Path", "Recursive", ["/ap"], False),
        ("Path", "Recursive", ["/"], True),
        ("Type", None, ["String", "SecureString"], True),
        ("KeyId", "BeginsWith", ["alias/"], True),
        ("Tier", None, ["Standard"], False),
        ("DataType", None, ["text"], True),
        ("tag:team", None, ["core"], True),
        ("tag:team", None, [], True),
        ("tag:team", None, ["other"], False),
        ("tag:none", None, [], False),
    ],
)
def test_a_filter_of_all_finds(key: str, option: str | None, values: list[str], found: bool) -> None:
    test = filters.of_all({"ParameterFilters": [{"Key": key, "Option": option, "Values": values}]})

    assert test(HELD, BORNE) is found


@pytest.mark.parametrize(("label", "found"), [("good", True), ("old", False), ("none", False)])
def test_below_a_path_the_newest_versions_labels_count(label: str, found: bool) -> None:
    assert filters.of_a_path({"ParameterFilters": [{"Key": "Label", "Values": [label]}]})(HELD, BORNE) is found


def test_filters_of_the_first_generation_compare_beginnings() -> None:
    assert filters.of_all({"Filters": [{"Key": "Name", "Values": ["/app"]}]})(HELD, BORNE)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ([{"Key": "Label", "Values": ["x"]}], "InvalidFilterKey"),
        ([{"Key": "Name", "Values": ["x"]}, {"Key": "Name", "Values": ["y"]}], "InvalidFilterKey"),
        ([{"Key": "Name", "Option": "Recursive", "Values": ["x"]}], "InvalidFilterOption"),
        ([{"Key": "Name"}], "InvalidFilterValue"),
        ([{"Key": "Type", "Values": ["Text"]}], "InvalidFilterValue"),
        ([{"Key": "Path", "Values": ["x"]}], "ValidationException"),
    ],
)
def test_what_is_no_filter_has_awss_error(given: list[dict[str, object]], code: str) -> None:
    with pytest.raises(Refused) as caught:
        filters.of_all({"ParameterFilters": given})

    assert caught.value.code == code


def test_below_a_path_names_are_no_filter() -> None:
    with pytest.raises(Refused) as caught:
        filters.of_a_path({"ParameterFilters": [{"Key": "Name", "Values": ["x"]}]})

    assert caught.value.code == "InvalidFilterKey"


def test_both_generations_at_once_are_refused() -> None:
    given = [{"Key": "Name", "Values": ["x"]}]

    with pytest.raises(Refused, match="either Filters or ParameterFilters"):
        filters.of_all({"Filters": given, "ParameterFilters": given})


@given(st.lists(st.from_regex(r"/app(/(db|a|b))?/?|/", fullmatch=True), min_size=1, max_size=3))
def test_what_is_found_on_one_level_is_found_below(paths: list[str]) -> None:
    def finds(option: str) -> bool:
        given = [{"Key": "Path", "Option": option, "Values": paths}]
        return filters.of_all({"ParameterFilters": given})(HELD, BORNE)

    assert finds("Recursive") or not finds("OneLevel")
