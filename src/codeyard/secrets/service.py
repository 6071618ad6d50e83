"""Parameter Store and Secrets Manager as services of the wire."""

from collections.abc import Callable, Mapping
from datetime import datetime

from codeyard.aws import Identities, Service
from codeyard.aws.paging import Pages
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound
from codeyard.secrets.api_parameter_marks import MarkOperations
from codeyard.secrets.api_parameter_store import ParameterOperations
from codeyard.secrets.api_secret_values import SecretValueOperations
from codeyard.secrets.api_secrets_manager import SecretArns, SecretOperations
from codeyard.secrets.sealed import DoesNotOpen
from codeyard.secrets.sealing import Key
from codeyard.store import Database

_SSM_ERRORS: Mapping[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "ValidationException",
    NotFound: "ParameterNotFound",
    Conflict: "TooManyUpdates",
    Denied: "AccessDeniedException",
    Fault: ("InternalServerError", 500),
}
_SECRETS_ERRORS: Mapping[type[CodeyardError], str | tuple[str, int]] = {
    Invalid: "InvalidParameterException",
    NotFound: "ResourceNotFoundException",
    Conflict: "InvalidRequestException",
    Denied: "AccessDeniedException",
    DoesNotOpen: "DecryptionFailure",
    Fault: ("InternalServiceError", 500),
}
_SSM_OTHER = "Codeyard answers Parameter Store; this operation of Systems Manager is not one that builds need."
_SECRETS_OTHER = "this operation is not one that builds need."
_ROTATION = "Codeyard runs no Lambda functions, so it cannot rotate a secret; put a new value instead."
_POLICY = "Codeyard decides by the roles' policies alone; a policy of a secret would not be kept to."
_REGIONS = "Codeyard keeps a secret in one region of one account."
_SECRETS_DECLINED = {
    "RotateSecret": _ROTATION,
    "CancelRotateSecret": _ROTATION,
    "PutResourcePolicy": _POLICY,
    "DeleteResourcePolicy": _POLICY,
    "ValidateResourcePolicy": _POLICY,
    "ReplicateSecretToRegions": _REGIONS,
    "RemoveRegionsFromReplication": _REGIONS,
    "StopReplicationToReplica": _REGIONS,
}


def services(
    db: Database, key: Key, now: Callable[[], datetime], pages: Pages, identities: Identities | None = None
) -> tuple[Service, Service]:
    """ssm and secretsmanager. `identities` is asked for each secret of a BatchGetSecretValue by a role."""
    parameters = (ParameterOperations(db, key, now, pages), MarkOperations(db))
    secrets = (SecretOperations(db, now, pages), SecretValueOperations(db, key, now, pages, identities))
    return (
        Service("ssm", parameters, _SSM_ERRORS, other=_SSM_OTHER),
        Service(
            "secretsmanager", secrets, _SECRETS_ERRORS, _SECRETS_DECLINED,
            f"Codeyard answers the operations on secrets, their values and versions; {_SECRETS_OTHER}",
            SecretArns(db).exact,
        ),
    )  # fmt: skip
