"""What conditions of policies may ask of a call: CodeBuild's own keys, and the tags that the call gives. Pure.

Source: "Using AWS CodeBuild condition keys" and the service authorization reference (reference 11.4). A key is there
when the call has the member; StartBuild's overrides have the names of what they override, `codebuild:source.buildspec`
for `buildspecOverride`, and a structure that is there says "true", so that `Null` can ask for it. Of a list whose items
have names `…environmentVariables.name` has them all, and `…environmentVariables/NAME.value` is one's.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from codeyard.aws import Call, Said
from codeyard.builds.project_overrides import START_MEMBERS

_TOLD = {
    "CreateProject": (),
    "UpdateProject": (),
    "StartBuild": (),
    "UpdateProjectVisibility": ("projectVisibility", "resourceAccessRole"),
    "ImportSourceCredentials": ("serverType", "authType", "shouldOverwrite"),
}  # operation → the members that are told; all, but for `tags` and `name`, if none is named. Never a token.
_NAMES = ("name", "sourceIdentifier", "artifactIdentifier", "identifier")


def condition_keys(call: Call) -> Said:
    """Values by key."""
    if call.operation not in _TOLD:
        return {}
    only = _TOLD[call.operation]
    members = {name: value for name, value in call.input.items() if not only or name in only}
    if call.operation == "StartBuild":
        members = _overridden(members)
    tags = {tag.get("key", ""): tag.get("value", "") for tag in members.pop("tags", ())}
    members.pop("name", None)
    found = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return {**found, **({"aws:TagKeys": tuple(tags)} if tags else {}), **_together(_flat("codebuild:", members))}


def _together(found: Iterator[tuple[str, str | tuple[str, ...]]]) -> Said:
    """Each key once, with all its values: of two variables with one name, in whatever case, neither hides the other."""
    keys: dict[str, str] = {}
    values: dict[str, str | tuple[str, ...]] = {}
    for key, value in found:
        known = keys.setdefault(key.lower(), key)
        before = values.get(known)
        values[known] = value if before is None else tuple(dict.fromkeys((*_each(before), *_each(value))))
    return values


def _each(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _overridden(given: Mapping[str, Any]) -> dict[str, Any]:
    """StartBuild's input with the members of a project."""
    members: dict[str, Any] = {}
    for name, (part, member) in START_MEMBERS.items():
        if given.get(name) is not None:
            (members.setdefault(part, {}) if part else members)[member] = given[name]
    return members


def _flat(path: str, members: Mapping[str, Any]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for name, value in members.items():
        yield from _one(path + name, value)


def _one(path: str, value: Any) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    if isinstance(value, Mapping):
        yield path, "true"
        yield from _flat(f"{path}.", value)
    elif isinstance(value, list | tuple):
        yield from _list(path, value)
    elif value is not None:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def _list(path: str, items: list[Any] | tuple[Any, ...]) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    structures = [item for item in items if isinstance(item, Mapping)]
    if not structures:
        yield path, tuple(map(str, items))
        return
    yield path, "true"
    for by in _NAMES:
        names = [item[by] for item in structures if isinstance(item.get(by), str)]
        if names:
            yield f"{path}.{by}", tuple(names)
        for item in structures:
            if isinstance(item.get(by), str):
                yield from _flat(f"{path}/{item[by]}.", {name: one for name, one in item.items() if name != by})
