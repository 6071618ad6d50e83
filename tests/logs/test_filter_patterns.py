import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.logs.filter_patterns import pattern_test

REQUEST = '127.0.0.1 - frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
EVENT = json.dumps(
    {
        "eventType": "UpdateTrail", "ip": "111.111.111.111", "code": 42, "ok": False, "none": None,
        "list": ["value", "second"], "objects": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "my key": "x",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR 401] no", True),
        ("ERROR", "error", False),
        ("ERROR REQUEST", "[ERROR 400] BAD REQUEST", True),
        ("ERROR REQUEST", "[ERROR 401] DENIED", False),
        ("?ERROR ?WARN", "WARN", True),
        ("?ERROR ?WARN", "INFO", False),
        ("?ERROR ?WARN REQUEST", "REQUEST", True),
        ("ERROR -DENIED", "ERROR DENIED", False),
        ("ERROR -DENIED", "ERROR GRANTED", True),
        ('"INTERNAL SERVER"', "500 INTERNAL SERVER ERROR", True),
        ('-"a.b" c', "c a.b", False),
        (r'"say \"hi\""', 'they say "hi"', True),
        ("%4[0-9]{2}%", "status 404", True),
        ("%^4[0-9]{2}%", "status 404", False),
        ("-%DEBUG|TRACE%", "TRACE", False),
    ],
)
def test_terms(pattern: str, message: str, expected: bool) -> None:
    assert pattern_test(pattern)(message) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[ip, user, name, time, request, status, bytes]", True),
        ("[ip, user, name]", False),
        ("[..., status = 404, bytes]", True),
        ("[..., status = 4*, bytes > 1000]", True),
        ("[ip, user, name, ...]", True),
        ("[ip = 127.0.0.*, ..., bytes]", True),
        ("[ip, user, name, time, request, status = 401 || status = 404, bytes]", True),
        ("[ip, user, name, time, request, status >= 400 && status < 404, bytes]", False),
        ('[ip, user, name = "frank", time, request = *html*, status != 200, bytes]', True),
        ("[ip, user, name = %fr.nk%, ...]", True),
        ("[ip, user, name, (status > 1 && status < 3) || status = 4, ...]", False),
    ],
)
def test_fields(pattern: str, expected: bool) -> None:
    assert pattern_test(pattern)(REQUEST) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = Update* }", True),
        ("{ $.ip != 123.123.* }", True),
        ("{ $.missing != 1 }", False),
        ('{ $.list[0] = "value" }', True),
        ('{ $.list[1] = "value" }', False),
        ('{ $.list[*] = "second" }', True),
        ("{ $.objects[1].id = 2 }", True),
        ('{ $.["my key"] = x }', True),
        ("{ $.code > 41 && $.code <= 42.0 }", True),
        ("{ $.code = 4.2e1 }", True),
        ("{ ($.code = 1 || $.ok IS FALSE) && $.none IS NULL }", True),
        ("{ $.code = 1 || $.ok IS TRUE }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.eventType = %^Up% }", True),
    ],
)
def test_json(pattern: str, expected: bool) -> None:
    assert pattern_test(pattern)(EVENT) is expected


@pytest.mark.parametrize("message", ["no JSON", "1", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", ""])
def test_what_is_no_object_is_not_matched(message: str) -> None:
    assert pattern_test("{ $.a = 1 }")(message) is False


@pytest.mark.parametrize(
    "pattern",
    [
        "user@host", '"open', "{ $.a }", "{ $.a = }", "{ a = 1 }", "{ $.a = 1", "{ $.a > x }", "[a, b", "[..., ...]",
        "[a] b", "%(a)%", "%a% %b% %c%", "{ $.a IS MAYBE }", "{ " + "(" * 300 + "$.a = 1" + ")" * 300 + " }",
    ],
)  # fmt: skip
def test_what_is_no_pattern_is_told(pattern: str) -> None:
    with pytest.raises(Invalid):
        pattern_test(pattern)


@given(pattern=st.text('ab"%?-[]{}$.=<>&|(), *1\\', max_size=25), message=st.text(max_size=20))
def test_any_text_is_a_pattern_or_told(pattern: str, message: str) -> None:
    try:
        pattern_test(pattern)(message)
    except Invalid as told:
        assert told.why  # noqa: PT017 - either is right


@given(
    terms=st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3), message=st.text("abc ", max_size=9)
)
def test_wanted_and_unwanted_terms_are_opposites(terms: list[str], message: str) -> None:
    wanted = [pattern_test(term)(message) for term in terms]
    unwanted = [pattern_test(f"-{term}")(message) for term in terms]

    assert wanted == [not each for each in unwanted] == [term in message for term in terms]
