"""Both services over a database, asked without a wire; and a clock that a test turns."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from codeyard.aws import Caller, Identities
from codeyard.aws.paging import Pages
from codeyard.secrets.sealing import Key
from codeyard.secrets.service import services
from codeyard.store.engine import SqlDatabase
from tests.calls import REGION, ROOT, call

KEY = Key(b"k" * 32)


@dataclass
class Clock:
    """Goes on by a second whenever it is read, so that no two things happen at once."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


@dataclass
class Asked:
    """What answers: `await asked("ssm", "GetParameter", Name="x")`."""

    database: SqlDatabase
    key: Key = KEY
    identities: Identities | None = None
    clock: Clock = field(default_factory=Clock)

    async def __call__(
        self, service: str, operation: str, /, region: str = REGION, caller: Caller = ROOT, **given: Any
    ) -> dict[str, Any]:
        made = services(self.database, self.key, self.clock, Pages(b"p" * 32), self.identities)
        handler, _ = {each.name: each for each in made}[service].operations()[operation]
        return dict(await handler(call(service, operation, region, caller, **given)) or {})

    async def ssm(self, operation: str, /, **given: Any) -> dict[str, Any]:
        return await self("ssm", operation, **given)

    async def secrets(self, operation: str, /, **given: Any) -> dict[str, Any]:
        return await self("secretsmanager", operation, **given)

    async def pages(self, service: str, operation: str, /, **given: Any) -> list[dict[str, Any]]:
        """All pages of a list."""
        found = [await self(service, operation, **given)]
        while token := found[-1]["NextToken"]:
            found.append(await self(service, operation, NextToken=token, **given))
        return found
