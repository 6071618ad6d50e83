"""The policies of resources that are shared: checked and kept. They let nobody in yet: see the page of differences."""

import json
import re
from typing import Any

from codeyard.aws import Refused
from codeyard.builds import projects_table as table
from codeyard.builds.projects import local_name
from codeyard.ident import Owner
from codeyard.store import Database, Tx

_LIMIT = 20_480  # characters of a policy
_ARN = re.compile(r"arn:aws[a-z-]*:codebuild:[a-z0-9-]{1,32}:[0-9]{12}:(project|report-group)/[A-Za-z0-9_-]{1,255}")
# What can be shared (Sharing a project, Sharing a report group).
_ACTIONS = {
    "project": ("BatchGetProjects", "BatchGetBuilds", "ListBuildsForProject"),
    "report-group": ("BatchGetReportGroups", "BatchGetReports", "ListReportsForReportGroup", "DescribeTestCases"),
}


class ResourcePolicies:
    """One policy to each project; report groups are not here yet."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, owner: Owner, arn: str, policy: str) -> None:
        """Refused: InvalidInputException, and ResourceNotFoundException if there is no such project."""
        _check_policy(policy, _kind(arn))

        def keep(tx: Tx) -> None:
            name = local_name(owner, arn)
            if name is None or table.lock_project(tx, owner, name) is None:
                raise Refused("ResourceNotFoundException", f"Resource {arn} does not exist")
            table.put_policy(tx, arn, json.dumps(policy))

        await self._database.write(keep)

    async def get(self, owner: Owner, arn: str) -> str:
        """The policy's text as it was put. Refused: ResourceNotFoundException."""
        _kind(arn)
        body = await self._database.read(lambda tx: table.find_policy(tx, arn)) if local_name(owner, arn) else None
        if body is None:
            raise Refused("ResourceNotFoundException", f"Resource {arn} does not have a resource policy")
        text: str = json.loads(body)
        return text

    async def delete(self, owner: Owner, arn: str) -> None:
        """One that is not there is no error. Refused: InvalidInputException."""
        _kind(arn)
        if local_name(owner, arn) is not None:
            await self._database.write(lambda tx: table.remove_policy(tx, arn))


def _kind(arn: str) -> str:
    match = _ARN.fullmatch(arn)
    if match is None:
        raise Refused("InvalidInputException", "Invalid resource ARN: it is not that of a project or report group")
    return match[1]


def _check_policy(text: str, kind: str) -> None:
    try:
        policy = json.loads(text) if len(text) <= _LIMIT else None
    except (ValueError, RecursionError):
        policy = None
    statements = _listed(policy.get("Statement")) if isinstance(policy, dict) else []
    if not statements or not all(isinstance(each, dict) for each in statements):
        raise Refused("InvalidInputException", "Invalid resource policy: it is not a policy document of statements")
    allowed = {f"codebuild:{action}" for action in _ACTIONS[kind]}
    for statement in statements:
        actions = _listed(statement.get("Action"))
        if not actions or not all(isinstance(each, str) and each in allowed for each in actions):
            text = f"Invalid resource policy: its actions can only be {', '.join(sorted(allowed))}"
            raise Refused("InvalidInputException", text)
        if statement.get("Effect") not in ("Allow", "Deny") or "Principal" not in statement:
            raise Refused("InvalidInputException", "Invalid resource policy: a statement has no Effect or Principal")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
