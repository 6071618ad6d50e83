import pytest

from codeyard.errors import Denied, Invalid, NotFound
from codeyard.ident import Owner
from codeyard.secrets import SecretReference
from codeyard.secrets.sealed import DoesNotOpen
from codeyard.secrets.sealing import Key
from codeyard.secrets.stored import StoredSecrets
from codeyard.store.engine import SqlDatabase
from tests.calls import ACCOUNT, REGION
from tests.secrets.asking import KEY, Asked

OWNER = Owner(ACCOUNT, REGION)


class Permits:
    """Allows what it is told to, and remembers what it was asked."""

    def __init__(self, allowed: bool = True) -> None:
        self.asked: list[tuple[str, str]] = []
        self._allowed = allowed

    async def __call__(self, action: str, arn: str) -> None:
        self.asked.append((action, arn))
        if not self._allowed:
            raise Denied("the service role", f"not authorized to perform: {action} on resource: {arn}.", "Allow it.")


async def test_permission_is_asked_for_by_the_resources_own_arn(asked: Asked, database: SqlDatabase) -> None:
    await asked.ssm("PutParameter", Name="/app/token", Value="one", Type="SecureString")
    arn = (await asked.secrets("CreateSecret", Name="prod/db", SecretString='{"user": "me"}'))["ARN"]
    permits = Permits()
    stored = StoredSecrets(database, KEY, OWNER, permits, asked.clock)

    values = [
        (await stored.parameter("/app/token:1")).reveal(),
        (await stored.secret(SecretReference.parse("prod/db:user"))).reveal(),
        (await stored.secret(SecretReference.parse(f"{arn[:-7]}:user:AWSCURRENT"))).reveal(),
    ]

    assert values == ["one", "me", "me"]
    assert permits.asked == [
        ("ssm:GetParameters", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/app/token"),
        ("secretsmanager:GetSecretValue", arn),
        ("secretsmanager:GetSecretValue", arn),
    ]


@pytest.mark.parametrize("name", ["there", "absent"])
async def test_who_may_not_read_does_not_learn_what_there_is(asked: Asked, database: SqlDatabase, name: str) -> None:
    await asked.ssm("PutParameter", Name="there", Value="one", Type="SecureString")
    await asked.secrets("CreateSecret", Name="there", SecretString="two")
    stored = StoredSecrets(database, Key(b"x" * 32), OWNER, Permits(allowed=False), asked.clock)

    with pytest.raises(Denied, match="ssm:GetParameters on resource"):
        await stored.parameter(name)
    with pytest.raises(Denied, match="secretsmanager:GetSecretValue on resource"):
        await stored.secret(SecretReference(name))


async def test_another_owners_are_not_there(asked: Asked, database: SqlDatabase) -> None:
    await asked.ssm("PutParameter", Name="name", Value="one", Type="String")
    await asked.secrets("CreateSecret", Name="name", SecretString="two")
    stored = StoredSecrets(database, KEY, Owner(ACCOUNT, "eu-west-1"), Permits(), asked.clock)

    with pytest.raises(NotFound, match="Parameter does not exist"):
        await stored.parameter("name")
    with pytest.raises(NotFound, match="can't find it"):
        await stored.secret(SecretReference("name"))


async def test_what_no_build_can_take_is_invalid(asked: Asked, database: SqlDatabase) -> None:
    await asked.secrets("CreateSecret", Name="binary", SecretBinary=b"x")
    await asked.secrets("CreateSecret", Name="nul", SecretString="hidden\0")
    await asked.secrets("CreateSecret", Name="marked", SecretString="x")
    await asked.secrets("DeleteSecret", SecretId="marked")
    stored = StoredSecrets(database, KEY, OWNER, Permits(), asked.clock)

    for name, why in (("binary", "it is binary"), ("nul", "has a NUL"), ("marked", "marked for deletion")):
        with pytest.raises(Invalid, match=why) as caught:
            await stored.secret(SecretReference(name))
        assert "hidden" not in str(caught.value)


async def test_a_value_of_another_key_is_a_fault(asked: Asked, database: SqlDatabase) -> None:
    await asked.ssm("PutParameter", Name="name", Value="one", Type="String")

    with pytest.raises(DoesNotOpen):
        await StoredSecrets(database, Key(b"x" * 32), OWNER, Permits(), asked.clock).parameter("name")
