"""`codeyard up`, `serve` and `worker` start a server or its parts; `codeyard env` says how clients reach it."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from codeyard.cli.endpoint import console_link, data_directory, local_endpoint
from codeyard.config import Config, OverLimit

# Of another session: they would be sent along and be refused, go before what we print, or have it ignored.
_LEFT_OVER = (
    "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)  # fmt: skip
_F = TypeVar("_F", bound=Callable[..., Any])

_DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where everything is kept.  [default: $CODEYARD_DATA, else `server` in the state directory]",
)
_DATABASE = click.option(
    "--database", metavar="URL", help="sqlite:////FILE or postgresql://USER:PASSWORD@HOST/NAME.  [default: in DATA]"
)
_LISTEN = click.option("--listen", metavar="HOST:PORT", help="Of the API and the console.  [default: 127.0.0.1:4599]")
_URL = click.option("--url", help="What clients call the server, if it is behind a proxy.")
_EXECUTOR = click.option(
    "--executor", type=click.Choice(["auto", "docker", "bubblewrap", "process"]), help="What builds run in."
)
_UNSAFE = click.option("--unsafe-process", is_flag=True, default=None, help="Allow builds with no isolation.")
_CPUS = click.option("--cpus", type=click.FloatRange(0), help="CPUs that builds may share.  [default: all]")
_MEMORY = click.option("--memory", type=click.FloatRange(0), help="GiB that builds may share.  [default: all]")
_LIMIT = click.option("--account-limit", type=click.IntRange(0), help="Builds at a time in an account and region.")
_OVER = click.option(
    "--over-limit",
    type=click.Choice([each.value for each in OverLimit]),
    help="Builds over a limit wait, or are refused.",
)
_NAME = click.option("--name", "worker", metavar="NAME", help="The worker's name, the same each time it starts.")


def _with(*options: Callable[[_F], _F]) -> Callable[[_F], _F]:
    def apply(function: _F) -> _F:
        for option in reversed(options):
            function = option(function)
        return function

    return apply


@click.command()
@_with(_DATA, _LISTEN, _DATABASE)
@click.option("--workers", metavar="N", type=click.IntRange(0), help="Worker processes beside it; 0: it builds itself.")
@_with(_URL, _EXECUTOR, _UNSAFE, _CPUS, _MEMORY, _LIMIT, _OVER)
def up(data: Path | None, **given: Any) -> int:
    """Serve AWS's APIs and the console on this machine; run its builds and pipelines.

    Everything is kept in one directory. SIGTERM ends it and lets running builds go on; the next start finds them.
    Each setting is on docs/settings.md; CODEYARD_<NAME> sets it too.
    """
    from codeyard.app.lifetime import run_up

    return run_up(Config.load(data_directory(data), given), _env(data))


@click.command()
@_with(_DATA, _LISTEN, _DATABASE, _URL, _LIMIT, _OVER)
def serve(data: Path | None, **given: Any) -> int:
    """Serve the API and the console only. Any number of these may share a database (PostgreSQL) and a bucket."""
    from codeyard.app.lifetime import run_serve

    return run_serve(Config.load(data_directory(data), given), _env(data))


@click.command()
@_with(_DATA, _DATABASE, _NAME, _URL, _EXECUTOR, _UNSAFE, _CPUS, _MEMORY, _LIMIT, _OVER)
def worker(data: Path | None, **given: Any) -> int:
    """Run builds that were started on a server with the same database. --url says where its API is, for the builds."""
    from codeyard.app.lifetime import run_worker

    return run_worker(Config.load(data_directory(data), given))


def _env(data: Path | None) -> str:
    """The command that tells of the server in this directory: it needs to be named where it is not the usual one."""
    if data is None or data_directory(data) == data_directory():
        return "codeyard env"
    return f"codeyard env --data {shlex.quote(str(data_directory(data)))}"


@click.command()
@_DATA
@click.option("--json", "as_json", is_flag=True, help="As a JSON object, not as shell commands.")
@click.option(
    "--console", is_flag=True, help="Print a link that opens the console, good for 12 hours, and nothing else."
)
def env(data: Path | None, as_json: bool, console: bool) -> None:
    """Print what makes any AWS client speak to the server that was started here: eval "$(codeyard env)"."""
    if console:
        click.echo(console_link(data_directory(data)))
        return
    found = local_endpoint(data_directory(data))
    variables = {
        "AWS_ENDPOINT_URL": found.url,
        "AWS_REGION": found.region,
        "AWS_DEFAULT_REGION": found.region,
        "AWS_ACCESS_KEY_ID": found.key_id,
        "AWS_SECRET_ACCESS_KEY": found.secret,
    }
    if as_json:
        click.echo(json.dumps(variables))
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    for name in _LEFT_OVER:
        if name in os.environ:
            click.echo(f"unset {name}")
