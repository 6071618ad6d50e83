"""STS's operations: who am I, and credentials for a while."""

from collections.abc import Mapping

from codeyard.access import managed_policies
from codeyard.access.answers import check_document
from codeyard.access.identities import Session, StoredIdentities
from codeyard.access.model import Limits, RoleArn, SessionCaller, session_arn
from codeyard.aws import Call, Caller, Refused, Shape, operation
from codeyard.aws.policy import Kind

_HOUR = 3600  # seconds
_POLICY = 2048  # characters of a session policy
_PACKED = 6144  # characters of all that a session has beyond its role
_DENIED = "User: {who} is not authorized to perform: {action} on resource: {role}"


class StsOperations:
    def __init__(self, identities: StoredIdentities) -> None:
        self._identities = identities

    @operation("GetCallerIdentity")
    async def get_caller_identity(self, call: Call) -> Shape:
        return {"UserId": call.caller.id, "Account": call.caller.account, "Arn": call.caller.arn}

    @operation("GetSessionToken")
    async def get_session_token(self, call: Call) -> Shape:
        if isinstance(call.caller, SessionCaller):
            raise Refused("AccessDenied", "Cannot call GetSessionToken with session credentials", 403)
        _check_no_device(call)
        # "Credentials that are created by using account credentials can range … up to a maximum of 3,600 seconds"
        seconds = min(call.input.get("DurationSeconds") or _HOUR, _HOUR)
        return {"Credentials": _credentials(self._identities.root_session(call.caller.account, seconds))}

    @operation("AssumeRole", lambda call: str(call.input["RoleArn"]))
    async def assume_role(self, call: Call) -> Shape:
        given, name = call.input, call.input["RoleSessionName"]
        arn = RoleArn.parse(given["RoleArn"])
        if arn is None:
            raise Refused("ValidationError", f"{given['RoleArn']} is invalid")
        _check_no_device(call)
        limits, packed = _limits(given, call.caller)
        for action in _needed(given):
            await self._check(call, str(arn), action, _context(given))
        await self._check_duration(call, str(arn))
        session = await self._identities.assume(str(arn), name, given.get("DurationSeconds") or _HOUR, limits)
        return {
            "Credentials": _credentials(session),
            "AssumedRoleUser": {"AssumedRoleId": session.caller.id, "Arn": session_arn(arn, name)},
            "PackedPolicySize": packed,
            "SourceIdentity": limits.source_identity,
        }

    async def _check(self, call: Call, role: str, action: str, context: Mapping[str, str | tuple[str, ...]]) -> None:
        if await self._identities.may_assume(call.caller, role, action, context):
            return
        raise Refused("AccessDenied", _DENIED.format(who=call.caller.arn, action=action, role=role), 403)

    async def _check_duration(self, call: Call, role: str) -> None:
        seconds, grants = call.input.get("DurationSeconds") or _HOUR, await self._identities.grants(role)
        if call.caller.role is not None and seconds > _HOUR:
            text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
            raise Refused("ValidationError", text)
        if grants is not None and seconds > grants.role.max_session:
            text = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            raise Refused("ValidationError", text)


def _needed(given: Shape) -> tuple[str, ...]:
    """What the caller must be allowed."""
    return (
        "sts:AssumeRole",
        *(("sts:TagSession",) if given.get("Tags") else ()),
        *(("sts:SetSourceIdentity",) if given.get("SourceIdentity") else ()),
    )


def _context(given: Shape) -> dict[str, str | tuple[str, ...]]:
    """What conditions may ask of the request: "Available keys for AWS STS"."""
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags") or ()}
    said: dict[str, str | tuple[str, ...]] = {
        f"sts:{name}": given[name] for name in ("RoleSessionName", "ExternalId", "SourceIdentity") if given.get(name)
    }
    said.update({f"aws:RequestTag/{key}": value for key, value in tags.items()})
    return {**said, **({"aws:TagKeys": tuple(tags)} if tags else {})}


def _limits(given: Shape, caller: Caller) -> tuple[Limits, int]:
    """What the session gets beyond the role, and how many percent of the room for it that takes. Refused."""
    own = given.get("Policy")
    if own is not None:
        check_document(own, Kind.IDENTITY)
    documents = (*(_managed(each["arn"]) for each in given.get("PolicyArns") or ()), *((own,) if own else ()))
    if given.get("TransitiveTagKeys"):
        raise Refused("ValidationError", "Transitive session tags are not supported here: pass the tags each time.")
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags") or ()}
    if len({key.casefold() for key in tags}) < len(given.get("Tags") or ()):
        text = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        raise Refused("InvalidParameterValue", text)
    size = sum(map(len, documents)) + sum(len(key) + len(value) for key, value in tags.items())
    if len(own or "") > _POLICY or size > _PACKED:
        text = (
            f"Packed policy consumes {max(101, 100 * size // _PACKED)}% of allotted space, please use smaller policy."
        )
        raise Refused("PackedPolicyTooLarge", text)
    return Limits(documents, tags, _source_identity(given, caller)), 100 * size // _PACKED


def _source_identity(given: Shape, caller: Caller) -> str | None:
    """Once set it stays, from session to session. Refused."""
    set_before = caller.limits.source_identity if isinstance(caller, SessionCaller) else None
    asked: str | None = given.get("SourceIdentity")
    if set_before is not None and asked not in (None, set_before):
        raise Refused("AccessDenied", "The source identity of a session cannot be changed.", 403)
    return set_before or asked


def _managed(arn: str) -> str:
    if managed_policies.parsed(arn) is None:
        raise Refused("MalformedPolicyDocument", f"Policy {arn} does not exist or is not attachable.")
    return managed_policies.DOCUMENTS[arn.removeprefix(managed_policies.PREFIX)]


def _check_no_device(call: Call) -> None:
    if call.input.get("SerialNumber") or call.input.get("TokenCode"):
        text = "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number."
        raise Refused("AccessDenied", text, 403)


def _credentials(session: Session) -> Shape:
    return {
        "AccessKeyId": session.id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": session.expires,
    }
