"""What a buildspec says that is legal, runs, and is seldom meant: each a warning with its place and fix. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace

from codeyard.builds import shell_traps
from codeyard.builds.buildspec import MAX_MISTAKES, FailureAction, PhaseName, PhaseSpec, Reading, examine
from codeyard.builds.shell_traps import Trap
from codeyard.errors import Mistake
from codeyard.located_yaml import Document, Scalar, excerpt

SHELLS = ("bash", "sh", "/bin/bash", "/bin/sh", "/usr/bin/bash", "/usr/bin/sh")
WINDOWS_SHELLS = ("powershell.exe", "cmd.exe", "powershell", "cmd", "pwsh")
_VARIABLE = re.compile(
    r"(?:.*\.)?env(?:ironment_variables)?\.(variables|plaintext|parameter-store|secrets-manager)\.([^.\[]+)"
)
_PATTERN = re.compile(
    r"(artifacts|artifacts\.secondary-artifacts\.[^.]+|reports\..+)\.(files|exclude-paths)(?:\[\d+\])?"
)
_DIRECTORY = re.compile(r"(?:artifacts|reports)\..*\bbase-directory|artifacts\.base-directory")
_EXPANSION = re.compile(r"\$(?:[A-Za-z_]\w*|\{\w+\}|\([^)]{1,200}\))")
_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY|SECRET_?KEY)$"
)
_SECRET_VALUE = re.compile(
    r"""(?x)\b(?:
      (?:AKIA|ASIA)[A-Z0-9]{16}\b | gh[pousr]_[A-Za-z0-9]{30,100} | github_pat_\w{30,100} | glpat-[\w-]{20,100}
    | xox[abprs]-[\w-]{10,100} | sk_live_\w{16,100} | npm_[A-Za-z0-9]{30,100} | AIza[\w-]{35}
    | eyJ[\w-]{10,500}\.eyJ[\w-]{10,500} | pypi-[\w-]{40,200} ) | -----BEGIN\ [A-Z\ ]*PRIVATE\ KEY----- | ://[^/\s:@$]{1,100}:[^/\s@$]{3,200}@"""
)
_NOT_SECRET = re.compile(r"(?i)(?:true|false|yes|no|none|null|\d{1,3}|/.*|arn:.*|\{\{.*|<.*>|\$.*|.{0,2})", re.DOTALL)


def check(text: str) -> tuple[Mistake, ...]:
    """Every mistake and every warning in a buildspec, in the order of the text; never raises."""
    reading = examine(text)
    found = [*reading.mistakes]
    secret_lines: dict[int, str] = {}
    if reading.places:
        found += _Warnings(reading, secret_lines).all()
    ordered = sorted(dict.fromkeys(found), key=lambda mistake: (mistake.line, mistake.column, mistake.warning))
    return tuple(
        replace(mistake, text=secret_lines.get(mistake.line, mistake.text)) for mistake in ordered[:MAX_MISTAKES]
    )


class _Warnings:
    """Turns traps, which know a path or a line of a command, into warnings with their place."""

    def __init__(self, reading: Reading, secret_lines: dict[int, str]) -> None:
        self._spec, self._places, self._document = reading.spec, reading.places, reading.document
        self._secret_lines = secret_lines  # filled here: lines to show with the secret blotted out
        self._windows = (self._spec.env.shell or "").lower() in WINDOWS_SHELLS

    def all(self) -> Iterator[Mistake]:
        yield from self._shell()
        if not self._windows:
            yield from self._commands()
            yield from self._late_publishing()
        for path, scalar in self._places.items():
            yield from self._variable(path, scalar)
            yield from self._pattern(path, scalar)
        yield from self._exported()
        if self._spec.cache and self._spec.cache.fallback_keys and not self._spec.cache.key:
            yield from self._at(
                "cache.fallback-keys", "fallback-keys has no effect without key", "Give the cache a key."
            )

    def _at(self, path: str, what: str, fix: str, find: str = "") -> Iterator[Mistake]:
        scalar = self._places.get(path) or self._places.get(f"{path}[0]")
        if scalar is not None:
            yield _warning(self._document, scalar, path, what, fix, find)

    def _shell(self) -> Iterator[Mistake]:
        shell = self._spec.env.shell
        if self._windows:
            fix = "Use bash or /bin/sh."
            yield from self._at("env.shell", f"{shell} is a shell of Windows images, which cannot be run here", fix)
        elif shell is not None and shell not in SHELLS:
            what = f"{excerpt(shell)} is not among the shells that CodeBuild documents"
            yield from self._at("env.shell", what, "Use bash or /bin/sh, or be sure that every image has it.")

    def _commands(self) -> Iterator[Mistake]:
        for phase in self._spec.phases:
            paths = self._command_paths(phase)
            for n, (path, scalar) in enumerate(paths):
                last = n + 1 == len(paths)
                for trap in self._of_command(scalar.text, last=last):
                    yield _in_command(self._document, scalar, path, trap)
                yield from _folded(self._document, scalar, path)

    def _command_paths(self, phase: PhaseSpec) -> list[tuple[str, Scalar]]:
        head = f"phases.{phase.name}.commands"
        paths = [head, *(f"{head}[{n}]" for n in range(self._count(head)))]
        return [(path, self._places[path]) for path in paths if path in self._places and not self._places[path].is_null]

    def _count(self, head: str) -> int:
        """How many items the list may have, those counted that were empty."""
        return sum(path.startswith(head) for path in self._places) if f"{head}[0]" in self._places else 0

    def _of_command(self, text: str, *, last: bool) -> Iterator[Trap]:
        yield from shell_traps.masked_failures(text)
        if self._spec.version == "0.1":
            yield from filter(None, [shell_traps.lost_state(text)])
        elif not last:
            yield from filter(None, [shell_traps.lost_options(text)])
        if not last:
            yield from filter(None, [shell_traps.early_exit(text)])

    def _late_publishing(self) -> Iterator[Mistake]:
        """POST_BUILD runs after a failed BUILD, too; what it publishes is then old or broken (reference 2.3)."""
        build, after = self._spec.phase(PhaseName.BUILD), self._spec.phase(PhaseName.POST_BUILD)
        aborts = build.on_failure is not None and build.on_failure.kind is FailureAction.ABORT
        asks = any("CODEBUILD_BUILD_SUCCEEDING" in text for text in after.commands)
        if aborts or asks or not any(shell_traps.can_fail(text) for text in build.commands):
            return
        for path, scalar in self._command_paths(after):
            if trap := shell_traps.publisher(scalar.text):
                what = f"`{trap.what}` runs even after a failed build: post_build is not skipped"
                fix = 'Begin it with `test "$CODEBUILD_BUILD_SUCCEEDING" = 1`, or give build `on-failure: ABORT`.'
                yield _in_command(self._document, scalar, path, replace(trap, what=what, fix=fix))
                return

    def _variable(self, path: str, scalar: Scalar) -> Iterator[Mistake]:
        match = _VARIABLE.fullmatch(path)
        if match is None:
            return
        kind, name = match.groups()
        if name.startswith("CODEBUILD_") and not name.startswith("CODEBUILD_CONFIG_"):
            fix = "Choose another name: CodeBuild sets and reserves these."
            yield _warning(self._document, scalar, path, f"{name} is a reserved name", fix, name)
        if kind in ("parameter-store", "secrets-manager"):
            return
        if _looks_secret(name, scalar.text):
            what = f"{name} looks like a secret, for all to read who can read this file"
            fix = "Keep it in Parameter Store or Secrets Manager, and name it under parameter-store or secrets-manager."
            self._blot(scalar)
            yield _warning(self._document, scalar, path, what, fix)
        elif expansion := _EXPANSION.search(scalar.text):
            what = f"{excerpt(expansion[0])} stays as it is written: values of variables are not expanded"
            yield _warning(self._document, scalar, path, what, "Set the variable in a command instead.", expansion[0])

    def _blot(self, scalar: Scalar) -> None:
        line = self._document.line(scalar.line)
        self._secret_lines[scalar.line] = line[: scalar.column - 1] + "***"
        for number in range(scalar.line + 1, max(scalar.end_line, scalar.line) + 1):
            self._secret_lines[number] = "***"

    def _pattern(self, path: str, scalar: Scalar) -> Iterator[Mistake]:
        pattern, match = scalar.text, _PATTERN.fullmatch(path)
        if match is not None and not scalar.is_null and (fault := self._pattern_fault(pattern, match[2])):
            yield _warning(
                self._document, scalar, path, f"{excerpt(pattern) or 'An empty pattern'} {fault[0]}", fault[1]
            )
        stars = re.search(r"[*?\[]", pattern)
        if _DIRECTORY.fullmatch(path) and stars and "/" in pattern[: stars.start()].removeprefix("./"):
            what = f"{excerpt(pattern)} matches nothing: a pattern in base-directory is for top-level directories"
            yield _warning(self._document, scalar, path, what, "Name the directory in full.")

    def _pattern_fault(self, pattern: str, key: str) -> tuple[str, str] | None:
        if not pattern.strip():
            return "matches nothing", "Remove it."
        if re.match(r"(?:\./)*\.\.(?:/|$)", pattern):
            return "leads out of the source directory", "Copy the files into it in a command, and name them there."
        if "\\" in pattern and not self._windows:
            return "cannot match: a backslash separates no directories here", "Use /."
        if pattern.endswith("/"):
            return "names a directory, and patterns match files", f"Write {excerpt(pattern)}**/*"
        if key == "exclude-paths" and pattern.startswith("/"):
            return "excludes nothing: it is relative to base-directory", "Remove the leading slash."
        return None

    def _exported(self) -> Iterator[Mistake]:
        for path, scalar in self._places.items():
            if not re.fullmatch(r"(?:env|environment_variables)\.exported-variables(?:\[\d+\])?", path):
                continue
            if scalar.text.startswith("AWS_"):
                fix = "Copy it to a variable with another name, and export that."
                yield _warning(self._document, scalar, path, f"{excerpt(scalar.text)} cannot be exported", fix)
            elif not re.fullmatch(r"[A-Za-z_]\w*", scalar.text) and not scalar.is_null:
                what = f"{excerpt(scalar.text)} is not the name of a variable"
                yield _warning(self._document, scalar, path, what, "Write the bare name, without $ or quotes.")


def _looks_secret(name: str, value: str) -> bool:
    if _SECRET_VALUE.search(value[:10_000]):
        return True
    return _SECRET_NAME.search(name) is not None and not _NOT_SECRET.fullmatch(value)


def _warning(document: Document, scalar: Scalar, path: str, what: str, fix: str, find: str = "") -> Mistake:
    line = document.line(scalar.line)
    column = line.find(find) + 1 if find and find in line else scalar.column
    return Mistake(scalar.line, column, what, fix, line, True, path)


def _in_command(document: Document, scalar: Scalar, path: str, trap: Trap) -> Mistake:
    """At the line of a literal block that is meant; of any other style, at the text if it is on the first line."""
    first = trap.at.split("\n")[0][:80]
    number = scalar.line + 1 + trap.line if scalar.style == "|" else scalar.line
    line = document.line(number)
    if first in line:
        return Mistake(number, line.find(first) + 1, trap.what, trap.fix, line, True, path)
    indented = len(line) - len(line.lstrip()) + 1
    column = indented if scalar.style == "|" else scalar.column
    return Mistake(number, column, trap.what, trap.fix, line, True, path)


def _folded(document: Document, scalar: Scalar, path: str) -> Iterator[Mistake]:
    """Lines that YAML joins with blanks where the shell would have needed them apart."""
    if scalar.style not in ("", ">") or scalar.end_line <= scalar.line:
        return
    fix = "Begin the command with `- |`, which keeps its lines."
    for number in range(scalar.line, min(scalar.end_line, scalar.line + 1000)):
        line = document.line(number)
        if line.rstrip().endswith("\\") and "\\ " in scalar.text:
            what = "This backslash ends up before a blank: YAML joins the lines of this command into one"
            yield Mistake(number, len(line.rstrip()), what, "Leave it out, or begin with `- |`.", line, True, path)
            return
    opens = re.match(r"(?:if|for|while|until|case)\s", scalar.text)
    if opens and re.search(r"[^;&|\s]\s+(?:fi|done|esac)\s*(?:;|$)", scalar.text):
        what = "YAML joins the lines of this command into one, which the shell cannot read"
        yield Mistake(scalar.line, scalar.column, what, fix, document.line(scalar.line), True, path)
