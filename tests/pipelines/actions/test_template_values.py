"""Texts that become parameters, tags and policies."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.pipelines.actions.template_values import (
    Attribute,
    FilePointer,
    FromFile,
    TemplateConfiguration,
    capabilities,
    overrides,
    pairs,
    param_of,
)


def test_overrides_are_texts_or_functions() -> None:
    text = json.dumps(
        {
            "A": "x", "B": 1, "C": True, "D": 1.5,
            "E": {"Fn::GetArtifactAtt": ["In", "ObjectKey"]}, "F": {"Fn::GetParam": ["In", "f.json", "k"]},
        }
    )  # fmt: skip

    assert overrides(text) == {
        "A": "x", "B": "1", "C": "true", "D": "1.5",
        "E": Attribute("In", "ObjectKey"), "F": FromFile("In", "f.json", "k"),
    }  # fmt: skip
    assert overrides("") == overrides(None) == {}


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", "1", '{"A": null}', '{"A": ["x"]}', '{"A": {"Fn::GetArtifactAtt": ["In", "Size"]}}',
        '{"A": {"Fn::GetParam": ["In", "f"]}}', '{"A": {"Fn::GetParam": ["In", "f", 1]}}', '{"A": {}}',
        '{"A": {"Ref": "B"}}', '{"A": NaN}', "[" * 100_000, '{"A": "%s"}' % ("x" * 200_000),
    ],
)  # fmt: skip
def test_other_overrides_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="ParameterOverrides"):
        overrides(text)


@given(st.text())
def test_a_text_is_overrides_or_invalid(text: str) -> None:
    try:
        found = overrides(text)
    except Invalid:
        return

    assert all(isinstance(name, str) for name in found)


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_a_file_s_values_are_read_as_they_are(parameters: dict[str, str], tags: dict[str, str]) -> None:
    found = TemplateConfiguration.parse(json.dumps({"Parameters": parameters, "Tags": tags, "StackPolicy": {"a": 1}}))

    assert (found.parameters, found.tags, found.policy) == (parameters, tags, '{"a":1}')
    assert {each["k"]: each["v"] for each in pairs(parameters, "k", "v")} == parameters


@pytest.mark.parametrize("text", ["x", "[]", '{"Parameter": {}}', '{"Tags": []}', '{"Tags": {"a": {}}}'])
def test_a_file_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="TemplateConfiguration"):
        TemplateConfiguration.parse(text)


def test_a_parameter_comes_from_a_file() -> None:
    wanted = FromFile("In", "f.json", "k")

    assert param_of('{"k": 7}', wanted) == "7"
    with pytest.raises(Invalid, match="it has no key 'k'"):
        param_of("{}", wanted)


def test_capabilities_are_those_that_there_are() -> None:
    assert capabilities("CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND") == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    assert capabilities(None) == []
    with pytest.raises(Invalid, match="is none of"):
        capabilities("CAPABILITY_ROOT")


def test_a_file_is_named_with_its_artifact() -> None:
    assert FilePointer.parse("In::a/b::c", "TemplatePath") == FilePointer("In", "a/b::c")
    for text in ("In", "::a", "In::", ""):
        with pytest.raises(Invalid, match="InputArtifact::File"):
            FilePointer.parse(text, "TemplatePath")
