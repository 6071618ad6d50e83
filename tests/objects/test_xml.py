"""S3's XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.aws import Refused
from codeyard.objects.xml import children, document, parse, text

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


@given(st.lists(TEXT, max_size=5))
def test_what_is_rendered_is_read_again(values: list[str]) -> None:
    root = parse(document("List", [("Item", [("Key", value)]) for value in values]), "List")

    assert [text(item, "Key") for item in children(root, "Item")] == values


def test_control_characters_are_references_as_s3_writes_them() -> None:
    assert document("E", [("Key", "a\x01\n<&")], plain=True).endswith(b"<E><Key>a&#x1;&#xa;&lt;&amp;</Key></E>")


@given(st.binary(max_size=100))
def test_any_bytes_are_a_document_or_a_refusal(content: bytes) -> None:
    with pytest.raises(Refused, match="not well-formed"):
        parse(content, "List")
