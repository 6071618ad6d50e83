"""Commands that run, but hide a failure or do less than they seem to. Pure; reads text, runs nothing.

Silence is the rule: only what builds, tests or publishes is worth a warning, so that `rm -f x || true` gets none.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from codeyard.builds.shell_text import Statement, split


@dataclass(frozen=True, slots=True)
class Trap:
    """`line` counts from 0 within the command's text; `at` is text to point at on that line."""

    line: int
    at: str
    what: str
    fix: str


_PREFIX = r"^(?:[A-Za-z_]\w*=(?:'[^']*'|\"[^\"]*\"|\S*)\s+|sudo\s+|exec\s+|env\s+|nice\s+|timeout\s+\S+\s+)*"
_RUNNERS = r"""
    (?:npm|pnpm|yarn|bun)(?:\s+(?:--?[\w-]+(?:=\S+)?))*\s+(?:test|t|run|ci|install|i|add|build|publish|workspace)\b
  | yarn(?:\s+--[\w-]+)*$
  | npx\s+(?:--?\w+\s+)*(?:jest|vitest|mocha|tsc|playwright|cypress|cdk|serverless|sls|ng|nx|vite|next)\b
  | (?:\./)?(?:mvnw?|gradlew?)\s+\S
  | (?:make|ninja|bazel|tox|nox|pytest|rspec|phpunit|ctest|jest|tsc|sbt|ant|rake)(?:\s|$) | cmake\s+--build
  | cargo\s+(?:build|test|publish|clippy|run) | go\s+(?:build|test|vet|install|generate)
  | dotnet\s+(?:build|test|publish|restore|pack) | python[\d.]*\s+-m\s+(?:pytest|unittest|build|tox|nox)
  | pip[\d.]*\s+install | python[\d.]*\s+-m\s+pip\s+install | poetry\s+(?:install|run|build|publish)
  | uv\s+(?:sync|run|build|publish) | pipenv\s+(?:install|run) | composer\s+install
  | bundle\s+(?:install|exec) | (?:ng|vite|next|nuxt|hugo|gatsby)\s+(?:build|test)
  | docker(?:-compose|\s+compose)\s+(?:\S+\s+)*(?:build|push|run)\b
  | (?:docker|podman|buildah)\s+(?:buildx\s+)?(?:build|push|run)\b
  | (?:terraform|tofu|terragrunt)\s+(?:init|plan|validate)
  | sam\s+(?:build|validate|package) | cdk\s+synth | packer\s+build
"""
_PUBLISHERS = r"""
    (?:docker|podman|buildah)(?:-compose|\s+compose)?\s+push\b | docker\s+tag\b
  | docker\s+buildx\s+build\b.*\s--push\b
  | aws\s+s3\s+(?:cp|sync|mv)\s+(?!["']?s3://)[^-\s]\S*\s+["']?(?:s3://|\$) | aws\s+s3api\s+put-object\b
  | aws\s+cloudformation\s+(?:deploy|create-stack|update-stack|execute-change-set)\b
  | aws\s+ecs\s+update-service\b | aws\s+lambda\s+(?:update-function-code|publish-version|update-alias)\b
  | aws\s+deploy\s+(?:create-deployment|push)\b
  | aws\s+elasticbeanstalk\s+(?:create-application-version|update-environment)\b
  | aws\s+cloudfront\s+create-invalidation\b | (?:npm|pnpm|yarn)\s+publish\b | twine\s+upload\b
  | (?:cargo|poetry|uv)\s+publish\b | gem\s+push\b | dotnet\s+nuget\s+push\b
  | (?:\./)?(?:mvnw?\s.*\bdeploy\b|gradlew?\s.*\bpublish\b) | git\s+push\b | gh\s+release\s+create\b
  | helm\s+(?:upgrade|install|push)\b | kubectl\s+(?:apply|set|rollout|create|replace)\b
  | (?:terraform|tofu|terragrunt)\s+(?:apply|destroy)\b | pulumi\s+up\b
  | (?:npx\s+)?(?:cdk|sam|serverless|sls|eb|copilot)\s+deploy\b | ansible-playbook\b
"""
_FLAGS = re.VERBOSE
_RUNS = re.compile(f"{_PREFIX}(?:{_RUNNERS}|{_PUBLISHERS})", _FLAGS)
_PUBLISHES = re.compile(f"{_PREFIX}(?:{_PUBLISHERS})", _FLAGS)
_HARMLESS = re.compile(
    r"^(?:echo|printf|cat|date|jq|yq|ls|env|set|grep|sed|awk|sort|head|tail|find|pwd|id|\[|test)\b|^<"
)
_SINK = re.compile(r"^(?:sudo\s+)?(?:tee|cat|ts|tail|head|sort|grep\s+-v|sed|awk|less|more)\b")
_ALWAYS = re.compile(r"^(?:true|:|(?:exit|return)\s+0|echo\b.*|printf\b.*)$", re.DOTALL)
_SETS_E = re.compile(r"^set\s+(?:\S+\s+)*(?:-[a-z]*e|-o\s+errexit)")
_ONLY_STATE = re.compile(
    r"^(?:cd|pushd|popd|export|alias|unset|source|\.)\s|^cd$|^[A-Za-z_]\w*=(?:\$\(.*\)|\S*|'[^']*'|\"[^\"]*\")$"
)
_LIMIT = 60


def masked_failures(command: str) -> Iterator[Trap]:
    """Where a failure within the command does not become its exit status (reference 1.3: that of the last line)."""
    chains = _chains(split(command))
    guarded = "pipefail" in command or "PIPESTATUS" in command
    for chain in chains:
        yield from _ignored(chain)
        if not guarded:
            yield from _piped(chain)
    if trap := _passed_over(chains):
        yield trap


def _chains(statements: tuple[Statement, ...]) -> list[list[Statement]]:
    """Statements between semicolons and line ends."""
    chains: list[list[Statement]] = []
    for statement in statements:
        if chains and statement.before not in (";", "&", ";;"):
            chains[-1].append(statement)
        else:
            chains.append([statement])
    return chains


def _runs(statement: Statement) -> bool:
    return not statement.nested and _RUNS.match(statement.text[:500]) is not None


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LIMIT else line[: _LIMIT - 1] + "…"


def _ignored(chain: list[Statement]) -> Iterator[Trap]:
    """`npm test || true`."""
    for n, last in enumerate(chain):
        if last.before != "||" or last.nested or last.after == "&&" or not _ALWAYS.match(last.text):
            continue
        if run := next((statement for statement in chain[:n] if _runs(statement)), None):
            what = f"`|| {_short(last.text)}` hides a failure of `{_short(run.text)}`"
            yield Trap(run.line, run.text, what, "Remove it, or end with `|| exit 1`.")


def _piped(chain: list[Statement]) -> Iterator[Trap]:
    """`make | tee log`: a pipeline's status is that of its last command."""
    for left, right in pairwise(chain):
        if left.after not in ("|", "|&") or right.after in ("|", "|&") or left.nested or not _SINK.match(right.text):
            continue
        if _runs(left) or (re.match(r"(?:sudo\s+)?tee\b", right.text) and not _HARMLESS.match(left.text)):
            what = f"`| {_short(right.text)}` hides a failure of `{_short(left.text)}`"
            fix = "Start the command with `set -o pipefail;` (with `env: shell: bash`), or write to a file first."
            yield Trap(left.line, left.text, what, fix)


def _passed_over(chains: list[list[Statement]]) -> Trap | None:
    """The first of several statements whose failure the later ones cover."""
    for chain, following in pairwise(chains):
        if any(_SETS_E.match(statement.text) for statement in chain):
            return None
        cares = chain[-1].after == "&" or any(s.before == "||" for s in chain) or "$?" in following[0].text
        run = next((statement for statement in chain if _runs(statement)), None)
        if run is not None and not cares and not any(s.after in ("|", "|&") for s in chain):
            what = f"A failure of `{_short(run.text)}` goes unnoticed: only the last line of a command counts"
            fix = "Start the command with `set -e`, join the lines with &&, or make each a command of its own."
            return Trap(run.line, run.text, what, fix)
    return None


def publisher(command: str) -> Trap | None:
    """The first statement that tags, pushes, deploys or publishes something."""
    for statement in split(command):
        if _PUBLISHES.match(statement.text[:500]):
            return Trap(statement.line, statement.text, _short(statement.text), "")
    return None


def can_fail(command: str) -> bool:
    """Whether it does more than print."""
    return any(not _HARMLESS.match(statement.text) for statement in split(command))


def lost_options(command: str) -> Trap | None:
    """`set -e` as a command of its own."""
    statements = split(command)
    if statements and all(re.match(r"(?:set\s+[-+]|shopt\s)", statement.text) for statement in statements):
        fix = "Write it as the first line of each command of several lines that needs it."
        return Trap(0, statements[0].text, f"`{_short(statements[0].text)}` lasts for this command only", fix)
    return None


def early_exit(command: str) -> Trap | None:
    """`if …; then exit 0; fi`, meant to end the build."""
    statements = split(command)
    if not statements or not (statements[-1].nested or statements[-1].before in ("&&", "||")):
        return None  # it only ends the command's own script
    if re.fullmatch(r"exit(?:\s+0)?", statements[-1].text):
        fix = "Put what is to be skipped into the same command, or set a variable that the others test."
        what = f"`{statements[-1].text}` ends this command, not the build: the next command runs"
        return Trap(statements[-1].line, statements[-1].text, what, fix)
    return None


def lost_state(command: str) -> Trap | None:
    """Version 0.1: a command that only changes directory or sets variables."""
    statements = split(command)
    if statements and all(_ONLY_STATE.match(statement.text) for statement in statements):
        what = f"`{_short(command)}` has no effect: in version 0.1 each command is a fresh shell"
        return Trap(0, statements[0].text, what, "Use `version: 0.2`, or join it to the next command with &&.")
    return None
