"""Definitions in files: of JSON and YAML, bare or as AWS's clients have them."""

import json
from contextlib import suppress
from typing import Any

import botocore.session
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from codeyard.cli.pipeline_file import parse
from codeyard.errors import Invalid, Misspelt

MODEL = botocore.session.get_session().get_service_model("codepipeline").operation_model("CreatePipeline").input_shape
ACTION = {"name": "Git", "actionTypeId": {"version": "1"}, "runOrder": 1, "configuration": {"Poll": "false"}}
BARE = {"name": "shop", "version": 2, "stages": [{"name": "Source", "actions": [ACTION]}]}
TAGS = [{"key": "team", "value": "web"}]


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump], ids=["JSON", "YAML"])
@pytest.mark.parametrize(
    ("document", "tags"),
    [(BARE, []), ({"pipeline": BARE}, []), ({"pipeline": BARE, "tags": TAGS}, TAGS),
     ({"pipeline": BARE, "metadata": {"created": "2026-03-01"}}, [])],
)  # fmt: skip
def test_each_form_is_taken(write: Any, document: Any, tags: Any) -> None:
    found = parse(write(document), "it", MODEL)

    assert (found.pipeline, found.tags) == (BARE, tags)


def test_in_yaml_a_value_is_what_the_api_says() -> None:
    text = (
        "{name: 1e3, version: '2', stages: [{name: on, actions: [{runOrder: 1, configuration: {Poll: no, At: 010}}]}]}"
    )
    found = parse(f"pipeline: {text}", "it", MODEL).pipeline

    assert (found["name"], found["version"], found["stages"][0]["name"]) == ("1e3", 2, "on")
    assert found["stages"][0]["actions"][0]["configuration"] == {"Poll": "no", "At": "010"}


@pytest.mark.parametrize(
    ("text", "lines", "what"),
    [
        ("name: a\nstagse: []\n", [2], "unknown key stagse"),
        ("name: a\nstages:\n  - Source\n", [3], "a text where a mapping belongs"),
        ("name: [a]\nversion: two\n", [1, 2], "a list where a text belongs"),
        ("name: a\nname: b\n", [2], "already defined"),
        ("a: b: c\n", [1], "mapping values"),
        ('{"name": "a",\n "version": }', [2], "Expecting value"),
    ],
)
def test_mistakes_are_shown_at_their_places(text: str, lines: list[int], what: str) -> None:
    with pytest.raises(Misspelt) as raised:
        parse(text, "it", MODEL)

    assert [each.line for each in raised.value.mistakes] == lines
    assert what in raised.value.mistakes[0].what


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "a", "name": "b"}', '{"pipeline": {}, "tgas": []}',
                                  '{"a":' * 100_000])  # fmt: skip
def test_what_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text, "it", MODEL)


@given(st.text(max_size=300) | st.text("{}[]:,-'\"a1 \n&*<>", max_size=60))
def test_any_text_is_a_definition_or_refused(text: str) -> None:
    with suppress(Invalid):
        assert parse(text, "it", MODEL).pipeline
