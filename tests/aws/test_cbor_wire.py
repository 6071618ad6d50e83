from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import shapes
from codeyard.aws.cbor_wire import CBOR
from codeyard.aws.shapes import Unreadable

MODEL = shapes.model("codebuild")
START = MODEL.operations["StartBuild"]
# A shape with a timestamp and a blob, in a service that knows no CBOR: the codec does not mind.
SECRETS = shapes.model("secretsmanager")
SAMPLE = {
    "projectName": "p",
    "environmentVariablesOverride": [{"name": "A", "value": "é", "type": "PLAINTEXT"}],
    "privilegedModeOverride": True,
    "timeoutInMinutesOverride": 70,
}


@pytest.mark.parametrize("indefinite", [True, False])
def test_maps_and_lists_of_any_length_are_read(indefinite: bool) -> None:
    assert CBOR.decode(START, cbor2.dumps(SAMPLE, indefinite_containers=indefinite)) == SAMPLE


def test_texts_in_parts_and_small_floats_are_read() -> None:
    in_parts = b"\xa1\x6bprojectName\x7f\x61a\x61b\xff"
    half = b"\xa1\x78\x18timeoutInMinutesOverride\xf9\x45\x00"

    assert CBOR.decode(START, in_parts) == {"projectName": "ab"}
    assert CBOR.decode(START, half) == {"timeoutInMinutesOverride": 5}


def test_timestamps_are_tag_1_and_blobs_are_bytes() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    body = CBOR.encode(MODEL, START, {"build": {"startTime": at}}, "an-id")
    secret = CBOR.decode(SECRETS.operations["CreateSecret"], cbor2.dumps({"SecretBinary": b"\xff"}))

    assert cbor2.loads(body) == {"build": {"startTime": at}}
    assert body[-10:-8] == b"\xc1\xfb"
    assert secret == {"SecretBinary": b"\xff"}


@pytest.mark.parametrize(
    "value",
    [{"projectName": b"p"}, {"projectName": datetime(2026, 1, 1, tzinfo=UTC)}, {"projectName": cbor2.undefined},
     {"projectName": cbor2.CBORTag(999, "p")}, {"privilegedModeOverride": 1},
     {"projectName": cbor2.CBORSimpleValue(9)}],
)  # fmt: skip
def test_another_type_is_unreadable(value: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        CBOR.decode(START, cbor2.dumps(value, datetime_as_timestamp=True))


@given(st.binary(max_size=80))
def test_any_bytes_are_either_read_or_unreadable(body: bytes) -> None:
    try:
        values = CBOR.decode(START, body)
    except Unreadable:
        values = {}

    assert isinstance(values, dict)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_bent_body_is_either_read_or_unreadable(at: int, bytes_there: bytes) -> None:
    whole = cbor2.dumps(SAMPLE)
    at %= len(whole)
    try:
        values = CBOR.decode(START, whole[:at] + bytes_there + whole[at + len(bytes_there) :])
    except Unreadable:
        values = {}

    assert set(values) <= set(START.input.members)
