"""Work that survives the death of the process that does it.

A workflow is a list of named steps. A step that finished is never done again: its answer, plain values that JSON can
hold, is remembered. The step that was running when the process died is done again from its beginning, so a step must
be idempotent: the same sandbox id, the same command keys, the same digests.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

Answer = Mapping[str, Any]


class Steps(Protocol):
    """The steps of one workflow."""

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the step of this name: remembered, or else made now by `work` and remembered.

        What `work` raises is not remembered; the step then counts as not done.
        """
        ...
