"""What a build prints, as others see it."""

import base64
import json
import shlex
from itertools import pairwise
from time import perf_counter
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codeyard.secrets.masking import Masker

TOKEN = "ghp_9fKq2LmZx/7+vR"
PEM = "-----BEGIN PRIVATE KEY-----\n" + "\n".join(c * 64 for c in "QRST") + "\nshort=\n-----END PRIVATE KEY-----\n"

# Few letters, so that needles overlap and begin inside one another; `*` would let a mask itself be part of a needle.
values = st.lists(st.text("ab\n=", min_size=1, max_size=9), max_size=4)
texts = st.lists(
    st.sampled_from(["a", "b", "=", "\n", "\r\n", "ab", "aab", "AKIA", "ASIAABCDEFGHIJKLMNOP"]), max_size=40
)
long_values = st.lists(st.text("abc\n'& ", min_size=6, max_size=80), min_size=1, max_size=3)


def masked(data: bytes, *needles: str | bytes) -> bytes:
    masker = Masker(needles)
    return masker.feed(data) + masker.flush()


def in_pieces(masker: Masker, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return b"".join(masker.feed(data[a:b]) for a, b in pairwise(edges)) + masker.flush()


def test_a_value_is_hidden_wherever_it_is_printed() -> None:
    assert masked(b"a %b b %b\n" % (TOKEN.encode(), TOKEN.encode()), TOKEN) == b"a *** b ***\n"


def test_a_value_is_hidden_when_it_comes_byte_by_byte() -> None:
    text = f"token={TOKEN};\n".encode()

    assert in_pieces(Masker([TOKEN]), text, list(range(len(text)))) == b"token=***;\n"


def test_values_that_overlap_are_hidden_as_one() -> None:
    assert masked(b"<password123secret>", "password123", "123secret") == b"<***>"


def test_values_that_touch_are_hidden_as_one() -> None:
    assert masked(b"<onetwo>", "one", "two") == b"<***>"


@pytest.mark.parametrize("value", ["", "x", "ab"])
def test_what_is_too_short_to_be_a_secret_hides_nothing(value: str) -> None:
    assert masked(b"absolutely x ab\n", value) == b"absolutely x ab\n"


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    assert masked(b"Bearer abcdef, abcdef\n", "  abcdef\n") == b"Bearer ***, ***\n"


def test_a_value_that_is_not_text_is_hidden() -> None:
    assert masked(b"<\xff\xfe\x00\x80>", b"\xff\xfe\x00\x80") == b"<***>"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_value_of_many_lines_is_hidden_as_a_whole(newline: str) -> None:
    assert masked(f"<{PEM.strip()}>".replace("\n", newline).encode(), PEM) == b"<***>"


def test_each_line_of_a_value_is_hidden_by_itself() -> None:
    shown = masked("\n".join(f"   {line}" for line in PEM.splitlines()).encode(), PEM)

    frame = ["   -----BEGIN PRIVATE KEY-----", "   -----END PRIVATE KEY-----"]
    assert shown.decode().splitlines() == [frame[0], *["   ***"] * 4, "   short=", frame[1]]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "u", "us", "user:"])
@pytest.mark.parametrize("after", ["", "\n", "@host", "xy"])
def test_base64_is_hidden_wherever_the_value_stands_in_it(encode: type[bytes], before: str, after: str) -> None:
    encoded = encode(f"{before}{TOKEN}??>>{after}".encode())

    shown = masked(b"auth=%b\n" % encoded, TOKEN + "??>>")

    assert b"***" in shown
    # All but the characters that share bits with a neighbour: at most one before, one after, and the padding.
    assert len(shown) <= len(b"auth=***\n") + len(base64.b64encode((before + after).encode())) + 4


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("lead", range(0, 60, 7))
def test_base64_is_hidden_when_it_is_broken_into_lines(width: int, newline: bytes, lead: int) -> None:
    value = "v" * 30 + "WXYZ" * 25
    encoded = base64.b64encode(b"." * lead + value.encode())
    lines = [encoded[at : at + width] for at in range(0, len(encoded), width)]

    shown = masked(b"$ base64 key\n" + newline.join(lines) + newline, value)

    assert len(shown) <= len(b"$ base64 key\n***\n\r") + len(base64.b64encode(b"." * lead)) + 6


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_base64_in_lines_is_hidden_when_it_comes_byte_by_byte(newline: bytes) -> None:
    encoded = base64.b64encode(b"user:" + b"WXYZ" * 20)
    data = newline.join([b"$", encoded[:76], encoded[76:], b"$"])

    assert in_pieces(Masker(["WXYZ" * 20]), data, list(range(len(data)))) == masked(data, "WXYZ" * 20)
    assert masked(data, "WXYZ" * 20).startswith(newline.join([b"$", encoded[:7] + b"***"]))


def test_only_a_line_of_base64_runs_on_into_the_next() -> None:
    encoded = base64.b64encode(b"secret-secret")[:-2]
    broken = encoded[:9] + b"\n" + encoded[9:]

    assert masked(b"." * 55 + broken, "secret-secret") == b"." * 55 + broken


@pytest.mark.parametrize(
    "written",
    [
        quote("p w'd\"/&$\n<é>", safe=""),
        quote("p w'd\"/&$\n<é>"),
        quote("p w'd\"/&$\n<é>").lower(),
        quote_plus("p w'd\"/&$\n<é>"),
        json.dumps("p w'd\"/&$\n<é>"),
        json.dumps("p w'd\"/&$\n<é>", ensure_ascii=False),
        json.dumps("p w'd\"/&$\n<é>").replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
        "'p w'\\''d\"/&$\n<é>'",
        shlex.quote("p w'd\"/&$\n<é>"),
        '"p w\'d\\"/&\\$\n<é>"',
    ],
)
def test_a_value_is_hidden_as_urls_json_and_shells_write_it(written: str) -> None:
    assert masked(written.encode(), "p w'd\"/&$\n<é>").strip(b"\"'") == b"***"


def test_the_texts_in_a_json_object_are_hidden_too() -> None:
    value = '{"username": "app-user", "password": "hunter2hunter2", "pin": 12345678, "more": [{"key": "k3y-k3y-k3y"}]}'

    assert masked(b"app-user hunter2hunter2 12345678 k3y-k3y-k3y", value) == b"app-user *** *** ***"


@pytest.mark.parametrize("value", ["{" * 60_000, '{"a":' * 60_000, '{"a": 1'])
def test_what_only_looks_like_json_is_a_value_like_others(value: str) -> None:
    assert masked(value.encode(), value) == b"***"


@pytest.mark.parametrize("key", [b"AKIAIOSFODNN7EXAMPLE", b"ASIAIOSFODNN7EXAMPLE"])
def test_access_key_ids_are_hidden_without_being_named(key: bytes) -> None:
    assert in_pieces(Masker(), b"id=%b\n" % key, [5, 6, 8, 20]) == b"id=***\n"


def test_what_only_begins_as_an_access_key_id_is_shown() -> None:
    assert masked(b"AKIA, AKIAIOSFODNN7EXAMPL, akiaiosfodnn7example, A") == (
        b"AKIA, AKIAIOSFODNN7EXAMPL, akiaiosfodnn7example, A"
    )


def test_nothing_is_kept_back_that_cannot_begin_a_secret() -> None:
    masker = Masker([TOKEN, PEM])

    assert masker.feed(b"Compiling 3 of 9 ...") == b"Compiling 3 of 9 ..."
    assert masker.pending == 0


def test_the_beginning_of_a_secret_is_kept_back_until_it_is_known() -> None:
    masker = Masker([TOKEN])

    assert masker.feed(b"see ghp_") == b"see "
    assert masker.pending == 4
    assert masker.feed(b"other") == b"ghp_other"
    assert masker.pending == 0


def test_a_flushed_masker_starts_anew() -> None:
    masker = Masker(["abcabc"])
    first = masker.feed(b"abc") + masker.flush()

    assert first + masker.feed(b"abc") + masker.flush() == b"abcabc"


def test_a_text_is_masked_beside_the_stream() -> None:
    masker = Masker([TOKEN])
    masker.feed(b"ghp_")

    assert masker.text(f"no such host: {TOKEN}.example\udcff") == "no such host: ***.example\udcff"
    assert masker.pending == 4


@given(values, texts, st.lists(st.integers(0, 200), max_size=8))
@example(["aaa"], ["a", "a", "a", "a", "a"], [1, 2, 3, 4])
def test_cuts_do_not_matter(needles: list[str], words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode()

    assert in_pieces(Masker(needles), data, cuts) == masked(data, *needles)


@given(long_values, st.integers(0, 90), st.sampled_from([64, 76]), st.lists(st.integers(0, 300), max_size=8))
def test_cuts_do_not_matter_to_base64_in_lines(needles: list[str], lead: int, width: int, cuts: list[int]) -> None:
    encoded = base64.b64encode(b"-" * lead + "".join(needles).encode())
    data = b"\r\n".join(encoded[at : at + width] for at in range(0, len(encoded), width)) + b"\r\nend\r\n"

    assert in_pieces(Masker(needles), data, cuts) == masked(data, *needles)


@given(values, texts)
def test_no_value_survives(needles: list[str], words: list[str]) -> None:
    shown = masked("".join(words).encode(), *needles).decode()

    assert not [needle for needle in needles if len(needle.strip()) >= 3 and needle.strip() in shown]


@given(long_values, st.binary(max_size=5), st.binary(max_size=5))
def test_no_value_survives_in_base64(needles: list[str], before: bytes, after: bytes) -> None:
    shown = masked(base64.b64encode(before + needles[0].strip().encode() + after), *needles)

    assert len(needles[0].strip()) < 6 or b"***" in shown


@given(values, st.text("xyzAKSI*\n", max_size=60), st.lists(st.integers(0, 60), max_size=4))
def test_a_text_without_secrets_is_unchanged(needles: list[str], text: str, cuts: list[int]) -> None:
    assert in_pieces(Masker(needles), text.encode(), cuts) == text.encode()


@given(values, texts)
def test_little_is_kept_back(needles: list[str], words: list[str]) -> None:
    masker = Masker(needles)
    kept = [(masker.feed(word.encode()), masker.pending)[1] for word in words]

    # The longest spelling of one byte is `\u0000`; the others are shorter.
    assert max(kept, default=0) <= max([19, *(6 * len(needle) for needle in needles)])


def test_a_long_log_flows_quickly() -> None:
    chunk = b"[INFO] 12:33:01 Building target/app-1.0.jar, sha256 2c26b46b68ffc68ff99b453c1d30413413\n" * 700
    masker = Masker([TOKEN, "another-secret-value"])

    started = perf_counter()
    shown = sum(len(masker.feed(chunk)) for _ in range(300))
    took = perf_counter() - started

    assert shown == 300 * len(chunk)
    assert shown / took > 5e6  # bytes a second; a quiet machine does a hundred times that


@given(st.integers(0, 39), st.integers(0, 70), st.lists(st.integers(0, 200), max_size=4))
def test_one_of_many_values_is_hidden_wherever_it_stands(which: int, lead: int, cuts: list[int]) -> None:
    needles = [f"{number:02}" * (12 + number) for number in range(10, 50)]
    text = b"." * lead + needles[which].encode() + b"."

    assert in_pieces(Masker(needles), text, cuts) == b"." * lead + b"***."


def covered(data: str, needles: list[str]) -> str:
    """The plain rule, letter by letter: what some needle covers is hidden, and each run of it is one `***`."""
    hidden = {
        at + offset
        for needle in needles
        for at in range(len(data))
        if data.startswith(needle, at)
        for offset in range(len(needle))
    }
    return "".join(
        letter if at not in hidden else "***" if at - 1 not in hidden else "" for at, letter in enumerate(data)
    )


@given(st.lists(st.text("ab", min_size=3, max_size=5), max_size=4), st.text("abc", max_size=40))
def test_exactly_what_a_value_covers_is_hidden(needles: list[str], text: str) -> None:
    assert masked(text.encode(), *needles).decode() == covered(text, needles)
