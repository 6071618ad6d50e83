"""`codeyard run`: the options, and what becomes of Ctrl-C."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from codeyard.app import choose
from codeyard.builds.download import DEFAULT_BUILDSPEC
from codeyard.builds.model import COMPUTE_TYPES, Build, Phase, Status
from codeyard.cli import local
from codeyard.cli.paths import state_directory
from codeyard.cli.render import Screen, screen_for
from codeyard.cli.variables import variables as read_variables
from codeyard.errors import Invalid, NotFound
from codeyard.ident import BuildId, project_name
from codeyard.sources import SourceKind, SourceSpec, parse_location

_SECTIONS = {
    "What is built": ("buildspec", "source_version", "secondary", "project"),
    "Where it is built": ("executor", "image", "compute_type", "privileged", "network", "timeout"),
    "What it is given": ("variables", "env_file", "secrets", "cache"),
    "What it leaves": ("artifacts", "zipped"),
    "What you see": ("as_json", "no_color"),
}
_BUILDSPEC_AT_MOST = 4 << 20  # bytes that are read; the parser takes less, and says so
_ASKED_WRONG = (Phase.PROVISIONING, Phase.DOWNLOAD_SOURCE)
_LINGER = 2.0  # seconds


class _Command(click.Command):
    """Its options stand in the help by what they are about."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [option for option in self.get_params(ctx) if isinstance(option, click.Option)]
        shown = {option.name: record for option in options if (record := option.get_help_record(ctx))}
        for section, names in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([shown.pop(name) for name in names])
        with formatter.section("Other"):
            formatter.write_dl([*shown.values()])


@click.command(cls=_Command, context_settings={"max_content_width": 100})
@click.argument("source", metavar="[DIR]", default=".")
@click.option(
    "--buildspec", metavar="FILE|-", help="The buildspec; - reads it from the standard input.  [default: buildspec.yml]"
)
@click.option("--source-version", metavar="VERSION", help="Branch, tag, commit or ref of a git source.")
@click.option(
    "--source",
    "secondary",
    metavar="ID=DIR|URL",
    multiple=True,
    help="A secondary source, at CODEBUILD_SRC_DIR_ID; repeatable.",
)
@click.option("--project", metavar="NAME", help="The project's name.  [default: DIR's last part]")
@click.option(
    "--executor",
    type=click.Choice(["auto", *choose.NAMES]),
    default="auto",
    envvar="CODEYARD_EXECUTOR",
    show_default=True,
    help="What isolates the build; auto takes the strongest that works.",
)
@click.option(
    "--image",
    metavar="IMAGE",
    envvar="CODEYARD_IMAGE",
    help="A container image, and docker with it.  [default: this machine's own programs]",
)
@click.option(
    "--compute-type",
    type=click.Choice([*COMPUTE_TYPES]),
    default="BUILD_GENERAL1_SMALL",
    show_default=True,
    metavar="TYPE",
    help="CPUs and memory: BUILD_GENERAL1_SMALL, _MEDIUM, _LARGE, _XLARGE, _2XLARGE.",
)
@click.option("--privileged", is_flag=True, help="Give the build all rights over the machine (docker).")
@click.option(
    "--network",
    type=click.Choice(["default", "none"]),
    default="default",
    show_default=True,
    help="What it can reach: what the machine can, or itself only.",
)
@click.option(
    "--timeout",
    metavar="MINUTES",
    type=click.FloatRange(0, min_open=True, max=2160),
    default=60.0,
    show_default=True,
    help="The build's time limit.",
)
@click.option(
    "--env", "variables", metavar="NAME=VALUE", multiple=True, help="A variable; NAME alone takes yours; repeatable."
)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    multiple=True,
    help="NAME=VALUE lines; --env goes over them; repeatable.",
)
@click.option(
    "--secrets",
    type=click.Choice(["vault", "aws"]),
    default="vault",
    show_default=True,
    help="Who answers parameter-store and secrets-manager.",
)
@click.option(
    "--cache", metavar="DIR|off", help="Where caches are kept between builds.  [default: in the state directory]"
)
@click.option(
    "--artifacts", metavar="DIR|s3://…", help="Where artifacts go, in folders.  [default: beside the build's log]"
)
@click.option("--zip", "zipped", is_flag=True, help="Make one zip of each artifact, instead of a folder.")
@click.option("--json", "as_json", is_flag=True, help="One event per line, as docs/events.md says.")
@click.option("--no-color", is_flag=True, help="No colours of ours; the build's own stay.")
@click.option(
    "--resume", metavar="ID", help="Go on with a build whose process died, as it was asked for; see `codeyard runs`."
)
def run(
    source: str,
    buildspec: str | None,
    project: str | None,
    image: str | None,
    executor: str,
    compute_type: str,
    privileged: bool,
    network: str,
    variables: tuple[str, ...],
    env_file: tuple[Path, ...],
    secondary: tuple[str, ...],
    source_version: str | None,
    artifacts: str | None,
    zipped: bool,
    cache: str | None,
    secrets: str,
    timeout: float,
    as_json: bool,
    no_color: bool,
    resume: str | None,
) -> int:
    """Run the buildspec of DIR as CodeBuild would, in a sandbox; DIR itself is never written to.

    DIR may also be a git URL (with #version), a zip, s3://bucket/key.zip or s3://bucket/prefix/.

    \b
    Exit codes: 0  the build SUCCEEDED
                1  it FAILED, TIMED_OUT or was STOPPED
                2  the request, the source or the buildspec is wrong
                3  our fault, or the machine's
    """
    state = state_directory()
    if resume is not None:
        home = local.find(state, resume)
        return _to_the_end(_run(state, home, screen_for(as_json, no_color), resumed=True))
    cwd = Path.cwd()
    spec = parse_location(source, cwd, version=source_version)
    chosen, reason = asyncio.run(_chosen(executor, image, privileged, state))
    if chosen != "docker" and image is not None:
        raise Invalid(f"--image {image}", f"{chosen} has no images.", "Leave it out, or use --executor docker.")
    if chosen != "docker" and privileged:
        raise Invalid("--privileged", f"{chosen} cannot give that.", "Leave it out, or use --image and docker.")
    if chosen == "process" and network == "none":
        raise Invalid("--network none", "process cannot keep the network from it.", "Leave it out, or use bubblewrap.")
    if chosen == "docker" and image is None:
        asked = "--executor docker" if executor == "docker" else "--privileged"
        raise Invalid(asked, "docker needs to know which image.", "Add --image IMAGE.")
    sources = _pairs(secondary, "--source", "ID=DIR|URL")
    for identifier, text in sources.items():
        parse_location(text, cwd, identifier=identifier)  # raises what is wrong before anything begins
    # Before the number: a wrong request is no build.
    artifacts, caches = _target(artifacts, cwd), _caches(cache, cwd, state)
    given, overrides = _buildspec(buildspec, spec), read_variables(variables, env_file)
    id = BuildId.mint(project_name(project) if project else _project_of(source, cwd))
    request = local.Request(
        id=str(id),
        number=local.next_number(state, id.project),
        submitted=local.now().isoformat(),
        executor=chosen,
        reason=reason,
        source=source,
        cwd=str(cwd),
        source_version=source_version,
        secondary=sources,
        buildspec=given,
        image=image,
        compute_type=compute_type,
        privileged=privileged,
        network=network,
        variables=overrides,
        artifacts=artifacts or str(local.run_directory(state, id.run) / "artifacts"),
        zipped=zipped,
        cache=caches,
        timeout_minutes=timeout,
        secrets=secrets,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    )
    home = local.submit(state, request)
    return _to_the_end(_run(state, home, screen_for(as_json, no_color), resumed=False))


async def _chosen(wanted: str, image: str | None, privileged: bool, state: Path) -> tuple[str, str]:
    """The executor and why, before a build is begun with one that does not work here. Invalid."""
    chosen, reason = await choose.choose(wanted, image, privileged=privileged, state=state)
    if wanted != "auto" and (image is not None or wanted != "docker"):  # without an image that is what is wrong
        await choose.require(wanted, state)
    return chosen, reason


def _to_the_end(work: Coroutine[Any, Any, int]) -> int:
    """Run it, and leave soon after it has ended: a thread may still be reading a file of terabytes that a build made,
    which was given up with the build, and Python would wait for it."""
    with asyncio.Runner() as runner:
        code = runner.run(work)
        leaving = threading.Timer(_LINGER, os._exit, (code,))
        leaving.daemon = True
        leaving.start()
    leaving.cancel()
    return code


async def _run(state: Path, home: Path, screen: Screen, *, resumed: bool) -> int:
    stop = asyncio.Event()
    watcher = local.Watcher(screen.event, screen.log)
    building = asyncio.ensure_future(local.perform(state, home, watcher, stop, resumed=resumed))
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.is_set():
            building.cancel()
            return
        stop.set()
        with suppress(OSError):  # a terminal that was closed
            screen.stopping()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup leaves it
            loop.add_signal_handler(number, interrupted)
    try:
        finished = await building
    except asyncio.CancelledError:
        await local.kill(home)
        screen.killed()
        return 130
    finally:
        screen.close()
    return exit_code(finished.build)


def exit_code(build: Build) -> int:
    """0, 1, 2 or 3, as the command's help says."""
    if build.status is Status.SUCCEEDED:
        return 0
    if build.status is Status.FAULT:
        return 3
    first = next(record for record in build.history if record.status not in {None, Status.SUCCEEDED})
    return 2 if build.status is Status.FAILED and first.phase in _ASKED_WRONG else 1


def _project_of(source: str, cwd: Path) -> str:
    name = source.split("#")[0].rstrip("/").rpartition("/")[2].removesuffix(".git").removesuffix(".zip")
    if name in {"", ".", ".."}:
        name = (cwd / source).resolve().name
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_")[:150]
    return name if len(name) > 1 else f"{name}-project".lstrip("-")


def _buildspec(option: str | None, source: SourceSpec) -> str | None:
    """What the settings say: a path in the source if it is one, else the text itself."""
    directory = Path(source.location) if source.kind is SourceKind.DIRECTORY else None
    if option is None:
        if directory is not None and not os.path.lexists(directory / DEFAULT_BUILDSPEC):
            # Before all that lies there is copied: it may be somebody's home.
            fix = "Name the directory that has one, or a buildspec with --buildspec."
            raise NotFound(f"{directory / DEFAULT_BUILDSPEC}", "there is no such file.", fix)
        return None
    if option == "-":
        return _text(sys.stdin.buffer.read(_BUILDSPEC_AT_MOST), "standard input")
    if option.startswith("arn:"):
        return option
    path = Path(option)
    if directory is not None:
        for found in (directory / path, path):
            if found.is_file() and found.resolve().is_relative_to(directory) and not _is_ignored(found.resolve()):
                return str(found.resolve().relative_to(directory))
        path = path if path.exists() else directory / path  # perhaps `..` or a link leads out of the source to it
    if path.is_dir():
        raise Invalid(f"buildspec {option}", "it is a directory.", "Name the file in it.")
    if not path.exists():
        if directory is None and not path.is_absolute():
            return option  # a path in a source that is yet to be fetched
        raise NotFound(f"buildspec {option}", "it is neither here nor in the source.", "Check the path.")
    try:
        with path.open("rb") as file:
            return _text(file.read(_BUILDSPEC_AT_MOST), option)
    except OSError as error:
        raise Invalid(f"buildspec {option}", f"{error.strerror}.", "Name a file that you can read.") from error


def _is_ignored(file: Path) -> bool:
    """Whether git ignores it: then it is no part of the source, and is read from where it lies."""
    command = ["git", "-C", str(file.parent), "check-ignore", "-q", str(file)]
    with suppress(OSError):  # no git here, which then ignores nothing
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
    return False


def _text(content: bytes, name: str) -> str:
    """An empty text would mean the default file (reference 1.1)."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        why = f"byte 0x{content[error.start]:02x} in line {line} is not UTF-8."
        raise Invalid(f"buildspec {name}", why, "Save it as UTF-8.") from None
    if not text.strip():
        raise Invalid(f"buildspec {name}", "it is empty.", "Start with `version: 0.2` and `phases:`.")
    return text if "\n" in text else text + "\n"


def _pairs(options: tuple[str, ...], name: str, form: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key or not value:
            raise Invalid(f"{name} {option}", f"it is not {form}.", f"Write {name} {form}.")
        if key in pairs:
            raise Invalid(f"{name} {option}", f"{key} is given twice.", "Leave one out.")
        pairs[key] = value
    return pairs


def _target(option: str | None, cwd: Path) -> str | None:
    if option is None or option.startswith("s3://"):
        return option
    return _folder("--artifacts", option, cwd)


def _caches(option: str | None, cwd: Path, state: Path) -> str | None:
    if option == "off":
        return None
    return _folder("--cache", option, cwd) if option else str(state / "cache")


def _folder(name: str, option: str, cwd: Path) -> str:
    path = cwd / option
    if path.exists() and not path.is_dir():
        raise Invalid(f"{name} {option}", "it is a file.", "Name a directory; it need not exist yet.")
    return str(path)
