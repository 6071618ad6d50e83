"""Which git URL a source action's repository means, and whether it may be reached. Pure.

CodeCommit's names, and those of connections, say nothing of where a repository is: the setting `repositories` does,
by pairs `KEY=URL` with spaces between, where KEY is `codecommit`, `github`, `ecr`, the ARN of a connection or what
follows its last `/`, or `*` for all others; `{repository}` in the URL stands for the name. And a name may be a git URL
itself.
"""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from codeyard.errors import Denied, Invalid
from codeyard.sources import parse_location

HERE = "{repository}"
_FORM = "Write KEY=URL pairs with spaces between, such as codecommit=https://git.example.com/{repository}.git."
_KEY = re.compile(r"codecommit|github|ecr|\*|[A-Za-z0-9][A-Za-z0-9_.:/-]{0,255}")
_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_.][A-Za-z0-9_.-]*)*")
_REGISTRY = re.compile(r"(?:https?://)?[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._/{}-]*)?")
_NOWHERE = Path("/")  # no form of a git URL looks at the disk
_GITHUB = "https://github.com/{repository}.git"


@dataclass(frozen=True, slots=True)
class Where:
    """A repository: its URL, with no credential in it, and whether it is one that the server's settings name."""

    url: str
    known: bool

    @property
    def host(self) -> str | None:
        """Of an https or http URL: whom a token would be shown to."""
        parts = urlsplit(self.url)
        return parts.hostname if parts.scheme in ("https", "http") else None


@dataclass(frozen=True, slots=True)
class Reach:
    """What a source may name by its URL: the settings `local_sources` and `host_git`; and never anything beneath
    `private`, the server's own directory."""

    local_sources: bool = False
    host_git: bool = False
    private: Path | None = None

    def check(self, where: Where) -> None:
        """Whoever may write pipelines is not thereby to read this machine's disk, nor what its user's keys open.
        What a setting names is for them, but for the server's own directory. Denied."""
        scheme = _scheme(where.url)
        if scheme == "file" and self.private is not None and _beneath(where.url, self.private):
            raise Denied("source repository", "the server's own directory is no source.", "Name another repository.")
        if where.known:
            return
        if scheme == "file" and not self.local_sources:
            raise Denied(
                f"source {where.url}", "this server does not read sources from its own disk.",
                "Use a git server; or set local_sources.",
            )  # fmt: skip
        if scheme == "ssh" and not self.host_git:
            raise Denied(
                f"source {where.url}", "this server does not use its own user's ssh keys for pipelines.",
                "Use an https URL, with imported credentials; or set host_git.",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repositories:
    """The setting, understood."""

    urls: Mapping[str, str] = field(default_factory=dict)  # by key, `{repository}` not replaced

    @classmethod
    def parse(cls, text: str) -> Self:
        """Invalid, naming the pair, and never a password that it may hold."""
        urls: dict[str, str] = {}
        for number, pair in enumerate(text.split(), 1):
            key, mark, url = pair.partition("=")
            if not mark or _KEY.fullmatch(key) is None:
                raise Invalid(f"repositories, pair {number}", "it is not KEY=URL.", _FORM)
            if key in urls:
                raise Invalid(f"repositories, {key}", "it is there twice.", _FORM)
            if key == "ecr":
                if _REGISTRY.fullmatch(url) is None:
                    raise Invalid("repositories, ecr", "it names no registry.", "Write ecr=HOST:PORT/PREFIX.")
            else:
                _check(key, url)
            urls[key] = url
        return cls(urls)

    @property
    def hosts(self) -> frozenset[str]:
        """The servers that the setting names itself, not by what a pipeline says: tokens for servers of one's own go
        there."""
        named = (urlsplit(url) for key, url in self.urls.items() if key != "ecr")
        return frozenset(parts.hostname for parts in named if parts.hostname and HERE not in parts.netloc)

    def codecommit(self, name: str) -> Where:
        """Of CodeCommit's RepositoryName. Invalid."""
        return self._where(("codecommit", "*"), name, None, "codecommit")

    def connection(self, arn: str, name: str) -> Where:
        """Of a connection's FullRepositoryId. Invalid."""
        if arn.count("/") > 1:  # a policy is asked about all of it, and must not be by another connection's last part
            raise Invalid(f"connection {arn[:300]!r}", "it is no ARN of a connection.", "Correct it.")
        last = arn.rpartition("/")[2]
        return self._where((arn, last, "*"), name, None, last)

    def github(self, owner: str, name: str) -> Where:
        """Of GitHub v1's Owner and Repo, on github.com unless the setting says otherwise. Invalid."""
        if _NAME.fullmatch(f"{owner}/{name}") is None or "/" in owner or "/" in name:
            raise Invalid(f"repository {owner[:100]}/{name[:100]}", "GitHub has no such names.", "Correct it.")
        return self._where(("github", "*"), f"{owner}/{name}", _GITHUB, "github")

    @property
    def registry(self) -> str | None:
        """Where the images of ECR are: HOST[:PORT][/PREFIX], with http:// before it if that is how it is spoken to."""
        return self.urls.get("ecr")

    def _where(self, keys: tuple[str, ...], name: str, usual: str | None, hint: str) -> Where:
        if ":" in name:  # no name has one, and every URL does
            return Where(git_url(name), known=False)
        if _NAME.fullmatch(name) is None or any(part in (".", "..") for part in name.split("/")):
            raise Invalid(
                f"repository {name[:100]!r}", "it is neither a repository's name nor a git URL.", "Correct it."
            )
        found = next((self.urls[key] for key in keys if key in self.urls), None)
        template = found or usual
        if template is None:
            raise Invalid(
                f"repository {name}", "this server has not been told where it is.",
                f"Set repositories to {hint}=URL with {HERE} in it, or write the repository's git URL for its name.",
            )  # fmt: skip
        return Where(template.replace(HERE, name), known=True)


def git_url(text: str) -> str:
    """The URL that a git repository is named by. Invalid, with nothing of a password in it."""
    if len(text) > 1000 or "#" in text:
        raise Invalid(
            "git URL", "it is longer than 1000, or holds a #.", "Name the branch in the action's own setting."
        )
    spec = parse_location(f"git+{text}", _NOWHERE)
    if spec.credential is not None:
        raise Invalid("git URL", "it holds a user name or a password.", "Import it by ImportSourceCredentials.")
    return spec.location


def _check(key: str, url: str) -> None:
    try:
        git_url(url.replace(HERE, "owner/name"))
    except Invalid as wrong:
        raise Invalid(f"repositories, {key}: {wrong.what}", wrong.why, wrong.fix) from None
    if HERE in (urlsplit(url).netloc if "://" in url else url.partition(":")[0]):
        raise Invalid(f"repositories, {key}", f"{HERE} stands where the host does.", _FORM)


def _scheme(url: str) -> str:
    """How it is reached. git takes what has no scheme for host:path if a colon comes before any slash, else a path."""
    if "://" in url:
        return urlsplit(url).scheme
    return "ssh" if ":" in url.partition("/")[0] else "file"


def _beneath(url: str, private: Path) -> bool:
    """Whether a file URL leads there, read as it stands or with its % unquoted: git reads both."""
    root = posixpath.normpath(str(private))
    paths = urlsplit(url).path, unquote(urlsplit(url).path)
    return any(
        path == root or path.startswith(f"{root}/")
        for path in (posixpath.normpath("/" + path.lstrip("/")) for path in paths)
    )
