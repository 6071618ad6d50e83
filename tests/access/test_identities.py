"""Keys, sessions and decisions, from the rows of each database."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from sqlalchemy import text

from codeyard.access import table
from codeyard.access.fresh import KEPT
from codeyard.access.identities import Session, StoredIdentities, new_role_id
from codeyard.access.model import Limits, Role, RoleArn, SessionCaller
from codeyard.aws import Caller, Refused
from codeyard.errors import Fault
from codeyard.ident import Owner
from codeyard.secrets.sealing import Key
from codeyard.store import Database, Tx
from codeyard.store.engine import SqlDatabase
from tests.access.cloud import VAULT, allowing, trust
from tests.calls import ACCOUNT, ROOT

T = TypeVar("T")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PROJECT = f"arn:aws:codebuild:us-east-1:{ACCOUNT}:project/web"
OWNER = Owner(ACCOUNT)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


class Counting:
    """A database that counts what it is read."""

    def __init__(self, inner: Database) -> None:
        self.inner = inner
        self.reads = 0

    async def read(self, work: Callable[[Tx], T]) -> T:
        self.reads += 1
        return await self.inner.read(work)

    async def write(self, work: Callable[[Tx], T]) -> T:
        return await self.inner.write(work)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counted(database: SqlDatabase) -> Counting:
    return Counting(database)


@pytest.fixture
def identities(counted: Counting, clock: Clock) -> StoredIdentities:
    return StoredIdentities(counted, VAULT, clock)


async def made(database: Database, name: str, document: str = trust(), *policies: str) -> Role:
    role = Role(new_role_id(), RoleArn(ACCOUNT, "/", name), NOON, document)

    def add(tx: Tx) -> None:
        table.add_role(tx, role)
        for number, each in enumerate(policies):
            table.put_inline(tx, role, str(number), each)

    await database.write(add)
    return role


async def removed(database: Database, role: Role) -> None:
    def remove(tx: Tx) -> None:
        for name in table.inline_of(tx, role):
            table.remove_inline(tx, role, name)
        table.remove_role(tx, role)

    await database.write(remove)


async def refusal(identities: StoredIdentities, id: str, token: str | None = None) -> str:
    with pytest.raises(Refused) as refused:
        await identities.key(id, token)
    return refused.value.code


async def test_the_root_key_is_made_once(identities: StoredIdentities, counted: Counting, clock: Clock) -> None:
    others = [StoredIdentities(counted, VAULT, clock) for _ in range(4)]
    made = await asyncio.gather(*(each.make_root(ACCOUNT) for each in [identities, *others]))
    id, secret = made[0]
    key = await identities.key(id, None)

    assert set(made) == {(id, secret)}
    assert (id[:4], len(id), len(secret)) == ("AKIA", 20, 40)
    assert (key.secret, key.caller) == (secret, ROOT)
    assert (await identities.make_root("111111111111"))[0] != id


async def test_no_secret_is_in_the_rows_in_clear(identities: StoredIdentities, database: SqlDatabase) -> None:
    _, secret = await identities.make_root(ACCOUNT)
    rows = await database.read(lambda tx: repr(tx.execute(text("SELECT * FROM access_keys")).all()))

    assert secret not in rows
    assert secret.encode().hex() not in rows


async def test_another_vault_key_opens_none(identities: StoredIdentities, counted: Counting, clock: Clock) -> None:
    id, _ = await identities.make_root(ACCOUNT)
    other = StoredIdentities(counted, Key(b"w" * 32), clock)

    with pytest.raises(Fault):
        await other.key(id, None)


@pytest.mark.parametrize("id", ["AKIAUNKNOWNUNKNOWN", "", "x" * 5000, "AKIA\0AAAAAAAAAAAAAA", "akiaé"])
async def test_an_unknown_key_is_invalid(identities: StoredIdentities, id: str) -> None:
    assert await refusal(identities, id) == "InvalidClientTokenId"


async def test_a_key_that_is_hot_is_read_now_and_then(
    identities: StoredIdentities, counted: Counting, clock: Clock
) -> None:
    id, _ = await identities.make_root(ACCOUNT)
    counted.reads = 0
    for _ in range(100):
        await identities.key(id, None)
    hot = counted.reads
    clock.time += KEPT
    await identities.key(id, None)

    assert (hot, counted.reads) == (1, 2)


async def test_a_session_is_known_by_its_token_alone(
    identities: StoredIdentities, counted: Counting, clock: Clock
) -> None:
    role = await made(counted, "r")
    session = await identities.assume(str(role.arn), "ann", 3600)
    elsewhere = StoredIdentities(counted, VAULT, clock)
    key = await elsewhere.key(session.id, session.token)

    assert key.secret == session.secret
    assert key.caller == session.caller
    assert key.caller.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/r/ann"
    assert (key.caller.id, key.caller.role, key.caller.name) == (f"{role.id}:ann", str(role.arn), "r/ann")
    assert session.secret not in repr(session)
    assert session.token not in repr(session)


async def test_a_session_that_is_over_bent_or_another_ones_opens_nothing(
    identities: StoredIdentities, counted: Counting, clock: Clock
) -> None:
    role = await made(counted, "r")
    session, other = [await identities.assume(str(role.arn), name, 3600) for name in ("ann", "bob")]
    bent = session.token[:-6] + ("AAAAAA" if not session.token.endswith("AAAAAA") else "BBBBBB")
    wrong = [
        await refusal(identities, session.id),
        await refusal(identities, session.id, other.token),
        await refusal(identities, session.id, bent),
        await refusal(identities, session.id, "é"),
        await refusal(identities, session.id, "A" * 20_000),
        await refusal(identities, "AKIAUNKNOWNUNKNOWN", ""),
    ]
    clock.time += timedelta(seconds=3599)
    last = await identities.key(session.id, session.token)
    clock.time += timedelta(seconds=1)

    assert wrong == ["InvalidClientTokenId"] * 6
    assert last.id == session.id
    assert await refusal(identities, session.id, session.token) == "ExpiredToken"


async def test_a_session_dies_with_its_role(identities: StoredIdentities, counted: Counting, clock: Clock) -> None:
    role = await made(counted, "r")
    session = await identities.assume(str(role.arn), "ann", 3600)
    await removed(counted, role)
    before = await identities.key(session.id, session.token)
    clock.time += KEPT
    gone = await refusal(identities, session.id, session.token)
    await made(counted, "r")
    clock.time += KEPT

    assert before.id == session.id
    assert gone == "InvalidClientTokenId"
    assert await refusal(identities, session.id, session.token) == "InvalidClientTokenId"


async def denial(identities: StoredIdentities, caller: Caller, action: str, *resources: str) -> tuple[str, str, int]:
    with pytest.raises(Refused) as refused:
        await identities.authorise(caller, action, resources, {})
    return refused.value.code, refused.value.message, refused.value.status


async def test_the_root_may_do_everything(identities: StoredIdentities) -> None:
    await identities.authorise(ROOT, "codebuild:StartBuild", (PROJECT,), {})
    await identities.authorise(identities.root_session(ACCOUNT, 900).caller, "iam:DeleteRole", ("*",), {})


async def test_a_role_may_do_what_its_policies_allow_on_each_of_the_resources(
    identities: StoredIdentities, counted: Counting
) -> None:
    role = await made(
        counted, "r", trust(), allowing("codebuild:*", on=PROJECT), allowing("codebuild:Delete*", effect="Deny")
    )
    caller = (await identities.assume(str(role.arn), "ann", 900)).caller
    await identities.authorise(caller, "codebuild:StartBuild", (PROJECT,), {})
    other = PROJECT.replace("web", "api")

    assert await denial(identities, caller, "codebuild:StartBuild", PROJECT, other) == (
        "AccessDeniedException",
        f"User: {caller.arn} is not authorized to perform: codebuild:StartBuild on resource: {other} "
        "because no identity-based policy allows the codebuild:StartBuild action",
        400,
    )
    assert await denial(identities, caller, "codebuild:DeleteProject", PROJECT) == (
        "AccessDeniedException",
        f"User: {caller.arn} is not authorized to perform: codebuild:DeleteProject on resource: {PROJECT} "
        "with an explicit deny in an identity-based policy",
        400,
    )
    assert (await denial(identities, caller, "s3:GetObject", "arn:aws:s3:::b/k"))[::2] == ("AccessDenied", 403)
    assert (await denial(identities, caller, "logs:GetLogEvents"))[0] == "AccessDeniedException"


async def test_who_one_is_may_be_asked_by_everybody(identities: StoredIdentities, counted: Counting) -> None:
    role = await made(counted, "r", trust(), allowing("sts:*", effect="Deny"))
    caller = (await identities.assume(str(role.arn), "ann", 900)).caller

    await identities.authorise(caller, "sts:GetCallerIdentity", ("*",), {})


async def test_a_caller_of_a_role_that_was_made_again_may_nothing(
    identities: StoredIdentities, counted: Counting, clock: Clock
) -> None:
    role = await made(counted, "r", trust(), allowing("*"))
    caller = (await identities.assume(str(role.arn), "ann", 900)).caller
    await removed(counted, role)
    await made(counted, "r", trust(), allowing("*"))
    clock.time += KEPT

    assert (await denial(identities, caller, "codebuild:StartBuild", PROJECT))[0] == "AccessDeniedException"


async def test_conditions_see_the_request_and_the_caller(identities: StoredIdentities, counted: Counting) -> None:
    document = allowing("*", on="arn:aws:s3:::${aws:PrincipalAccount}/${aws:SourceIp}/*")
    role = await made(counted, "r", trust(), document)
    caller = (await identities.assume(str(role.arn), "ann", 900)).caller
    allowed = (f"arn:aws:s3:::{ACCOUNT}/10.0.0.1/x",)
    await identities.authorise(caller, "s3:GetObject", allowed, {"aws:SourceIp": "10.0.0.1"})

    forged = {"aws:SourceIp": "10.0.0.1", "aws:principalaccount": "1"}

    with pytest.raises(Refused):  # what the caller is counts, whatever is said of it
        await identities.authorise(caller, "s3:GetObject", ("arn:aws:s3:::1/10.0.0.1/x",), forged)


async def test_a_change_is_seen_at_once_here_and_in_a_moment_elsewhere(
    identities: StoredIdentities, counted: Counting, clock: Clock
) -> None:
    role = await made(counted, "r", trust(), allowing("codebuild:*"))
    caller = (await identities.assume(str(role.arn), "ann", 900)).caller
    elsewhere = StoredIdentities(counted, VAULT, clock)
    await elsewhere.authorise(caller, "codebuild:StartBuild", (PROJECT,), {})
    await counted.write(lambda tx: table.put_inline(tx, role, "0", allowing("logs:*")))
    identities.role_changed(str(role.arn))
    here = await denial(identities, caller, "codebuild:StartBuild", PROJECT)
    await elsewhere.authorise(caller, "codebuild:StartBuild", (PROJECT,), {})
    clock.time += KEPT

    assert here[0] == "AccessDeniedException"
    assert await denial(elsewhere, caller, "codebuild:StartBuild", PROJECT) == here


async def test_session_policies_go_with_the_token(identities: StoredIdentities, counted: Counting) -> None:
    role = await made(counted, "r", trust(), allowing("codebuild:*"))
    limits = Limits((allowing("codebuild:StartBuild"),))
    session = await identities.assume(str(role.arn), "ann", 900, limits)
    caller = (await identities.key(session.id, session.token)).caller
    await identities.authorise(caller, "codebuild:StartBuild", (PROJECT,), {})

    assert isinstance(caller, SessionCaller)
    assert caller.limits == limits
    assert "because no session policy allows" in (await denial(identities, caller, "codebuild:StopBuild", PROJECT))[1]


async def service_refusal(identities: StoredIdentities, arn: str) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        await identities.require_service_role(OWNER, arn)
    return refused.value.code, refused.value.message


async def test_a_service_role_trusts_codebuild(identities: StoredIdentities, counted: Counting) -> None:
    good = await made(counted, "good")
    bad = await made(counted, "bad", trust(service="ec2.amazonaws.com"))
    await identities.require_service_role(OWNER, str(good.arn))
    code, message = await service_refusal(identities, str(bad.arn))
    absent = await service_refusal(identities, f"arn:aws:iam::{ACCOUNT}:role/absent")
    other_path = await service_refusal(identities, f"arn:aws:iam::{ACCOUNT}:role/ci/good")
    no_arn = await service_refusal(identities, "good")

    assert code == "InvalidInputException"
    assert message.startswith(f"CodeBuild is not authorized to perform: sts:AssumeRole on {bad.arn}.")
    assert [each[1][:56] for each in (absent, other_path, no_arn)] == [message[:56]] * 3


async def test_a_service_role_is_of_the_callers_account(identities: StoredIdentities) -> None:
    assert await service_refusal(identities, "arn:aws:iam::111111111111:role/r") == (
        "InvalidInputException",
        "Invalid service role: Service role account ID does not match caller's account",
    )


async def test_a_service_role_may_ask_for_whom_it_is_assumed(identities: StoredIdentities, counted: Counting) -> None:
    document = trust(Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": PROJECT}})
    arn = str((await made(counted, "r", document)).arn)
    await identities.require_service_role(OWNER, arn, source_arn=PROJECT)

    with pytest.raises(Refused):
        await identities.require_service_role(OWNER, arn, source_arn=PROJECT + "2")


async def test_no_session_comes_of_a_role_that_is_not_there(identities: StoredIdentities) -> None:
    with pytest.raises(Refused, match="Not authorized"):
        await identities.assume(f"arn:aws:iam::{ACCOUNT}:role/absent", "ann", 900)


async def test_a_session_of_one_role_is_not_good_for_another(identities: StoredIdentities, counted: Counting) -> None:
    weak, mighty = await made(counted, "weak"), await made(counted, "mighty", trust(), allowing("*"))
    caller = (await identities.assume(str(weak.arn), "ann", 900)).caller

    assert (await denial(identities, replace(caller, role=str(mighty.arn)), "s3:GetObject", "*"))[0] == "AccessDenied"


async def test_a_role_whose_stored_policy_cannot_be_read_may_nothing(
    identities: StoredIdentities, counted: Counting
) -> None:
    role = await made(counted, "r", trust(), allowing("*"), "{")

    with pytest.raises(Fault, match="a policy of it cannot be read"):
        await identities.grants(str(role.arn))


def test_credentials_do_not_show() -> None:
    session = Session("ASIA", "hidden-secret", "hidden-token", NOON, ROOT)

    assert "hidden" not in repr(session)
