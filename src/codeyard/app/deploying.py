"""Deployments of a server process: their control, their part of the API, and the door of the machines' agents."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from codeyard.app.parts import Parts, now
from codeyard.artifacts import Digest
from codeyard.aws import Service, Shape
from codeyard.deploys.agents import PATH, Agents
from codeyard.deploys.api import codedeploy_service
from codeyard.deploys.api_tags import TagOperations
from codeyard.deploys.control import DeployControl
from codeyard.deploys.enrolment import enrolment_key
from codeyard.deploys.groups import Groups
from codeyard.deploys.model import DeploymentRequest
from codeyard.deploys.targets import Targets
from codeyard.ident import Owner

_SWEEP, _SWEEP_IDLE = 1.0, 5.0  # seconds between looks, where something is under way, and where nothing is
_SERVICE = "codedeploy.amazonaws.com"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deploys:
    """What a process has of deployments."""

    control: DeployControl
    service: Service
    agents: Agents
    groups: Groups

    @staticmethod
    def answers(path: str) -> bool:
        """Whether it is an agent that asks for this path."""
        return path.startswith(PATH)

    async def request(
        self, owner: Owner, application: str, group: str, tree: Digest, revision: Shape, description: str
    ) -> DeploymentRequest:
        """What a pipeline's deployment to a group is to do; it waits for one that is in flight. Refused."""
        return await self.groups.request(
            owner, application, group, tree, revision=revision, description=description, queue=True
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What nobody tells is looked for: machines that are silent, events without end."""
        sweeping = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            sweeping.cancel()

    async def _sweep(self) -> None:
        pause = _SWEEP
        while True:
            await asyncio.sleep(pause)
            try:
                pause = _SWEEP if await self.control.sweep() else _SWEEP_IDLE
            except Exception as error:  # noqa: BLE001 - the next second is another chance
                _log.warning("deployments_wait error=%s", error)


def deploys_of(parts: Parts) -> Deploys:
    """Everything that a process which serves the API has of deployments."""
    database, identities = parts.database, parts.identities

    async def require(owner: Owner, role: str, source: str) -> None:
        await identities.require_service_role(owner, role, _SERVICE, source_arn=source)

    control = DeployControl(database, now, heard_for=parts.config.lease)
    groups = Groups(database, identities, require, now)
    targets = Targets(database, enrolment_key(parts.key.secret), now)
    service = codedeploy_service(control, groups, targets, parts.pages, TagOperations(database))
    return Deploys(control, service, Agents(control, targets, parts.blobs), groups)
