"""`codeyard cache`: what builds keep for the next ones: forgotten and swept."""

from pathlib import Path

import click

from codeyard.artifacts.cache import CacheStore, scope_of
from codeyard.artifacts.disk import DiskStore
from codeyard.cli.group import Group
from codeyard.cli.paths import state_directory
from codeyard.cli.summary import counted, size
from codeyard.ident import project_name

_WHERE = click.option(
    "--cache", "where", metavar="DIR", type=click.Path(path_type=Path), help="The cache, if it is not the usual one."
)


@click.group(cls=Group)
def cache() -> None:
    """Empty what builds keep for the next ones."""


@cache.command()
@click.argument("project")
@_WHERE
def invalidate(project: str, where: Path | None) -> None:
    """Forget every cache of PROJECT, as InvalidateProjectCache does: its next build starts cold."""
    count = _store(where).invalidate(scope_of(project_name(project)))
    click.echo(f"Forgot {counted(count, 'cache')} of {project}.")


@cache.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@_WHERE
def sweep(dry_run: bool, where: Path | None) -> None:
    """Remove contents that no cache names any more."""
    swept = _store(where).sweep(dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    click.echo(f"{verb} {counted(swept.blobs, 'blob')}, {size(swept.size)}.")


def _store(where: Path | None) -> CacheStore:
    root = where if where is not None else state_directory() / "cache"
    return CacheStore(root, DiskStore(root / "blobs"))
