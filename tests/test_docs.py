"""What is there is in the documentation, and what the documentation names is there."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from codeyard import events
from codeyard.access import managed_policies
from codeyard.access.service import services as access_services
from codeyard.app import choose
from codeyard.app.api import codebuild_service, control_of
from codeyard.app.deploying import deploys_of
from codeyard.app.parts import now, opened
from codeyard.app.pipelining import pipelines_of
from codeyard.aws import Service
from codeyard.builds.declined import DECLINED
from codeyard.builds.traps import check
from codeyard.cli.main import cli
from codeyard.config import Config
from codeyard.events import Event
from codeyard.logs.api import logs_service
from codeyard.secrets.service import services as secret_services

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CLI = (DOCS / "cli.md").read_text()
EVENTS = (DOCS / "events.md").read_text()
API = (DOCS / "api.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("examples/*/*.md"))]


def kinds(of: type[Event]) -> Iterator[type[Event]]:
    for kind in of.__subclasses__():
        yield kind
        yield from kinds(kind)


def commands(group: click.Group, above: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{above} {name}")
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield f"{above} {name}", command


def section(text: str, title: str) -> str:
    """What stands below the heading of this title, up to the next of its kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


COMMANDS = dict(commands(cli, "codeyard"))
KINDS = list(kinds(Event))
OPTIONS = [
    (name, option)
    for name, command in COMMANDS.items()
    for parameter in command.params
    for option in parameter.opts
    if option.startswith("--") and option != "--help"
]


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_documented(name: str) -> None:
    top = " ".join(name.split()[:2])

    assert name in section(CLI, top) or name == top


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[" ".join(option) for option in OPTIONS])
def test_each_option_is_documented_with_its_command(name: str, option: str) -> None:
    assert f"`{option}" in section(CLI, " ".join(name.split()[:2]))


CHOICES = [
    (name, parameter.opts[-1], [*parameter.type.choices])
    for name, command in COMMANDS.items()
    for parameter in command.params
    if isinstance(parameter.type, click.Choice) and parameter.metavar is None
]


@pytest.mark.parametrize(("name", "option", "values"), CHOICES, ids=[" ".join(each[:2]) for each in CHOICES])
def test_each_value_that_an_option_takes_is_documented(name: str, option: str, values: list[str]) -> None:
    spelled = f"{option} " + r"\|".join(values)

    assert spelled in section(CLI, " ".join(name.split()[:2])) + section(CLI, "codeyard up")


def test_each_documented_option_is_one() -> None:
    known = {option for _, option in OPTIONS} | {"--help", "--version"}

    assert set(re.findall(r"`(--[a-z-]+)", CLI)) - known == set()


def test_the_exit_codes_of_a_build_are_those_of_its_help() -> None:
    told = re.findall(r"^\s+(?:Exit codes: )?([0-3])  (.*)$", COMMANDS["codeyard run"].help or "", re.MULTILINE)
    listed = dict(re.findall(r"^\| ([0-3]) \| (.*?) \|$", (ROOT / "README.md").read_text(), re.MULTILINE))

    assert [(code, text) for code, text in told if listed[code] != text.replace("it FAILED", "the build FAILED")] == []
    assert len(told) == len(listed) == 4


@pytest.mark.parametrize("page", ["README.md", "docs/cli.md", "docs/executors.md"])
def test_each_executor_is_named(page: str) -> None:
    text = (ROOT / page).read_text()

    assert [name for name in choose.NAMES if name not in text] == []


@pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])
def test_each_field_of_an_event_is_documented(kind: type[Event]) -> None:
    listed = re.findall(r"^\| `(\w+)` \|", section(EVENTS, kind.kind), re.MULTILINE)

    assert listed == [field.name for field in fields(kind) if field.name != "at"]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.kind for kind in KINDS])
def test_the_example_of_an_event_has_its_fields(kind: type[Event]) -> None:
    [block] = re.findall(r"```json\n(.*?)```", section(EVENTS, kind.kind), re.DOTALL)
    examples = [json.loads(line) for line in block.splitlines()]

    assert [[*example] for example in examples] == [["event", *(field.name for field in fields(kind))]] * len(examples)
    assert {example["event"] for example in examples} == {kind.kind}


def test_each_documented_event_is_one() -> None:
    assert set(re.findall(r"^## (\w+)$", EVENTS, re.MULTILINE)) == {kind.kind for kind in KINDS}
    assert {kind.__module__ for kind in KINDS} == {events.__name__}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_links_to_within_a_page_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text())

    assert [
        (file, anchor) for file, anchor in links if anchor not in anchors(page.parent / file if file else page)
    ] == []


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_lists_each_page() -> None:
    index = (DOCS / "README.md").read_text()

    assert [page.name for page in DOCS.glob("*.md") if f"({page.name})" not in index and page.name != "README.md"] == []


@pytest.mark.parametrize("page", ["one-build.md", "one-start.md"])
def test_each_file_on_the_way_of_a_build_is_there(page: str) -> None:
    named = re.findall(r"`([a-z_]+(?:/[a-z0-9_]+)*\.py)`", (DOCS / page).read_text())

    assert [path for path in named if not (ROOT / "src" / "codeyard" / path).exists()] == []
    assert len(named) > 30


def test_each_page_that_the_source_names_is_there() -> None:
    named = {
        path for source in (ROOT / "src").rglob("*.py") for path in re.findall(r"docs/[\w/.-]+\.md", source.read_text())
    }

    assert [path for path in named if not (ROOT / path).exists()] == []
    assert named


def test_the_picture_is_whole_and_fetches_nothing() -> None:
    text = (DOCS / "images" / "run.svg").read_text()
    ElementTree.fromstring(text)

    assert "SUCCEEDED" in text
    assert "url(http" not in text.replace('"', "")


def test_the_good_example_has_no_mistakes() -> None:
    assert check((ROOT / "examples" / "shortlinks" / "buildspec.yml").read_text()) == ()


def test_the_broken_example_shows_mistakes_and_warnings() -> None:
    found = check((ROOT / "examples" / "broken" / "buildspec.yml").read_text())

    assert sum(not mistake.warning for mistake in found) > 4
    assert sum(mistake.warning for mistake in found) > 3


# ── the API ──

# botocore's name of a service → the section of the page of the API.
SECTIONS = {
    "codebuild": "CodeBuild",
    "codepipeline": "CodePipeline",
    "codedeploy": "CodeDeploy",
    "logs": "CloudWatch Logs",
    "secretsmanager": "Secrets Manager",
    "ssm": "Systems Manager",
    "iam": "IAM",
    "sts": "STS",
}


async def services(data: Path) -> dict[str, Service]:
    """Those of a server, by name."""
    async with opened(Config(data=data)) as parts:
        builds, deploys = control_of(parts, lambda: None), deploys_of(parts)
        return {
            service.name: service
            for service in (
                codebuild_service(parts, builds),
                pipelines_of(parts, builds, deploys).service,
                deploys.service,
                logs_service(parts.database, parts.logs, parts.local_logs.streams, parts.pages, now),
                *secret_services(parts.database, parts.key, now, parts.pages, parts.identities),
                *access_services(parts.database, parts.identities, now, parts.pages),
            )
        }


@pytest.mark.parametrize("name", SECTIONS)
async def test_each_operation_that_is_answered_is_listed_and_no_other(name: str, tmp_path: Path) -> None:
    found = re.search(r"Answered: (.*?)\.\n\n", section(API, SECTIONS[name]), re.DOTALL)
    assert found is not None

    assert re.findall(r"`(\w+)`", found[1]) == sorted((await services(tmp_path))[name].operations())


@pytest.mark.parametrize("name", SECTIONS)
async def test_what_is_declined_is_listed_with_the_reason_that_callers_are_told(name: str, tmp_path: Path) -> None:
    service = (await services(tmp_path))[name]
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", section(API, SECTIONS[name]), re.MULTILINE)
    told = {operation: reason for names, reason in rows for operation in re.findall(r"`(\w+)`", names)}

    assert told == dict(service.declined)
    assert service.other is None or ("all others", service.other) in rows


async def test_each_service_has_a_section(tmp_path: Path) -> None:
    assert set(await services(tmp_path)) == set(SECTIONS)
    assert (await services(tmp_path))["codebuild"].declined == DECLINED


def test_each_managed_policy_is_listed() -> None:
    listed = re.search(r"as far as their services are here: (.*?)\.\n", section(API, "IAM"), re.DOTALL)
    assert listed is not None

    assert set(re.findall(r"`([\w/-]+)`", listed[1])) == set(managed_policies.DOCUMENTS)


def test_the_page_of_servers_names_settings_that_there_are() -> None:
    known = {field.name for field in fields(Config)}
    text = (DOCS / "server.md").read_text()

    assert set(re.findall(r"setting `(\w+)`", text)) - known == set()
    assert set(re.findall(r"`(\w+) = ", text)) - known == set()
