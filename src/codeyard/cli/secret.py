"""`codeyard secret`: what is in the local vault. Values go in, from the standard input, and never come out here."""

import json
import re
import sys
from pathlib import Path

import click

from codeyard.cli.group import Group
from codeyard.cli.paths import state_directory
from codeyard.errors import Invalid
from codeyard.secrets import Secret
from codeyard.secrets.vault import Entry, Kind, Type, Vault

_READ_LIMIT = 1_048_576  # bytes; the vault's own limits are far below, and say the true size
_KINDS = click.Choice([kind.value for kind in Kind])


@click.group(cls=Group)
def secret() -> None:
    """Keep parameters and secrets for builds in a local vault.

    A buildspec's env.parameter-store names parameters, its env.secrets-manager secrets. Values are sealed on the disk
    and hidden in a build's log; no command shows them.
    """


@secret.command("set")
@click.argument("name")
@click.option("--kind", type=_KINDS, default=Kind.PARAMETER.value, show_default=True, help="What a buildspec calls it.")
@click.option("--plain", is_flag=True, help="Note it as a String, not a SecureString; it is sealed all the same.")
@click.option("--file", metavar="FILE", help="Take the value from FILE, byte for byte; - is the standard input.")
def set_(name: str, kind: str, plain: bool, file: str | None) -> None:
    """Store the newest version of NAME.

    \b
    On a terminal you are asked for the value, unseen; else it is the standard input without its last line's end:
      printf %s "$TOKEN" | codeyard secret set /app/token
      codeyard secret set --kind secret prod/db <<< '{"username": "app", "password": "…"}'
      codeyard secret set /app/key --file key.pem
    """
    if plain and kind != Kind.PARAMETER:
        raise Invalid("--plain", "only parameters have a type.", "Leave it out.")
    value = Secret(_value(name, file))
    entry = _vault().put(Kind(kind), name, value, Type.STRING if plain else Type.SECURE_STRING)
    click.echo(f"Stored {entry.kind} {entry.name}, version {entry.version}.")


@secret.command("list")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array.")
def list_(as_json: bool) -> None:
    """List names, versions and dates, and no values."""
    entries = _vault().entries()
    if as_json:
        click.echo(json.dumps([_document(entry) for entry in entries], indent=2))
    elif entries:
        click.echo(_table(entries))
    else:
        click.echo("The vault is empty. Store something: codeyard secret set NAME", err=True)


@secret.command("rm")
@click.argument("name")
@click.option("--kind", type=_KINDS, help="Which, if a parameter and a secret have the name.")
def remove(name: str, kind: str | None) -> None:
    """Remove NAME with all its versions."""
    vault = _vault()
    kinds = [entry.kind for entry in vault.entries() if entry.name == name]
    if kind is None and len(kinds) > 1:
        raise Invalid(f"{name}", "a parameter and a secret have that name.", "Say which: --kind parameter|secret")
    chosen = Kind(kind) if kind else (*kinds, Kind.PARAMETER)[0]
    vault.remove(chosen, name)
    click.echo(f"Removed {chosen} {name}.")


@secret.command()
def rotate() -> None:
    """Seal all values by a new key, and forget the old one."""
    click.echo(f"Sealed {_vault().rotate()} values by a new key.")


def _vault() -> Vault:
    return Vault(state_directory() / "vault")


def _value(name: str, file: str | None) -> str:
    """The text to store. Only what comes by a pipe without --file loses one line's end, as `$(…)` takes it away."""
    if file is None and sys.stdin.isatty():
        return str(click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt="Once more", err=True))
    text = _text(_read(file))
    return text if file else re.sub(r"\r?\n\Z", "", text)


def _read(file: str | None) -> bytes:
    if file in (None, "-"):
        return sys.stdin.buffer.read(_READ_LIMIT)
    try:
        with Path(str(file)).open("rb") as opened:
            return opened.read(_READ_LIMIT)
    except OSError as error:
        raise Invalid(f"--file {file}", f"{error.strerror}.", "Name a file that you can read.") from error


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:  # not chained: it carries the value
        fix = "Store it in base64, and decode it in the build."
    raise Invalid("the value", "it is not UTF-8 text, and an environment variable must be.", fix)


def _document(entry: Entry) -> dict[str, str | int]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "type": entry.type,
        "version": entry.version,
        "versionId": entry.version_id,
        "versions": entry.kept,
        "stored": entry.stored.isoformat(),
    }


def _table(entries: tuple[Entry, ...]) -> str:
    heads = ("KIND", "NAME", "TYPE", "VERSION", "STORED")
    rows = [
        (e.kind, e.name, e.type if e.kind is Kind.PARAMETER else "", str(e.version), f"{e.stored:%Y-%m-%d %H:%M} UTC")
        for e in entries
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    )
