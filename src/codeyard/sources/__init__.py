"""Where a build's files come from.

A Source brings what a SourceSpec names into an empty directory on the host, which then becomes the build's own:
  - `fetch` may be repeated after a death at any moment: it clears what lies in the destination and begins again;
  - what it reads from is never written to: not the files, not their times, not a repository's index or its locks;
  - no symlink is followed, neither out of what was named nor out of the destination;
  - what it places is the build's alone: no hard link, alternate or mount leads back to a cache;
  - no credential is in what it places, nor in an error, a progress line or an argument of a process;
  - when `fetch` is cancelled, nothing of it goes on.

`parse_location` reads what a person writes; the service makes its SourceSpecs from a project.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from codeyard.errors import CodeyardError, Invalid
from codeyard.secrets import Secret

GIT_SCHEMES = ("https", "http", "ssh", "file")
FORMS = (
    "Name a directory, a git URL (https, ssh, user@host:path or file), a zip, s3://bucket/key.zip or s3://bucket/dir/."
)

_IDENTIFIER = re.compile(r"[A-Za-z0-9_]{1,127}")  # 4.1
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_REMOTE_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_SCP = re.compile(r"(?:[A-Za-z0-9._~-]+@)?(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):[^:].*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class SourceKind(StrEnum):
    """How a source is brought."""

    GIT = "GIT"
    DIRECTORY = "DIRECTORY"  # of this machine
    ZIP = "ZIP"  # on this machine
    S3_ZIP = "S3_ZIP"
    S3_FOLDER = "S3_FOLDER"
    TREE = "TREE"  # of the blob store, by its digest: what a pipeline hands on
    NONE = "NONE"  # an empty directory: NO_SOURCE


@dataclass(frozen=True, slots=True)
class Credential:
    """What a git server is shown. Either part may be a token, so neither shows itself.

    With no password the user's own credential helpers are asked for one.
    """

    username: Secret
    password: Secret | None = None


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """What to bring. Holding one proves that `location` names no credential and that nothing in it reads as an option.

    `location` is a git URL (or host:path), an absolute path, `s3://bucket/key`, or a digest; "" for NONE.
    `version` is that of reference 4.2: of git a branch, tag, commit or ref; of a zip on S3 the object's version id.
    `depth`: 1 to 25 commits; 0, more than 25 or None is the whole history (4.3).
    `identifier` is None for the primary source.
    """

    kind: SourceKind
    location: str
    version: str | None = None
    depth: int | None = None
    submodules: bool = False
    insecure_ssl: bool = False
    identifier: str | None = None
    credential: Credential | None = None

    def __post_init__(self) -> None:
        if self.kind is not SourceKind.NONE and not self.location:
            raise Invalid("source", "it names no location.", FORMS)
        if self.identifier is not None and _IDENTIFIER.fullmatch(self.identifier) is None:
            raise Invalid(
                f"source identifier {self.identifier!r}",
                "it is not 1 to 127 letters, digits or underscores.",
                "Rename it.",
            )
        if self.depth is not None and self.depth < 0:
            raise Invalid("git clone depth", f"{self.depth} is below zero.", "Use 0 for the whole history.")
        if self.version is not None:
            self._check_version(self.version)
        if self.kind is SourceKind.GIT:
            self._check_url()

    def _check_version(self, version: str) -> None:
        if self.kind not in (SourceKind.GIT, SourceKind.S3_ZIP):
            raise Invalid(
                f"source version {version!r}",
                f"a source of kind {self.kind} has no versions.",
                "Leave it out, or name a git repository.",
            )
        if not version or version.startswith("-") or _CONTROL.search(version) or len(version) > 1024:
            raise Invalid(
                f"source version {version[:80]!r}",
                "it is empty, begins with -, holds a control character, or is longer than 1024.",
                "Name a branch, a tag, a commit or a ref.",
            )

    def _check_url(self) -> None:
        if self.location.startswith("-") or _CONTROL.search(self.location) or _REMOTE_HELPER.match(self.location):
            raise Invalid(
                "git URL", "git would not read it as a URL.", f"Use {', '.join(GIT_SCHEMES)} or user@host:path."
            )
        scheme = _SCHEME.match(self.location)
        if scheme and scheme[1] in ("http", "https") and "@" in urlsplit(self.location).netloc:
            raise Invalid("git URL", "it holds a user name or a password.", "Put them into the credential.")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was brought.

    `subpath` is where beneath the build's `src` directory it belongs, as `github.com/owner/repo`, or "" (3.3).
    `repo_url` and `version` are the values of CODEBUILD_SOURCE_REPO_URL and CODEBUILD_SOURCE_VERSION;
    `resolved_version` is the commit's full id, None where there is none. `files` and `bytes` leave `.git` out.
    """

    resolved_version: str | None
    subpath: str
    repo_url: str
    version: str
    description: str  # for the log: "branch main at 1a2b3c4"
    files: int
    bytes: int


class SourceError(CodeyardError):
    """The source could not be brought. `what` is the text of the phase's context, as AWS has it (2.5)."""


class Source(Protocol):
    """One way to bring files."""

    async def fetch(self, spec: SourceSpec, destination: Path, progress: Callable[[str], None]) -> Fetched:
        """Bring it into `destination`, which exists. `progress` gets lines for the log. SourceError."""
        ...


def not_found(spec: SourceSpec, why: str, fix: str) -> SourceError:
    """The error of a version that does not exist. 2.5 has the text for the primary source; 4.2 infers the other."""
    which = "primary source" if spec.identifier is None else f"secondary source {spec.identifier}"
    return SourceError(f"reference not found for {which}", why, fix)


def parse_location(text: str, cwd: Path, *, version: str | None = None, identifier: str | None = None) -> SourceSpec:
    """What `codeyard run DIR` and `--source ID=…` name. Relative paths start at `cwd`. Invalid.

    A git URL may end in `#version`; `git+` before it says that it is one. What ends in / on S3 is a folder (4.4).
    """
    if not text or _CONTROL.search(text):
        raise Invalid("source", "it is empty or holds a control character.", FORMS)
    spec = _parse(text, cwd, version)
    return replace(spec, identifier=identifier)


def _parse(text: str, cwd: Path, version: str | None) -> SourceSpec:
    if text.startswith("s3://"):
        return _s3(text, version)
    if text.startswith("git+"):
        return _git(text.removeprefix("git+"), version)
    scheme = _SCHEME.match(text)
    if scheme and scheme[1] in GIT_SCHEMES:
        if scheme[1] in ("http", "https") and text.lower().partition("#")[0].endswith(".zip"):
            raise Invalid(
                "source",
                "a zip is read from disk or from S3, not from the web.",
                "Download it first; or write git+URL.",
            )
        return _git(text, version)
    if scheme or _REMOTE_HELPER.match(text):
        kind = f"{scheme[1]}:// is no kind of URL" if scheme else "its kind of URL is none"
        raise Invalid("source", f"{kind} that is known.", FORMS)
    path = cwd / text
    if _SCP.fullmatch(text) and "/" not in text.partition(":")[0]:
        if path.exists():
            raise Invalid(
                f"source {text!r}",
                "it is a path here, and reads as a host and a path there.",
                "Write ./PATH for the one, ssh://HOST/PATH for the other.",
            )
        return _git(text, version)
    return _on_disk(text, path, version)


def _s3(text: str, version: str | None) -> SourceSpec:
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if _BUCKET.fullmatch(bucket) is None:
        raise Invalid(f"source {text!r}", f"{bucket!r} is not a bucket's name.", "Write s3://bucket/key.zip.")
    folder = not key or key.endswith("/")
    kind = SourceKind.S3_FOLDER if folder else SourceKind.S3_ZIP
    return SourceSpec(kind, f"s3://{bucket}/{key}", version)


def _git(text: str, version: str | None) -> SourceSpec:
    url, mark, fragment = text.partition("#")
    if mark and version and fragment != version:
        raise Invalid("source", f"it names two versions, {fragment!r} and {version!r}.", "Leave one out.")
    if ":" in fragment:  # no ref has one; more likely a password has a #
        raise Invalid("git URL", "what follows its # is no version.", "Write a # of a password as %23.")
    location, credential = split_credential(url)
    parts = urlsplit(location) if _SCHEME.match(location) else None
    if parts is None and _SCP.fullmatch(location) is None:
        raise Invalid("git URL", "it is neither a URL nor host:path.", FORMS)
    if parts is not None and parts.scheme not in GIT_SCHEMES:
        raise Invalid("git URL", f"{parts.scheme} is not spoken.", f"Use one of {', '.join(GIT_SCHEMES)}.")
    if parts is not None and parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise Invalid("git URL", "a file URL has three slashes and an absolute path.", "Write file:///path/to/repo.")
    if parts is not None and parts.scheme != "file" and not parts.hostname:
        raise Invalid("git URL", "it names no host.", FORMS)
    return SourceSpec(SourceKind.GIT, location, version or fragment or None, credential=credential)


def split_credential(url: str) -> tuple[str, Credential | None]:
    """The URL without `user:password@`, and these. The user of an ssh URL is an address, not a secret, and stays."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        return url, None
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        raise Invalid("git URL", "its host or port cannot be read.", FORMS) from None
    if scheme[1] in ("http", "https") and ("@" in parts.path or parts.query):
        # `https://ann:a/b@host/` reads as the host `ann`: without this, a part of the password would be shown.
        raise Invalid(
            "git URL", "its path holds an @, or a query.", "Write them, or a / in a password, as %40, %3F, %2F."
        )
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    username, colon, password = userinfo.partition(":")
    if scheme[1] == "ssh":
        if colon:
            raise Invalid("git URL", "ssh takes no password from a URL.", "Use a key, and leave the password out.")
        return url, None
    texts = unquote(username), unquote(password)
    if any(_CONTROL.search(text) for text in texts):
        raise Invalid("git URL", "its user name or password holds a control character.", "Leave it out.")
    credential = Credential(Secret(texts[0]), Secret(texts[1]) if colon else None)
    return urlunsplit(parts._replace(netloc=host)), credential


def _on_disk(text: str, path: Path, version: str | None) -> SourceSpec:
    if path.is_dir():
        if _is_bare(path):
            raise Invalid(
                f"source {text!r}", "it is a bare git repository, which has no files of its own.",
                f"Write {path.resolve().as_uri()}.",
            )  # fmt: skip
        if version is not None:
            raise Invalid(
                f"source {text!r} at version {version!r}", "a directory is taken as it lies there.",
                f"For a version of its repository write {path.resolve().as_uri()}#{version}.",
            )  # fmt: skip
        return SourceSpec(SourceKind.DIRECTORY, str(path.resolve()))
    if path.is_file():
        if not text.lower().endswith(".zip") and not _begins_like_a_zip(path):
            raise Invalid(f"source {text!r}", "it is a file, and not a zip.", FORMS)
        return SourceSpec(SourceKind.ZIP, str(path.resolve()), version)
    if path.exists():
        raise Invalid(f"source {text!r}", "it is neither a directory nor a file.", FORMS)
    wanted = text.partition("#")[2]
    if wanted and (repository := Path(str(path).removesuffix(f"#{wanted}"))).is_dir():
        fix = f"For a version of that directory's repository write {repository.resolve().as_uri()}#{wanted}."
        raise Invalid(f"source {text!r}", "there is nothing of that name.", fix)
    raise Invalid(f"source {text!r}", "there is nothing of that name.", FORMS)


def _is_bare(path: Path) -> bool:
    return (path / "HEAD").is_file() and (path / "objects").is_dir() and (path / "refs").is_dir()


def _begins_like_a_zip(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    except OSError:
        return False
