"""The sources of one build."""

import os
from pathlib import Path

import pytest

from codeyard.artifacts import Digest
from codeyard.builds.build_sources import handed_sources, sources_of
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.handed import Clone, Handed, HandedSource
from codeyard.builds.project_overrides import overridden
from codeyard.builds.tools import Revision
from codeyard.errors import Denied
from codeyard.secrets import Secret
from codeyard.secrets.sealing import Key
from codeyard.sources import Credential, SourceKind, SourceSpec
from codeyard.store.engine import SqlDatabase
from tests.builds.projects import OWNER, project
from tests.builds.test_credentials import SECRETS
from tests.databases import database

__all__ = ["database"]
PROJECT = project(
    source={"type": "GITHUB_ENTERPRISE", "location": "https://git.example.com/o/r"},
    sourceVersion="main",
    secondarySources=[
        {"type": "S3", "location": "bucket/a.zip", "sourceIdentifier": "zip"},
        {"type": "GITLAB", "location": "https://gitlab.com/o/r", "sourceIdentifier": "lab"},
    ],
    secondarySourceVersions=[{"sourceIdentifier": "zip", "sourceVersion": "v1"}],
)


async def test_each_source_comes_with_its_version_and_credential(database: SqlDatabase) -> None:
    credentials = SourceCredentials(database, Key(os.urandom(32)))
    given = {"token": "t", "serverType": "GITHUB_ENTERPRISE", "authType": "PERSONAL_ACCESS_TOKEN"}
    await credentials.put(OWNER, given)

    sources = await sources_of(OWNER, PROJECT, credentials, SECRETS, Path("/data"))

    primary = SourceSpec(
        SourceKind.GIT,
        "https://git.example.com/o/r",
        "main",
        credential=Credential(Secret("x-access-token"), Secret("t")),
    )
    assert sources.primary == primary
    assert sources.secondary == (
        SourceSpec(SourceKind.S3_ZIP, "s3://bucket/a.zip", "v1", identifier="zip"),
        SourceSpec(SourceKind.GIT, "https://gitlab.com/o/r", identifier="lab"),
    )


async def test_no_override_leads_into_the_servers_own_directory(database: SqlDatabase) -> None:
    credentials = SourceCredentials(database, Key(os.urandom(32)))
    changed = overridden(PROJECT, {"sourceLocationOverride": "file:///data/mirrors/x"})

    with pytest.raises(Denied):
        await sources_of(OWNER, changed, credentials, SECRETS, Path("/data"))


async def test_what_a_pipeline_hands_over_goes_before_the_projects_sources(database: SqlDatabase) -> None:
    credentials = SourceCredentials(database, Key(os.urandom(32)))
    given = {"token": "t", "serverType": "GITHUB_ENTERPRISE", "authType": "PERSONAL_ACCESS_TOKEN"}
    await credentials.put(OWNER, given)
    commit, tree = "c" * 40, Digest("a" * 64)
    handed = Handed(
        "p",
        HandedSource("arn:one", clone=Clone("https://git.example.com/o/r", commit, "GITHUB_ENTERPRISE", known=True)),
        (HandedSource("arn:two", "my-lib", tree), HandedSource("arn:3", "x", clone=Clone("https://h/r", commit))),
    )

    sources = await handed_sources(handed, OWNER, PROJECT, credentials, SECRETS, Path("/data"))

    shown = Credential(Secret("x-access-token"), Secret("t"))
    assert sources.primary == SourceSpec(SourceKind.GIT, "https://git.example.com/o/r", commit, credential=shown)
    assert sources.secondary == (
        SourceSpec(SourceKind.TREE, tree, identifier="my_lib"),
        SourceSpec(SourceKind.GIT, "https://h/r", commit, identifier="x"),
    )
    assert sources.revisions == {None: Revision("arn:one"), "my_lib": Revision("arn:two"), "x": Revision("arn:3")}
    assert sources.allowed == {None}


async def test_no_clone_leads_into_the_servers_own_directory(database: SqlDatabase) -> None:
    handed = Handed("p", HandedSource("v", clone=Clone("file:///data/mirrors/x", "c" * 40, known=True)))
    credentials = SourceCredentials(database, Key(os.urandom(32)))

    with pytest.raises(Denied):
        await handed_sources(handed, OWNER, PROJECT, credentials, SECRETS, Path("/data"))
