"""The filter is run here as the kernel would run it."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.executors.seccomp import AARCH64, ALLOW, DENIED, ENOSYS, EPERM, ERRNO, I386, X86_64, program

NATIVE = {"x86_64": (X86_64, I386), "aarch64": (AARCH64,)}


def verdict(code: bytes, architecture: int, number: int) -> int:
    """What the classic BPF machine returns for this call (struct seccomp_data)."""
    data, accumulator, place = struct.pack("=II", number, architecture), 0, 0
    steps = [struct.unpack_from("=HBBI", code, offset) for offset in range(0, len(code), 8)]
    while True:
        kind, if_true, if_false, value = steps[place]
        place += 1
        if kind == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif kind == 0x15:
            place += if_true if accumulator == value else if_false
        elif kind == 0x35:
            place += if_true if accumulator >= value else if_false
        else:
            return int(value)


@given(st.sampled_from(sorted(NATIVE)), st.data())
def test_what_is_denied_is_refused_and_nothing_else(machine: str, data: st.DataObject) -> None:
    architecture = data.draw(st.sampled_from(NATIVE[machine]))
    denied = set(DENIED[architecture].values())
    number = data.draw(st.one_of(st.integers(0, 600), st.sampled_from(sorted(denied))))

    assert verdict(program(machine) or b"", architecture, number) == (ERRNO | EPERM if number in denied else ALLOW)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_calls_of_another_architecture_do_not_go_round_it(architecture: int, number: int) -> None:
    known = verdict(program("x86_64") or b"", architecture, number) == ERRNO | ENOSYS

    assert known or architecture in {X86_64, I386}


@pytest.mark.parametrize("number", DENIED[X86_64].values())
def test_the_x32_form_of_a_call_does_not_go_round_it(number: int) -> None:
    assert verdict(program("x86_64") or b"", X86_64, 0x40000000 | number) == ERRNO | ENOSYS


def test_a_machine_that_is_not_known_has_none() -> None:
    assert program("pdp11") is None


def test_this_machine_has_one() -> None:
    assert program(os.uname().machine) is not None
