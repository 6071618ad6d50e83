"""IAM and STS as services of the wire."""

from collections.abc import Callable
from datetime import datetime

from codeyard.access.answers import RoleArns, RoleRows
from codeyard.access.api_access_keys import AccessKeyOperations
from codeyard.access.api_iam import RoleOperations
from codeyard.access.api_role_policies import RolePolicyOperations
from codeyard.access.api_sts import StsOperations
from codeyard.access.identities import StoredIdentities
from codeyard.aws import Service
from codeyard.aws.paging import Pages
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.store import Database

_ERRORS: dict[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "ValidationError",
    NotFound: ("NoSuchEntity", 404),
    Conflict: ("ConcurrentModification", 409),
    Denied: ("AccessDenied", 403),
    Fault: ("ServiceFailure", 500),
}


def services(
    db: Database, identities: StoredIdentities, now: Callable[[], datetime], pages: Pages
) -> tuple[Service, Service]:
    """IAM and STS."""
    rows = RoleRows(db, identities, pages)
    handlers = (RoleOperations(rows, now), RolePolicyOperations(rows), AccessKeyOperations(rows, identities))
    iam = Service(
        "iam",
        handlers,
        _ERRORS,
        other="this IAM has roles with their policies, and the root's access keys; users, groups, managed policies "
        "of your own and the rest of it are not kept.",
        exact=RoleArns(db).exact,
    )
    sts = Service(
        "sts",
        (StsOperations(identities),),
        _ERRORS,
        other="there are GetCallerIdentity, AssumeRole and GetSessionToken; there is no federation.",
    )
    return iam, sts
