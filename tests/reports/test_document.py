import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.reports import document
from codeyard.reports.document import Node, decode, read_json, read_xml

TEXT = "<?xml version='1.0' encoding='ENC'?><a b='é'>ж</a>"


def refusal(data: bytes) -> Invalid:
    with pytest.raises(Invalid, match="report file") as error:
        read_xml(data, "r.xml")
    return error.value


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
        ("utf-32", "utf-32"),
        ("utf-8", "utf-16"),  # .NET writes to a string what it calls UTF-16, and then to a file
        ("utf-8", "klingon"),
        ("utf-8", "windows-1"),
        ("utf-8", "punycode"),
    ],
)
def test_every_encoding_of_unicode_is_read_whatever_is_declared(encoding: str, declared: str) -> None:
    root = read_xml(TEXT.replace("ENC", declared).encode(encoding), "r.xml")

    assert (root.text, root.get("b")) == ("ж", "é")


@pytest.mark.parametrize(
    "encoding", ["windows-1251", "koi8-r", "iso-8859-5", "cp866", "Shift_JIS", "GB18030", "EUC-JP"]
)
def test_older_encodings_are_read_as_declared(encoding: str) -> None:
    assert read_xml(TEXT.replace("ENC", encoding).replace("é", "").encode(encoding), "r.xml").text == "ж"


def test_what_is_not_the_declared_encoding_is_marked_but_read() -> None:
    assert read_xml(b"<a>caf\xe9 \xff\xfe</a>", "r.xml").text == "caf� ��"


@pytest.mark.parametrize(
    "inner", [b"\0", b"\x1b", b"&#0;", b"&#x1B;", b"&#27;", b"&#xD800;", b"&#55357;", b"&#x110000;"]
)
def test_characters_that_xml_forbids_are_marked_but_read(inner: bytes) -> None:
    assert read_xml(b"<a>[" + inner + b"]</a>", "r.xml").text == "[�]"


def test_references_to_allowed_characters_are_left_alone() -> None:
    text = read_xml(b"<a>&#9;&#10;&#13;&#39;&#x41;&#128512;&#x1F600;&#57344;&#1114111;</a>", "r.xml").text

    assert text == "\t\n\r'A😀😀\ue000\U0010ffff"


def test_blank_lines_before_the_declaration_and_zeros_after_the_end_do_no_harm() -> None:
    assert read_xml(b"\n\n<?xml version='1.1'?><a/>\n\0\0\0", "r.xml") == Node("a", {})


def test_namespaces_are_dropped() -> None:
    root = read_xml(b"<x:a xmlns:x='urn:x' xmlns='urn:y'><b/></x:a>", "r.xml")

    assert (root.tag, [child.tag for child in root.children]) == ("a", ["b"])


def test_elements_that_nobody_needs_are_left_out_with_all_that_is_in_them() -> None:
    root = read_xml(b"<a>1<log>2<b>3</b></log><b>4</b></a>", "r.xml", leave_out=["log", "a"])

    assert (root.text, [(child.tag, child.text) for child in root.children]) == ("1", [("b", "4")])


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE a PUBLIC "-//JACOCO//DTD Report 1.1//EN" "report.dtd">',
        '<!DOCTYPE a SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        "<!DOCTYPE a>",
    ],
)
def test_a_dtd_may_be_named_and_is_never_fetched(declaration: str) -> None:
    assert read_xml(f"{declaration}<a>b</a>".encode(), "r.xml").text == "b"


@pytest.mark.parametrize(
    "inside",
    [
        '<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">',
        '<!ENTITY lol SYSTEM "file:///etc/passwd">',
        '<!ENTITY % lol SYSTEM "http://127.0.0.1/evil.dtd"> %lol;',
        '<!ATTLIST a b CDATA "a default that grows">',
        "",
    ],
)
def test_a_dtd_within_the_file_is_refused(inside: str) -> None:
    assert "its own DTD" in refusal(f"<!DOCTYPE a [{inside}]><a>&lol;</a>".encode()).why


def test_an_entity_that_a_named_dtd_might_declare_is_refused() -> None:
    assert "undefined entity &lol;" in refusal(b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a>&lol;</a>').why


@pytest.mark.parametrize("data", [b"", b" \n\t", b"\0\0", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    assert refusal(data).why == "it is empty."


@pytest.mark.parametrize("data", [b"<a><b></b>", b"<a", b"<a b='", b"<a><![CDATA[b", b"<?xml version='1.0'?>"])
def test_a_file_that_is_cut_short_says_so(data: bytes) -> None:
    assert "too early" in refusal(data).fix


@pytest.mark.parametrize("data", [b"no xml", b"<a></b>", b"<a/><a/>", b"<a b=1/>", b"{}"])
def test_a_file_that_is_no_xml_says_where(data: bytes) -> None:
    assert "line 1, column" in refusal(data).why


def test_a_file_of_more_than_64_mib_is_refused() -> None:
    assert refusal(bytes(64 * 1024 * 1024 + 1)).why == "it is larger than 64 MiB."


def test_elements_in_elements_without_end_are_refused() -> None:
    assert "nested more than 200 deep" in refusal(b"<a>" * 201).why
    assert read_xml(b"<a>" * 200 + b"</a>" * 200, "r.xml").tag == "a"


def test_deep_elements_are_refused_also_where_they_are_left_out() -> None:
    with pytest.raises(Invalid, match="nested more than 200 deep"):
        read_xml(b"<a>" + b"<log>" * 100_000, "r.xml", leave_out=["log"])


def test_more_elements_than_any_report_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_ELEMENTS", 100)

    assert "more than 100 elements" in refusal(b"<a>" + b"<b/>" * 100 + b"</a>").why


def test_more_attributes_than_any_element_has_are_refused() -> None:
    attributes = " ".join(f'a{number:x}=">"' for number in range(500_001))

    assert "more than 500,000 attributes" in refusal(f"<a {attributes}/>".encode()).why


def test_of_a_long_text_the_beginning_is_kept() -> None:
    text = read_xml(b"<a>" + b"x\n" * 1_000_000 + b"</a>", "r.xml").text

    assert text.startswith("x\nx\n")
    assert len(text) < 200_000


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(Invalid, match="nested too deeply"):
        read_json(b"[" * 100_000, "r.json")


def test_json_with_too_many_values_is_refused() -> None:
    with pytest.raises(Invalid, match="more than 8,000,000 values"):
        read_json(b"[" + b"[]," * 4_000_001 + b"1]", "r.json")


@pytest.mark.parametrize("data", [b"{", b"[1,]", b"'a'", b"9" * 5000])
def test_what_is_no_json_says_where(data: bytes) -> None:
    with pytest.raises(Invalid, match="it is not JSON"):
        read_json(data, "r.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_every_encoding_with_a_mark(encoding: str) -> None:
    assert read_json('["ж"]'.encode(encoding), "r.json") == ["ж"]


@given(st.binary(max_size=100))
def test_any_bytes_decode_to_text_that_can_be_encoded(data: bytes) -> None:
    assert decode(data).encode().decode() == decode(data)


@given(st.binary(max_size=100) | st.text(alphabet="<>/&;#x1a![]CDAT\"'= ?-", max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read = isinstance(read_xml(data, "r.xml"), Node)
    except Invalid:
        read = True

    assert read
