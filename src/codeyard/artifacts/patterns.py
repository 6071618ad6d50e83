"""Which files of a workspace a Selection means, and the log lines that tell: the rules of buildspec `artifacts.files`,
`base-directory`, `exclude-paths` and `discard-paths`, applied to a listing. No files are read here.

`*` stays within one part of a path, `**` crosses parts, hidden files count, `?` and `[a-z]` are one character. A name
without any of these is a file, or everything beneath a directory. The matcher takes time in proportion to pattern
times path: a general regular expression for `**/a/**/b/**/c` takes minutes on a path that was made for it.
"""

import fnmatch
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from codeyard.artifacts import Kind, Selection
from codeyard.errors import Invalid

MAX_ENTRIES = 1_000_000  # also bounds what links to directories that hold links to directories can grow to
_MAX_PATTERN = 4096
MAX_TESTS = 100_000_000  # of a path by a pattern: minutes
_MAX_EXCUSES = 20
_MAGIC = re.compile(r"[*?\[\\]")


class Stamp(NamedTuple):
    """What changes when a file's content does: the kernel sets the last one, and no build can turn it back."""

    device: int
    inode: int
    size: int
    modified: int  # ns
    changed: int  # ns


NO_STAMP = Stamp(0, 0, 0, 0, 0)


class Found(NamedTuple):
    """One path of a listing. Relative, `/` between parts."""

    path: str
    kind: Kind | None  # None: it cannot be part of an artifact, and `target` says why
    size: int = 0
    target: str = ""
    stamp: Stamp = NO_STAMP


class Pick(NamedTuple):
    """A file that was selected: where it is in the workspace (no part of that path is a link) and in the artifact."""

    path: str
    found: Found


@dataclass(frozen=True, slots=True)
class Selected:
    """What was selected, sorted by path, and the lines for the build's log."""

    picks: tuple[Pick, ...]
    lines: tuple[str, ...]


class Unmatched(Invalid):
    """Nothing was selected: CodeBuild's CLIENT_ERROR. `what` is AWS's message, `lines` what the log says before it."""

    def __init__(self, what: str, lines: tuple[str, ...]) -> None:
        super().__init__(what, "nothing in the source directory matches.", "Compare the patterns with what was built.")
        self.args = (what, lines)
        self.lines = lines


def select(listing: Iterable[Found], selection: Selection, inside: str = "") -> Selected:
    """The files that `selection` means. `inside` is the absolute path by which the build knew the listed directory:
    links to it count as links within. Unmatched if there are none.

    Of two files for one path, the later wins: base directories in order of name, then patterns as they stand."""
    space = _Space(listing, follow=not selection.enable_symlinks, inside=inside)
    base = selection.base_directory or "."
    lines = [f"Expanding base directory path: {base}", "Assembling file list", f"Expanding {base}"]
    bases = space.base_directories(base)
    if not bases:
        raise Unmatched(
            f"no matching base directory path found for {base}", (*lines, f"Skipping invalid file path {base}")
        )
    excluded = [compile_pattern(pattern) for pattern in selection.exclude_paths]
    wanted = [(pattern, compile_pattern(pattern)) for pattern in selection.files]
    picks: dict[str, Pick] = {}
    tests = 0
    for shown, directory in bases:
        lines += [f"Expanding file paths for base directory {shown}", "Assembling file list"]
        items = list(space.beneath(directory))
        tests += (len(items) + 1) * (len(excluded) + len(wanted))
        check_effort(tests)
        items = [item for item in items if not any(out(item[0]) for out in excluded)]
        here = _expand(items, wanted, lines, selection.discard_paths)
        if here:
            lines.append(f"Found {len(here)} file(s)")
        for path, pick in here.items():
            picks.pop(path, None)  # to the end: the order says who came later
            picks[path] = pick
    if not picks:
        raise Unmatched("no matching artifact paths found", tuple(lines))
    return Selected(tuple(_settle(picks, several=len(bases) > 1)), tuple(lines))


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A test for paths. Invalid if the pattern is of absurd length."""
    if len(pattern) > _MAX_PATTERN:
        raise Invalid(f"pattern {pattern[:60]!r}…", f"it has over {_MAX_PATTERN} characters.", "Write a shorter one.")
    if not pattern.strip():  # of a variable that is not set, perhaps: everything would be published
        return _nothing
    while pattern.startswith("./"):
        pattern = pattern[2:].lstrip("/")
    if pattern in ("**", "**/*", "", "."):
        return lambda path: bool(path)
    if _MAGIC.search(pattern) is None:
        literal = pattern.rstrip("/")
        below = literal + "/"
        return lambda path: path == literal or path.startswith(below)
    head = pattern.removesuffix("/**/*")
    if head != pattern and _MAGIC.search(head) is None:
        return lambda path: path.startswith(head + "/")
    parts = [None if part == "**" else _part(part) for part in re.split(r"/+", pattern)]
    if parts[-1] is None:  # `dir/**` is what is beneath dir
        parts.append(_anything)
    return lambda path: _matches(parts, path.split("/"))


def check_effort(tests: int) -> None:
    """Invalid if that many tests of a path by a pattern would take longer than anybody waits."""
    if tests > MAX_TESTS:
        raise Invalid(
            "this selection", "it has too many patterns for so many files.", "Write fewer, or name a smaller directory."
        )


def _expand(
    items: list[tuple[str, Found]],
    wanted: list[tuple[str, Callable[[str], bool]]],
    lines: list[str],
    discard_paths: bool,
) -> dict[str, Pick]:
    """What the patterns mean among `items`, by its path in the artifact; tells `lines` what it does."""
    picks: dict[str, Pick] = {}
    excuses: dict[str, str] = {}
    for pattern, matches in wanted:
        lines.append(f"Expanding {pattern}")
        hit = False
        for path, found in items:
            if not matches(path):
                continue
            if found.kind is None:
                excuses.setdefault(path, f"Skipping {path}: {found.target}")
                continue
            if found.kind is Kind.LINK and (discard_paths or _leads_out(path, found.target)):
                excuses.setdefault(path, f"Skipping {path}: it is a link to {found.target}, not within the artifact")
                continue
            hit = True
            name = path.rpartition("/")[2] if discard_paths else path
            picks[name] = Pick(name, found)
        if not hit:
            lines.append(f"Skipping invalid file path {pattern}")
    lines += list(excuses.values())[:_MAX_EXCUSES]
    if len(excuses) > _MAX_EXCUSES:
        lines.append(f"Skipping {len(excuses) - _MAX_EXCUSES} more")
    return picks


def _leads_out(path: str, target: str) -> bool:
    """Whether a link with a relative target made of leading `..` parts and names points above the root."""
    return target.split("/").count("..") > path.count("/")


def _settle(picks: dict[str, Pick], several: bool) -> list[Pick]:
    """The picks by path. Two base directories may give a file `a` and a file `a/b`: the later one stays."""
    if several:
        order = {path: number for number, path in enumerate(picks)}
        for path in list(picks):
            parent = path.rpartition("/")[0]
            while parent:
                if parent in picks and path in picks:
                    picks.pop(min(parent, path, key=order.__getitem__))
                parent = parent.rpartition("/")[0]
    return [picks[path] for path in sorted(picks)]


class _Space:
    """A listing by path, with links looked up in the listing itself: no link is ever followed on the disk."""

    def __init__(self, listing: Iterable[Found], *, follow: bool, inside: str) -> None:
        self._real = {found.path: found for found in listing}
        if len(self._real) > MAX_ENTRIES:
            raise _too_many()
        self._links = {path: found.target for path, found in self._real.items() if found.kind is Kind.LINK}
        self._inside = inside.rstrip("/") + "/" if inside else ""
        self._sorted = sorted(self._real)
        self._view = dict(self._real)
        for path in self._links:
            if follow:
                self._follow(path, path, ())
            else:
                self._view[path] = self._kept(path)
        self._paths = sorted(self._view) if self._links else self._sorted

    def base_directories(self, base: str) -> list[tuple[str, str]]:
        """How to show and where to find each directory that `base` means."""
        pattern = base
        while pattern.startswith("./"):
            pattern = pattern[2:].lstrip("/")
        pattern = pattern.rstrip("/") if pattern.strip("/") else pattern
        if pattern in ("", "."):
            return [(base, "")]
        if _MAGIC.search(pattern) is None:
            real = None if pattern.startswith("/") else self._resolve(pattern)
            directory = real is not None and (real == "" or self._is_directory(real))
            return [(base, real)] if real is not None and directory else []
        matches = compile_pattern(pattern)
        return [(path, path) for path in self._paths if self._view[path].kind is Kind.DIRECTORY and matches(path)]

    def beneath(self, directory: str) -> Iterator[tuple[str, Found]]:
        """Everything below `directory` that is not a directory, by its path from there, in order."""
        start = directory + "/" if directory else ""
        view = self._view
        for path in self._paths[bisect_left(self._paths, start) :] if start else self._paths:
            if not path.startswith(start):
                break
            found = view[path]
            if found.kind is not Kind.DIRECTORY:
                yield path[len(start) :], found

    def _is_directory(self, path: str) -> bool:
        found = self._real.get(path)
        return found is not None and found.kind is Kind.DIRECTORY

    def _kept(self, path: str) -> Found:
        """A link that stays one: only if it leads to something within, and then by a relative target."""
        real = self._resolve(path)
        if real is None or (real and real not in self._real):
            return self._refused(path, real)
        here, there = path.split("/")[:-1], real.split("/") if real else []
        while here and there and here[0] == there[0]:
            here, there = here[1:], there[1:]
        return self._real[path]._replace(target="/".join([".."] * len(here) + there) or ".")

    def _follow(self, shown: str, path: str, within: tuple[str, ...]) -> None:
        """Put what the link at `path` leads to into the view as `shown`. `within`: the directories being copied."""
        real = self._resolve(path)
        found = None if real is None else self._real.get(real)
        if real is None or (found is None and real):
            self._view[shown] = self._refused(path, real)
        elif found is not None and found.kind is not Kind.DIRECTORY:
            self._view[shown] = found
        elif real == "" or real in within or path.startswith(real + "/"):
            self._view[shown] = self._real[path]._replace(kind=None, target="it is a link to a directory that holds it")
        else:
            assert found is not None
            self._view[shown] = found
            for below in self._sorted[bisect_left(self._sorted, real + "/") :]:
                if not below.startswith(real + "/"):
                    break
                if len(self._view) > MAX_ENTRIES:
                    raise _too_many()
                copy = shown + below[len(real) :]
                if below in self._links:
                    self._follow(copy, below, (*within, real))
                else:
                    self._view[copy] = self._real[below]

    def _refused(self, path: str, real: str | None) -> Found:
        why = "leads out of the source directory, or round in circles" if real is None else "leads to nothing"
        return self._real[path]._replace(kind=None, target=f"it is a link to {self._links[path][:200]}, which {why}")

    def _resolve(self, path: str) -> str | None:
        """Where `path` leads once every link on the way is followed; None if that is outside, or never ends."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        hops = 0
        while todo:
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            target = self._links.get("/".join(done)) if self._links else None
            if target is None:
                continue
            hops += 1
            if hops > 40 or len(todo) > _MAX_PATTERN:  # the kernel's own bound on links is 40
                return None
            done.pop()
            if target.startswith("/"):
                if not self._inside or not (target + "/").startswith(self._inside):
                    return None
                done, target = [], target[len(self._inside) :]
            todo += target.split("/")[::-1]
        return "/".join(done)


def _part(part: str) -> Callable[[str], object]:
    """A test for one part of a path. `fnmatch` makes expressions that never go back on a star."""
    plain = re.sub(r"\\(.)", lambda escaped: f"[{escaped[1]}]" if escaped[1] in "*?[" else escaped[1], part)
    return re.compile(fnmatch.translate(plain)).match


def _matches(pattern: list[Callable[[str], object] | None], parts: list[str]) -> bool:
    """Whether the parts match, None standing for `**`. Only the last `**` is ever tried again: that suffices."""
    at = here = 0
    retry: tuple[int, int] | None = None
    while here < len(parts):
        wanted = pattern[at] if at < len(pattern) else _nothing
        if wanted is None:
            retry = (at + 1, here)
            at += 1
        elif wanted(parts[here]):
            at, here = at + 1, here + 1
        elif retry is not None:
            retry = (retry[0], retry[1] + 1)
            at, here = retry
        else:
            return False
    return all(rest is None for rest in pattern[at:])


def _anything(_part: str) -> bool:
    return True


def _nothing(_part: str) -> bool:
    return False


def _too_many() -> Invalid:
    return Invalid(
        "this directory", f"it has over {MAX_ENTRIES} files, links followed.", "Select fewer, or set enable-symlinks."
    )
