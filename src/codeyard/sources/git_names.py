"""What names mean to git: versions, refs, relative submodule URLs, places by URL. Pure."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

SHALLOW_DEPTH_LIMIT = 25  # deeper, or 0, is the whole history (4.3)

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_SHA = re.compile(r"[0-9a-f]{4,63}")
_REF_WITH_COMMIT = re.compile(r"(refs/.+)\^\{([0-9a-fA-F]{40}|[0-9a-fA-F]{64})\}")
_PULL = re.compile(r"pr/([0-9]{1,18})")
# What git-check-ref-format(1) forbids.
_BAD_REF = re.compile(r"\.\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|//|/\.|\.lock(?:/|\Z)|\A[/.-]|[/.]\Z|\A@\Z")
_USERINFO = re.compile(r"(?<=://)[^/\s'\"@]*(?:@[^/\s'\"@]*)*@")
_PATH_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_SCP = re.compile(r"(?:[^/:@]+@)?([^/:@]+):(?!//)(.+)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version, understood: the refs that it may mean, the first that exists wins; or a commit; or both.

    `only` says that nothing else of the repository is needed: a ref with a commit fetches just that ref (4.2).
    `commit` may be short (from four digits) unless `refs` names where it is. No refs and no commit: the default branch.
    """

    refs: tuple[str, ...] = ()
    commit: str | None = None
    only: bool = False

    @property
    def short(self) -> bool:
        """Whether the commit's id is, or may be, the beginning of one."""
        return self.commit is not None and _SHA.fullmatch(self.commit) is None


def parse_version(version: str | None) -> Wanted | None:
    """What `version` asks for, by the syntax of reference 4.2; None when git allows no such name.

    A name that is a branch and a tag means the branch; a name that is either and looks like a commit is not a commit,
    unless it is a full id.
    """
    if version is None or version == "HEAD":
        return Wanted()
    if pull := _PULL.fullmatch(version):
        return Wanted((f"refs/pull/{int(pull[1])}/head",))
    if pair := _REF_WITH_COMMIT.fullmatch(version):
        return Wanted((pair[1],), pair[2].lower(), only=True) if is_ref(pair[1]) else None
    if _SHA.fullmatch(version.lower()):
        return Wanted(commit=version.lower())
    if not is_ref(version):
        return None
    if version.startswith("refs/"):
        return Wanted((version,))
    refs: tuple[str, ...] = (f"refs/heads/{version}", f"refs/tags/{version}")
    if version.startswith(("heads/", "tags/")):
        refs = (*refs, f"refs/{version}")
    return Wanted(refs, version.lower() if _SHORT_SHA.fullmatch(version.lower()) else None)


def is_ref(name: str) -> bool:
    """Whether git allows this name for a ref, or for the part of one after refs/heads/ (git-check-ref-format)."""
    return bool(name) and len(name) <= 1024 and _BAD_REF.search(name) is None


def is_shallow(depth: int | None) -> bool:
    """Whether a clone of this depth is cut off."""
    return depth is not None and 1 <= depth <= SHALLOW_DEPTH_LIMIT


def hide_credentials(text: str, *secrets: str) -> str:
    """The text with no `user:password@` in its URLs, and with each of `secrets` as ***."""
    for secret in sorted(secrets, key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return _USERINFO.sub("", text)


def resolve_submodule(parent: str, url: str) -> str | None:
    """The absolute URL of a submodule whose `.gitmodules` says `url`, in a repository at `parent`; None if forbidden.

    Only https is fetched (4.3). A relative URL (gitsubmodules(7): it begins with ./ or ../) stays on its parent's
    server and speaks as it does, but for a file: no repository may name another of this machine's directories.
    """
    if re.search(r"[\x00-\x20\x7f]", url) or "::" in url:
        return None
    if url.startswith(("./", "../")):
        return _resolve_relative(parent, url)
    parts = urlsplit(url) if url.startswith("https://") else None
    return url if parts is not None and parts.hostname and not parts.netloc.startswith("-") else None


def _resolve_relative(parent: str, url: str) -> str | None:
    scp = _SCP.fullmatch(parent)
    if scp:
        head, path = parent[: scp.start(2)], scp[2]
    else:
        parts = urlsplit(parent)
        if parts.scheme not in ("https", "http", "ssh"):
            return None
        head, path = f"{parts.scheme}://{parts.netloc}/", parts.path
    kept = path.strip("/").split("/")
    for part in url.split("/"):
        if part == "..":
            if not kept:
                return None
            kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    lead = "/" if scp and path.startswith("/") else ""
    return f"{head}{lead}{'/'.join(kept)}" if kept else None


def place_of(url: str) -> str:
    """Where beneath `src` a repository belongs: `github.com/owner/repo`; "" for one that is no server's (3.3)."""
    scp = _SCP.fullmatch(url)
    if scp:
        host, path = scp[1], scp[2]
    else:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http", "ssh"):
            return ""
        host, path = parts.hostname or "", parts.path
    path = path.strip("/").removesuffix(".git")
    names = [host.lower(), *path.split("/")]
    return "/".join(names) if path and all(_PATH_PART.fullmatch(name) for name in names) else ""
