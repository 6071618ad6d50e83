"""The sources of one build: what its project names, at which versions, with what lets them in."""

from pathlib import Path

from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.project import Project
from codeyard.builds.project_parts import ProjectSource
from codeyard.builds.project_sources import spec_of
from codeyard.builds.tools import Sources
from codeyard.ident import Owner
from codeyard.secrets import SecretProvider
from codeyard.sources import SourceSpec


async def sources_of(
    owner: Owner, project: Project, credentials: SourceCredentials, secrets: SecretProvider, private: Path
) -> Sources:
    """The sources of a build of this project, as its start overrode it. `private` is the server's own directory.

    `secrets` answers what the build's service role may read. Raises what `spec_of` and `credential` do.
    """

    async def spec(source: ProjectSource, version: str | None) -> SourceSpec:
        return spec_of(source, version, await credentials.credential(owner, project, source, secrets), private)

    secondary = [
        await spec(source, project.version_of(source.source_identifier or "")) for source in project.secondary_sources
    ]
    return Sources(await spec(project.source, project.source_version), tuple(secondary))
