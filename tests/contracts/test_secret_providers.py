"""What every SecretProvider promises (codeyard.secrets): our vault, the database of a
server, and AWS as moto's server plays it."""

import asyncio
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from codeyard.aws import Caller, Refused
from codeyard.errors import Invalid, NotFound
from codeyard.ident import Owner
from codeyard.secrets import Secret, SecretProvider, SecretReference
from codeyard.secrets.aws import AwsSecrets
from codeyard.secrets.stored import StoredSecrets
from codeyard.secrets.vault import Kind, Vault
from codeyard.store.engine import SqlDatabase
from tests.databases import opened
from tests.secrets.asking import KEY, Asked
from tests.secrets.aws_servers import REGION, client, moto_server, use_endpoint

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A provider and how to store in it: a parameter or a secret by name and value, which answers the version's id."""

    provider: SecretProvider
    put_parameter: Callable[[str, str], object]
    put_secret: Callable[[str, str], str]


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(params=["vault", "stored", "aws"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "vault":
        vault = Vault(tmp_path / "vault")
        return Place(
            vault,
            lambda name, value: vault.put(Kind.PARAMETER, name, Secret(value)),
            lambda name, value: vault.put(Kind.SECRET, name, Secret(value)).version_id,
        )
    if request.param == "stored":
        return _stored(request.getfixturevalue("database"))
    url: str = request.getfixturevalue("moto")
    use_endpoint(monkeypatch, url)
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
    return Place(
        AwsSecrets(), lambda name, value: _put_parameter(url, name, value), lambda n, v: _put_secret(url, n, v)
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqlDatabase]:
    yield from opened(f"sqlite:///{tmp_path / 'test.sqlite'}")


def _stored(database: SqlDatabase) -> Place:
    owner = Owner("123456789012", REGION)
    asked, caller = Asked(database), Caller(owner.account, f"arn:aws:iam::{owner.account}:root", owner.account)

    async def permit(action: str, arn: str) -> None:
        assert owner.account in arn

    def put_parameter(name: str, value: str) -> object:
        given = {"Name": name, "Value": value, "Type": "SecureString", "Overwrite": True}
        return _waited_for(asked("ssm", "PutParameter", region=REGION, caller=caller, **given))

    async def put_secret(name: str, value: str) -> str:
        try:
            made = await asked("secretsmanager", "CreateSecret", REGION, caller, Name=name, SecretString=value)
        except Refused:
            made = await asked("secretsmanager", "PutSecretValue", REGION, caller, SecretId=name, SecretString=value)
        return str(made["VersionId"])

    provider = StoredSecrets(database, KEY, owner, permit, asked.clock)
    return Place(provider, put_parameter, lambda name, value: _waited_for(put_secret(name, value)))


def _waited_for(work: Coroutine[object, object, T]) -> T:
    """What it gives, for those who cannot await."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def _put_parameter(url: str, name: str, value: str) -> None:
    client("ssm", url).put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def _put_secret(url: str, name: str, value: str) -> str:
    manager = client("secretsmanager", url)
    if name in [secret["Name"] for secret in manager.list_secrets()["SecretList"]]:
        return str(manager.put_secret_value(SecretId=name, SecretString=value)["VersionId"])
    return str(manager.create_secret(Name=name, SecretString=value)["VersionId"])


@pytest.mark.parametrize("name", ["token", "/CodeBuild/app/token", "a.b-c_d"])
async def test_a_parameter_is_found_by_its_name(place: Place, name: str) -> None:
    place.put_parameter(name, "päss\nword")

    assert (await place.provider.parameter(name)).reveal() == "päss\nword"


async def test_a_parameters_newest_version_counts_unless_another_is_asked_for(place: Place) -> None:
    place.put_parameter("/app/token", "first-value")
    place.put_parameter("/app/token", "second-value")

    assert (await place.provider.parameter("/app/token")).reveal() == "second-value"
    assert (await place.provider.parameter("/app/token:1")).reveal() == "first-value"


@pytest.mark.parametrize("name", ["absent", "/absent/path", "token:9", "/a:b:c"])
async def test_a_parameter_that_is_not_there_is_said_in_awss_words(place: Place, name: str) -> None:
    place.put_parameter("token", "value-of-it")

    with pytest.raises(NotFound, match="Parameter does not exist"):
        await place.provider.parameter(name)


async def test_a_secret_is_found_whole(place: Place) -> None:
    place.put_secret("prod/db", '{"user": "u", "port": 5432}')

    assert (await place.provider.secret(SecretReference.parse("prod/db"))).reveal() == '{"user": "u", "port": 5432}'


async def test_a_key_of_a_secret_is_found(place: Place) -> None:
    place.put_secret("prod/db", '{"user": "u", "port": 5432}')

    assert (await place.provider.secret(SecretReference.parse("prod/db:port"))).reveal() == "5432"


async def test_a_secrets_version_is_found_by_stage_and_by_id(place: Place) -> None:
    old = place.put_secret("rotated", "old-value")
    new = place.put_secret("rotated", "new-value")
    forms = ["rotated", "rotated::AWSCURRENT", "rotated::AWSPREVIOUS", f"rotated:::{old}", f"rotated:::{new}"]

    found = await asyncio.gather(*(place.provider.secret(SecretReference.parse(form)) for form in forms))

    assert [secret.reveal() for secret in found] == ["new-value", "new-value", "old-value", "old-value", "new-value"]


@pytest.mark.parametrize(
    "form",
    ["absent", "once::AWSPREVIOUS", "once::NOSUCHSTAGE", "once:::EXAMPLE1-90ab-cdef-fedc-ba987SECRET1", "once:nokey"],
)
async def test_a_secret_a_version_or_a_key_that_is_not_there_is_not_found(place: Place, form: str) -> None:
    place.put_secret("once", '{"key": "value-of-it"}')

    with pytest.raises(NotFound) as caught:
        await place.provider.secret(SecretReference.parse(form))

    assert "value-of-it" not in str(caught.value)


async def test_a_key_of_a_secret_that_is_no_json_is_invalid(place: Place) -> None:
    place.put_secret("plain", "value-of-it")

    with pytest.raises(Invalid, match="not a JSON object") as caught:
        await place.provider.secret(SecretReference.parse("plain:key"))

    assert "value-of-it" not in str(caught.value)


async def test_parameters_and_secrets_are_rooms_of_their_own(place: Place) -> None:
    place.put_parameter("same", "parameter-value")
    place.put_secret("same", "secret-value")

    assert (await place.provider.parameter("same")).reveal() == "parameter-value"
    assert (await place.provider.secret(SecretReference.parse("same"))).reveal() == "secret-value"


async def test_an_arn_names_a_secret(place: Place) -> None:
    place.put_secret("prod/db", '{"user": "someone"}')
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/db"

    assert (await place.provider.secret(SecretReference.parse(f"{arn}:user"))).reveal() == "someone"


async def test_many_may_ask_at_the_same_time(place: Place) -> None:
    place.put_parameter("token", "value-of-it")

    found = await asyncio.gather(*(place.provider.parameter("token") for _ in range(20)))

    assert {secret.reveal() for secret in found} == {"value-of-it"}
