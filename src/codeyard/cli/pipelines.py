"""Commands for pipelines: `codeyard pipelines` lists them, `codeyard pipeline` makes, starts, shows and steers them."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

import click

from codeyard.cli import pipeline_questions as questions
from codeyard.cli import remote
from codeyard.cli.endpoint import asking, client
from codeyard.cli.group import Group
from codeyard.cli.pipeline_executions import (
    EXECUTION,
    JSON,
    bare,
    executions,
    override,
    print_json,
    retry,
    rollback,
    start,
    status,
    status_word,
    stop,
)
from codeyard.cli.pipeline_file import Definition, load
from codeyard.cli.pipeline_view import ago
from codeyard.cli.summary import printable
from codeyard.errors import Conflict, Invalid

_FILE = click.argument("file", metavar="FILE|-")


@click.command()
@JSON
def pipelines(as_json: bool) -> None:
    """List the server's pipelines, each with its newest execution."""
    with asking():
        asked = client("codepipeline")
        found = list(remote.pages(asked.list_pipelines, "pipelines"))
        newest = {} if as_json else {each["name"]: questions.newest_execution(asked, each["name"]) for each in found}
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("No pipelines yet: codeyard pipeline create FILE")
    for each in found:
        last = newest[each["name"]]
        how = f"{status_word(last['status'])}  {ago(_since(last['startTime'])):>10}" if last else f"{'-':<22}"
        click.echo(f"{how}  {each.get('executionMode', 'SUPERSEDED'):<10}  {each['name']}")


@click.group(cls=Group)
def pipeline() -> None:
    """Make pipelines, start them, see how they stand, and answer what they ask.

    An execution is named by its id, or by how the id begins.
    """


for _command in (start, status, stop, retry, override, rollback, executions):
    pipeline.add_command(_command)


# ── definitions ──


@pipeline.command()
@_FILE
@JSON
def create(file: str, as_json: bool) -> None:
    """Make a pipeline of the definition in FILE, JSON or YAML, and so start its first execution."""
    with asking():
        asked = client("codepipeline")
        found = _definition(asked, file)
        made = asked.create_pipeline(pipeline=found.pipeline, **({"tags": found.tags} if found.tags else {}))
    _said(made, as_json, f"Created {made['pipeline']['name']}, version {made['pipeline'].get('version', 1)}.")


@pipeline.command()
@_FILE
@JSON
def update(file: str, as_json: bool) -> None:
    """Give a pipeline the definition in FILE; the definition names it. Tags of the file are added."""
    with asking():
        asked = client("codepipeline")
        found = _definition(asked, file)
        made = asked.update_pipeline(pipeline=found.pipeline)
        if found.tags:
            told = asked.get_pipeline(name=made["pipeline"]["name"])["metadata"]
            asked.tag_resource(resourceArn=told["pipelineArn"], tags=found.tags)
    _said(made, as_json, f"Updated {made['pipeline']['name']}, version {made['pipeline'].get('version', 1)}.")


@pipeline.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a pipeline and its executions."""
    with asking():
        asked = client("codepipeline")
        asked.get_pipeline(name=name)  # an error, if there is none
        asked.delete_pipeline(name=name)
    click.echo(f"Deleted {printable(name)}.")


@pipeline.command()
@click.argument("name")
@click.option("--version", metavar="N", type=click.IntRange(1), help="An earlier version.")
@click.option("--yaml", "as_yaml", is_flag=True, help="As YAML, not as JSON.")
def show(name: str, version: int | None, as_yaml: bool) -> None:
    """Print a pipeline's definition, as `create` and `update` take it."""
    with asking():
        found = client("codepipeline").get_pipeline(name=name, **({"version": version} if version else {}))
    shown = {"pipeline": found["pipeline"]}
    if as_yaml:
        import yaml

        click.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120), nl=False)
    else:
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False))


# ── approvals and transitions ──


_SUMMARY = click.option("--summary", default="", metavar="TEXT", help="What you have to say.")


@pipeline.command()
@click.argument("name")
@click.argument("stage", required=False)
@click.argument("action", required=False)
@EXECUTION
@_SUMMARY
def approve(name: str, stage: str | None, action: str | None, execution: str | None, summary: str) -> None:
    """Approve what waits for it: the ACTION of the STAGE, else the only one that waits."""
    _answer(name, (stage, action, execution), "Approved", summary)


@pipeline.command()
@click.argument("name")
@click.argument("stage", required=False)
@click.argument("action", required=False)
@EXECUTION
@_SUMMARY
def reject(name: str, stage: str | None, action: str | None, execution: str | None, summary: str) -> None:
    """Reject what waits for approval: the ACTION of the STAGE, else the only one that waits."""
    _answer(name, (stage, action, execution), "Rejected", summary)


@pipeline.command()
@click.argument("name")
@click.argument("stage")
def enable(name: str, stage: str) -> None:
    """Let executions into STAGE again; what waits in front of it enters."""
    with asking():
        client("codepipeline").enable_stage_transition(pipelineName=name, stageName=stage, transitionType="Inbound")
    click.echo(f"The transition into {printable(stage)} is enabled.")


@pipeline.command()
@click.argument("name")
@click.argument("stage")
@click.option("--reason", required=True, help="Why; everybody sees it.")
def disable(name: str, stage: str, reason: str) -> None:
    """Let no execution into STAGE, until it is enabled."""
    with asking():
        client("codepipeline").disable_stage_transition(
            pipelineName=name, stageName=stage, transitionType="Inbound", reason=reason
        )
    click.echo(f"The transition into {printable(stage)} is disabled.")


# ── what these share ──


def _definition(asked: Any, file: str) -> Definition:
    return load(file, asked.meta.service_model.operation_model("CreatePipeline").input_shape)


def _answer(name: str, which: tuple[str | None, str | None, str | None], result: str, summary: str) -> None:
    stage, action, execution = which
    with asking():
        asked = client("codepipeline")
        found = [
            each
            for each in questions.approvals(asked, name)
            if stage in (None, each.stage) and action in (None, each.action)
            if execution is None or each.execution.startswith(execution)
        ]
        one = _chosen(name, found)
        asked.put_approval_result(
            pipelineName=name, stageName=one.stage, actionName=one.action, token=one.token,
            result={"status": result, "summary": summary},
        )  # fmt: skip
    click.echo(f"{result} {one.stage}/{one.action} of {one.execution}.")


def _chosen(name: str, found: list[questions.Waiting]) -> questions.Waiting:
    """The one, if there is one; of several a person at a terminal is asked for theirs."""
    if not found:
        raise Conflict(f"pipeline {name}", "no such approval waits.", f"See: codeyard pipeline status {name}")
    if len(found) == 1:
        return found[0]
    listed = [f"{each.stage} {each.action} --execution {each.execution[:8]}" for each in found]
    if not sys.stdin.isatty():
        raise Invalid(f"pipeline {name}", f"{len(found)} approvals wait: {'; '.join(listed)}.", "Say which.")
    for number, line in enumerate(listed, start=1):
        click.echo(f"{number:>3}  {line}", err=True)
    number = click.prompt("Which", type=click.IntRange(1, len(found)), err=True)
    return found[number - 1]


def _said(answer: dict[str, Any], as_json: bool, text: str) -> None:
    if as_json:
        print_json([bare(answer)])
    else:
        click.echo(text)


def _since(at: datetime) -> float:
    return (datetime.now(UTC) - at).total_seconds()
