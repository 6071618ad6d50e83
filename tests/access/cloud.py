"""IAM and STS over a database, behind the real gateway on a port of this machine, and clients of it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from codeyard.access.identities import Session, StoredIdentities
from codeyard.access.service import services
from codeyard.aws.gateway import Gateway
from codeyard.aws.paging import Pages
from codeyard.secrets.sealing import Key
from codeyard.store import Database
from tests.calls import ACCOUNT, REGION
from tests.wire.served import serving

VAULT = Key(b"v" * 32)
_SHARED = boto3.session.Session()  # it has read the models of the services
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"


class Clock:
    """A time that a test can put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def trust(*principals: str, service: str | None = "codebuild.amazonaws.com", **condition: Any) -> str:
    """A trust policy for a service, or for principals of AWS."""
    principal: dict[str, Any] = {"AWS": list(principals)} if principals else {"Service": service}
    actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    statement = {"Effect": "Allow", "Principal": principal, "Action": actions, **condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allowing(*actions: str, on: str = "*", effect: str = "Allow") -> str:
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": on}]}
    )


@dataclass
class Cloud:
    url: str
    identities: StoredIdentities
    clock: Clock
    root: tuple[str, str]

    def client(self, service: str, session: Session | None = None) -> Any:
        """Of the root, or of a session."""
        if session is None:
            return self.by(service, *self.root)
        return self.by(service, session.id, session.secret, session.token)

    def by(self, service: str, id: str, secret: str, token: str | None = None, checked: bool = True) -> Any:
        """Of this key. Unless `checked`, it sends what boto3 would refuse otherwise."""
        config = Config(retries={"total_max_attempts": 1}, proxies={}, parameter_validation=checked)
        return _SHARED.client(
            service, REGION, endpoint_url=self.url, config=config,
            aws_access_key_id=id, aws_secret_access_key=secret, aws_session_token=token,
        )  # fmt: skip

    def role(self, name: str, document: str, *policies: str) -> str:
        """The ARN of a new role with these inline policies."""
        iam = self.client("iam")
        arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        for number, text in enumerate(policies):
            iam.put_role_policy(RoleName=name, PolicyName=f"p{number}", PolicyDocument=text)
        return arn

    def as_role(self, name: str, *policies: str) -> Session:
        """A session of a new role."""
        arn = self.role(name, trust(f"arn:aws:iam::{ACCOUNT}:root"), *policies)
        return asyncio.run(self.identities.assume(arn, "ann", 900))


@contextmanager
def running(database: Database) -> Iterator[Cloud]:
    clock = Clock()
    identities = StoredIdentities(database, VAULT, clock)
    root = asyncio.run(identities.make_root(ACCOUNT))
    both = services(database, identities, clock, Pages(b"p" * 32))
    with serving(Gateway(both, identities, clock)) as url:
        yield Cloud(url, identities, clock, root)


def refusal(call: Any, **arguments: Any) -> tuple[str, str, int]:
    """Code, text and HTTP status of a call that is refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["Error"]["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]
