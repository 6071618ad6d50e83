"""The sources of one build: what its project names, at which versions, with what lets them in."""

from dataclasses import replace
from pathlib import Path

from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.handed import Handed, HandedSource
from codeyard.builds.project import Project
from codeyard.builds.project_parts import ProjectSource, SourceType
from codeyard.builds.project_sources import spec_of
from codeyard.builds.tools import Revision, Sources
from codeyard.ident import Owner
from codeyard.secrets import SecretProvider
from codeyard.sources import SourceKind, SourceSpec


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


async def handed_sources(
    handed: Handed,
    owner: Owner,
    project: Project,
    credentials: SourceCredentials,
    secrets: SecretProvider,
    private: Path,
) -> Sources:
    """What a pipeline handed to a build of this project. A clone has all its history, and the submodules that the
    project wants. Raises what `sources_of` does."""

    async def spec(source: HandedSource) -> SourceSpec:
        if source.clone is None:
            return SourceSpec(SourceKind.TREE, source.tree or "", identifier=source.variable)
        # CODECOMMIT stands for a server whose credentials nobody has imported.
        type = SourceType(source.clone.server or SourceType.CODECOMMIT)
        found = replace(project.source, type=type, location=source.clone.url, source_identifier=source.variable)
        credential = await credentials.credential(owner, project, found, secrets)
        return spec_of(found, source.clone.commit, credential, private)

    given = (handed.primary, *handed.secondary)
    primary, *secondary = [await spec(source) for source in given]
    return Sources(
        primary,
        tuple(secondary),
        {source.variable: Revision(source.version, source.resolved) for source in given},
        frozenset(source.variable for source in given if source.clone is not None and source.clone.known),
    )
