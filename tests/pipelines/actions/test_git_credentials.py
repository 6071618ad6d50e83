"""Whom imported tokens are shown to."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.builds.credentials import SourceCredentials
from codeyard.builds.project_parts import SourceType
from codeyard.ident import Owner
from codeyard.pipelines.actions.git_credentials import imported_credentials, servers
from codeyard.secrets import SecretProvider
from codeyard.secrets.sealing import Key
from tests.builds.test_credentials import SECRETS
from tests.databases import opened
from tests.pipelines.works import OWNER

HOSTS = frozenset({"git.example.com", "gitlab.example.com"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/o/r", (SourceType.GITHUB,)),
        ("https://gitlab.example.com/o/r", (SourceType.GITLAB_SELF_MANAGED, SourceType.GITHUB_ENTERPRISE)),
        ("http://git.example.com:8080/o/r", (SourceType.GITHUB_ENTERPRISE, SourceType.GITLAB_SELF_MANAGED)),
        ("https://evil.example.com/o/r", ()),
        ("https://github.com.evil.example/o/r", ()),
        ("ssh://git@github.com/o/r", ()),
        ("git@github.com:o/r", ()),
        ("file:///github.com", ()),
    ],
)
def test_a_server_is_shown_what_is_for_it(url: str, expected: tuple[SourceType, ...]) -> None:
    assert servers(url, HOSTS) == expected


@given(st.from_regex(r"https://[a-z.]{1,20}/x", fullmatch=True))
def test_no_other_server_is_shown_anything(url: str) -> None:
    known = url.split("/")[2] in {*HOSTS, "github.com", "gitlab.com", "bitbucket.org"}

    assert bool(servers(url, HOSTS)) == known


async def test_what_an_account_imported_is_shown_for_it_alone(tmp_path: Path) -> None:
    def secrets(_owner: Owner) -> SecretProvider:
        return SECRETS

    for database in opened(f"sqlite:///{tmp_path / 'db'}"):
        stored = SourceCredentials(database, Key(os.urandom(32)))
        access = {"authType": "PERSONAL_ACCESS_TOKEN"}
        await stored.put(OWNER, {"token": "own", "serverType": "GITLAB_SELF_MANAGED", **access})
        await stored.put(OWNER, {"token": "hub", "serverType": "GITHUB", **access})
        credential = imported_credentials(stored, secrets, HOSTS)

        own = await credential(OWNER, "https://git.example.com/o/r")
        hub = await credential(OWNER, "https://github.com/o/r")
        other = await credential(OWNER, "https://evil.example/o/r")
        insecure = await credential(OWNER, "http://github.com/o/r")
        stranger = await credential(Owner("444455556666"), "https://github.com/o/r")

    assert own is not None
    assert own.password is not None
    assert own.password.reveal() == "own"
    assert hub is not None
    assert hub.password is not None
    assert hub.password.reveal() == "hub"
    assert (other, insecure, stranger) == (None, None, None)
