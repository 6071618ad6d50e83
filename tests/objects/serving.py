"""The S3 application on a port of this machine, and callers with keys."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import uvicorn
from botocore.config import Config

from codeyard.aws import Caller, Key, Refused, Said
from codeyard.objects import Encryption
from codeyard.objects.directory import ObjectDirectory
from codeyard.objects.wire import S3
from codeyard.secrets.sealing import KeyFile

ACCOUNT, OTHER = "111122223333", "444455556666"
ROOT = Key("AKIAROOT", "root/secret", Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT))
STRANGER = Key("AKIAOTHER", "other/secret", Caller(OTHER, f"arn:aws:iam::{OTHER}:root", OTHER))
_ROLE = f"arn:aws:iam::{ACCOUNT}:role/builder"
_SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/builder/s"
ROLE = Key("ASIAROLE", "role/secret", Caller(ACCOUNT, _SESSION, "AROA:s", _ROLE))


class People:
    """Two accounts' roots, and a role that may do what `allowed` says of action and resource."""

    def __init__(self, allowed: Callable[[str, str], bool]) -> None:
        self._allowed = allowed

    async def key(self, id: str, token: str | None) -> Key:
        for key in (ROOT, STRANGER, ROLE):
            if key.id == id and (token == "role/token") == (key is ROLE):
                return key
        raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        for resource in resources:
            if caller.role is not None and not self._allowed(action, resource):
                text = f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource}"
                raise Refused("AccessDeniedException", text)


def directory(root: Path) -> ObjectDirectory:
    """Buckets below `root`, with a key of their own."""
    root.mkdir(mode=0o700, exist_ok=True)
    keys = KeyFile(root / "vault.key")
    keys.newest()
    return ObjectDirectory(root / "objects", keys)


@contextmanager
def served(
    root: Path,
    allowed: Callable[[str, str], bool] = lambda action, resource: True,
    usual: Encryption | None = None,
    patience: float = 30.0,
    **options: Any,
) -> Iterator[str]:
    """The application's address; `options` are uvicorn's."""
    app = S3(directory(root), People(allowed), usual=usual, patience=patience)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        config = uvicorn.Config(app, log_level="warning", lifespan="off", ws="none", **options)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        try:
            yield f"{'https' if 'ssl_keyfile' in options else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def client(address: str, key: Key = ROOT, *, region: str = "us-east-1", verify: bool = True, **config: Any) -> Any:
    """A boto3 client of S3 at the address."""
    return boto3.client(
        "s3",
        endpoint_url=address,
        region_name=region,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        aws_session_token="role/token" if key is ROLE else None,
        verify=verify,
        config=Config(retries={"max_attempts": 1}, **config),
    )
