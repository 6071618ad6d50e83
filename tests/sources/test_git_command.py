"""How git is run: credentials, TLS, and the settings of a person."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.secrets import Secret
from codeyard.sources import Credential, SourceError, parse_location
from codeyard.sources.git import GitSource
from codeyard.sources.git_command import LINE_LIMIT, GitFailed, Server, clone_error, environment_network, run_git
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


# ── running it ──


def tool(base: dict[str, str], tmp_path: Path, script: str) -> None:
    """Have `git` be this shell script."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "bin/git").chmod(0o755)
    base["PATH"] = f"{tmp_path / 'bin'}:{base['PATH']}"


async def test_what_git_says_is_passed_on_as_plain_lines(base: dict[str, str], tmp_path: Path) -> None:
    tool(base, tmp_path, r"printf 'a\033[31mred\033[0m\007\n 1%%\r 2%%\r 100%%, done.\n\nhttps://u:p@h/\n\377' >&2")
    lines: list[str] = []

    await run_git("x", env=base, timeout=10, progress=lines.append)

    assert lines == ["ared", "100%, done.", "https://h/", "\ufffd"]


async def test_an_endless_line_is_cut(base: dict[str, str], tmp_path: Path) -> None:
    tool(base, tmp_path, "head -c 20000000 /dev/zero | tr '\\0' x >&2; exit 3")

    with pytest.raises(GitFailed) as failure:
        await run_git("x", env=base, timeout=30)

    assert failure.value.code == 3
    assert [len(line) for line in failure.value.said] == [LINE_LIMIT]


async def test_more_output_than_a_machine_holds_is_an_error(
    base: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codeyard.sources.git_command.OUTPUT_LIMIT", 1_000_000)
    tool(base, tmp_path, "exec cat /dev/zero")

    with pytest.raises(SourceError, match="git says too much"):
        await run_git("x", env=base, timeout=30)


async def test_what_git_left_behind_is_ended(base: dict[str, str], tmp_path: Path) -> None:
    tool(base, tmp_path, f"(trap '' TERM; sleep 7213 >/dev/null 2>&1) & echo $! >{tmp_path}/pid; sleep 0.1")

    await run_git("x", env=base, timeout=10)
    await asyncio.sleep(0.05)

    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_a_pipe_that_something_else_holds_is_not_waited_for(base: dict[str, str], tmp_path: Path) -> None:
    """As ssh does, when it stays for the next connection."""
    tool(base, tmp_path, f"setsid sleep 7214 & echo $! >{tmp_path}/pid; echo said; echo told >&2; sleep 0.2")
    lines: list[str] = []

    said = await run_git("x", env=base, timeout=10, progress=lines.append)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)

    assert (said, lines) == (b"said\n", ["told"])


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (("remote: Counting", "fatal: unable to access 'https://h/': SSL certificate problem: self-signed certificate"),
         "Git clone failed: Unable to access 'https://h/': SSL certificate problem: self-signed certificate"),
        (("error: RPC failed; curl 18", "fatal: early EOF"), "Git clone failed: RPC failed; curl 18"),
        (("something",), "Git clone failed: Something"),
        ((), "Git clone failed: Git ended with 128"),
    ],
)  # fmt: skip
def test_a_failure_gives_gits_own_reason(said: tuple[str, ...], what: str) -> None:
    error = clone_error(GitFailed(128, said))

    assert error.what == what
    assert all(error.args)


NAMES = st.from_regex(r"(GIT|SSH|LC)_[A-Z_]{1,12}|LANGUAGE|HOME|HTTPS_PROXY", fullmatch=True)
HOW_A_SERVER_IS_REACHED = ("GIT_SSL", "GIT_SSH", "GIT_PROXY_SSL", "GIT_HTTP_USER_AGENT", "GIT_EXEC_PATH", "GIT_CONFIG_")


@given(st.dictionaries(NAMES, st.text(max_size=5), max_size=6))
def test_no_variable_of_the_caller_steers_git(callers: dict[str, str]) -> None:
    """But those that say how a server is reached, and where the settings lie."""
    ours = environment_network({}, Server("https://h/x"))
    ours.pop("GIT_SSH_COMMAND")  # see test_ssh_never_asks

    env = environment_network(callers, Server("https://h/x"))

    more = {name for name in env if name.startswith("GIT_")} - set(ours)
    assert [name for name in more if not name.startswith(HOW_A_SERVER_IS_REACHED)] == []
    assert {name: env.get(name) for name in ours} == ours
    assert env.get("HTTPS_PROXY") == callers.get("HTTPS_PROXY")


@pytest.mark.parametrize(
    ("base", "configured", "command"),
    [
        ({}, "", "ssh -oBatchMode=yes"),
        ({}, "ssh -i key", "ssh -i key -oBatchMode=yes"),
        ({"GIT_SSH_COMMAND": "/usr/bin/ssh -p 1"}, "ssh -i key", "/usr/bin/ssh -p 1 -oBatchMode=yes"),
        ({"GIT_SSH_COMMAND": "plink -batch"}, "", "plink -batch"),
        ({"GIT_SSH": "/opt/wrapper"}, "", None),
    ],
)
def test_ssh_never_asks(base: dict[str, str], configured: str, command: str | None) -> None:
    env = environment_network(base, Server("git@h:x"), configured)

    assert env.get("GIT_SSH_COMMAND") == command


def test_a_server_never_shows_its_credential() -> None:
    server = Server("https://h/x", Credential(Secret("ann"), Secret("s3cr3t")))

    assert "s3cr3t" not in repr(server)
    assert server.hide("ann s3cr3t https://ann:s3cr3t@h") == "ann *** https://h"
