"""The sources of one build."""

import os
from pathlib import Path

import pytest

from codeyard.builds.build_sources import sources_of
from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.project_overrides import overridden
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
