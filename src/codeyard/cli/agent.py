"""`codeyard agent` makes this machine a target of deployments; `codeyard agent token` lets machines in; `codeyard
agents` lists and removes them."""

import asyncio
import json
import os
import secrets
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codeyard.cli import remote
from codeyard.cli.endpoint import asking, client, data_directory
from codeyard.cli.group import Group
from codeyard.cli.summary import printable
from codeyard.errors import Denied, Invalid, NotFound

if TYPE_CHECKING:
    from codeyard.deploys import EventStatus

_TAGS = click.option("--tag", "tags", metavar="KEY=VALUE", multiple=True, help="May be given several times.")
_COLOURS = {"Succeeded": "green", "Failed": "red", "Skipped": "yellow", "InProgress": "cyan"}
_LONGEST_TOKEN = 16_384  # bytes of a token's file
# Of a host's directory: all but its revisions.
_PRIVATE = ("deployments", "manifests", "paths", "places", *(
    f"deployment-root/{name}" for name in ("deployment-instructions", "deployment-logs", "ongoing-deployment")
))  # fmt: skip
_Fields = dict[str, str]


@click.group(cls=Group, invoke_without_command=True)
@click.option("--server", metavar="URL", help="Of the server, by https.  [default: that it has enrolled with]")
@click.option("--token", metavar="TOKEN", help="From `codeyard agent token`. Others see it in the list of processes.")
@click.option(
    "--token-file", type=click.Path(dir_okay=False, path_type=Path), help="A file with the token; - reads it."
)
@click.option("--name", help="The machine's name.  [default: its host name]")
@_TAGS
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where its secret, blobs and journals are kept.  [default: `agent` in the state directory]",
)
@click.option("--insecure", is_flag=True, help="Speak http to a server elsewhere: whoever listens can deploy here.")
@click.pass_context
def agent(
    context: click.Context,
    server: str | None,
    token: str | None,
    token_file: Path | None,
    name: str | None,
    tags: tuple[str, ...],
    state: Path | None,
    insecure: bool,
) -> None:
    """Deploy to this machine what a server says. It opens connections only outwards.

    The first start needs --server and a token; later ones need neither.
    """
    if context.invoked_subcommand is not None:
        return
    from codeyard.cli.paths import state_directory
    from codeyard.deploys.enrolment import checked_name, parse_tags

    directory = (state or state_directory() / "agent").absolute()
    known = _known(directory)
    if insecure:
        click.echo(
            "warning: --insecure: whoever is on the way to the server can read and change what is deployed.", err=True
        )
    if known.get("id"):
        if server is not None and server.rstrip("/") != known["server"]:
            fix = f"Leave --server out, or enrol anew with another --state; it is kept in {directory}."
            raise Invalid(f"server {server}", f"this machine has enrolled with {known['server']}.", fix)
        _say_unused(directory, known, token or token_file or os.environ.get("CODEYARD_AGENT_TOKEN"), name, tags)
    else:
        if server is None:
            raise Invalid("--server", "this machine has not enrolled yet.", "Say with which: --server https://HOST")
        chosen = checked_name(name or _host_name())
        known = _enrolled(directory, server, _token(token, token_file), chosen, parse_tags(tags), insecure, known)
    asyncio.run(_run(directory, known, insecure))


@agent.command("token")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The server's directory.")
@_TAGS
@click.option("--expires", metavar="MINUTES", default=60, show_default=True, type=click.IntRange(1, 525_600))
def token_command(data: Path | None, tags: tuple[str, ...], expires: int) -> None:
    """Print a token that lets machines enrol, with the tags that are given here; on the server's machine."""
    from codeyard.config import Config
    from codeyard.deploys.enrolment import Invitation, enrolment_key, parse_tags, written
    from codeyard.ident import Owner
    from codeyard.secrets.sealing import KeyFile

    config = Config.load(data_directory(data), {})
    if not config.vault_key_file.exists():
        raise NotFound(f"a server in {config.data}", "none was started there.", "Start one with `codeyard up`.")
    until = datetime.now(UTC) + timedelta(minutes=expires)
    invitation = Invitation(Owner(config.account, config.region), parse_tags(tags), until)
    click.echo(written(enrolment_key(KeyFile(config.vault_key_file).newest().secret), invitation))


@click.group(cls=Group)
def agents() -> None:
    """The machines that a server deploys to."""


@agents.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as AWS's API has it.")
def list_command(as_json: bool) -> None:
    """List them, with their tags."""
    with asking():
        codedeploy = client("codedeploy")
        names = remote.pages(codedeploy.list_on_premises_instances, "instanceNames", registrationStatus="Registered")
        found = [codedeploy.get_on_premises_instance(instanceName=name)["instanceInfo"] for name in names]
    if not found and not as_json:
        click.echo(
            "No machine has enrolled: codeyard agent token, then codeyard agent --server … --token-file … there."
        )
    width = min(40, max((len(each["instanceName"]) for each in found), default=0))
    for each in found:
        if as_json:
            click.echo(json.dumps(each, default=str))
            continue
        tags = " ".join(f"{tag['Key']}={tag['Value']}" for tag in each.get("tags", ()))
        click.echo(f"{each['instanceName']:<{width}}  {each['registerTime']:%Y-%m-%d %H:%M}  {printable(tags)}")


@agents.command("remove")
@click.argument("name")
def remove_command(name: str) -> None:
    """Let the machine NAME in no more: what its agent shows is worth nothing from now on."""
    with asking():
        codedeploy = client("codedeploy")
        codedeploy.get_on_premises_instance(instanceName=name)  # an error, if there is none
        codedeploy.deregister_on_premises_instance(instanceName=name)
    click.echo(f"Removed {printable(name)}.")


# ── this machine ──


def _say_unused(directory: Path, known: _Fields, token: object, name: str | None, tags: tuple[str, ...]) -> None:
    """What is for enrolling only changes nothing here, which is no error: a service's unit may give it each time."""
    given = {"the token": token, "--name": name not in (None, known["name"]), "--tag": tags}
    if unused := [what for what, is_given in given.items() if is_given]:
        click.echo(
            f"warning: this machine has enrolled as {known['name']} already: {', '.join(unused)} changed nothing. To "
            f"enrol it anew: codeyard agents remove {known['name']}, then remove {directory / 'agent.json'} and start.",
            err=True,
        )


def _host_name() -> str:
    import socket

    return socket.gethostname()


def _token(token: str | None, file: Path | None) -> str:
    if token is not None:
        return token.strip()
    if file is None and (given := os.environ.get("CODEYARD_AGENT_TOKEN")):
        return given.strip()
    if file is None:
        raise Invalid("the token", "none is given.", "Make one on the server's machine: codeyard agent token")
    if str(file) == "-":
        return sys.stdin.read(_LONGEST_TOKEN).strip()
    try:
        with file.open() as opened:
            return opened.read(_LONGEST_TOKEN).strip()
    except (OSError, ValueError) as error:
        raise Invalid(f"token file {file}", f"it cannot be read: {error}.", "Give the file with the token.") from None


def _known(directory: Path) -> _Fields:
    """What this machine has written down: the server, its id there, and its secret. Denied, Invalid."""
    file = directory / "agent.json"
    try:
        if file.stat().st_mode & 0o077:
            raise Denied(f"{file}", "others can read it, and it holds the agent's secret.", f"chmod 600 {file}")
        found = json.loads(file.read_text())
        return {name: str(found.get(name, "")) for name in ("server", "id", "name", "secret")}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        fix = f"Remove {file} and enrol anew."
        raise Invalid(f"{file}", f"it cannot be read: {error}.", fix) from None


def _keep(directory: Path, fields: _Fields) -> None:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = directory / ".agent.json"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
        json.dump(fields, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(directory / "agent.json")


def _enrolled(
    directory: Path, server: str, token: str, name: str, tags: _Fields, insecure: bool, known: _Fields
) -> _Fields:
    """Enrol. The secret is ours and is written down first, so that an answer that is lost can be asked for again."""
    from codeyard.deploys.door import Door
    from codeyard.deploys.enrolment import hash_of

    door = Door(server, insecure=insecure)
    fields = {"server": door.url, "id": "", "name": name, "secret": known.get("secret") or secrets.token_hex(32)}
    _keep(directory, fields)
    told = door.post("register", {"token": token, "name": name, "tags": tags, "secret": hash_of(fields["secret"])})
    fields["id"] = str(told.get("id", ""))
    _keep(directory, fields)
    shown = " ".join(f"{key}={value}" for key, value in dict(told.get("tags") or {}).items())
    click.echo(f"Enrolled as {name}{' with ' + printable(shown) if shown else ''}.", err=True)
    return fields


async def _run(directory: Path, known: _Fields, insecure: bool) -> None:
    from codeyard.app.processes import end_with_parent
    from codeyard.artifacts.disk import DiskStore
    from codeyard.deploys.agent import Agent, crowded
    from codeyard.deploys.blobs_over_http import FetchedBlobs
    from codeyard.deploys.door import Door
    from codeyard.deploys.host import Host

    end_with_parent()
    shown = f"{known['id']}.{known['secret']}"
    doors = [Door(known["server"], shown, insecure=insecure) for _ in range(3)]
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    with DiskStore(directory / "blobs") as store, _alone(directory):
        scratch = directory / "scratch"
        scratch.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            _let_through(directory)
        near = os.environ.get("CODEYARD_AGENT_NEAR")  # `up` says so to the agent that it runs
        blobs = FetchedBlobs(store, doors[0], scratch=scratch, near=DiskStore(Path(near)) if near else None)
        host = Host(directory / "host", blobs, _now, share_store=True)
        click.echo(f"{known['name']} is deployed to by {known['server']}; Ctrl-C or SIGTERM ends it.", err=True)
        await Agent(doors[1], doors[2], host, blobs, _say, lambda: crowded(store.root)).run(ending)


def _let_through(directory: Path) -> None:
    """A script with `runas` runs as somebody else, who has to get to its revision, which lies below `deployment-root`:
    through directories that nobody else can list, and to nothing beside."""
    host = directory / "host"
    for each in (directory, host, host / "deployment-root"):
        each.mkdir(exist_ok=True)
        each.chmod(0o711)
    for private in (directory / "blobs", directory / "scratch", *map(host.joinpath, _PRIVATE)):
        private.mkdir(exist_ok=True)
        private.chmod(0o700)


def _alone(directory: Path) -> Any:
    from codeyard.app.first_start import alone

    return alone(directory, "agent", patience=5.0)


def _say(text: str, status: "EventStatus | None") -> None:
    line = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {printable(text)}"
    click.secho(line, fg=_COLOURS.get(status or ""))
    sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(UTC)
