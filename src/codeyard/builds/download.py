"""DOWNLOAD_SOURCE: sources, buildspec, variables, runtimes, cache (reference 1.1, 2.2, 4).

Sources are brought to a place that the sandbox cannot see, and go in by one rename: an image is not trusted either.
"""

import asyncio
import posixpath
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codeyard.artifacts.removal import remove_tree
from codeyard.artifacts.scan import followed, read_file
from codeyard.builds.buildspec import SpecKind, parse, resolve_kind
from codeyard.builds.caching import restore_cache
from codeyard.builds.environment import SourceFacts, builtin, merged, settable
from codeyard.builds.job import Job
from codeyard.builds.model import SUCCEEDED, Context, Outcome, Phase, Status, VariableType
from codeyard.builds.programs import write_programs, write_python
from codeyard.builds.runtimes import MANIFEST, ONLY_PYTHON3, PROBES, answers, parse_manifest, select
from codeyard.builds.script import command, given_variables, initial_state
from codeyard.builds.tools import Revision, Sources
from codeyard.errors import CodeyardError, Invalid, Misspelt, NotFound
from codeyard.events import Progressed
from codeyard.executors import Command
from codeyard.secrets import SecretReference
from codeyard.sources import Fetched, SourceError, SourceSpec

DEFAULT_BUILDSPEC = "buildspec.yml"
YAML_FILE_ERROR = "YAML_FILE_ERROR"
_BUILDSPEC_AT_MOST = 1 << 20
_PRIMARY = "src"
_MANIFEST_AT_MOST = 1 << 20


async def download(job: Job, facts: dict[str, Any]) -> Outcome:
    """Fetch and prepare everything that the commands need; `facts` gets what the later phases do."""
    job.say("source-phase", f"Phase is {Phase.DOWNLOAD_SOURCE}")
    try:
        job.source = await _fetch_all(job)
    except SourceError as error:
        job.say("source-error", f"{error.why} {error.fix}")
        return _failed("CLIENT_ERROR", error.what)
    facts["source"] = asdict(job.source)
    job.say("source-directory", f"CODEBUILD_SRC_DIR={job.source.directory}")
    try:
        text = await _buildspec(job)
        job.spec = parse(text)
        facts["buildspec"] = text  # only one that can be read again
    except Misspelt as error:
        for number, mistake in enumerate(error.mistakes):
            job.say(f"mistake-{number}", f"Line {mistake.line}, column {mistake.column}: {mistake.what}. {mistake.fix}")
        return _failed(YAML_FILE_ERROR, error.mistakes[0].what)
    except NotFound as error:
        job.say("no-buildspec", f"{error.why} {error.fix}")
        return _failed(YAML_FILE_ERROR, error.what)
    job.say("variables", "Processing environment variables")
    if job.spec.env.git_credential_helper:
        job.say("no-helper", "Skipping git-credential-helper: git commands get no credentials of the source here")
    refused = await _variables(job, facts) or await _runtimes(job)
    if refused is not None:
        return refused
    job.say("moving", f"Moving to directory {job.source.directory}")
    facts["cache"] = await restore_cache(job)
    facts["cache_key"] = job.facts.get("cache_key")
    job.say("registering", "Registering with agent")
    job.say("phases-found", f"Phases found in YAML: {len(job.spec.phases)}")
    for phase in job.spec.phases:
        job.say(f"phase-{phase.name}", f" {phase.name.upper()}: {len(phase.commands)} commands")
    return SUCCEEDED


def _failed(code: str, message: str) -> Outcome:
    return Outcome(Status.FAILED, Context(code, message))


# ── sources ──


async def _fetch_all(job: Job) -> SourceFacts:
    root = f"{(await job.sandbox()).root}/output/src{job.tag}"
    final = job.tools.sandbox.output / f"src{job.tag}"
    staged = job.tools.sandbox.home / "incoming"
    for leftover in (staged, final):  # of an earlier process, which died in this step
        await asyncio.to_thread(remove_tree, leftover)
    sources = await job.within(job.sources())
    facts = _told(sources, None, f"{root}/{_PRIMARY}", await _fetch_one(job, sources.primary, staged, _PRIMARY))
    for spec in sources.secondary:
        assert spec.identifier is not None
        # No identifier has a dash, so this is nobody else's.
        name = f"{_PRIMARY}-2" if spec.identifier == _PRIMARY else spec.identifier
        fetched = await _fetch_one(job, spec, staged, name)
        facts.secondary[spec.identifier] = _told(sources, spec.identifier, f"{root}/{name}", fetched)
    staged.rename(final)
    return facts


def _told(sources: Sources, identifier: str | None, directory: str, fetched: Fetched) -> SourceFacts:
    """What the build is told of a source."""
    revision = sources.revisions.get(identifier) or Revision(fetched.version)
    return SourceFacts(
        f"{directory}{_below(fetched)}", fetched.repo_url, revision.version,
        revision.resolved or fetched.resolved_version,
    )  # fmt: skip


async def _fetch_one(job: Job, spec: SourceSpec, staged: Path, name: str) -> Fetched:
    incoming = staged / f".{name}"
    incoming.mkdir(parents=True)

    def progress(text: str) -> None:
        job.tell(Progressed(at=job.tools.now(), what=text))

    fetched = await job.within(job.tools.fetch(spec, incoming, progress))
    final = staged / name / fetched.subpath
    final.parent.mkdir(parents=True, exist_ok=True)
    incoming.rename(final)
    return fetched


def _below(fetched: Fetched) -> str:
    return f"/{fetched.subpath}" if fetched.subpath else ""


# ── the buildspec ──


async def _buildspec(job: Job) -> str:
    """Its text, and the log line that says where it is. NotFound with AWS's text, Misspelt, Invalid."""
    wanted = job.settings.buildspec
    if wanted and resolve_kind(wanted) is not SpecKind.PATH:
        text = await job.within(job.tools.object_text(wanted)) if resolve_kind(wanted) is SpecKind.S3 else wanted
        _write(job.tools.sandbox.readonly / DEFAULT_BUILDSPEC, text)
        job.say("yaml", f"YAML location is {(await job.sandbox()).root}/readonly/{DEFAULT_BUILDSPEC}")
        return text
    assert job.source is not None
    path = posixpath.normpath(f"{job.source.directory}/{wanted or DEFAULT_BUILDSPEC}")
    job.say("yaml", f"YAML location is {path}")
    directory = await job.on_host(job.source.directory)
    assert directory is not None
    try:
        content = read_file(directory, followed(directory, wanted or DEFAULT_BUILDSPEC), _BUILDSPEC_AT_MOST)
        return content.decode()
    except UnicodeDecodeError as error:
        why = "The buildspec cannot be read."
        raise NotFound(f"{path} is not UTF-8: {error.reason}", why, "Save it as UTF-8.") from error
    except (CodeyardError, OSError) as error:
        known = isinstance(error, FileNotFoundError | NotFound)
        raise NotFound(
            f"stat {path}: no such file or directory" if known else f"{path}: {error}",
            "The buildspec is not in the source." if known else "The buildspec cannot be read.",
            "Add it, or name another with --buildspec.",
        ) from error


# ── variables ──


async def _variables(job: Job, facts: dict[str, Any]) -> Outcome | None:
    """Write down what the build sees, secrets resolved; those are in no fact, and are hidden in the log from here."""
    assert job.source is not None
    assert job.spec is not None
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    asked = merged(job.settings, job.spec)
    if any(variable.type is not VariableType.PLAINTEXT for variable in asked):
        job.say("decrypting", "Decrypting parameter store environment variables")
    for variable in asked:
        if not settable(variable.name):
            return _failed(YAML_FILE_ERROR, f"Invalid environment variable name: {variable.name}")
        if variable.type is VariableType.PLAINTEXT:
            values[variable.name] = variable.value
            continue
        try:
            secrets[variable.name] = await job.within(_resolve(job, variable.type, variable.value))
        except CodeyardError as error:
            return _failed("Decrypted Variables Error", f"{variable.name}: {error}")
    job.hide((*secrets.values(), *job.settings.hidden))
    facts["secret_names"] = sorted(secrets)
    given = {**job.settings.service_variables, **values, **secrets}
    given |= builtin(job.settings, job.source, job.settings.submitted)
    place = await job.place()
    readonly = job.tools.sandbox.readonly
    _write(readonly / "environment.sh", given_variables(given, place))
    _write(readonly / "state.sh", initial_state(given, place))
    write_programs(job.tools.sandbox.bin)
    return None


async def _resolve(job: Job, type: VariableType, reference: str) -> str:
    if type is VariableType.PARAMETER_STORE:
        return (await job.tools.secrets.parameter(reference)).reveal()
    return (await job.tools.secrets.secret(SecretReference.parse(reference))).reveal()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and readable for every user inside; the directory above is closed to others outside."""
    staged = path.with_name(f".{path.name}.new")
    staged.write_text(text)
    staged.chmod(0o644)
    staged.replace(path)


# ── runtimes ──


async def _runtimes(job: Job) -> Outcome | None:
    """Select what `runtime-versions` asks for, by the image's manifest if it has one (reference 1.6)."""
    install = job.phase_spec(Phase.INSTALL)
    if install is None or not install.runtime_versions:
        job.say("runtimes", "No runtime version selected in buildspec.")
        return None
    names = tuple(install.runtime_versions)
    versions = await job.evaluate("runtimes", tuple(install.runtime_versions.values()))
    wanted = dict(zip(names, versions, strict=True))
    manifest = await _manifest(job)
    if manifest is None:
        await _what_there_is(job, wanted)
        return None
    try:
        selected = select(parse_manifest(manifest), wanted)
    except Invalid as error:
        return _failed(YAML_FILE_ERROR, f"{error.what}. {error.why}")
    for runtime in selected:
        job.say(
            f"select-{runtime.name}",
            f"Selecting '{runtime.name}' runtime version '{runtime.version}' based on manual selections...",
        )
    place = await job.place()
    for runtime in selected:
        for index, text in enumerate(runtime.commands):
            key = f"runtime-{runtime.name}-{index}"
            job.say(f"{key}-running", f"Running command {text}")
            script = command(f"VERSION={runtime.version}; {text}", place, succeeding=True, last_exit=0)
            ended = await job.run(Command(key, script, shell=job.shell))
            job.tools.log.end_output(f"{key}-output", ended.spooled)
            if ended.code != 0:
                return _failed(
                    "COMMAND_EXECUTION_ERROR",
                    f"Error while executing command: {text}. Reason: exit status {ended.code}",
                )
    return None


async def _manifest(job: Job) -> str | None:
    sandbox = await job.sandbox()
    copies = job.tools.sandbox.home / "gathered" / "manifest"
    await asyncio.to_thread(remove_tree, copies)
    copies.mkdir(parents=True)
    # The image may have anything there, and a program in the place of what copies it.
    if not await job.within(sandbox.fetch(MANIFEST, copies / "runtimes.yml")):
        return None
    try:
        return read_file(copies, "runtimes.yml", _MANIFEST_AT_MOST).decode(errors="replace")
    except CodeyardError:
        return None


async def _what_there_is(job: Job, wanted: dict[str, str]) -> None:
    """An image without a manifest: say what its PATH has, and go on with that."""
    job.say(
        "runtimes",
        "Skipping install of runtimes. Runtime version selection is not supported by this build image",
    )
    names = tuple(name for name in wanted if name in PROBES)
    questions = tuple(f"$( ({PROBES[name]}) 2>&1 | head -n 1)" for name in names)
    only_python3, *found = await job.evaluate("probes", (ONLY_PYTHON3, *questions))
    if only_python3 and "python" in names:
        write_python(job.tools.sandbox.bin)
    for name, version in zip(names, found, strict=True):
        number = re.search(r"\d+(\.\d+)+", version)
        if number is None:
            text = f"There is no '{name}' on the PATH; version '{wanted[name]}' was asked for"
        elif answers(number[0], wanted[name]):
            text = f"Using '{name}' {number[0]} of the PATH for version '{wanted[name]}'"
        else:
            text = f"Using '{name}' {number[0]} of the PATH, though version '{wanted[name]}' was asked for"
        job.say(f"probe-{name}", text)
