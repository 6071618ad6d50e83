"""`runtime-versions`: which of an image's runtimes are meant, and what selects them (reference 1.6). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from codeyard.errors import Invalid

MANIFEST = "/codebuild/image/config/runtimes.yml"  # where AWS's images have it

# How a runtime that an image only has on its PATH is asked for its version.
PROBES: Mapping[str, str] = {
    "python": "python3 --version || python --version",
    "nodejs": "node --version",
    "java": "java -version",
    "golang": "go version",
    "ruby": "ruby --version",
    "php": "php --version",
    "dotnet": "dotnet --version",
}

ONLY_PYTHON3 = "$(command -v python3 >/dev/null && ! command -v python >/dev/null && echo yes)"

Manifest = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True, slots=True)
class Selected:
    """One runtime of a manifest: the commands to run, with VERSION set to `version` for those of `default`."""

    name: str
    version: str
    commands: tuple[str, ...]


def parse_manifest(text: str) -> Manifest:
    """runtime → version → commands. Invalid."""
    try:
        document = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - texts only: 3.10 stays 3.10
        runtimes = document["runtimes"]
        return {
            str(name): {
                str(version): tuple(line for line in (body or {}).get("commands") or () if isinstance(line, str))
                for version, body in runtime["versions"].items()
            }
            for name, runtime in runtimes.items()
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Invalid(
            "the image's runtimes manifest", f"it cannot be read: {error}.", f"Mend {MANIFEST} in the image."
        ) from error


def select(manifest: Manifest, wanted: Mapping[str, str]) -> tuple[Selected, ...]:
    """What to run for each runtime asked for. Invalid, with AWS's text, for one that the image does not have."""
    return tuple(_select_one(manifest, name, version) for name, version in wanted.items())


def _select_one(manifest: Manifest, name: str, version: str) -> Selected:
    if name not in manifest:
        raise Invalid(
            f"Unknown runtime named '{name}'",
            f"This build image has the following runtimes: {', '.join(sorted(manifest))}",
            "Name one of these.",
        )
    versions = manifest[name]
    exact = [known for known in versions if known != "default"]
    if version in exact:
        return Selected(name, version, versions[version])
    if version == "latest" and exact:
        newest = max(exact, key=_order)
        return Selected(name, newest, versions[newest])
    if version.endswith(".x") and (same := [known for known in exact if _same_major(known, version)]):
        newest = max(same, key=_order)
        return Selected(name, newest, versions[newest])
    if "default" in versions:
        return Selected(name, version, versions["default"])
    raise Invalid(
        f"Unknown runtime version named '{version}' of {name}",
        f"This build image has the following versions: {', '.join(sorted(exact, key=_order))}",
        "Name one of these.",
    )


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", version))


def _same_major(known: str, version: str) -> bool:
    return _order(known)[:1] == _order(version)[:1]


def answers(found: str, version: str) -> bool:
    """Whether a program that calls itself `found` is the `version` asked for."""
    numbers = re.search(r"\d+(\.\d+)*", found)
    if numbers is None:
        return False
    if version == "latest":
        return True
    wanted = _order(version.removesuffix(".x"))
    return _order(numbers[0])[: len(wanted)] == wanted
