"""Whether an address answers well: 2xx or 3xx, redirections not followed, nothing but the first line read."""

import asyncio
import re
import ssl
from urllib.parse import SplitResult, urlsplit

from codeyard.deploys import ErrorCode
from codeyard.deploys.hooks import Ran

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


def is_address(text: str) -> bool:
    """Whether it is an http or https address that can be asked. One with a password in it is not: it would be told."""
    try:
        found = urlsplit(text)
        sound = bool(found.hostname) and (found.port is None or found.port > 0) and found.username is None
    except ValueError:
        return False
    return sound and found.scheme in ("http", "https") and re.fullmatch("[!-~]+", text, re.ASCII) is not None


async def answer(url: str, seconds: float) -> Ran:
    """How the address answers within that time; no error is raised."""
    what = f"GET {url}: "
    try:
        async with asyncio.timeout(seconds):
            line = await _first_line(urlsplit(url))
    except TimeoutError:
        return Ran(ErrorCode.SCRIPT_FAILED, f"{what}no answer in {seconds:g} seconds")
    except (OSError, ValueError) as error:  # ValueError: a line without end
        return Ran(ErrorCode.SCRIPT_FAILED, what + (str(error) or type(error).__name__))
    status = _STATUS.match(line)
    if status is None:
        return Ran(ErrorCode.SCRIPT_FAILED, f"{what}the answer is not HTTP")
    good = 200 <= int(status[1]) < 400
    return Ran(ErrorCode.SUCCESS if good else ErrorCode.SCRIPT_FAILED, what + status[1].decode())


async def _first_line(url: SplitResult) -> bytes:
    secure = ssl.create_default_context() if url.scheme == "https" else None
    reader, writer = await asyncio.open_connection(url.hostname, url.port or (443 if secure else 80), ssl=secure)
    try:
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        head = f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\nUser-Agent: codeyard\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        return await reader.readline()
    finally:
        writer.transport.abort()  # nothing more is wanted, and a peer that says no good-bye is not waited for
