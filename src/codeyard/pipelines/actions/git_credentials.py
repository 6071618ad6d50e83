"""What a git server is shown for a pipeline: what its account imported for that server, as for builds (4.7).

A token for GitHub, GitLab or Bitbucket goes to that host alone, by https. One for servers of one's own goes to those
that the server's setting `repositories` names: whoever may write a pipeline could else send it anywhere.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.project_parts import ProjectSource, SourceType
from codeyard.ident import Owner
from codeyard.secrets import SecretProvider
from codeyard.sources import Credential

CredentialFor = Callable[[Owner, str], Awaitable[Credential | None]]  # of a git URL
_HOSTS = {
    "github.com": SourceType.GITHUB,
    "gitlab.com": SourceType.GITLAB,
    "bitbucket.org": SourceType.BITBUCKET,
}


def servers(url: str, hosts: frozenset[str]) -> tuple[SourceType, ...]:
    """Whose credentials may be shown to the server of this URL, the likeliest first. `hosts` are one's own."""
    parts = urlsplit(url) if "://" in url else None
    if parts is None or parts.hostname is None or parts.scheme not in ("https", "http"):
        return ()
    if parts.hostname in _HOSTS:
        return (_HOSTS[parts.hostname],)
    if parts.hostname not in hosts:
        return ()
    own = (SourceType.GITHUB_ENTERPRISE, SourceType.GITLAB_SELF_MANAGED)
    return own[::-1] if "gitlab" in parts.hostname else own


def imported_credentials(
    credentials: SourceCredentials, secrets: Callable[[Owner], SecretProvider], hosts: frozenset[str]
) -> CredentialFor:
    """Finds what an account imported. `secrets` answers what it may read; `hosts` are `Repositories.hosts`."""

    async def credential(owner: Owner, url: str) -> Credential | None:
        for server in servers(url, hosts):
            found = await credentials.of_account(owner, ProjectSource(server, url), secrets(owner))
            if found is not None:
                return found
        return None

    return credential
