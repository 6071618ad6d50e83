"""`codeyard run`: the options, and what becomes of Ctrl-C."""

import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from codeyard.builds.model import COMPUTE_TYPES, Build, Phase, Status
from codeyard.cli import choose, local
from codeyard.cli.paths import state_directory
from codeyard.cli.render import JsonLines, PlainLog, Screen, Terminal
from codeyard.errors import Invalid, NotFound
from codeyard.ident import BuildId, project_name
from codeyard.sources import SourceKind, parse_location

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASKED_WRONG = (Phase.PROVISIONING, Phase.DOWNLOAD_SOURCE)
_LINGER = 2.0  # seconds


@click.command(context_settings={"max_content_width": 100})
@click.argument("source", metavar="[DIR]", default=".")
@click.option("--buildspec", metavar="FILE|-", help="The buildspec, if not buildspec.yml in DIR; - reads it here.")
@click.option("--project", metavar="NAME", help="The project's name; else that of the directory.")
@click.option("--image", metavar="IMAGE", envvar="CODEYARD_IMAGE", help="A container image to build in (docker).")
@click.option(
    "--executor",
    type=click.Choice(["auto", *choose.NAMES]),
    default="auto",
    envvar="CODEYARD_EXECUTOR",
    show_default=True,
    help="What isolates the build; auto takes the strongest that works.",
)
@click.option(
    "--compute-type",
    type=click.Choice([*COMPUTE_TYPES], case_sensitive=False),
    default="BUILD_GENERAL1_SMALL",
    show_default=True,
    metavar="TYPE",
    help="CPUs and memory, by CodeBuild's names.",
)
@click.option("--privileged", is_flag=True, help="Give the build all rights over the machine (docker).")
@click.option("--network", type=click.Choice(["default", "none"]), default="default", show_default=True)
@click.option("--env", "variables", metavar="NAME=VALUE", multiple=True, help="A variable; NAME alone takes yours.")
@click.option("--env-file", type=click.Path(path_type=Path), multiple=True, help="NAME=VALUE lines.")
@click.option(
    "--source", "secondary", metavar="ID=DIR|URL", multiple=True, help="A secondary source, at CODEBUILD_SRC_DIR_ID."
)
@click.option("--source-version", metavar="VERSION", help="Branch, tag, commit or ref of a git source.")
@click.option("--artifacts", metavar="DIR|s3://…", help="Where artifacts go; else beside the build's log.")
@click.option("--zip", "zipped", is_flag=True, help="Make one zip of each artifact, instead of a folder.")
@click.option("--cache", metavar="DIR|off", help="Where caches are kept between builds.")
@click.option("--secrets", type=click.Choice(["vault", "aws"]), default="vault", show_default=True)
@click.option("--timeout", metavar="MINUTES", type=click.FloatRange(0, min_open=True, max=2160), default=60.0)
@click.option("--json", "as_json", is_flag=True, help="One event per line, as docs/events.md says.")
@click.option("--no-color", is_flag=True, envvar="NO_COLOR", help="No colours of ours.")
@click.option("--resume", metavar="ID", help="Go on with a build whose process died.")
@click.help_option("-h", "--help")
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
        return _to_the_end(_run(state, home, _screen(as_json, no_color), resumed=True))
    cwd = Path.cwd()
    spec = parse_location(source, cwd, version=source_version)
    chosen, reason = asyncio.run(choose.choose(executor, image, privileged=privileged, state=state))
    if chosen != "docker" and image is not None:
        raise Invalid(f"--image {image}", f"{chosen} has no images.", "Leave it out, or use --executor docker.")
    if chosen == "docker" and image is None:
        raise Invalid("--executor docker", "it needs to know which image.", "Add --image IMAGE.")
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
        secondary=_pairs(secondary, "--source", "ID=DIR|URL"),
        buildspec=_buildspec(buildspec, Path(spec.location) if spec.kind is SourceKind.DIRECTORY else None),
        image=image,
        compute_type=compute_type.upper(),
        privileged=privileged,
        network=network,
        variables=_variables(variables, env_file),
        artifacts=_target(artifacts, cwd) or str(local.run_directory(state, id.run) / "artifacts"),
        zipped=zipped,
        cache=None if cache == "off" else str(cwd / cache if cache else state / "cache"),
        timeout_minutes=timeout,
        secrets=secrets,
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
    )
    home = local.submit(state, request)
    return _to_the_end(_run(state, home, _screen(as_json, no_color), resumed=False))


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


def _screen(as_json: bool, no_color: bool) -> Screen:
    if as_json:
        return JsonLines(sys.stdout)
    if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return Terminal(sys.stdout, color=not no_color)
    return PlainLog(sys.stdout)


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
        screen.stopping()

    for number in (signal.SIGINT, signal.SIGTERM):
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


def _buildspec(option: str | None, directory: Path | None) -> str | None:
    """What the settings say: a path in the source if it is one, else the text itself."""
    if option is None:
        return None
    if option == "-":
        return _text(sys.stdin.read(), "standard input")
    if option.startswith("arn:"):
        return option
    inside = directory / option if directory is not None else None
    if inside is not None and inside.is_file():
        return option
    path = Path(option)
    if not path.is_file():
        if directory is None and not path.is_absolute():
            return option  # a path in a source that is yet to be fetched
        raise NotFound(f"buildspec {option}", "it is neither here nor in the source.", "Check the path.")
    if directory is not None and path.resolve().is_relative_to(directory.resolve()):
        return str(path.resolve().relative_to(directory.resolve()))
    return _text(path.read_text(), option)


def _text(text: str, name: str) -> str:
    """An empty text would mean the default file (reference 1.1)."""
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


def _variables(options: tuple[str, ...], files: tuple[Path, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"--env-file {file}", f"it cannot be read: {error}.", "Check the path.") from error
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


def _target(option: str | None, cwd: Path) -> str | None:
    if option is None or option.startswith("s3://"):
        return option
    return str(cwd / option)
