"""Commands for executions of pipelines: list, start, show and follow, stop, retry, override, roll back."""

import json
from datetime import datetime
from typing import Any

import click

from codeyard.cli import pipeline_questions as questions
from codeyard.cli import remote
from codeyard.cli.endpoint import asking, client
from codeyard.cli.pipeline_follow import exit_code, follow, print_picture, shown_for, utc_now
from codeyard.cli.pipeline_picture import RUNNING
from codeyard.cli.pipeline_view import stamp, status_style
from codeyard.cli.summary import seconds
from codeyard.errors import Conflict, Invalid

_REVISIONS = ("COMMIT_ID", "IMAGE_DIGEST", "S3_OBJECT_KEY", "S3_OBJECT_VERSION_ID")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON, as AWS's API has it.")
NO_COLOR = click.option("--no-color", is_flag=True, help="No colours.")
FOLLOW = click.option("--follow", "-f", "following", is_flag=True, help="Draw the stages until it ends; exit as it.")
EXECUTION = click.option("--execution", metavar="ID", help="An execution, or how its id begins.")


@click.command()
@click.argument("name")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="The newest so many.")
@JSON
def executions(name: str, limit: int, as_json: bool) -> None:
    """List a pipeline's executions, the newest first."""
    with asking():
        asked = questions.executions(client("codepipeline"), name)
        found = [each for _, each in zip(range(limit), asked, strict=False)]
    if as_json:
        print_json(found)
        return
    for each in found:
        click.echo(
            f"{stamp(each['startTime'])}  {status_word(each['status'])} {seconds(lasted(each, utc_now())):>10}  "
            f"{each['pipelineExecutionId']}"
        )


@click.command()
@click.argument("name")
@click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="A variable; repeatable.")
@click.option(
    "--revision", "revisions", metavar="ACTION=TYPE:VALUE", multiple=True, help="What a source is to take; repeatable."
)
@FOLLOW
@JSON
@NO_COLOR
def start(
    name: str, variables: tuple[str, ...], revisions: tuple[str, ...], following: bool, as_json: bool, no_color: bool
) -> int:
    """Start an execution, and print its id.

    \b
    Exit codes: 0  it was started; with --follow: it Succeeded
                1  with --follow: it Failed, or was Stopped, Superseded or Cancelled
                2  the request is wrong, or was refused
                3  our fault, or the server cannot be reached

    TYPE of a revision: COMMIT_ID, IMAGE_DIGEST, S3_OBJECT_KEY or S3_OBJECT_VERSION_ID.
    """
    given: dict[str, Any] = {}
    if variables:
        given["variables"] = [_variable(each) for each in variables]
    if revisions:
        given["sourceRevisions"] = [_revision(each) for each in revisions]
    with asking():
        asked = client("codepipeline")
        id = asked.start_pipeline_execution(name=name, **given)["pipelineExecutionId"]
        return _begun(asked, name, id, following, as_json, no_color)


@click.command()
@click.argument("name")
@click.argument("execution", required=False)
@FOLLOW
@JSON
@NO_COLOR
def status(name: str, execution: str | None, following: bool, as_json: bool, no_color: bool) -> int:
    """Show how a pipeline stands: each stage with what entered it last; or one EXECUTION of it.

    With --follow and no EXECUTION: the newest.
    """
    with asking():
        asked = client("codepipeline")
        id = questions.find_execution(asked, name, execution)["pipelineExecutionId"] if execution else None
        if id is None and (following or _parallel(asked, name)):
            newest = questions.newest_execution(asked, name)
            id = newest["pipelineExecutionId"] if newest else None
            if id is None and following:
                raise Conflict(f"pipeline {name}", "it has no executions yet.", f"codeyard pipeline start {name}")
        if following:
            assert id is not None
            return _followed(asked, name, id, as_json, no_color)
        if as_json:
            print_json([_state(asked, name, execution and id)])
            return 0
        print_picture(questions.Watch(asked, name, id, utc_now).look(), no_color)
    return 0


@click.command()
@click.argument("name")
@click.argument("execution", required=False)
@click.option("--abandon", is_flag=True, help="Do not wait for the actions that run: they are left to themselves.")
@click.option("--reason", help="Why; it is kept with the execution.")
def stop(name: str, execution: str | None, abandon: bool, reason: str | None) -> None:
    """Stop an execution: EXECUTION, else the one that runs, if it is the only one."""
    with asking():
        asked = client("codepipeline")
        id = questions.execution_meant(asked, name, execution)
        more = {"reason": reason} if reason else {}
        asked.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=id, abandon=abandon, **more)
    click.echo(f"Stopping {id}{'' if abandon else ', once the actions that run have ended'}.")


@click.command()
@click.argument("name")
@click.argument("stage")
@EXECUTION
@click.option("--all", "everything", is_flag=True, help="All actions of the stage, not only those that failed.")
@FOLLOW
@JSON
@NO_COLOR
def retry(
    name: str, stage: str, execution: str | None, everything: bool, following: bool, as_json: bool, no_color: bool
) -> int:
    """Try the failed actions of STAGE again, in the execution that is there, or in --execution."""
    with asking():
        asked = client("codepipeline")
        id = questions.to_retry(asked, name, stage, execution)
        mode = "ALL_ACTIONS" if everything else "FAILED_ACTIONS"
        asked.retry_stage_execution(pipelineName=name, stageName=stage, pipelineExecutionId=id, retryMode=mode)
        return _begun(asked, name, id, following, as_json, no_color)


@click.command()
@click.argument("name")
@click.argument("stage")
@click.argument("execution", required=False)
@click.option("--type", "kind", type=click.Choice(("BEFORE_ENTRY", "ON_SUCCESS"), case_sensitive=False),
              help="Which condition.  [default: that failed, or is looked at]")  # fmt: skip
@FOLLOW
@JSON
@NO_COLOR
def override(
    name: str, stage: str, execution: str | None, kind: str | None, following: bool, as_json: bool, no_color: bool
) -> int:
    """Let EXECUTION pass a condition of STAGE all the same: by default the one that is there now."""
    with asking():
        asked = client("codepipeline")
        id, kind = questions.to_override(asked, name, stage, execution, kind)
        where = {"pipelineName": name, "stageName": stage, "pipelineExecutionId": id}
        asked.override_stage_condition(**where, conditionType=kind)
        return _begun(asked, name, id, following, as_json, no_color)


@click.command()
@click.argument("name")
@click.argument("stage")
@click.argument("execution", required=False)
@FOLLOW
@JSON
@NO_COLOR
def rollback(name: str, stage: str, execution: str | None, following: bool, as_json: bool, no_color: bool) -> int:
    """Put back what EXECUTION did in STAGE: by default the one that succeeded there before what is there now."""
    with asking():
        asked = client("codepipeline")
        if execution is None:
            target = questions.to_go_back_to(asked, name, stage)
        else:
            target = questions.find_execution(asked, name, execution)["pipelineExecutionId"]
        given = {"pipelineName": name, "stageName": stage, "targetPipelineExecutionId": target}
        id = asked.rollback_stage(**given)["pipelineExecutionId"]
        if not as_json:
            click.echo(f"Going back to {target}.", err=True)
        return _begun(asked, name, id, following, as_json, no_color)


# ── what these share ──


def lasted(summary: dict[str, Any], now: datetime) -> float:
    """Seconds that an execution took, or has taken: while it waits nothing of it is updated."""
    until = now if summary["status"] in RUNNING else summary["lastUpdateTime"]
    return max(0.0, float((until - summary["startTime"]).total_seconds()))


def _begun(asked: Any, name: str, id: str, following: bool, as_json: bool, no_color: bool) -> int:
    if not following:
        click.echo(json.dumps({"pipelineExecutionId": id}) if as_json else id)
        return 0
    return _followed(asked, name, id, as_json, no_color)


def _followed(asked: Any, name: str, id: str, as_json: bool, no_color: bool) -> int:
    """The exit code, once the execution has ended, or whoever looked at it has gone."""
    shown = shown_for(as_json, no_color)
    try:
        ended = follow(questions.Watch(asked, name, id, utc_now).look, shown)
    except KeyboardInterrupt:
        shown.close()
        click.echo(f"codeyard: the execution goes on. See it: codeyard pipeline status -f {name} {id[:8]}", err=True)
        click.echo(f"codeyard: or stop it: codeyard pipeline stop {name} {id[:8]}", err=True)
        return 130
    except BaseException:
        shown.close()
        raise
    shown.close()
    return exit_code(ended)


def _variable(text: str) -> dict[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Invalid(f"--var {text!r}", "it is no NAME=VALUE.", "Write it as in --var target=staging.")
    return {"name": name, "value": value}


def _revision(text: str) -> dict[str, str]:
    action, equals, rest = text.partition("=")
    kind, colon, value = rest.partition(":")
    if not action or not equals or not colon or not value or kind.upper() not in _REVISIONS:
        fix = f"Write it as in --revision Source=COMMIT_ID:1f2e3d; TYPE is one of {', '.join(_REVISIONS)}."
        raise Invalid(f"--revision {text!r}", "it is no ACTION=TYPE:VALUE.", fix)
    return {"actionName": action, "revisionType": kind.upper(), "revisionValue": value}


def _parallel(asked: Any, name: str) -> bool:
    """Of such a pipeline the state shows nothing."""
    return bool(asked.get_pipeline(name=name)["pipeline"].get("executionMode") == "PARALLEL")


def _state(asked: Any, name: str, id: str | None) -> dict[str, Any]:
    if id is None:
        return bare(asked.get_pipeline_state(name=name))
    found = bare(asked.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id))
    return {**found, "actionExecutionDetails": questions.actions_of(asked, name, id)}


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def print_json(items: list[dict[str, Any]]) -> None:
    for item in items:
        click.echo(remote.json_line(item))


def status_word(status: str) -> str:
    style = status_style(status)
    return click.style(f"{status:<10}", fg=style if style != "dim" else None)
