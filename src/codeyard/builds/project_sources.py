"""What a project's sources mean to the part that brings them, and whom a token may be shown to. Pure.

Any git URL may stand under any of the git types: https and http, ssh, user@host:path and file, not only the type's own
host. A token goes to the type's own host alone, where it has one; see `takes_tokens`.
"""

import posixpath
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from codeyard.builds.project_parts import ProjectSource, SourceAuth, SourceType
from codeyard.errors import Denied, Invalid
from codeyard.secrets import Secret
from codeyard.sources import Credential, SourceKind, SourceSpec, parse_location

GIT_TYPES = (
    SourceType.CODECOMMIT,
    SourceType.GITHUB,
    SourceType.GITHUB_ENTERPRISE,
    SourceType.GITLAB,
    SourceType.GITLAB_SELF_MANAGED,
    SourceType.BITBUCKET,
)
# The name that goes with a token: GitHub's "Authenticating as an app installation" (any name does for a personal
# one), GitLab's "Token overview" (any name that is not empty), Bitbucket's "Access tokens".
_USERNAMES = {
    "GITHUB": "x-access-token",
    "GITHUB_ENTERPRISE": "x-access-token",
    "GITLAB": "oauth2",
    "GITLAB_SELF_MANAGED": "oauth2",
    "BITBUCKET": "x-token-auth",
}
_HOSTS = {
    SourceType.GITHUB: "github.com",
    SourceType.GITLAB: "gitlab.com",
    SourceType.BITBUCKET: "bitbucket.org",
}
_OWN_SERVERS = (SourceType.GITHUB_ENTERPRISE, SourceType.GITLAB_SELF_MANAGED)
_LOCATION_LIMIT = 2048  # characters
_BUCKET_ARN = "arn:aws:s3:::"


def spec_of(
    source: ProjectSource, version: str | None, credential: Credential | None = None, private: Path | None = None
) -> SourceSpec:
    """What to bring. Invalid: the location or the version cannot be; Denied: a file URL at or beneath `private`.

    `private` is the server's own directory, whose repositories (the mirrors of all projects) are nobody's source. The
    versions are those of reference 4.2; of a source without versions, what is given is not looked at.
    """
    if source.type is SourceType.NO_SOURCE:
        return SourceSpec(SourceKind.NONE, "", identifier=source.source_identifier)
    if source.type is SourceType.CODEPIPELINE:
        raise Invalid("project source", "a pipeline brings it.", "Start the pipeline, or override the source's type.")
    spec = replace(_located(source), version=version or None, identifier=source.source_identifier)
    if spec.kind is not SourceKind.GIT:
        return spec
    if private is not None and _beneath(spec.location, private):
        raise Denied("project source", "the server's own directory is no source.", "Name another repository.")
    submodules = source.git_submodules_config is not None and source.git_submodules_config.fetch_submodules
    return replace(
        spec,
        depth=source.git_clone_depth,
        submodules=submodules,
        insecure_ssl=source.insecure_ssl,
        credential=credential if _is_web(spec.location) else None,
    )


def auth_of(source: ProjectSource, primary: ProjectSource) -> SourceAuth | None:
    """What lets this source in: its own auth, else that of a NO_SOURCE primary; None: the account's default (4.7)."""
    if source.auth is not None:
        return source.auth
    return primary.auth if primary.type is SourceType.NO_SOURCE else None


def takes_tokens(source: ProjectSource) -> bool:
    """Whether a token for servers of this type may be shown to the one where the source is.

    For GitHub, GitLab and Bitbucket only to that host and by https: whoever may write a project, or start its builds
    from another location, could else send the token anywhere. The other types have servers of one's own, and their
    tokens go to whichever is named, as AWS's do.
    """
    parts = urlsplit(source.location or "")
    if source.type in _OWN_SERVERS:
        return parts.scheme in ("https", "http")
    host = _HOSTS.get(source.type)
    return host is not None and parts.scheme == "https" and parts.hostname == host


def credential_of(server: str, username: str | None, token: str) -> Credential:
    """What a git server of this type (ServerType) is shown: the token, by the name given or the one its host wants."""
    return Credential(Secret(username or _USERNAMES[server]), Secret(token))


def _located(source: ProjectSource) -> SourceSpec:
    location = source.location or ""
    if len(location) > _LOCATION_LIMIT:
        raise Invalid("location", f"it is longer than {_LOCATION_LIMIT}.", "Shorten it.")
    nowhere = Path("/")  # neither form below looks at the disk
    if source.type is SourceType.S3:
        name = location.removeprefix(_BUCKET_ARN)
        if "/" not in name:
            raise Invalid("location", "it is neither bucket/key nor bucket/folder/.", "Name a zip, or end it in a /.")
        return parse_location(f"s3://{name}", nowhere)
    if "#" in location:
        raise Invalid("location", "it holds a #.", "Give the version as sourceVersion.")
    spec = parse_location(f"git+{location}", nowhere)
    if spec.credential is not None and spec.credential.password is not None:
        raise Invalid("location", "it holds a password.", "Import it by ImportSourceCredentials.")
    return replace(spec, credential=None)  # Bitbucket's clone URLs name the user; the credential has its own


def _is_web(url: str) -> bool:
    return urlsplit(url).scheme in ("https", "http")


def _beneath(url: str, private: Path) -> bool:
    """Whether a file URL leads there, read as it stands or with its % unquoted: git reads both."""
    parts = urlsplit(url)
    root = posixpath.normpath(str(private))
    paths = (posixpath.normpath("/" + path.lstrip("/")) for path in (parts.path, unquote(parts.path)))
    return parts.scheme == "file" and any(path == root or path.startswith(f"{root}/") for path in paths)
