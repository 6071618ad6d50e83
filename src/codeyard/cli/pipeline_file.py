"""A pipeline's definition in a file of JSON or YAML: as AWS's clients take it, or bare. Pure, but for reading the file.

JSON is sent as it stands. In YAML a plain `1` may be a text or a number: the API's model says what each member is.
"""

import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codeyard.errors import Invalid, Misspelt, Mistake
from codeyard.located_yaml import FALSE, MAX_CHARACTERS, TRUE, Mapping, Node, Scalar, Sequence, excerpt, read

_LONGEST = 4 * MAX_CHARACTERS  # of JSON; the API takes far less
_NEVER = frozenset({"metadata"})  # of what GetPipeline prints


@dataclass(frozen=True, slots=True)
class Definition:
    """A PipelineDeclaration, and tags if the file has any."""

    pipeline: dict[str, Any]
    tags: list[dict[str, str]]


def load(path: str, model: Any) -> Definition:
    """Of a file, or of the standard input if it is `-`. `model`: botocore's shape of CreatePipelineInput. Invalid."""
    try:
        if path == "-":
            return parse(sys.stdin.read(_LONGEST), "from the standard input", model)
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(_LONGEST)
    except (OSError, UnicodeDecodeError) as error:
        why = "it is not UTF-8 text." if isinstance(error, UnicodeDecodeError) else f"{error.strerror}."
        raise Invalid(f"definition {path}", why, "Name a file of JSON or YAML that you can read.") from None
    return parse(text, path, model)


def parse(text: str, name: str, model: Any) -> Definition:
    """Of JSON if it begins with a brace, else of YAML. Misspelt, Invalid."""
    found = _json(text, name) if text.lstrip("\ufeff \t\r\n").startswith("{") else _yaml(text, name, model)
    if not isinstance(found, dict) or not found:
        raise Invalid(f"definition {name}", "it is no mapping.", 'Begin with {"pipeline": {"name": …, or with name: ….')
    if not isinstance(found.get("pipeline"), dict):
        return Definition(found, [])
    other = sorted(set(found) - {"pipeline", "tags"} - _NEVER)
    if other:
        why = f"beside pipeline and tags it has {', '.join(excerpt(each) for each in other)}."
        raise Invalid(f"definition {name}", why, "Move it into pipeline, or remove it.")
    return Definition(found["pipeline"], found.get("tags") or [])


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1] if error.lineno <= len(text.splitlines()) else ""
        told = Mistake(error.lineno, error.colno, f"{error.msg} at line {error.lineno}", "Correct the JSON here.", line)
        raise Misspelt(f"definition {name}", (told,)) from None
    except _Twice as error:
        raise Invalid(f"definition {name}", f"the key {error} occurs twice.", "Keep one of the two.") from None
    except RecursionError:
        raise Invalid(f"definition {name}", "it is nested too deep.", "Nest less.") from None


class _Twice(Exception):
    """A key of an object, the second time."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(excerpt(key))
        found[key] = value
    return found


def _yaml(text: str, name: str, model: Any) -> Any:
    document = read(text)
    mistakes = [each for each in document.mistakes if not each.warning]
    value: Any = None
    if document.root is not None and not mistakes:
        wrapped = isinstance(document.root, Mapping) and any(key.text == "pipeline" for key, _ in document.root.entries)
        value = _value(document.root, model if wrapped else model.members["pipeline"], mistakes, _NEVER)
    if mistakes:
        raise Misspelt(f"definition {name}", tuple(sorted(mistakes, key=lambda each: (each.line, each.column))))
    return value


def _value(node: Node, model: Any, mistakes: list[Mistake], skipped: frozenset[str] = frozenset()) -> Any:
    """What the node means where the API has this shape."""
    kind = model.type_name
    if kind == "structure" and isinstance(node, Mapping):
        return _structure(node, model, mistakes, skipped)
    if kind == "map" and isinstance(node, Mapping):
        return {key.text: _value(each, model.value, mistakes) for key, each in node.entries}
    if kind == "list" and isinstance(node, Sequence):
        return [_value(each, model.member, mistakes) for each in node.items]
    if isinstance(node, Scalar) and kind not in ("structure", "map", "list"):
        return _scalar(node, kind, mistakes)
    what = f"{_kind(node)} where {_WORDS.get(kind, 'a text')} belongs at line {node.line}"
    mistakes.append(Mistake(node.line, node.column, what, "See the shape PipelineDeclaration of AWS's API."))
    return None


def _structure(node: Mapping, model: Any, mistakes: list[Mistake], skipped: frozenset[str]) -> dict[str, Any]:
    found = {}
    for key, each in node.entries:
        if key.text in skipped or (isinstance(each, Scalar) and each.is_null):
            continue
        member = model.members.get(key.text)
        if member is None:
            close = difflib.get_close_matches(key.text, list(model.members), n=1)
            fix = f"Did you mean {close[0]}?" if close else f"Use one of {', '.join(model.members)}."
            what = f"unknown key {excerpt(key.text)} at line {key.line}"
            mistakes.append(Mistake(key.line, key.column, what, fix))
            continue
        found[key.text] = _value(each, member, mistakes)
    return found


def _scalar(node: Scalar, kind: str, mistakes: list[Mistake]) -> Any:
    text = node.text
    if kind in ("integer", "long"):
        if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() and len(text) < 19:
            return int(text)
        what = f"{excerpt(text)} where a number belongs at line {node.line}"
        mistakes.append(Mistake(node.line, node.column, what, "Write digits."))
        return None
    if kind == "boolean":
        if text in TRUE or text in FALSE:
            return text in TRUE
        what = f"{excerpt(text)} where true or false belongs at line {node.line}"
        mistakes.append(Mistake(node.line, node.column, what, "Write true or false."))
        return None
    return text


_WORDS = {"structure": "a mapping", "map": "a mapping", "list": "a list", "integer": "a number", "boolean": "a flag"}


def _kind(node: Node) -> str:
    return "a mapping" if isinstance(node, Mapping) else "a list" if isinstance(node, Sequence) else "a text"
