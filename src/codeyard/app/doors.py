"""Where builds reach the API: by 127.0.0.1 always, for only there SDKs ask for a container's credentials over http."""

import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from codeyard.app.building import Door
from codeyard.app.first_start import write_private
from codeyard.app.machine import worker_name
from codeyard.config import EVERYWHERE, Config
from codeyard.errors import Conflict, Fault, Invalid
from codeyard.executors.forwarding import forwarding
from codeyard.executors.loopback import listen_here

_AT_ONCE = 400  # connections of all builds together, each of which may keep dozens open


async def own_door(config: Config, stack: AsyncExitStack) -> Door:
    """To the API of this process. What carries connections there lives as long as `stack`."""
    return await _door(config.data / "door", *config.host_port, stack)


async def door_to(config: Config, url: str, stack: AsyncExitStack) -> Door:
    """To the API of another process, at `url`. Invalid: builds cannot reach that."""
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    if scheme != "http" or not port.isdigit():
        raise Invalid(f"the API at {url!r}", "builds reach it by http://HOST:PORT.", "Give that as the setting `api`.")
    return await _door(config.data / f"door-{worker_name(config)}", host.strip("[]"), int(port), stack)


async def _door(kept: Path, host: str, port: int, stack: AsyncExitStack) -> Door:
    host = EVERYWHERE.get(host, host)
    if host not in ("127.0.0.1", "localhost"):
        listener = _listening(kept)
        await stack.enter_async_context(forwarding(listener, host, port, _AT_ONCE))
        port = listener.getsockname()[1]
    return Door(f"http://127.0.0.1:{port}", "127.0.0.1", port)


def _listening(kept: Path) -> socket.socket:
    """On a port of our own, the one of the last time if it is free: builds that still run know that one."""
    with suppress(OSError, ValueError, Conflict, Fault):
        return listen_here(int(kept.read_text()))
    listener = listen_here(0)
    write_private(kept, str(listener.getsockname()[1]))
    return listener
