"""How git is run: credentials, TLS, and the settings of a person."""

import subprocess
from pathlib import Path

import pytest

from codeyard.secrets import Secret
from codeyard.sources import Credential, SourceError, parse_location
from codeyard.sources.git import GitSource
from tests.sources.servers import GitServer, History, git, git_server, quiet, spec_of

# ── credentials ──


@pytest.fixture
def watched(base: dict[str, str], tmp_path: Path) -> Path:
    """A file with the arguments of every git that is run from now on."""
    tools, log = tmp_path / "tools", tmp_path / "arguments"
    tools.mkdir()
    real = subprocess.check_output(["which", "git"], text=True).strip()
    (tools / "git").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>{log}\nexec {real} "$@"\n')
    (tools / "git").chmod(0o755)
    base["PATH"] = f"{tools}:{base['PATH']}"
    return log


async def test_a_credential_opens_the_door_and_is_seen_nowhere(
    private: GitServer, history: History, out: Path, watched: Path, base: dict[str, str], tmp_path: Path
) -> None:
    lines: list[str] = []
    spec = parse_location(private.url.replace("://", "://ann:s3cr3t-t0ken@") + "/app", Path("/"))

    fetched = await GitSource(tmp_path / "cache", base).fetch(spec, out, lines.append)

    assert fetched.resolved_version == history.three
    assert fetched.repo_url == f"{private.url}/app"
    assert "fetch" in watched.read_text()
    seen = [repr(spec), repr(fetched), watched.read_text(), *lines]
    stored = [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    stored.remove(watched.read_text())
    assert not [text for text in (*seen, *stored) if "s3cr3t-t0ken" in text]


@pytest.mark.parametrize("userinfo", ["", "ann:wr0ng-t0ken@", "t0ken-0123456789abcdef@"])
async def test_a_door_that_stays_shut_is_told_without_the_key(
    source: GitSource, private: GitServer, history: History, out: Path, userinfo: str
) -> None:
    spec = parse_location(private.url.replace("://", f"://{userinfo}") + "/app", Path("/"))
    lines: list[str] = []

    with pytest.raises(SourceError, match="Git clone failed: ") as error:
        await source.fetch(spec, out, lines.append)

    assert "t0ken" not in "".join((*map(str, error.value.args), *lines))
    assert "credential helper" in error.value.fix


async def test_a_persons_credential_helper_is_asked(
    source: GitSource, private: GitServer, history: History, out: Path, base: dict[str, str]
) -> None:
    helper = "!f() { grep -q username=ann && echo password=s3cr3t-t0ken; }; f"
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", "credential.helper", helper)
    spec = parse_location(private.url.replace("://", "://ann@") + "/app", Path("/"))

    fetched = await source.fetch(spec, out, quiet)

    assert fetched.resolved_version == history.three


async def test_a_credential_is_not_shown_to_the_server_that_it_is_sent_on_to(
    source: GitSource, history: History, served: Path, out: Path, private: GitServer
) -> None:
    with git_server(served) as first:
        first.redirect = private.url
        spec = spec_of(first, credential=Credential(Secret("ann"), Secret("s3cr3t-t0ken")))
        with pytest.raises(SourceError):
            await source.fetch(spec, out, quiet)

    assert private.authorizations == []


async def test_a_credential_in_a_setting_of_the_person_is_not_told(
    source: GitSource, private: GitServer, history: History, out: Path, base: dict[str, str]
) -> None:
    secret = private.url.replace("://", "://ann:s3cr3t-t0ken@")
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", f"url.{secret}.insteadOf", private.url)
    lines: list[str] = []

    with pytest.raises(SourceError) as error:
        await source.fetch(spec_of(private, name="none"), out, lines.append)

    assert "s3cr3t" not in "".join((*map(str, error.value.args), *lines))


# ── TLS ──


async def test_a_certificate_that_nobody_signed_is_refused_as_aws_words_it(
    source: GitSource, secure: GitServer, history: History, out: Path
) -> None:
    with pytest.raises(SourceError, match=r"Git clone failed: Unable to access '.*': .*certificate"):
        await source.fetch(spec_of(secure), out, quiet)


async def test_insecure_ssl_takes_any_certificate(
    source: GitSource, secure: GitServer, history: History, out: Path
) -> None:
    fetched = await source.fetch(spec_of(secure, insecure_ssl=True), out, quiet)

    assert fetched.resolved_version == history.three


async def test_a_persons_certificate_authority_is_trusted(
    source: GitSource, secure: GitServer, history: History, out: Path, base: dict[str, str], tmp_path: Path
) -> None:
    git(out, "config", "--file", f"{base['HOME']}/.gitconfig", "http.sslCAInfo", str(tmp_path / "tls/server.crt"))

    fetched = await source.fetch(spec_of(secure), out, quiet)

    assert fetched.resolved_version == history.three
