"""How builds reach the server's API: 127.0.0.1 as they see it, wherever they run.

A sandbox that shares this machine's loopback reaches the API, or this worker's door to it, by itself. In any other we
listen within, on the same port, and carry what comes to the API: no build needs a route to it, nor to any other.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from socket import socket

from codeyard.errors import CodeyardError
from codeyard.executors import Ability, Command, Executor, Exit, Sandbox, SandboxSpec
from codeyard.executors.forwarding import forwarding


class Reaching:
    """An Executor whose sandboxes reach `host:port` at 127.0.0.1:`port`."""

    def __init__(self, inner: Executor, host: str, port: int, failed: Callable[[str], None]) -> None:
        """`failed` is told why a sandbox cannot reach it; its build goes on without."""
        self._inner, self._host, self._port, self._failed = inner, host, port, failed

    @property
    def name(self) -> str:
        return self._inner.name

    async def ability(self) -> Ability:
        return await self._inner.ability()

    async def open(self, spec: SandboxSpec) -> Sandbox:
        return await self._reached(await self._inner.open(spec))

    async def adopt(self, spec: SandboxSpec) -> Sandbox:
        return await self._reached(await self._inner.adopt(spec))

    async def _reached(self, sandbox: Sandbox) -> Sandbox:
        if sandbox.shares_loopback:
            return sandbox
        try:
            listener = await sandbox.listen(self._port)
        except CodeyardError as error:
            self._failed(f"This build cannot reach the API, nor its role's credentials: {error}")
            return sandbox
        stack = AsyncExitStack()
        await stack.enter_async_context(forwarding(listener, self._host, self._port))
        return _Reached(sandbox, stack)


class _Reached:
    """A Sandbox that hangs up when it is closed."""

    def __init__(self, inner: Sandbox, stack: AsyncExitStack) -> None:
        self._inner, self._stack = inner, stack

    @property
    def root(self) -> str:
        return self._inner.root

    @property
    def shares_loopback(self) -> bool:
        return self._inner.shares_loopback

    async def run(self, command: Command) -> Exit:
        return await self._inner.run(command)

    async def fetch(self, path: str, into: Path) -> bool:
        return await self._inner.fetch(path, into)

    async def place(self, source: Path, path: str) -> None:
        await self._inner.place(source, path)

    async def listen(self, port: int) -> socket:
        return await self._inner.listen(port)

    async def close(self) -> None:
        try:
            await self._inner.close()
        finally:
            await asyncio.shield(self._stack.aclose())
