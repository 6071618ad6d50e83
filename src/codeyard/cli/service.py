"""Commands for people that speak to a server: projects, builds, start, logs, stop, retry, artifacts."""

import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from codeyard.cli import remote
from codeyard.cli.endpoint import asking, client
from codeyard.cli.follow import follow
from codeyard.cli.pipeline_artifacts import means_execution
from codeyard.cli.pipeline_artifacts import show as show_pipeline_artifacts
from codeyard.cli.render import screen_for
from codeyard.cli.summary import counted, printable, seconds, size
from codeyard.cli.variables import variables as read_variables
from codeyard.errors import Invalid, NotFound

_COLOURS = {"SUCCEEDED": "green", "IN_PROGRESS": "cyan", "STOPPED": "yellow"}
_NAME = 40  # characters of a name that others are aligned to: one that is longer pushes only its own line
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object per line, as AWS's API has it.")
_NO_COLOR = click.option("--no-color", is_flag=True, help="No colours of ours.")


@click.command()
@_JSON
def projects(as_json: bool) -> None:
    """List the server's projects, each with its newest build."""
    with asking():
        codebuild = client("codebuild")
        names = list(remote.pages(codebuild.list_projects, "projects", sortBy="NAME", sortOrder="ASCENDING"))
        found = [
            project
            for start in range(0, len(names), 100)
            for project in codebuild.batch_get_projects(names=names[start : start + 100])["projects"]
        ]
        if as_json:
            _print_json(found)
            return
        newest = remote.newest(codebuild, names)
    if not found:
        click.echo("No projects yet: create one with any AWS client, such as `aws codebuild create-project`.")
    width = min(_NAME, max((len(project["name"]) for project in found), default=0))
    for project in found:
        source, last_build = project["source"], newest.get(project["name"])
        last = f"{_status(last_build)} {_when(last_build['startTime'])}" if last_build else f"{'-':<11} {'':19}"
        click.echo(f"{project['name']:<{width}}  {last}  {printable(source.get('location') or source['type'])}")


@click.command()
@click.argument("project", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@_JSON
def builds(project: str | None, limit: int, as_json: bool) -> None:
    """List builds, the newest first: of PROJECT, or of all."""
    with asking():
        found = remote.recent(client("codebuild"), project, limit)
    if as_json:
        _print_json(found)
        return
    if not found:
        click.echo("No builds yet: codeyard start PROJECT")
    for build in found:
        reason = remote.waiting_for(build) or ("" if build["buildComplete"] else build["currentPhase"])
        click.echo(
            f"{_when(build['startTime'])}  {_status(build)} {seconds(remote.took(build)):>9}  "
            f"{build['id']}{f'  {reason}' if reason else ''}"
        )


@click.command()
@click.argument("project")
@click.option("--follow", "-f", "following", is_flag=True, help="Show the build as it goes; exit as it ends.")
@click.option("--source-version", metavar="VERSION", help="A branch, tag, commit, or version of an object.")
@click.option("--buildspec", metavar="FILE|-", help="Instead of the project's: a file here, or a path in the source.")
@click.option("--env", "variables", metavar="NAME=VALUE", multiple=True, help="A variable; repeatable.")
@click.option("--image", help="Instead of the project's.")
@click.option("--compute-type", metavar="TYPE", help="Instead of the project's, such as BUILD_GENERAL1_LARGE.")
@click.option("--timeout", metavar="MINUTES", type=click.IntRange(5, 2160), help="Instead of the project's.")
@_JSON
@_NO_COLOR
def start(
    project: str,
    following: bool,
    source_version: str | None,
    buildspec: str | None,
    variables: tuple[str, ...],
    image: str | None,
    compute_type: str | None,
    timeout: int | None,
    as_json: bool,
    no_color: bool,
) -> int:
    """Start a build of PROJECT on the server, and print its id.

    \b
    Exit codes: 0  it was started; with --follow: it SUCCEEDED
                1  with --follow: it FAILED, TIMED_OUT or was STOPPED
                2  the request, the source or the buildspec is wrong
                3  our fault, or the server cannot be reached
    """
    given: dict[str, Any] = {
        "projectName": project,
        "sourceVersion": source_version,
        "buildspecOverride": _buildspec(buildspec),
        "imageOverride": image,
        "computeTypeOverride": compute_type,
        "timeoutInMinutesOverride": timeout,
    }
    if variables:
        found = read_variables(variables)
        given["environmentVariablesOverride"] = [{"name": name, "value": value} for name, value in found.items()]
    with asking():
        codebuild = client("codebuild")
        build = codebuild.start_build(**{name: value for name, value in given.items() if value is not None})["build"]
        return _begun(codebuild, build, following, as_json, no_color)


@click.command()
@click.argument("build")
@click.option("--follow", "-f", "following", is_flag=True, help="Show the build as it goes; exit as it ends.")
@_JSON
@_NO_COLOR
def retry(build: str, following: bool, as_json: bool, no_color: bool) -> int:
    """Start a build again, as it was asked for. BUILD: an id, or a project (its newest build)."""
    with asking():
        codebuild = client("codebuild")
        again = codebuild.retry_build(id=remote.find(codebuild, build)["id"])["build"]
        return _begun(codebuild, again, following, as_json, no_color)


@click.command()
@click.argument("builds", nargs=-1, required=True)
def stop(builds: tuple[str, ...]) -> None:
    """Stop builds. BUILDS: ids, or projects (their newest builds). One that has ended stays as it is."""
    with asking():
        codebuild = client("codebuild")
        for name in builds:
            build = codebuild.stop_build(id=remote.find(codebuild, name)["id"])["build"]
            click.echo(f"{build['id']}  {_status(build)}")


@click.command()
@click.argument("build")
@click.option("--follow", "-f", "following", is_flag=True, help="Go on until the build ends; exit as it ends.")
@_NO_COLOR
def logs(build: str, following: bool, no_color: bool) -> int:
    """Print a build's log. BUILD: an id, or a project (its newest build)."""
    with asking():
        codebuild, reader = client("codebuild"), client("logs")
        found = remote.find(codebuild, build)
        if following:
            return _followed(codebuild, reader, found, False, no_color)
        where = found.get("logs", {})
        if not where.get("streamName"):
            click.echo(remote.waiting_for(found) or "It has no log yet.", err=True)
            return 0
        token, out = None, sys.stdout.buffer
        while True:
            page = reader.get_log_events(
                logGroupName=where["groupName"], logStreamName=where["streamName"], startFromHead=True,
                **({"nextToken": token} if token else {}),
            )  # fmt: skip
            for event in page["events"]:
                out.write(event["message"].removesuffix("\n").encode() + b"\n")
            if page["nextForwardToken"] == token or not page["events"]:
                break
            token = page["nextForwardToken"]
        out.flush()
    return 0


@click.command()
@click.argument("build", metavar="BUILD|PIPELINE")
@click.argument("directory", metavar="[DIR|EXECUTION]", required=False)
@click.option("--artifact", metavar="NAME", help="Of an execution: this one only.")
@click.option("--to", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Fetch them into DIR.")
@_JSON
def artifacts(build: str, directory: str | None, artifact: str | None, to: Path | None, as_json: bool) -> None:
    """List the artifacts of a build, or of an execution of a pipeline; or fetch them.

    \b
    codeyard artifacts BUILD [DIR]            BUILD: an id, or a project (its newest build)
    codeyard artifacts PIPELINE EXECUTION     EXECUTION: an id, or eight or more characters that it begins with
    """
    if means_execution(directory) and ":" not in build:
        with asking():
            show_pipeline_artifacts(build, str(directory), artifact, to, as_json)
        return
    if artifact is not None:
        raise Invalid(f"--artifact {artifact}", "a build's artifacts have no names.", "Leave it out.")
    if directory is not None and to is not None:
        raise Invalid(f"--to {to}", "a directory is given twice.", "Give it once.")
    _build_artifacts(build, Path(directory) if directory is not None else to, as_json)


def _build_artifacts(build: str, directory: Path | None, as_json: bool) -> None:
    with asking():
        found = remote.find(client("codebuild"), build)
        made = [each for each in (found.get("artifacts"), *found.get("secondaryArtifacts", ())) if _bucket(each)]
        if not made:
            raise NotFound(f"artifacts of {found['id']}", "it has none in a bucket.", "See the project's artifacts.")
        s3 = client("s3")
        for artifact in made:
            bucket, key = _bucket(artifact) or ("", "")
            objects = _objects(s3, bucket, key)
            for each in objects:
                if as_json:
                    click.echo(json.dumps({"bucket": bucket, "key": each["Key"], "size": each["Size"]}))
                elif directory is None:
                    click.echo(f"{size(each['Size']):>10}  s3://{bucket}/{printable(each['Key'])}")
                if directory is not None:
                    _download(s3, bucket, each["Key"], _target(directory, each["Key"], key))
            if directory is not None and not as_json:
                total = sum(each["Size"] for each in objects)
                what = f"{counted(len(objects), 'file')} ({size(total)})"
                click.echo(f"{what} of s3://{bucket}/{printable(key)} in {directory}")


def _begun(codebuild: Any, build: remote.Build, following: bool, as_json: bool, no_color: bool) -> int:
    if not following:
        if as_json:
            _print_json([build])
        else:
            click.echo(build["id"])
        return 0
    return _followed(codebuild, client("logs"), build, as_json, no_color)


def _followed(codebuild: Any, logs: Any, build: remote.Build, as_json: bool, no_color: bool) -> int:
    """The exit code, once the build has ended, or whoever looked at it has gone."""
    screen = screen_for(as_json, no_color)
    try:
        return remote.exit_code(follow(codebuild, logs, build, screen))
    except KeyboardInterrupt:
        screen.close()
        id, below = build["id"], "\n" if sys.stderr.isatty() else ""  # the terminal's ^C
        click.echo(f"{below}codeyard: the build goes on. See it: codeyard logs -f {id}", err=True)
        click.echo(f"codeyard: or stop it: codeyard stop {id}", err=True)
        return 130
    finally:
        screen.close()


def _buildspec(option: str | None) -> str | None:
    """The text of a file here, or of the standard input; else it is a path in the source."""
    if option is None:
        return None
    if option == "-":
        return sys.stdin.read()
    path = Path(option)
    if not path.is_file():
        return option
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"buildspec {option}", f"{error}.", "Name a text file that you can read.") from None
    return text if "\n" in text else f"{text}\n"


def _bucket(artifact: dict[str, Any] | None) -> tuple[str, str] | None:
    location = (artifact or {}).get("location") or ""
    if not location.startswith("arn:aws:s3:::"):
        return None
    bucket, _, key = location.removeprefix("arn:aws:s3:::").partition("/")
    return bucket, key


def _objects(s3: Any, bucket: str, key: str) -> list[dict[str, Any]]:
    """The object of this key (a zip), or those below it (a folder)."""
    found: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        page = s3.list_objects_v2(Bucket=bucket, Prefix=key, **({"ContinuationToken": token} if token else {}))
        found += [each for each in page.get("Contents", ()) if each["Key"] == key or _below(each["Key"], key)]
        token = page.get("NextContinuationToken")
        if not token:
            return found


def _below(name: str, key: str) -> bool:
    return not key or key.endswith("/") or name.startswith(f"{key}/")


def _target(directory: Path, name: str, key: str) -> Path:
    """Where an object goes: an artifact's names came from a build, so none may lead out of the directory."""
    base = key.rstrip("/").rpartition("/")[0] if name == key else key.rstrip("/")
    relative = name.removeprefix(base).lstrip("/")
    parts = relative.split("/")
    if any(part in ("", ".", "..") for part in parts):
        raise Invalid(f"artifact file {name!r}", "its name leads elsewhere.", "Fetch it by hand, under another name.")
    return directory.joinpath(*parts)


def _download(s3: Any, bucket: str, key: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = target.with_name(f".{os.getpid()}.part")  # however long its own name is
    body = s3.get_object(Bucket=bucket, Key=key)["Body"]
    try:
        with staged.open("wb") as file:
            for chunk in body.iter_chunks(1 << 20):
                file.write(chunk)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _print_json(items: list[dict[str, Any]]) -> None:
    for item in items:
        click.echo(remote.json_line(item))


def _when(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def _status(build: remote.Build) -> str:
    return click.style(f"{build['buildStatus']:<11}", fg=_COLOURS.get(build["buildStatus"], "red"))
