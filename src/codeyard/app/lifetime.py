"""From start to end of a server's processes: `up`, `serve`, `worker`.

SIGTERM ends a process in good order: no call and no build is taken any more, what was begun with a client is answered,
and builds go on without us: their sandboxes live, and the next process of the same name finds them. A second signal
ends it at once, which is as safe.
"""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial

import click
import uvicorn

from codeyard.app.api import App, Operations, Server, console_key, console_of, control_of, gateway
from codeyard.app.building import Building, Door
from codeyard.app.connections import KEPT_ALIVE, Crowd, bounded, room
from codeyard.app.deploying import deploys_of
from codeyard.app.doors import door_to, own_door
from codeyard.app.first_start import alone, write_private
from codeyard.app.machine import capacity, worker_name
from codeyard.app.parts import Parts, now, opened, public_url
from codeyard.app.pipelining import Pipelines, pipelines_of
from codeyard.app.processes import agent, end_with_parent, workers
from codeyard.builds.control import BuildControl
from codeyard.builds.queue import Size
from codeyard.builds.stored import StoredBuild
from codeyard.builds.sweeping import Sweeper
from codeyard.builds.worker import Worker
from codeyard.builds.workers_table import WorkerRow
from codeyard.config import EVERYWHERE, Config
from codeyard.console.session import link_key, login_link
from codeyard.durable.dbos import DbosWorkflows
from codeyard.errors import Denied
from codeyard.events import Event

_BUILD = "build.run"  # stored with every workflow that began: never another
_MANY = 10_000  # builds at the same time, where nobody sets a limit
_THREADS = 64  # made as they are needed, for what blocks: files, buckets
_GOODBYE = 5  # seconds for clients to get their answers
_HANDOVER = 10.0  # seconds for the last worker of a name to end: `up` was killed, and started again at once
_HOURLY = 3600.0
_POLL_WOKEN = 1.0  # seconds between looks at the queue of a worker that this process's own API wakes
_log = logging.getLogger(__name__)


def run_up(config: Config, env: str = "codeyard env") -> int:
    """Serve, and build: in this process, or in as many beside it as `workers` says. `env` is the command that tells
    how clients reach it."""
    return _run(config, "server", partial(_up, env=env))


def run_serve(config: Config, env: str = "codeyard env") -> int:
    """Serve only."""
    return _run(config, "server", partial(_serve, env=env))


def run_worker(config: Config) -> int:
    """Build only."""
    name = worker_name(config)
    return _run(replace(config, worker=name), f"worker-{name}", _work, patience=_HANDOVER)


def _run(
    config: Config, what: str, body: Callable[[Config, asyncio.Event], Awaitable[None]], patience: float = 0.0
) -> int:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)
    end_with_parent()

    async def run() -> None:
        ending = asyncio.Event()
        loop = asyncio.get_running_loop()
        # asyncio would have four more than there are CPUs: a few builds that upload would hold up all reading of logs.
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, "work"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, _signalled, ending)
        await body(config, ending)

    with alone(config.data, what, patience), asyncio.Runner() as runner:
        runner.run(run())
        sys.stdout.flush()
        # The builds' tasks end with us, and not by being cancelled, which would end the builds: they go on.
        os._exit(0)


def _signalled(ending: asyncio.Event) -> None:
    if ending.is_set():
        os._exit(0)
    ending.set()


async def _up(config: Config, ending: asyncio.Event, env: str) -> None:
    async with AsyncExitStack() as stack:
        sock = stack.enter_context(_listening(*config.host_port))
        config = replace(config, listen=_name_of(sock, config))
        parts = await stack.enter_async_context(opened(config))
        door = await own_door(config, stack)
        if config.workers:
            control = control_of(parts, lambda: None)
            await stack.enter_async_context(workers(config, ending))
        else:
            stack.enter_context(alone(config.data, f"worker-{worker_name(config)}"))  # or `codeyard worker` has it
            poll = max(config.poll, _POLL_WOKEN)
            worker = await stack.enter_async_context(_worker(parts, door, public_url(config), poll))
            control = control_of(parts, worker.wake)
            ending_worker = asyncio.create_task(_drain(worker, ending))
            stack.callback(ending_worker.cancel)
        if config.agent:
            await stack.enter_async_context(agent(config, parts.key.secret, door.url, ending))
        await _api(parts, control, sock, ending, stack, env)


async def _serve(config: Config, ending: asyncio.Event, env: str) -> None:
    async with AsyncExitStack() as stack:
        sock = stack.enter_context(_listening(*config.host_port))
        config = replace(config, listen=_name_of(sock, config))
        parts = await stack.enter_async_context(opened(config))
        await _api(parts, control_of(parts, lambda: None), sock, ending, stack, env)


async def _work(config: Config, ending: asyncio.Event) -> None:
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(opened(config))
        door = await door_to(config, config.api or public_url(config), stack)
        sock = stack.enter_context(_listening(*_worker_address(config)))
        host, port = sock.getsockname()[:2]
        address = config.worker_url or f"http://{host}:{port}"
        worker = await stack.enter_async_context(_worker(parts, door, address, config.poll))
        await stack.enter_async_context(_sweeper(parts))
        operations = Operations(parts)
        click.echo(f"Worker {config.worker} is up: builds of {_shown(config.database_url)}", err=True)
        draining = asyncio.create_task(_drain(worker, ending))
        stack.callback(draining.cancel)
        await _listen(_only(operations), sock, ending, operations)


# ── the API ──


async def _api(
    parts: Parts, control: BuildControl, sock: socket.socket, ending: asyncio.Event, stack: AsyncExitStack, env: str
) -> None:
    deploys = deploys_of(parts)
    pipelines = pipelines_of(parts, control, deploys)
    calls = gateway(parts, control, pipelines, deploys)
    console = console_of(parts, calls) if parts.config.console else None
    server = Server(parts, calls, console, pipelines, deploys)
    await stack.enter_async_context(deploys.running())
    await stack.enter_async_context(pipelines.running())
    await stack.enter_async_context(_sweeper(parts))
    tidying = asyncio.create_task(_tidy(parts, pipelines))
    stack.callback(tidying.cancel)
    url = public_url(parts.config)
    told = {"url": url, "region": parts.config.region, "pid": os.getpid()}
    write_private(parts.config.data / "server.json", json.dumps(told))
    link = None
    if parts.config.console:
        key = link_key(console_key(parts))
        write_private(parts.config.data / "keys" / "console", json.dumps({"url": url, "key": key}))
        link = login_link(url, key, now())
    _greet(parts, url, env, link)

    def hang_up() -> None:
        deploys.agents.drain()
        if console is not None:
            console.drain()

    await _listen(server, sock, ending, server.operations, hang_up)


def _greet(parts: Parts, url: str, env: str, link: str | None) -> None:
    click.echo(f"Codeyard is up, with everything in {parts.config.data}")
    if link is not None:
        click.echo(f"  console  {link}")
        click.echo(f"           the link lets browsers in for 12 hours; another one: {env} --console")
    click.echo(f"  API      {url}   (CodePipeline, CodeBuild, CodeDeploy, Logs, S3, Secrets Manager, SSM, IAM, STS)")
    if not parts.config.url and parts.config.host_port[0] in EVERYWHERE:
        click.echo(
            "           other machines reach it, too: --url http://NAME:PORT makes links that lead here from there"
        )
    click.echo(f'  use it   eval "$({env})" && aws codebuild list-projects')
    click.echo("  end it   Ctrl-C or SIGTERM; builds that run go on, and are found again at the next start")
    sys.stdout.flush()


def _sweeper(parts: Parts) -> Sweeper:
    lease = parts.config.lease
    return Sweeper(parts.database, now, lease=lease, every=min(5.0, lease / 10))


async def _tidy(parts: Parts, pipelines: Pipelines) -> None:
    """What nobody waits for: logs that their groups keep no longer, jobs and events of long ago."""
    while True:
        await asyncio.sleep(_HOURLY)
        try:
            await parts.groups.sweep()
            await pipelines.tidy()
        except Exception as error:  # noqa: BLE001 - the next hour is another chance
            _log.warning("tidying_failed error=%s", error)


class _Uvicorn(uvicorn.Server):
    """Which leaves signals to us, and does not wake ten times a second to see whether it is to end."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # the date in the answers' heads
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), 1.0)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _listen(
    app: App,
    sock: socket.socket,
    ending: asyncio.Event,
    operations: Operations,
    hang_up: Callable[[], None] = lambda: None,
) -> None:
    """Answer until it is to end; `hang_up` ends what would never end by itself."""
    config = uvicorn.Config(
        app,
        # Of what is no HTTP nothing is logged: anybody can send a gigabyte of it.
        log_level="error", access_log=False, lifespan="off", ws="none", http=bounded(Crowd(room())), loop="asyncio",
        timeout_keep_alive=int(KEPT_ALIVE), timeout_graceful_shutdown=_GOODBYE, server_header=False,
        proxy_headers=False, backlog=2048,
    )  # fmt: skip
    stopped = asyncio.Event()
    server = _Uvicorn(config, stopped)

    async def end() -> None:
        await ending.wait()
        operations.draining = True
        hang_up()
        server.should_exit = True
        stopped.set()

    waiting = asyncio.create_task(end())
    try:
        await server.serve(sockets=[sock])
    finally:
        waiting.cancel()


def _only(operations: Operations) -> App:
    async def app(scope: object, receive: object, send: object) -> None:
        from codeyard.app.api import answer

        if scope["type"] != "http":  # type: ignore[index]
            return
        if operations.answers(scope["path"]):  # type: ignore[index]
            await operations(scope, receive, send)  # type: ignore[arg-type]
        else:
            await answer(send, 404, b"a worker: /healthz, /readyz, /metrics\n")  # type: ignore[arg-type]

    return app


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns off the wait for more to send (TCP_NODELAY) only where the protocol is told.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError as error:
        raise Denied(
            f"listening on {host}:{port}", f"{error.strerror or error}.", "Choose another with --listen HOST:PORT."
        ) from error
    with sock:
        yield sock


def _name_of(sock: socket.socket, config: Config) -> str:
    host = config.listen.rpartition(":")[0]
    return f"{host}:{sock.getsockname()[1]}"


# ── the worker ──


@asynccontextmanager
async def _worker(parts: Parts, door: Door, address: str, poll: float) -> AsyncIterator[Worker]:
    config = parts.config
    name = worker_name(config)
    has = capacity(config, max(1, config.workers))
    known_as = WorkerRow(name, socket.gethostname(), address, Size(has.cpus, has.memory), has.builds or _MANY, now())
    building = Building(parts.means(has, door))
    holder: list[Worker] = []
    workflows = DbosWorkflows(config.journal_url, name, {_BUILD: lambda run, steps: holder[0].run(run, steps)})
    listeners: dict[str, Callable[[Event], None]] = {}

    def told(stored: StoredBuild, event: Event) -> None:
        if stored.run not in listeners:
            listeners[stored.run] = parts.metrics.build(stored.build.started)
        listeners[stored.run](event)
        if event.kind == "build_ended":
            listeners.pop(stored.run, None)
            parts.tail.ended(stored.run)

    holder.append(
        Worker(
            parts.database,
            lambda run: workflows.start(_BUILD, run),
            building.perform,
            known_as,
            now,
            kill=building.kill,
            account_limit=config.account_limit or None,
            told=told,
            over=parts.ends.tell,
            lease=config.lease,
            poll=poll,
        )
    )
    await workflows.launch()
    async with holder[0]:
        yield holder[0]


async def _drain(worker: Worker, ending: asyncio.Event) -> None:
    await ending.wait()
    worker.drain()


def _worker_address(config: Config) -> tuple[str, int]:
    host, _, port = config.worker_listen.rpartition(":")
    return host.strip("[]"), int(port)


def _shown(url: str) -> str:
    """Without its password."""
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
