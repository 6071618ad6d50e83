"""Whether a value matches a pattern that a caller gave: tried in a process of its own, for a pattern can be written to
take for ever, and a thread that is at it cannot be stopped."""

import asyncio
import json
import sys
from contextlib import suppress

from codeyard.aws import Refused

_SECONDS = 3.0
_CODE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (2, 2))
resource.setrlimit(resource.RLIMIT_AS, (256 << 20, 256 << 20))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
import json, re
pattern, value = json.load(sys.stdin)
try:
    found = re.compile(pattern)
except (re.error, RecursionError, OverflowError):
    sys.exit(4)
sys.exit(0 if found.fullmatch(value) else 3)
"""


class Patterns:
    """Tries patterns, at most a few at a time."""

    def __init__(self, at_once: int = 2) -> None:
        self._turns = asyncio.Semaphore(at_once)

    async def check(self, pattern: str, value: str) -> None:
        """Nothing, if the whole value matches. Refused; neither text nor process list has the value."""
        async with self._turns:
            code = await _tried(pattern, value)
        if code == 3:
            message = f"Parameter value, cannot be validated against allowedPattern: {pattern}"
            raise Refused("ParameterPatternMismatchException", message)
        if code == 4:
            raise Refused("InvalidAllowedPatternException", f"The pattern is no regular expression: {pattern}")
        if code != 0:
            message = f"The pattern takes too long or too much memory to match this value: {pattern}"
            raise Refused("InvalidAllowedPatternException", message)


async def _tried(pattern: str, value: str) -> int:
    """The exit code; of a process that was killed, a negative one."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", "-c", _CODE, env={},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(_SECONDS):
            await child.communicate(json.dumps([pattern, value]).encode())
            return child.returncode if child.returncode is not None else -1
    except TimeoutError:
        return -1
    finally:
        if child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
