"""Variables for a build, from options and files: NAME=VALUE, or NAME for one that is set here."""

import os
import re
from pathlib import Path

from codeyard.errors import Invalid

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variables(options: tuple[str, ...], files: tuple[Path, ...] = ()) -> dict[str, str]:
    """By name; an option wins over a file. Invalid."""
    found: dict[str, str] = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8-sig").split("\n")  # a value may hold what else ends a line
        except OSError as error:
            raise Invalid(f"--env-file {file}", f"{error.strerror}.", "Name a file that you can read.") from error
        except UnicodeDecodeError:  # not chained: it carries the file's text
            raise Invalid(f"--env-file {file}", "it is not UTF-8 text.", "Save it as UTF-8.") from None
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                name, value = _variable(line.lstrip().removeprefix("export "), f"{file}:{number}")
                found[name] = value
    found.update(_variable(option, f"--env {option.partition('=')[0]}") for option in options)
    return found


def _variable(text: str, where: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if _VARIABLE.fullmatch(name) is None:
        raise Invalid(where, f"{name!r} is no variable's name.", "Write NAME=VALUE.")
    if not equals:
        if name not in os.environ:
            raise Invalid(where, f"{name} is not set here.", "Set it, or write NAME=VALUE.")
        return name, os.environ[name]
    return name, value
