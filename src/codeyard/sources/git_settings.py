"""A repository's settings: read from `git config --list -z`, kept or not in a build's copy, written as a file. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from codeyard.sources.git_names import hide_credentials

Setting = tuple[str, str | None]  # the key as git prints it; None: the key alone, which means true

# A build gets what says how the files are stored and where they came from. Never: a credential, a header, a proxy, a
# command of the developer's machine, or a path outside.
_KEPT = re.compile(
    r"""core\.(repositoryformatversion|filemode|bare|symlinks|ignorecase|precomposeunicode|autocrlf|eol|safecrlf
        |quotepath|sparsecheckout|sparsecheckoutcone|abbrev|compression|commentchar)
    |extensions\.(objectformat|refstorage|partialclone|noop)
    |index\.(version|sparse)
    |branch\..*\.(remote|merge)
    |remote\..*\.(url|pushurl|fetch|push|tagopt|promisor|partialclonefilter)
    |submodule\..*\.(url|active|branch)
    |filter\..*\.(clean|smudge|process|required)
    |user\.(name|email)""",
    re.VERBOSE | re.DOTALL,
)
_KEY = re.compile(r"([A-Za-z0-9.-]+?)\.(?:(.*)\.)?([A-Za-z0-9-]+)", re.DOTALL)


def parse_settings(listing: bytes) -> tuple[Setting, ...]:
    """The settings in what `git config --list -z` prints, in order."""
    settings: list[Setting] = []
    for item in listing.split(b"\0")[:-1]:
        key, mark, value = item.partition(b"\n")
        settings.append((_text(key), _text(value) if mark else None))
    return tuple(settings)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def settings_for_build(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    """Those that a build's copy keeps, with no user name or password in a URL."""
    return tuple(
        (key, hide_credentials(value) if value is not None else None)
        for key, value in settings
        if _KEPT.fullmatch(key) and not (key == "core.bare" and value != "false")
    )


def render_settings(settings: Iterable[Setting]) -> bytes:
    """A config file that git reads back as these. Keys must be such as git prints: section[.subsection].name."""
    lines: list[str] = []
    for key, value in settings:
        match = _KEY.fullmatch(key)
        if match is None or "\n" in (match[2] or ""):
            continue  # git could not have written it: its subsections hold no newline
        section, subsection, name = match.groups()
        heading = f"[{section}]" if subsection is None else f"[{section} {_escaped(subsection)}]"
        lines.append(f"{heading}\n\t{name}" if value is None else f"{heading}\n\t{name} = {_quoted(value)}")
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _quoted(text: str) -> str:
    return _escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(text: str) -> str:
    """As a subsection's name, which knows no other escapes (git-config(1))."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class Submodule:
    """What `.gitmodules` says of one: `path` within the repository, `url` as written, perhaps relative."""

    name: str
    path: str
    url: str


def parse_submodules(settings: Iterable[Setting]) -> tuple[Submodule, ...]:
    """The submodules that the settings in a `.gitmodules` name, less those that are not to be fetched (update = none)
    and those whose path leads out, which git takes for no submodule either (gitmodules(5)).
    """
    said: dict[str, dict[str, str]] = {}
    for key, value in settings:
        section, _, rest = key.partition(".")
        name, _, variable = rest.rpartition(".")
        if section == "submodule" and name and value is not None:
            said.setdefault(name, {})[variable] = value
    return tuple(
        Submodule(name, values["path"], values["url"])
        for name, values in said.items()
        if "path" in values and "url" in values and values.get("update") != "none" and _stays_inside(values["path"])
    )


def _stays_inside(path: str) -> bool:
    return "\0" not in path and all(part.lower() not in ("", ".", "..", ".git") for part in path.split("/"))
