"""Processes beside a server's own: workers, and an agent for this machine. Started again if they end, ended with us."""

import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from codeyard.app.first_start import write_private
from codeyard.app.machine import capacity, worker_name
from codeyard.app.parts import now, public_url
from codeyard.config import Config
from codeyard.deploys.enrolment import Invitation, enrolment_key, parse_tags, written
from codeyard.ident import Owner

_PR_SET_PDEATHSIG = 1
_GOODBYE = 5  # seconds for one to end by itself
_AGAIN, _AGAIN_AT_MOST = 0.5, 30.0  # seconds until one that ended is started again
_DEPLOYED = 0o022  # what is deployed is for others to read, such as a web server
_ENROLS_WITHIN = timedelta(minutes=10)
_log = logging.getLogger(__name__)


@asynccontextmanager
async def workers(config: Config, ending: asyncio.Event) -> AsyncIterator[None]:
    """As many as the settings say, each with its share of the machine."""
    first = worker_name(config)
    names = [first if number == 1 else f"{first}-{number}" for number in range(1, config.workers + 1)]
    command = ("worker", "--data", str(config.data))
    async with _running([(name, command, partial(_environment, config, name)) for name in names], ending):
        yield


@asynccontextmanager
async def agent(config: Config, vault_secret: bytes, url: str, ending: asyncio.Event) -> AsyncIterator[None]:
    """An agent that makes this machine a target, with the tags of the settings; what it runs, our user runs. `url` is
    that of the API on the loopback: an agent speaks no http to any other address."""
    tags = parse_tags(config.agent.split(","))
    key, owner = enrolment_key(vault_secret), Owner(config.account, config.region)
    state = config.data / "agent"

    def environment() -> Mapping[str, str]:
        """With a token that lets it enrol, for the first time that it starts; not in its arguments."""
        token = written(key, Invitation(owner, tags, now() + _ENROLS_WITHIN))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CODEYARD_", "AWS_"))}
        near = {} if config.bucket else {"CODEYARD_AGENT_NEAR": str((config.data / "artifacts").absolute())}
        return {**kept, **near, "CODEYARD_AGENT_TOKEN": token, "CODEYARD_PARENT": str(os.getpid())}

    await asyncio.to_thread(_moved, state / "agent.json", url)
    wanted: _Wanted = ("agent", ("agent", "--state", str(state), "--server", url), environment)
    async with _running([wanted], ending, _DEPLOYED):
        yield


def _moved(known: Path, url: str) -> None:
    """We may listen elsewhere than when the agent enrolled: it is still ours."""
    with suppress(FileNotFoundError, ValueError):
        fields = json.loads(known.read_text())
        if fields.get("server") != url:
            write_private(known, json.dumps({**fields, "server": url}))


def end_with_parent() -> None:
    """A process that a server started is told when the server is gone."""
    parent = os.environ.pop("CODEYARD_PARENT", None)
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent != str(os.getppid()):  # it was gone before we asked to be told
        os._exit(0)


_Wanted = tuple[str, tuple[str, ...], Callable[[], Mapping[str, str]]]


@asynccontextmanager
async def _running(wanted: list[_Wanted], ending: asyncio.Event, umask: int = 0o077) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(_keep_going(*each, ending, umask)) for each in wanted]
    try:
        yield
    finally:
        for task in tasks if not ending.is_set() else ():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # they are gone when we are


async def _keep_going(
    name: str,
    command: tuple[str, ...],
    environment: Callable[[], Mapping[str, str]],
    ending: asyncio.Event,
    umask: int,
) -> None:
    pause = _AGAIN
    while not ending.is_set():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "codeyard.cli.main", *command,
            env=dict(environment()), stdin=asyncio.subprocess.DEVNULL, umask=umask,
        )  # fmt: skip
        began = asyncio.get_running_loop().time()
        either = asyncio.ensure_future(process.wait()), asyncio.ensure_future(ending.wait())
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiting in either:
                waiting.cancel()
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.terminate()
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _GOODBYE)
        if ending.is_set():
            return
        _log.warning("process_ended name=%s code=%s", name, process.returncode)
        lasted = asyncio.get_running_loop().time() - began
        pause = _AGAIN if lasted > 60 else min(pause * 2, _AGAIN_AT_MOST)
        with suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), pause)


def _environment(config: Config, name: str) -> dict[str, str]:
    """Our settings for a worker process: its share of the machine, by the environment, which it reads as we did."""
    share = capacity(config, config.workers)
    told = {
        "database": config.database_url, "url": public_url(config), "api": f"http://{config.listen}",
        "worker": name, "workers": "0",
        "region": config.region, "account": config.account, "vault_key": config.vault_key, "executor": config.executor,
        "unsafe_process": str(config.unsafe_process), "privileged": str(config.privileged),
        "local_sources": str(config.local_sources), "host_git": str(config.host_git),
        "curated_images": config.curated_images,
        "cpus": str(share.cpus), "memory": str(share.memory / 1024**3), "builds": str(config.builds),
        "account_limit": str(config.account_limit), "over_limit": config.over_limit, "objects": config.objects,
        "bucket": config.bucket, "lease": str(config.lease),
        "poll": str(config.poll),
    }  # fmt: skip
    return {**os.environ, **{f"CODEYARD_{key.upper()}": value for key, value in told.items()},
            "CODEYARD_PARENT": str(os.getpid())}  # fmt: skip
