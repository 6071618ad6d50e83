"""The operations on source credentials."""

from codeyard.aws import Call, Shape, operation
from codeyard.builds.credential_rules import credential_arn
from codeyard.builds.credentials import SourceCredentials


class CredentialOperations:
    """ImportSourceCredentials, ListSourceCredentials, DeleteSourceCredentials."""

    def __init__(self, credentials: SourceCredentials) -> None:
        self._credentials = credentials

    @operation("ImportSourceCredentials")
    async def import_credentials(self, call: Call) -> Shape:
        """The token itself is never told again."""
        return {"arn": await self._credentials.put(call.owner, call.input)}

    @operation("ListSourceCredentials")
    async def list_credentials(self, call: Call) -> Shape:
        stored = await self._credentials.list(call.owner)
        infos = [
            {
                "arn": credential_arn(call.owner, each.server_type),
                "serverType": each.server_type,
                "authType": each.auth_type,
                "resource": each.resource,
            }
            for each in stored
        ]
        return {"sourceCredentialsInfos": infos}

    @operation("DeleteSourceCredentials")
    async def delete_credentials(self, call: Call) -> Shape:
        await self._credentials.delete(call.owner, call.input["arn"])
        return {"arn": call.input["arn"]}
