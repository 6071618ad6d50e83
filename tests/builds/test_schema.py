"""The schema and the parser agree on what is a buildspec."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given, settings

from codeyard.builds.buildspec import Buildspec, examine
from codeyard.builds.schema import schema
from tests.builds.test_buildspec import BAD, SPECS, WHOLE, H, render

VALIDATOR = jsonschema.Draft202012Validator(schema())

# What a schema cannot say, and what is no longer visible once YAML has become values.
PARSER_KNOWS_MORE = (
    "is not a regular expression",
    "Invalid Secrets Manager reference",
    "Duplicate identifier",
    "depend-on names no task",
    "wait for each other",
    "already defined",
    "character U+0000",
)
BAD_VALUES = [
    marked.replace("¶", "")
    for marked, what in BAD
    if not any(known in what for known in PARSER_KNOWS_MORE) and "# only a comment" not in marked
]


def parser_accepts(text: str) -> bool:
    """No error, and no unknown key: editors underline those too."""
    return not any(not m.warning or m.what.startswith("Unknown key") for m in examine(text).mistakes)


def schema_accepts(text: str) -> bool:
    """With text that is no YAML refused, as an editor does before it asks a schema."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return False
    return VALIDATOR.is_valid(value)


GOOD = [
    WHOLE,
    H,
    "version: 0.2\nphases:",
    "version: 0.1\nphases: {}",
    "version: '0.2'\nphases: {}",
    "version: 0.2\nphases: {build: }",
    "version: 0.2\nphases: {build: {commands: make}}",
    "version: 0.2\nphases: {build: {commands: [make, 42, yes, ]}}",
    "version: 0.2\nphases: {build: {commands: [a, ~]}}",
    "version: 0.2\nphases: {build: {on-failure: abort, run-as: 1000}}",
    "version: 0.2\nphases: {build: {on-failure: retry-007-x}}",
    "version: 0.2\nphases: {build: {on-failure: RETRY-100}}",
    "version: 0.2\nphases: {build: {on-failure: RETRY-1000x}}",
    "version: 0.2\nphases: {install: {runtime-versions: {python: 3.12}}}",
    "version: 0.2\nbatch: {build-list: [{identifier: a}]}",
    "batch: {build-graph: [{identifier: a, depend-on: }, {identifier: b, depend-on: a}]}",
    "version: 0.2\nbatch: {build-fanout: {parallelism: '5'}}",
    "version: 0.2\nbatch: {build-matrix: {dynamic: {env: {variables: {A: [1, 2]}}}}}",
    "version: 0.2\nbatch: {build-matrix: {dynamic: {buildspec: a.yml, env: }}}",
    "version: 0.2\nbatch: {build-list: [{identifier: a, env: {compute-type: , fleet: f}}]}",
    "x-a: {b: 1}\n" + H,
    H + "env: {variables: {A: , B: 1, C: true}, git-credential-helper: 'on'}",
    H + "env:",
    H + "cache:",
    H + "cache: {paths: , fallback-keys: [a, b, c, d, e, ~]}",
    H + "artifacts:",
    H + "artifacts: {files: x, type: zip}",
    H + "artifacts: {files: , secondary-artifacts: {a: {files: [x]}}}",
    H + "artifacts: {secondary-artifacts: {}}",
    H + "reports: {$NAME: {files: x, file-format: junitXml}}",
    H + "reports: {$NAME: {files: x, file-format: lcov}}",
    "version: 0.1\nenvironment_variables: {plaintext: {A: b}}\nphases: {}",
]
UNKNOWN = [
    H + "outputs: {}",
    H + "env: {vars: {}}",
    H + "environment_variables: {plaintext: {A: b}}",
    "version: 0.1\nenv: {variables: {}}\nenvironment_variables: {plaintext: {A: b}}\nphases: {}",
    "version: 0.2\nphases: {build: {command: [x]}}",
    "version: 0.2\nphases: {build: {runtime-versions: {python: 3}}}",
    H + "artifacts: {files: x, paths: y}",
    H + "reports: {a: {files: x, enable-symlinks: yes}}",
    H + "cache: {paths: a, keys: b}",
    "version: 0.2\nbatch: {build-list: [{identifier: a, depend-on: [b]}]}",
    "version: 0.2\nbatch: {build-matrix: {static: {env: {fleet: a}}, dynamic: {buildspec: a}}}",
    "version: 0.2\nbatch: {build-fanout: {parallelism: 1, debug-session: yes}}",
]


@pytest.mark.parametrize("text", GOOD)
def test_both_accept_this(text: str) -> None:
    assert (parser_accepts(text), schema_accepts(text)) == (True, True)


@pytest.mark.parametrize("text", [*BAD_VALUES, *UNKNOWN])
def test_both_refuse_this(text: str) -> None:
    assert (parser_accepts(text), schema_accepts(text)) == (False, False)


@given(SPECS)
@settings(max_examples=40, deadline=None)
def test_the_schema_accepts_every_spec(spec: Buildspec) -> None:
    VALIDATOR.validate(yaml.safe_load(render(spec)))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    assert json.loads(json.dumps(schema())) == schema()


def test_every_key_of_the_language_is_described() -> None:
    undescribed = [path for path, shape in _keys(schema(), "") if "description" not in shape]
    assert undescribed == []


def test_every_key_of_the_language_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "buildspec.md").read_text()
    missing = {name for path, _ in _keys(schema(), "") if f"`{(name := path.rpartition('.')[2])}`" not in page}
    assert missing <= set(HEADINGS)
    assert all(f"### {name}\n" in page for name in HEADINGS)


HEADINGS = ("version", "run-as", "env", "proxy", "phases", "reports", "artifacts", "cache", "batch")


def _keys(shape: object, path: str) -> list[tuple[str, dict[str, object]]]:
    """Every shape that stands for a key, beneath the keys `properties` that do describe (not those of conditions)."""
    found: list[tuple[str, dict[str, object]]] = []
    if isinstance(shape, dict):
        if "additionalProperties" in shape:
            found += [(f"{path}.{name}", inner) for name, inner in shape.get("properties", {}).items()]
        for name, inner in shape.items():
            found += _keys(inner, f"{path}.{name}")
    if isinstance(shape, list):
        for inner in shape:
            found += _keys(inner, path)
    return found
