"""Sums, by the check values that their definitions give."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.objects.checksums import ALGORITHMS, is_value, of_parts, start


@pytest.mark.parametrize(
    ("algorithm", "value"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    ],
)
def test_the_sum_of_nine_digits(algorithm: str, value: str) -> None:
    checksum = start(algorithm)
    checksum.update(b"123456789")

    assert base64.b64decode(checksum.value() or "").hex() == value


@given(st.binary(max_size=300), st.integers(0, 300), st.sampled_from(ALGORITHMS))
def test_cuts_do_not_matter(content: bytes, cut: int, algorithm: str) -> None:
    whole, pieces = start(algorithm), start(algorithm)
    whole.update(content)
    pieces.update(content[:cut])
    pieces.update(content[cut:])

    assert whole.value() == pieces.value()
    assert is_value(algorithm, whole.value() or "")


def test_a_sum_of_parts_says_how_many() -> None:
    expected = zlib.crc32(bytes.fromhex("cbf43926cbf43926")).to_bytes(4, "big")

    assert of_parts("CRC32", ("y/Q5Jg==", "y/Q5Jg==")) == f"{base64.b64encode(expected).decode()}-2"


@pytest.mark.parametrize("text", ["", "y/Q5Jg", "y/Q5Jg==AA", "é", "AAAA"])
def test_what_can_be_no_sum(text: str) -> None:
    assert not is_value("CRC32", text)
