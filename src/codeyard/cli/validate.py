"""`codeyard validate` and `codeyard schema`: what is wrong with a buildspec, before anything runs."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from codeyard.cli.summary import counted
from codeyard.errors import Mistake

DEFAULT = "buildspec.yml"
STDIN = "-"
_WIDTH = 160  # characters of a line that are shown
_LIMIT = 4 << 20  # bytes that are read; the parser takes less, and says so


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each mistake, each on a line.")
@click.option("--strict", is_flag=True, help="Let warnings count as mistakes.")
def validate(files: tuple[str, ...], *, as_json: bool, strict: bool) -> None:
    """Check buildspecs: every mistake and every trap at once, with its line and how to fix it.

    FILE is buildspec.yml if absent, and - is the standard input. Exit status: 0 if nothing is wrong, 2 if something is.
    """
    errors = warnings = 0
    for file in files or (DEFAULT,):
        mistakes = check_file(file)
        for mistake in mistakes:
            click.echo(as_line(file, mistake) if as_json else as_text(file, mistake))
        errors += sum(not mistake.warning for mistake in mistakes)
        warnings += sum(mistake.warning for mistake in mistakes)
    if not as_json:
        click.echo(_verdict(errors, warnings), err=True)
    if errors or (strict and warnings):
        sys.exit(2)


@click.command()
def schema() -> None:
    """Print the buildspec's JSON Schema, for editors."""
    from codeyard.builds.schema import schema as make

    click.echo(json.dumps(make(), indent=2))


def check_file(file: str) -> tuple[Mistake, ...]:
    """The mistakes and warnings in a file; one at line 0 if it cannot be read."""
    from codeyard.builds.traps import check  # reads YAML, which `codeyard --help` need not load

    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(_LIMIT)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(_LIMIT)
    except OSError as error:
        return (Mistake(0, 0, f"cannot read it: {error.strerror}", "Give the path of a buildspec, or - for stdin."),)
    if len(content) == _LIMIT:
        return check(content.decode(errors="replace"))  # which says that it is too long
    try:
        return check(content.decode())
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1
        return (Mistake(line, column, f"byte 0x{content[error.start]:02x} is not UTF-8", "Save the file as UTF-8."),)


def as_line(file: str, mistake: Mistake) -> str:
    """One JSON object: file, line, column, level, what, fix, key, text."""
    return json.dumps(
        {
            "file": file,
            "line": mistake.line,
            "column": mistake.column,
            "level": _level(mistake),
            "what": mistake.what,
            "fix": mistake.fix,
            "key": mistake.key,
            "text": mistake.text[:_WIDTH],
        }
    )


def as_text(file: str, mistake: Mistake) -> str:
    """`file:line:column: level: what`, the line with a caret beneath the place, and the fix."""
    where = f"{file}:{mistake.line}:{mistake.column}" if mistake.line else file
    colour = "yellow" if mistake.warning else "red"
    head = f"{click.style(_printable(where), bold=True)}: {click.style(_level(mistake), fg=colour, bold=True)}: "
    parts = [head + _printable(mistake.what)]
    if mistake.text.strip():
        parts += _pointed(mistake, colour)
    parts.append(f"  {click.style('fix:', bold=True)} {_printable(mistake.fix)}")
    return "\n".join(parts)


def _pointed(mistake: Mistake, colour: str) -> Iterable[str]:
    """The line and a caret, cut to what surrounds the place if the line is long."""
    column = min(mistake.column - 1, len(mistake.text))
    start = max(0, column - _WIDTH // 2) if len(mistake.text) > _WIDTH else 0
    shown = _printable(mistake.text[start : start + _WIDTH].rstrip().replace("\t", " "))
    gutter = f"{mistake.line:5} | "
    return (gutter + shown, " " * 5 + " | " + " " * (column - start) + click.style("^", fg=colour, bold=True))


def _printable(text: str) -> str:
    """`text` without what could move a terminal's cursor; a character stays one character."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _level(mistake: Mistake) -> str:
    return "warning" if mistake.warning else "error"


def _verdict(errors: int, warnings: int) -> str:
    if not errors and not warnings:
        return "No mistakes."
    return f"{counted(errors, 'error')}, {counted(warnings, 'warning')}."
