"""Runs the `git` command: what it is told, what it may read, how it is ended.

Two ways. With the network, a person's own settings hold (proxies, certificates, credential helpers, `insteadOf`, ssh),
less all that could run a command or keep a process behind. Without it, none of them does, so that one commit gives the
same files on every machine, and what a repository says can start nothing.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import SubprocessStreamProtocol
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from codeyard.sources import Credential, SourceError
from codeyard.sources.git_names import hide_credentials

OUTPUT_LIMIT = 256 * 1024 * 1024  # bytes of standard output: the names of some millions of files
LINE_LIMIT = 400
GRACE = 2.0  # seconds between asking git to end, so that it takes its locks along, and ending it

# git's words for a server that does not answer, or not well: no fault of the mirror.
SERVER_TROUBLE = (
    r"unable to access|Could not read from remote|could not read (Username|Password)|Authentication failed|not found"
    r"|early EOF|unexpected disconnect|hung up|RPC failed|remote error|not allowed|redirect|No space left"
)
REF_IN_THE_WAY = r"cannot lock ref|Unable to create '.*\.lock'|local refs could not be updated"

# Of the caller's GIT_* variables only these reach git: how a server is spoken to, and which files hold the settings.
_PASSED = frozenset(
    "GIT_SSH GIT_SSH_COMMAND GIT_SSH_VARIANT GIT_SSL_CAINFO GIT_SSL_CAPATH GIT_SSL_CERT GIT_SSL_KEY GIT_SSL_VERSION"
    " GIT_SSL_CERT_PASSWORD_PROTECTED GIT_PROXY_SSL_CAINFO GIT_PROXY_SSL_CERT GIT_PROXY_SSL_KEY GIT_HTTP_USER_AGENT"
    " GIT_EXEC_PATH GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM".split()
)
_SAFE = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("core.logAllRefUpdates", "false"),
    ("safe.directory", "*"),  # what else it guards against is off
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.unpackLimit", "1"),  # always one pack: a mirror is copied by its files
    ("transfer.bundleURI", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
)
_ALONE = (
    *_SAFE,
    ("core.attributesFile", os.devnull),
    ("core.excludesFile", os.devnull),
    ("init.defaultBranch", "main"),
    ("user.name", "codeyard"),
    ("user.email", "codeyard@localhost"),
)
_NETWORK = (
    *_SAFE,
    ("core.askPass", ""),
    ("http.lowSpeedLimit", "1"),  # a server that sends nothing for two minutes is gone
    ("http.lowSpeedTime", "120"),
)
# Only to the server that it was given for: not to one that it redirects to, nor to a submodule's.
_HELPER = (
    '!f() { test "$1" = get || exit 0;'
    ' printf "username=%s\\n" "$CODEYARD_GIT_USERNAME";'
    ' printf "password=%s\\n" "$CODEYARD_GIT_PASSWORD"; }; f'
)
_NOT_PRINTABLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\xa0-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Server:
    """Whom to speak to, and how: the `url` holds no credential."""

    url: str
    credential: Credential | None = None
    insecure_ssl: bool = False

    @property
    def transport(self) -> str:
        """https, http, ssh or file."""
        scheme, mark, _ = self.url.partition("://")
        return scheme if mark else "ssh"

    @property
    def origin(self) -> str:
        """Scheme and host, as far as a credential goes."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}"

    def secrets(self) -> tuple[str, ...]:
        """What may be in no message."""
        if self.credential is None:
            return ()
        username = self.credential.username.reveal()
        if self.credential.password is None:
            return (username,)
        password = self.credential.password.reveal()
        return (password, username) if len(username) >= 20 else (password,)  # so long, it is a token

    def hide(self, text: str) -> str:
        return hide_credentials(text, *self.secrets())


class GitFailed(Exception):
    """git ended with another code than 0. `said` are its own last lines, without credentials."""

    def __init__(self, code: int, said: tuple[str, ...]) -> None:
        super().__init__(code, said)
        self.code, self.said = code, said

    def says(self, pattern: str) -> bool:
        return re.search(pattern, "\n".join(self.said)) is not None


def environment(
    base: Mapping[str, str],
    settings: Sequence[tuple[str, str]],
    transports: str = "",
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What git gets of the environment `base`, with `settings` over every file of settings.

    `transports` are those that it may use, with colons between them. They hold whatever any file of settings says: a
    repository's own may name a remote that is a command, which a missing object would start.
    """
    kept = {name: value for name, value in base.items() if not name.startswith("GIT_") or name in _PASSED}
    kept.pop("SSH_ASKPASS", None)
    kept.pop("LANGUAGE", None)
    kept |= {
        "LC_ALL": "C",  # its messages are read
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": transports,
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings):
        kept |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return kept | dict(more or {})


def environment_alone(base: Mapping[str, str], transports: str = "") -> dict[str, str]:
    """For work on this machine: no settings but ours and the repository's."""
    nobody = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return environment(base, _ALONE, transports, nobody)


def environment_reading(base: Mapping[str, str]) -> dict[str, str]:
    """For reading a developer's own repository: his settings hold, as they say what is ignored."""
    return environment(base, _SAFE)


def environment_network(base: Mapping[str, str], server: Server, ssh_command: str = "") -> dict[str, str]:
    """For speaking to `server`; its credential goes by the environment of git alone.

    `ssh_command` is the person's core.sshCommand.
    """
    transports = "file" if server.transport == "file" else "https:http:ssh"
    settings = [*_NETWORK]
    more: dict[str, str] = {}
    if server.insecure_ssl:
        more["GIT_SSL_NO_VERIFY"] = "true"
    credential = server.credential
    if credential is not None and credential.password is None:
        settings.append((f"credential.{server.origin}.username", credential.username.reveal()))
    elif credential is not None and credential.password is not None:
        settings += [(f"credential.{server.origin}.helper", ""), (f"credential.{server.origin}.helper", _HELPER)]
        more["CODEYARD_GIT_USERNAME"] = credential.username.reveal()
        more["CODEYARD_GIT_PASSWORD"] = credential.password.reveal()
    if ssh := _ssh_that_never_asks(base, ssh_command):
        more["GIT_SSH_COMMAND"] = ssh
    return environment(base, settings, transports, more)


def _ssh_that_never_asks(base: Mapping[str, str], configured: str) -> str:
    """git's own order: GIT_SSH_COMMAND, core.sshCommand, GIT_SSH, ssh. "" leaves another program than ssh as it is."""
    command = base.get("GIT_SSH_COMMAND") or configured or ("" if base.get("GIT_SSH") else "ssh")
    program = Path(command.split()[0]).name if command.split() else ""
    return f"{command} -oBatchMode=yes" if program == "ssh" else ""


async def run_git(
    *arguments: str,
    env: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109 - of the process, which is ended and not only left
    cwd: Path | None = None,
    hide: Callable[[str], str] = hide_credentials,
    progress: Callable[[str], None] | None = None,
) -> bytes:
    """Run `git …` to its end and give its standard output. `timeout` in seconds.

    It and all that it started are gone when this returns or raises. GitFailed; SourceError when it takes too long,
    says too much, or is not installed.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, protocol = await loop.subprocess_exec(
            lambda: SubprocessStreamProtocol(limit=1 << 18, loop=loop),
            "git",
            *arguments,
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise SourceError(
            "Git clone failed: git is not installed", "the sources are fetched with it.", "Install git."
        ) from None
    child = asyncio.subprocess.Process(transport, protocol, loop)
    output, listener = _Output(), _Listener(hide, progress)
    reading = asyncio.gather(output.read(child.stdout), listener.listen(child.stderr))
    try:
        async with asyncio.timeout(timeout):
            await _until_said(child, reading)
    except TimeoutError:
        raise SourceError(
            "Git clone failed: it took too long", f"git ran for more than {timeout:.0f} seconds.", "Try again."
        ) from None
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await asyncio.shield(_end(child, transport))
    if child.returncode:
        raise GitFailed(child.returncode, listener.said())
    return b"".join(output.chunks)


async def _until_said(child: asyncio.subprocess.Process, reading: asyncio.Future[tuple[None, None]]) -> None:
    """Wait until git has said everything and ended. What it left behind (ssh does, for the next connection) may hold
    its pipes open for ever: that is not waited for.
    """
    left = 5
    while left:
        done, _ = await asyncio.wait({reading}, timeout=0.1)
        if done:
            reading.result()
            await child.wait()
            return
        left -= child.returncode is not None


async def _end(child: asyncio.subprocess.Process, transport: asyncio.SubprocessTransport) -> None:
    """Leave nothing of it: its session is its own, so its group holds its children too. Its pipes are closed, whoever
    else holds them, which Process itself cannot do.
    """
    if child.returncode is None:
        _signal(child, signal.SIGTERM)
        await _poll(child, GRACE)
    _signal(child, signal.SIGKILL)
    await _poll(child, GRACE)
    transport.close()


async def _poll(child: asyncio.subprocess.Process, seconds: float) -> None:
    """Wait for its end by looking: Process.wait would wait for its pipes too."""
    for _ in range(int(seconds / 0.01)):
        if child.returncode is not None:
            return
        await asyncio.sleep(0.01)


def _signal(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


class _Output:
    """What git prints, up to a bound."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    async def read(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        size = 0
        while chunk := await stream.read(1 << 18):
            self.chunks.append(chunk)
            size += len(chunk)
            if size > OUTPUT_LIMIT:
                raise SourceError(
                    "Git clone failed: git says too much",
                    f"more than {OUTPUT_LIMIT >> 20} MB of names.",
                    "Name a smaller repository.",
                )


class _Listener:
    """Reads what git says, line by line, and passes it on without credentials and control characters.

    A line that git overwrites (its percentages) is passed on twice a second at the most, and when it is done.
    """

    def __init__(self, hide: Callable[[str], str], progress: Callable[[str], None] | None) -> None:
        self._hide, self._progress = hide, progress
        self._lines: deque[str] = deque(maxlen=20)
        self._next = 0.0

    async def listen(self, stream: asyncio.StreamReader | None) -> None:
        assert stream is not None
        rest = b""
        while chunk := await stream.read(1 << 14):
            *lines, rest = re.split(rb"(?<=[\r\n])", rest + chunk)
            rest = rest[:LINE_LIMIT]
            for line in lines:
                self._hear(line)
        self._hear(rest + b"\n")

    def _hear(self, raw: bytes) -> None:
        line = _NOT_PRINTABLE.sub("", self._hide(raw[:LINE_LIMIT].decode("utf-8", "replace"))).strip()
        if not line:
            return
        passing = raw.endswith(b"\r") and not line.endswith("done.")
        if not passing:
            self._lines.append(line)
        if self._progress is None or (passing and monotonic() < self._next):
            return
        self._next = monotonic() + 0.5
        self._progress(line)

    def said(self) -> tuple[str, ...]:
        return tuple(self._lines)


_FIXES = (
    (r"could not read (Username|Password)|Authentication failed|HTTP Basic|returned error: 40[13]",
     "Give a user and a token: https://USER:TOKEN@host/…, or set up a git credential helper. "
     "On a server: aws codebuild import-source-credentials."),
    (r"Permission denied \(|Host key verification failed|ssh: ",
     "See that `ssh` reaches the host by itself, with no question asked."),
    (r"SSL|certificate", "Name the server's certificate authority (http.sslCAInfo), or set insecure SSL."),
    (r"Could not resolve|Connection refused|timed out|Failed to connect", "Check the address and the network."),
    (r"not allowed", "Use an https URL."),
    (r"not found|does not appear to be a git|does not exist", "Check the address, and that you may read it."),
    (r"No space left", "Make room on the disk."),
)  # fmt: skip


def clone_error(failure: GitFailed) -> SourceError:
    """What to say of it: `Git clone failed: ` and git's own reason (2.5)."""
    reasons = [line.partition(": ")[2] for line in failure.said if line.startswith(("fatal: ", "error: "))]
    reason = next(iter((*reasons, *failure.said[-1:])), f"git ended with {failure.code}")
    reason = reason[:1].upper() + reason[1:]
    said = "\n".join(failure.said)
    fix = next((fix for pattern, fix in _FIXES if re.search(pattern, said)), "Try the same with `git clone`.")
    why = " / ".join(failure.said[-4:]) or "git gave no reason."
    return SourceError(f"Git clone failed: {reason}", why, fix)
