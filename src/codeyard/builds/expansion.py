"""Variables in the paths and names of a buildspec: `$NAME` and `${NAME}`, and nothing else of the shell. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from codeyard.artifacts import Selection

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


def names_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The variables that the texts name, each once, in order."""
    return tuple(dict.fromkeys(match[1] or match[2] for text in texts for match in _VARIABLE.finditer(text)))


def expand_text(text: str, values: Mapping[str, str]) -> str:
    """`text` with its variables replaced; one without a value is nothing, as in a shell."""
    return _VARIABLE.sub(lambda match: values.get(match[1] or match[2], ""), text)


def expand_selection(selection: Selection, values: Mapping[str, str], inside: str) -> Selection:
    """The selection with its variables replaced and absolute paths below `inside` made relative to it."""

    def expanded(text: str) -> str:
        return below(expand_text(text, values), inside)

    base = selection.base_directory
    return replace(
        selection,
        files=tuple(expanded(text) for text in selection.files),
        base_directory=None if base is None else expanded(base),
        exclude_paths=tuple(expanded(text) for text in selection.exclude_paths),
    )


def below(path: str, inside: str) -> str:
    """An absolute path beneath `inside` as a relative one; any other as it is."""
    if path == inside:
        return "."
    return path[len(inside) + 1 :] if path.startswith(f"{inside}/") else path


def texts_of(selection: Selection) -> tuple[str, ...]:
    """All of it that may hold variables."""
    return (*selection.files, selection.base_directory or "", *selection.exclude_paths)
