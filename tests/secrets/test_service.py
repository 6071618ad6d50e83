"""Both services as boto3 sees them, and what every operation makes of inputs of every kind."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from codeyard.aws import Caller, Key, Refused, Said
from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.aws.wildcards import matches_arn
from codeyard.secrets.service import services
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION
from tests.secrets.asking import KEY
from tests.wire.generate import survives
from tests.wire.served import RootOnly, client, serving

ROLE = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", "AROA:s", f"arn:aws:iam::{ACCOUNT}:role/r")


@pytest.fixture
def url(database: SqlDatabase) -> Iterator[str]:
    made = services(database, KEY, lambda: datetime.now(UTC), Pages(b"p" * 32), RootOnly())
    with serving(Gateway(made, RootOnly(), lambda: datetime.now(UTC))) as served:
        yield served


def test_boto3_puts_reads_and_lists_parameters(url: str) -> None:
    ssm = client(url, "ssm")
    for number in range(12):
        ssm.put_parameter(Name=f"/app/{number:02}", Value=f"välue-{number}", Type="SecureString")
    ssm.put_parameter(Name="/app/00", Value="newer", Overwrite=True)

    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/app", WithDecryption=True)
    found = [parameter for page in pages for parameter in page["Parameters"]]
    described = ssm.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 5}).build_full_result()

    assert [each["Value"] for each in found] == ["newer", *(f"välue-{number}" for number in range(1, 12))]
    assert found[0]["Version"] == 2
    assert abs((datetime.now(UTC) - found[0]["LastModifiedDate"]).total_seconds()) < 60
    assert len(described["Parameters"]) == 12
    with pytest.raises(ssm.exceptions.ParameterNotFound):
        ssm.get_parameter(Name="absent")
    with pytest.raises(ssm.exceptions.ParameterAlreadyExists):
        ssm.put_parameter(Name="/app/00", Value="x", Type="String")


def test_boto3_makes_changes_and_deletes_a_secret(url: str) -> None:
    secrets = client(url, "secretsmanager")
    made = secrets.create_secret(Name="prod/db", SecretString="öne", Tags=[{"Key": "k", "Value": "v"}])
    secrets.put_secret_value(SecretId=made["ARN"], SecretBinary=b"\0two")

    current = secrets.get_secret_value(SecretId="prod/db")
    previous = secrets.get_secret_value(SecretId="prod/db", VersionStage="AWSPREVIOUS")
    listed = secrets.get_paginator("list_secrets").paginate().build_full_result()["SecretList"]
    secrets.delete_secret(SecretId="prod/db")

    assert (current["SecretBinary"], previous["SecretString"]) == (b"\0two", "öne")
    assert listed[0]["SecretVersionsToStages"][made["VersionId"]] == ["AWSPREVIOUS"]
    with pytest.raises(secrets.exceptions.InvalidRequestException, match="marked for deletion"):
        secrets.get_secret_value(SecretId="prod/db")
    with pytest.raises(secrets.exceptions.ResourceNotFoundException, match="can't find the specified secret"):
        secrets.get_secret_value(SecretId="absent")


@pytest.mark.parametrize(
    ("service", "operation", "given", "why"),
    [
        ("ssm", "describe_instance_information", {}, "Codeyard answers Parameter Store"),
        ("secretsmanager", "rotate_secret", {"SecretId": "x"}, "runs no Lambda functions"),
        ("secretsmanager", "put_resource_policy", {"SecretId": "x", "ResourcePolicy": "{}"}, "roles' policies alone"),
        ("secretsmanager", "stop_replication_to_replica", {"SecretId": "x"}, "one region of one account"),
    ],
)
def test_what_is_not_done_is_declined_with_the_reason(
    url: str, service: str, operation: str, given: dict[str, str], why: str
) -> None:
    with pytest.raises(ClientError, match=why):
        getattr(client(url, service), operation)(**given)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", ["ssm", "secretsmanager"])
def test_no_input_breaks_an_operation(url: str, service: str) -> None:
    survives(url, service)


class Policy(RootOnly):
    """One Allow and one Deny of GetSecretValue, by patterns of ARNs."""

    def __init__(self, allow: str, deny: str = "") -> None:
        self._allow, self._deny = allow, deny

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        for arn in resources if caller.role else ():
            if not matches_arn(self._allow, arn) or matches_arn(self._deny, arn):
                raise Refused("AccessDeniedException", f"not authorized to perform: {action} on resource: {arn}")

    async def key(self, id: str, token: str | None) -> Key:
        raise AssertionError("nothing here is signed")


@pytest.mark.parametrize("by", ["name", "whole", "partial"])
@pytest.mark.parametrize(
    ("allow", "deny", "allowed"),
    [
        ("{arn}", "", True),
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app/*", "", True),
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app/token-??????", "", True),
        ("{arn}X", "", False),
        ("*", "{arn}", False),
        (f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-*", "", False),
    ],
)
async def test_policies_speak_of_the_secrets_own_arn_whatever_it_is_asked_by(
    database: SqlDatabase, by: str, allow: str, deny: str, allowed: bool
) -> None:
    def gateway(policy: Policy) -> Gateway:
        now = lambda: datetime.now(UTC)  # noqa: E731
        return Gateway(services(database, KEY, now, Pages(b"p" * 32), policy), policy, now)

    made: Any = await gateway(Policy("*")).call(
        "secretsmanager", "CreateSecret", {"Name": "app/token", "SecretString": "value"}, ROLE, REGION
    )
    arn = made["ARN"]
    asked = {"SecretId": {"name": "app/token", "whole": arn, "partial": arn[:-7]}[by]}
    judged = gateway(Policy(allow.format(arn=arn), deny.format(arn=arn)))

    try:
        told = (await judged.call("secretsmanager", "GetSecretValue", asked, ROLE, REGION))["SecretString"]
    except Refused as error:
        told = error.code

    assert told == ("value" if allowed else "AccessDeniedException")
