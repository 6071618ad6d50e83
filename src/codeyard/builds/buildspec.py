"""The buildspec: text to a `Buildspec`, or every mistake in it with its place.

Decides what a text means and whether it may run. What is legal but seldom meant is named in `traps`.
The rules and the messages are those of CodeBuild's build specification reference; docs/buildspec.md tells our choices.
"""

import difflib
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from codeyard.artifacts import Selection
from codeyard.builds.batch_spec import Batch, read_batch, read_variables, variable_name
from codeyard.errors import Invalid, Misspelt, Mistake
from codeyard.located_yaml import MAX_CHARACTERS, Cursor, Document, Scalar, excerpt, read
from codeyard.located_yaml import Mapping as YamlMapping
from codeyard.reports.model import ReportFormat
from codeyard.secrets import SecretReference

VERSIONS = ("0.1", "0.2")
TOP_LEVEL = ("version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache")
USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}\$?"
ARTIFACT_IDENTIFIER = r"[A-Za-z0-9_-]{1,128}"
RETRIES = 3
MAX_RETRIES = 100
MAX_PATTERN = 1000  # characters
MAX_FALLBACK_KEYS = 5
MAX_REPORTS = 5
MAX_MISTAKES = 200
OLD_ENV = "environment_variables"  # what version 0.1 called env
_ANCHORS = rf"x-.*|\..*|{OLD_ENV}"  # top-level keys that only hold anchors, or are read apart


class PhaseName(StrEnum):
    """The phases that a buildspec fills, in the order in which they run."""

    INSTALL = "install"
    PRE_BUILD = "pre_build"
    BUILD = "build"
    POST_BUILD = "post_build"


class FailureAction(StrEnum):
    ABORT = "ABORT"
    CONTINUE = "CONTINUE"
    RETRY = "RETRY"


class CacheAction(StrEnum):
    RESTORE = "restore"
    SAVE = "save"


class SpecKind(StrEnum):
    """Where the text of a buildspec is to be found."""

    INLINE = "inline"
    PATH = "path"
    S3 = "s3"


@dataclass(frozen=True, slots=True)
class OnFailure:
    """What a phase's failure leads to. `count` and `pattern` (for the error's message) concern RETRY only."""

    kind: FailureAction
    count: int = RETRIES
    pattern: str = ".*"


@dataclass(frozen=True, slots=True)
class PhaseSpec:
    name: PhaseName
    run_as: str | None = None
    on_failure: OnFailure | None = None
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    runtime_versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EnvSpec:
    """Variables by name: literal values, names of parameters, and `secret-id[:json-key[:stage[:version]]]`."""

    shell: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    parameter_store: dict[str, str] = field(default_factory=dict)
    secrets_manager: dict[str, str] = field(default_factory=dict)
    exported_variables: tuple[str, ...] = ()
    git_credential_helper: bool = False


@dataclass(frozen=True, slots=True)
class ProxySpec:
    upload_artifacts: bool = False
    logs: bool = False


@dataclass(frozen=True, slots=True)
class ReportSpec:
    name: str  # or the ARN of a report group, or with a variable in it
    selection: Selection
    file_format: ReportFormat = ReportFormat.JUNITXML


@dataclass(frozen=True, slots=True)
class ArtifactsSpec:
    """What is kept. Only with secondary artifacts may the selection have no files."""

    selection: Selection
    name: str | None = None  # for the shell to evaluate
    s3_prefix: str | None = None
    secondary: dict[str, "ArtifactsSpec"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CacheSpec:
    paths: tuple[str, ...]
    key: str | None = None  # for the shell to evaluate
    fallback_keys: tuple[str, ...] = ()  # prefixes
    action: CacheAction | None = None  # None: both


@dataclass(frozen=True, slots=True)
class Buildspec:
    """A buildspec without a mistake. `phases` holds those that are written, in the order in which they run."""

    version: str
    run_as: str | None = None
    env: EnvSpec = EnvSpec()
    proxy: ProxySpec = ProxySpec()
    phases: tuple[PhaseSpec, ...] = ()
    reports: tuple[ReportSpec, ...] = ()
    artifacts: ArtifactsSpec | None = None
    cache: CacheSpec | None = None
    batch: Batch | None = None

    def phase(self, name: PhaseName) -> PhaseSpec:
        """The phase as written, or with no commands."""
        return next((phase for phase in self.phases if phase.name is name), PhaseSpec(name))


@dataclass(frozen=True, slots=True)
class Reading:
    """All that a text gave: the spec as far as it could be read, its mistakes, and the place of each scalar by path."""

    spec: Buildspec
    mistakes: tuple[Mistake, ...]
    places: Mapping[str, Scalar]
    document: Document


def parse(text: str) -> Buildspec:
    """The buildspec in `text`. Misspelt, with every mistake, if there is one; warnings do not count."""
    reading = examine(text)
    errors = tuple(mistake for mistake in reading.mistakes if not mistake.warning)
    if errors:
        raise Misspelt("the buildspec", errors[:MAX_MISTAKES])
    return reading.spec


def examine(text: str) -> Reading:
    """Read as much as can be read. Never raises."""
    document = read(text)
    root = Cursor.root(document)
    if not root.given:
        if not document.mistakes:
            root.mistake("The buildspec is empty", "Start with `version: 0.2` and `phases:`.")
        return Reading(Buildspec("0.2"), tuple(root.findings.mistakes), {}, document)
    spec = _buildspec(root)
    findings = root.findings
    return Reading(spec, tuple(findings.mistakes), findings.places, document)


def resolve_kind(value: str) -> SpecKind:
    """Whether a project's or a request's `buildspec` is the text itself, a path in the source, or an object's ARN.

    AWS does not say how it tells them apart; this is the rule of docs/buildspec.md. `value` is not empty.
    """
    if value.startswith("arn:") and ":s3:::" in value:
        return SpecKind.S3
    if "\n" in value or isinstance(read(value).root, YamlMapping) or len(value) > MAX_CHARACTERS:
        return SpecKind.INLINE
    return SpecKind.PATH


def _buildspec(root: Cursor) -> Buildspec:
    keys = root.block(*TOP_LEVEL, ignore=_ANCHORS)
    version = _version(root, keys)
    if not keys["phases"].present and not keys["batch"].given and isinstance(root.node, YamlMapping):
        root.mistake(
            "phases is required", "Add `phases:` with the commands of install, pre_build, build or post_build."
        )
    return Buildspec(
        version=version,
        run_as=_user(keys["run-as"]),
        env=_env(_env_block(root, keys["env"], version)),
        proxy=_proxy(keys["proxy"]),
        phases=_phases(keys["phases"]),
        reports=_reports(keys["reports"]),
        artifacts=_artifacts(keys["artifacts"], version) if keys["artifacts"].given else None,
        cache=_cache(keys["cache"]) if keys["cache"].given else None,
        batch=read_batch(keys["batch"]),
    )


def _version(root: Cursor, keys: dict[str, Cursor]) -> str:
    cursor = keys["version"]
    if not cursor.given:
        if isinstance(root.node, YamlMapping):
            # Specs that only list the builds of a batch are in use without a version, and are accepted.
            fix = "Add `version: 0.2` as the first line."
            root.mistake("version is required", fix, warning=keys["batch"].given and not cursor.present)
        return "0.2"
    text = cursor.text()
    if text is None:
        return "0.2"
    version = f"0.{text[2]}" if re.fullmatch(r"0\.[12]0*", text) else text
    if version not in VERSIONS:
        what = f"Invalid buildspec version: {excerpt(text)}. Expecting: {','.join(VERSIONS)}"
        cursor.mistake(what, "Write `version: 0.2`.")
        return "0.2"
    return version


def _user(cursor: Cursor) -> str | None:
    user = cursor.word()
    if user is not None and not re.fullmatch(USER, user):
        cursor.mistake(f"Invalid user in run-as: {excerpt(user)}", "Name a user of the build's image.")
        return None
    return user


def _env_block(root: Cursor, env: Cursor, version: str) -> Cursor:
    """`env`, which version 0.1 called `environment_variables`."""
    old = dict(root.pairs()).get(OLD_ENV) if isinstance(root.node, YamlMapping) else None
    if old is not None and version == "0.1" and old.given and not env.given:
        return old
    if old is not None:
        old.mistake_at_key(f"Unknown key: {OLD_ENV}. Expecting: env", "Did you mean env?", warning=True)
    return env


def _env(env: Cursor) -> EnvSpec:
    old = ("plaintext",) if env.name == OLD_ENV else ()
    keys = env.block(
        *("shell", "variables", "parameter-store", "secrets-manager", "exported-variables", "git-credential-helper"),
        *old,
    )
    variables = read_variables(keys["variables"])
    if old:
        variables = read_variables(keys["plaintext"]) | variables
    references = {name: _references(keys[name]) for name in ("parameter-store", "secrets-manager")}
    for name, cursor in keys["secrets-manager"].pairs():
        try:
            SecretReference.parse(references["secrets-manager"].get(name, "-"))
        except Invalid as error:
            cursor.mistake(f"Invalid Secrets Manager reference: {error.why}", error.fix)
    return EnvSpec(
        shell=keys["shell"].word(),
        variables=variables,
        parameter_store=references["parameter-store"],
        secrets_manager=references["secrets-manager"],
        exported_variables=keys["exported-variables"].texts(),
        git_credential_helper=keys["git-credential-helper"].flag(default=False),
    )


def _references(block: Cursor) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, cursor in block.pairs():
        text = cursor.word()
        if not cursor.given:
            cursor.mistake(f"{name} refers to nothing", f"Give it a name from {block.name}.")
        elif variable_name(name, cursor) and text is not None:
            found[name] = text
    return found


def _proxy(proxy: Cursor) -> ProxySpec:
    keys = proxy.block("upload-artifacts", "logs")
    return ProxySpec(keys["upload-artifacts"].flag(default=False), keys["logs"].flag(default=False))


def _phases(phases: Cursor) -> tuple[PhaseSpec, ...]:
    found: dict[str, PhaseSpec] = {}
    for name, cursor in phases.pairs():
        if name in set(PhaseName):
            found[name] = _phase(PhaseName(name), cursor)
        else:
            expected = ",".join(sorted(PhaseName))
            what = f"Invalid buildspec phase name: {excerpt(name)}. Expecting: {expected}"
            close = difflib.get_close_matches(name, list(PhaseName), n=1)
            fix = f"Did you mean {close[0]}?" if close else f"Use one of {expected.replace(',', ', ')}."
            if name in TOP_LEVEL:
                fix = f"{name} is no phase: move it to the left, out of `phases`."
            cursor.mistake_at_key(what, fix)
    return tuple(found[name] for name in PhaseName if name in found)


def _phase(name: PhaseName, phase: Cursor) -> PhaseSpec:
    runtimes = ("runtime-versions",) if name is PhaseName.INSTALL else ()
    keys = phase.block("run-as", "on-failure", "commands", "finally", *runtimes, ignore="steps")
    for key, steps in phase.pairs() if isinstance(phase.node, YamlMapping) else ():
        if key == "steps":
            what = 'unsupported field "steps" in buildspec. No GitHub token has been configured for your account'
            steps.mistake_at_key(what, "Write the steps as shell commands under `commands`.")
    return PhaseSpec(
        name=name,
        run_as=_user(keys["run-as"]),
        on_failure=_on_failure(keys["on-failure"]),
        commands=_commands(keys["commands"]),
        finally_commands=_commands(keys["finally"]),
        runtime_versions=_runtimes(keys["runtime-versions"]) if runtimes else {},
    )


def _commands(commands: Cursor) -> tuple[str, ...]:
    if isinstance(commands.node, Scalar) and commands.given:
        fix = "Start each command with a dash on a line of its own."
        commands.mistake_at_key(f"{commands.name} is not a list: all of it is one command", fix, warning=True)
    for item in commands.items():
        if not item.given:
            item.mistake("An empty command", "Remove the dash, or write the command behind it.", warning=True)
    return commands.texts()


def _runtimes(runtimes: Cursor) -> dict[str, str]:
    versions = {name: cursor.word() for name, cursor in runtimes.pairs()}
    if runtimes.present and not versions and (isinstance(runtimes.node, YamlMapping) or not runtimes.given):
        runtimes.mistake_at_key(
            "runtime-versions has no entry", "Name a runtime, as in `python: 3.12`, or remove the key."
        )
    for name, cursor in runtimes.pairs():
        if not cursor.given:
            cursor.mistake(f"No version for runtime {excerpt(name)}", f"Write one, or `{excerpt(name)}: latest`.")
    return {name: version for name, version in versions.items() if version is not None}


def _on_failure(cursor: Cursor) -> OnFailure | None:
    """ABORT, CONTINUE, or RETRY[-count][-regex]: digits that end the value or precede a dash are the count (1.6)."""
    text = cursor.word()
    if text is None:
        return None
    word, _, rest = text.partition("-")
    counted = re.fullmatch(r"(?s)([0-9]+)(?:-(.*))?", rest)
    count, pattern = (counted[1], counted[2]) if counted else (None, rest if "-" in text else None)
    retry = word.upper() == FailureAction.RETRY
    if word.upper() not in set(FailureAction) or pattern == "" or (not retry and "-" in text):
        expected = "ABORT,CONTINUE,RETRY,RETRY-count,RETRY-regex,RETRY-count-regex"
        cursor.mistake(f"Invalid on-failure: {excerpt(text)}. Expecting: {expected}", "Use one of these forms.")
        return None
    retries = RETRIES if count is None else int(count) if len(count) < 10 else MAX_RETRIES + 1
    if retries > MAX_RETRIES:
        cursor.mistake(f"Invalid on-failure: {excerpt(count or '')} retries", f"Use a number from 0 to {MAX_RETRIES}.")
    if fault := _regex_fault(pattern or ".*"):
        cursor.mistake(f"Invalid on-failure: {fault}", "Correct the regular expression; quote it in YAML.")
    return OnFailure(FailureAction(word.upper()), retries, pattern or ".*")


def _regex_fault(pattern: str) -> str | None:
    if len(pattern) > MAX_PATTERN:
        return f"a regular expression of more than {MAX_PATTERN} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"{excerpt(pattern)} is not a regular expression: {error}"
    return None


def _selection(keys: Mapping[str, Cursor]) -> Selection:
    return Selection(
        files=keys["files"].texts(),
        base_directory=keys["base-directory"].word(),
        exclude_paths=keys["exclude-paths"].texts() if "exclude-paths" in keys else (),
        discard_paths=keys["discard-paths"].flag(default=False),
        enable_symlinks=keys["enable-symlinks"].flag(default=False) if "enable-symlinks" in keys else False,
    )


def _require_files(block: Cursor, files: Cursor) -> None:
    if not files.items():
        fix = "List what to keep, as in `- '**/*'`."
        block.mistake_at_key(f"files is required in {block.name}", fix)


def _reports(reports: Cursor) -> tuple[ReportSpec, ...]:
    found = []
    for name, cursor in reports.pairs():
        if not name.strip():
            cursor.mistake_at_key("A report group without a name", "Name it.")
        keys = cursor.block("files", "file-format", "base-directory", "discard-paths")
        _require_files(cursor, keys["files"])
        found.append(ReportSpec(name, _selection(keys), _file_format(keys["file-format"])))
    if len(found) > MAX_REPORTS:
        fix = "Merge some: AWS takes five to a project."
        reports.mistake_at_key(f"{len(found)} report groups", fix, warning=True)
    return tuple(found)


def _file_format(cursor: Cursor) -> ReportFormat:
    text = cursor.word()
    try:
        return ReportFormat.JUNITXML if text is None else ReportFormat.parse(text)
    except Invalid:
        what = f"Invalid report file-format: {excerpt(text or '')}. Expecting: {','.join(ReportFormat)}"
        cursor.mistake(what, "Use one of these.")
        return ReportFormat.JUNITXML


_ARTIFACT_KEYS = (
    *("files", "name", "discard-paths", "base-directory"),
    *("exclude-paths", "enable-symlinks", "s3-prefix"),
)


def _artifacts(artifacts: Cursor, version: str) -> ArtifactsSpec:
    # `type` said ZIP in version 0.1; it is still found in the wild, and means nothing.
    keys = artifacts.block(*_ARTIFACT_KEYS, "secondary-artifacts", "type")
    if keys["type"].present and version == "0.2":
        keys["type"].mistake_at_key("type is obsolete in version 0.2", "Remove it: it has no effect.", warning=True)
    if not keys["secondary-artifacts"].given:
        _require_files(artifacts, keys["files"])
    secondary = {}
    for name, cursor in keys["secondary-artifacts"].pairs():
        if not re.fullmatch(ARTIFACT_IDENTIFIER, name):
            what = f"Invalid artifact identifier: {excerpt(name)}"
            cursor.mistake_at_key(what, "Use up to 128 letters, digits, underscores and dashes.")
        inner = cursor.block(*_ARTIFACT_KEYS)
        _require_files(cursor, inner["files"])
        secondary[name] = _artifact(inner)
    return replace(_artifact(keys), secondary=secondary)


def _artifact(keys: Mapping[str, Cursor]) -> ArtifactsSpec:
    return ArtifactsSpec(_selection(keys), keys["name"].word(), keys["s3-prefix"].text())


def _cache(cache: Cursor) -> CacheSpec:
    keys = cache.block("paths", "key", "fallback-keys", "action")
    if not keys["paths"].present:
        cache.mistake_at_key("paths is required in cache", "List what to keep, as in `- '/root/.m2/**/*'`.")
    fallback = keys["fallback-keys"].texts()
    if len(fallback) > MAX_FALLBACK_KEYS:
        what = f"{len(fallback)} fallback-keys. Expecting: at most {MAX_FALLBACK_KEYS}"
        keys["fallback-keys"].mistake_at_key(what, "Keep the most likely ones.")
    action = keys["action"].text()
    if action is not None and action not in set(CacheAction):
        what = f"Invalid cache action: {excerpt(action)}. Expecting: restore,save"
        keys["action"].mistake(what, "Leave it out to do both.")
        action = None
    return CacheSpec(keys["paths"].texts(), keys["key"].word(), fallback, CacheAction(action) if action else None)
