"""The buildspec's JSON Schema (draft 2020-12), for editors. Pure; made of the parser's own constants.

It accepts what the parser accepts without an unknown key. What a schema cannot say is left to the parser: duplicate
and missing task identifiers, cycles, the grammar of secrets, regular expressions that do not compile.
"""

from typing import Any

from codeyard.builds.batch_spec import FORMS, IDENTIFIER, MAX_BUILDS, VARIABLE
from codeyard.builds.buildspec import (
    ARTIFACT_IDENTIFIER,
    MAX_FALLBACK_KEYS,
    MAX_RETRIES,
    USER,
    CacheAction,
    PhaseName,
)
from codeyard.located_yaml import FALSE, TRUE
from codeyard.reports.model import FORMAT_NAMES

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = "urn:codeyard:buildspec"
_SCALAR: Json = {"type": ["string", "number", "boolean"]}
_NOT_BLANK = r"\S"


def schema() -> Json:
    """The whole schema, as JSON values."""
    return {
        "$schema": DIALECT,
        "$id": NAME,
        "title": "CodeBuild buildspec",
        **_block(
            "How a build is run: buildspec.yml.",
            {
                "version": _version(),
                "run-as": _user("The Linux user that runs all phases; root if absent."),
                "env": _env(),
                "environment_variables": _old_env(),
                "proxy": _proxy(),
                "batch": _batch(),
                "phases": _phases(),
                "reports": _reports(),
                "artifacts": _nullable(_artifacts()),
                "cache": _nullable(_cache()),
            },
            null=False,
        ),
        "patternProperties": {r"^(x-|\.)": {"description": "Ignored: a place for anchors."}},
        "anyOf": [
            {"required": ["version", "phases"], "properties": {"version": {"not": {"type": "null"}}}},
            {
                "required": ["batch"],
                "properties": {"batch": {"type": "object"}, "version": {"not": {"type": "null"}}},
            },
        ],
        "allOf": [_old_env_only_in_0_1()],
    }


def _describe(text: str, shape: Json) -> Json:
    return {"description": text, **shape}


def _nullable(shape: Json) -> Json:
    """`shape`, or nothing: a key without a value counts as absent."""
    described = {"description": shape["description"]} if "description" in shape else {}
    return {**described, "anyOf": [{"type": "null"}, shape]}


def _block(text: str, keys: dict[str, Json], *, required: tuple[str, ...] = (), null: bool = True) -> Json:
    shape: Json = {"type": ["object", "null"] if null else "object", "properties": keys, "additionalProperties": False}
    return _describe(text, shape | ({"required": list(required)} if required else {}))


def _named(text: str, value: Json, name: str = ".*") -> Json:
    return _describe(
        text, {"type": ["object", "null"], "propertyNames": {"pattern": f"^(?:{name})$"}, "additionalProperties": value}
    )


def _flag(text: str) -> Json:
    words = sorted(TRUE | FALSE)
    return _describe(text, {"anyOf": [{"type": ["boolean", "null"]}, {"enum": words}]})


def _word(text: str) -> Json:
    return _describe(text, {"type": ["string", "number", "boolean", "null"], "pattern": _NOT_BLANK})


def _text(text: str) -> Json:
    return _describe(text, {"type": ["string", "number", "boolean", "null"]})


def _texts(text: str, *, least: int = 0, most: int | None = None) -> Json:
    """A list of texts, or one text. Items may be null: they are left out."""
    listed: Json = {"type": "array", "items": {"type": ["string", "number", "boolean", "null"]}, "minItems": least}
    if most is not None:
        # Only the texts count, so that a list with a null may be one longer.
        listed |= {"contains": _SCALAR, "minContains": 0, "maxContains": most}
    return _describe(text, {"anyOf": [listed, _SCALAR, *([] if least else [{"type": "null"}])]})


def _user(text: str) -> Json:
    return _describe(text, {"type": ["string", "integer", "null"], "pattern": f"^(?:{USER})$"})


def _version() -> Json:
    text = "0.2 runs all commands with one state; 0.1 starts each in a fresh shell."
    return _describe(text, {"anyOf": [{"enum": [0.1, 0.2, None]}, {"type": "string", "pattern": "^0[.][12]0*$"}]})


def _variables(text: str) -> Json:
    return _named(text, {"type": ["string", "number", "boolean", "null"]}, VARIABLE)


def _env_keys() -> dict[str, Json]:
    reference = {"type": ["string", "number", "boolean"], "pattern": _NOT_BLANK}
    return {
        "shell": _word("bash or /bin/sh; sh if absent."),
        "variables": _variables("Names and literal values: $NAME is not expanded in them."),
        "parameter-store": _named("Names of variables, and of the parameters that they get.", reference, VARIABLE),
        "secrets-manager": _named("secret-id[:json-key[:version-stage[:version-id]]]", reference, VARIABLE),
        "exported-variables": _texts("Variables whose values at the end of post_build the build gives out."),
        "git-credential-helper": _flag("Whether git commands get the source's credentials; no if absent."),
    }


def _env() -> Json:
    return _block("The environment of the commands.", _env_keys())


def _old_env() -> Json:
    keys = _env_keys() | {"plaintext": _variables("What version 0.2 calls variables.")}
    return _block("Version 0.1: what version 0.2 calls env.", keys)


def _old_env_only_in_0_1() -> Json:
    old = {"properties": {"version": {"anyOf": [{"const": 0.1}, {"type": "string", "pattern": "^0[.]10*$"}]}}}
    return {
        "if": {"required": ["environment_variables"]},
        "then": old
        | {"required": ["version"], "not": {"required": ["env"], "properties": {"env": {"type": "object"}}}},
    }


def _proxy() -> Json:
    return _block(
        "Whether the build's own traffic uses HTTP_PROXY and its kin.",
        {"upload-artifacts": _flag("Send artifacts through it."), "logs": _flag("Send logs through it.")},
    )


def _phases() -> Json:
    phases = {name.value: _phase(name) for name in PhaseName}
    return _block("The commands, phase by phase; they run in this order: " + ", ".join(PhaseName), phases)


def _phase(name: PhaseName) -> Json:
    keys = {
        "run-as": _user("The Linux user that runs this phase."),
        "on-failure": _on_failure(),
        "commands": _texts("Shell commands, one after another; the first that fails ends the list."),
        "finally": _texts("Commands that run after those, whether or not they succeeded."),
    }
    if name is PhaseName.INSTALL:
        version: Json = {"type": ["string", "number", "boolean"], "pattern": _NOT_BLANK}
        runtimes = _describe(
            "Runtimes and the version of each, such as python: 3.12, nodejs: 20.x, java: latest.",
            {"type": "object", "minProperties": 1, "additionalProperties": version},
        )
        keys["runtime-versions"] = runtimes
    return _block(f"The {name} phase.", keys)


def _on_failure() -> Json:
    count = "|".join(("[0-9]", "[1-9][0-9]", str(MAX_RETRIES)))
    retry = f"[Rr][Ee][Tt][Rr][Yy](-(?:0*(?:{count})(?:-[\\s\\S]+)?|(?![0-9]+(?:-|$))[\\s\\S]+))?"
    pattern = f"^(?:[Aa][Bb][Oo][Rr][Tt]|[Cc][Oo][Nn][Tt][Ii][Nn][Uu][Ee]|{retry})$"
    text = "ABORT, CONTINUE, or RETRY[-count][-regex]: 3 times and any message if left out."
    return _describe(text, {"type": ["string", "null"], "pattern": pattern})


def _selection() -> dict[str, Json]:
    return {
        "files": _texts("Patterns: * within a directory, ** through directories.", least=1),
        "base-directory": _word("Where they start; its own name is left out of the paths."),
        "discard-paths": _flag("Keep only the files' names; no if absent."),
    }


def _reports() -> Json:
    file_format: Json = {"type": ["string", "null"], "pattern": "^(?:" + "|".join(map(_any_case, FORMAT_NAMES)) + ")$"}
    keys = _selection() | {"file-format": _describe("JUNITXML if absent.", file_format)}
    return _named(
        "Report groups by name or ARN.",
        _block("Which files are reports.", keys, required=("files",), null=False),
        r"[\s\S]*\S[\s\S]*",
    )


def _any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.lower()}]" if letter.isalpha() else letter for letter in word)


def _artifact_keys() -> dict[str, Json]:
    return _selection() | {
        "name": _word("The artifact's name; the shell evaluates it when the build ends."),
        "exclude-paths": _texts("Patterns, relative to base-directory, of files to leave out."),
        "enable-symlinks": _flag("Keep symbolic links in a zip; no if absent."),
        "s3-prefix": _text("Goes before the build's id in the object's key."),
    }


def _artifacts() -> Json:
    one = _block("A secondary artifact.", _artifact_keys(), required=("files",), null=False)
    secondary = _named("More artifacts, by identifier.", one, ARTIFACT_IDENTIFIER)
    keys = _artifact_keys() | {"secondary-artifacts": secondary, "type": _describe("Obsolete.", {})}
    keys["files"] = _nullable(_texts("Patterns: * within a directory, ** through directories."))
    shape = _block("What is kept of the build.", keys, null=False)
    strict = {"required": ["files"], "properties": {"files": _texts("", least=1)}}
    lenient = {"required": ["secondary-artifacts"], "properties": {"secondary-artifacts": {"type": "object"}}}
    return shape | {"anyOf": [strict, lenient]}


def _cache() -> Json:
    keys = {
        "paths": _texts("Patterns of files to keep for the next build."),
        "key": _word("The cache's name; the shell evaluates it. Restored on an exact match."),
        "fallback-keys": _texts("Prefixes of keys to try in turn; they need a key.", most=MAX_FALLBACK_KEYS),
        "action": _describe("Only restore, or only save; both if absent.", {"enum": [*map(str, CacheAction), None]}),
    }
    return _block("Files that the next build finds again.", keys, required=("paths",), null=False)


def _batch() -> Json:
    forms = {
        "build-list": _tasks("Builds that start at once.", graph=False),
        "build-graph": _tasks("Builds that wait for others.", graph=True),
        "build-matrix": _matrix(),
        "build-fanout": _fanout(),
    }
    keys = {"fast-fail": _flag("Whether one failure stops the others; no if absent."), **forms}
    given = [{"required": [form], "properties": {form: {"not": {"type": "null"}}}} for form in FORMS]
    return _nullable(_block("The builds that a batch is made of.", keys, null=False) | {"oneOf": given})


def _environment(*, task: bool) -> Json:
    fleet = {"fleet": _word("The fleet to run on.")} if task else {}
    keys = fleet | {
        "compute-type": _word("Such as BUILD_GENERAL1_SMALL."),
        "image": _word("The image to run in."),
        "type": _word("Such as LINUX_CONTAINER."),
        "privileged-mode": _flag("Whether the build may run Docker."),
        "variables": _variables("Names and literal values, over those of the buildspec."),
    }
    both = {name: {"not": {"type": "null"}} for name in ("compute-type", "fleet")}
    never = {"not": {"type": "object", "required": ["compute-type", "fleet"], "properties": both}} if task else {}
    return _block("What it changes of the project's environment.", keys) | never


def _tasks(text: str, *, graph: bool) -> Json:
    keys = {
        "identifier": _describe("Its own name.", {"type": ["string", "number"], "pattern": f"^(?:{IDENTIFIER})$"}),
        "buildspec": _word("Another buildspec file for this task."),
        "debug-session": _flag("Whether its breakpoints hold it; no if absent."),
        "env": _environment(task=True),
        "ignore-failure": _flag("Whether the batch succeeds even if it fails; no if absent."),
    }
    if graph:
        keys["depend-on"] = _texts("Identifiers of the tasks to wait for.")
    task = _block("A task.", keys, required=("identifier",), null=False)
    return _describe(text, {"type": ["array", "null"], "items": task, "minItems": 1, "maxItems": MAX_BUILDS})


def _matrix() -> Json:
    values = _texts("One build for each of these.", least=1)
    lists = {name: _nullable(values) for name in ("compute-type", "image")}
    variables = _named("Names, and the values to combine.", _nullable(values), VARIABLE)
    env = _block("Lists to combine.", lists | {"variables": variables})
    dynamic = _block(
        "Lists of which every combination is built.", {"buildspec": _nullable(values), "env": env}, null=False
    )
    given: list[Json] = [{"required": ["buildspec"], "properties": {"buildspec": {"not": {"type": "null"}}}}]
    for name in ("compute-type", "image", "variables"):
        inner = {"type": "object", "required": [name], "properties": {name: {"not": {"type": "null"}}}}
        given.append({"required": ["env"], "properties": {"env": inner}})
    keys = {
        "static": _block(
            "The same for all.",
            {"ignore-failure": _flag("As of a task, for all."), "env": _environment(task=False)},
        ),
        "dynamic": dynamic | {"anyOf": given},
    }
    return _nullable(_block("Builds for every combination.", keys, required=("dynamic",), null=False))


def _fanout() -> Json:
    number = {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": MAX_BUILDS},
            {"type": "string", "pattern": "^([1-9][0-9]?|100)$"},
        ]
    }
    keys = {
        "parallelism": _describe("How many builds share the work.", number),
        "ignore-failure": _flag("As of a task, for all."),
    }
    return _nullable(
        _block(
            "The same build several times, each with a share of the tests.", keys, required=("parallelism",), null=False
        )
    )
