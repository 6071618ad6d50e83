import defusedxml.ElementTree
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws.xml import element, escaped


@given(st.text())
def test_any_text_survives_in_an_element_but_for_what_xml_cannot_hold(text: str) -> None:
    """What a parser reads is the text, with U+FFFD for each character that is forbidden."""
    read = defusedxml.ElementTree.fromstring(element("a", escaped(text))).text or ""

    assert len(read) == len(text)
    assert all(got in (one, "\ufffd") for got, one in zip(read, text, strict=True))


def test_what_has_a_meaning_in_xml_is_escaped() -> None:
    assert escaped('<a href="x">&\r\n\0\ud800') == "&lt;a href=&quot;x&quot;&gt;&amp;&#13;\n\ufffd\ufffd"


def test_elements_nest() -> None:
    assert element("a", element("b"), element("c", "d")) == "<a><b></b><c>d</c></a>"
