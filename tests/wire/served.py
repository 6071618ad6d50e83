"""An ASGI application on a port of this machine; boto3's clients for it, and one that says what they never would."""

import functools
import http.client
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.parsers
import botocore.session
import uvicorn

from codeyard.aws import Call, Caller, Key, Refused, Said, Service, Shape, operation
from tests.calls import REGION, ROOT

KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
JSON, CBOR, QUERY = "json", "smithy-rpc-v2-cbor", "query"
App = Callable[[Any, Any, Any], Awaitable[None]]
_SESSION = botocore.session.get_session()


class RootOnly:
    """Identities for tests of the wire: one key, of the account's root, which may do everything."""

    async def key(self, id: str, token: str | None) -> Key:
        if id != KEY_ID or token is not None:
            raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
        return Key(KEY_ID, SECRET, ROOT)

    async def authorise(self, caller: Caller, action: str, resources: tuple[str, ...], context: Said) -> None:
        assert caller == ROOT


def answering(service: str, answer: Callable[[Call], Shape | None]) -> Service:
    """A service, each of whose operations gives this answer."""

    def method(name: str) -> Any:
        async def handler(_self: object, call: Call) -> Shape | None:
            return answer(call)

        return operation(name)(handler)

    names = service_model(service).operation_names
    return Service(service, (type("Answering", (), {name: method(name) for name in names})(),), {})


@functools.cache
def service_model(service: str) -> Any:
    """botocore's."""
    return _SESSION.get_service_model(service)


def protocols(service: str) -> tuple[str, ...]:
    """Those that the service can be asked in."""
    metadata = service_model(service).metadata
    return tuple(metadata.get("protocols") or [metadata["protocol"]])


@contextmanager
def serving(app: App, port: int = 0, **settings: Any) -> Iterator[str]:
    """The URL of this application, served by a thread until the end. `settings` are uvicorn's. Port 0 is a free one."""
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        chosen: dict[str, Any] = {
            "lifespan": "off",
            "log_config": None,
            "ws": "none",
            "timeout_graceful_shutdown": 1,
            "timeout_keep_alive": 60,
        } | settings
        server = uvicorn.Server(uvicorn.Config(app, **chosen))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def client(
    url: str, service: str, key_id: str = KEY_ID, secret: str = SECRET, token: str | None = None, region: str = REGION,
    checked: bool = True,
) -> Any:  # fmt: skip
    """boto3's client, which asks once. Unless `checked`, it sends what it would refuse otherwise."""
    session = boto3.session.Session(key_id, secret, token, region)
    config = botocore.config.Config(
        retries={"total_max_attempts": 1}, parameter_validation=checked, proxies={}, read_timeout=20
    )
    return session.client(service, endpoint_url=url, config=config)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]  # by their names in lower case
    body: bytes

    def parsed(self, protocol: str, service: str, operation: str) -> Any:
        """As botocore reads it."""
        shape = service_model(service).operation_model(operation).output_shape
        response = {"status_code": self.status, "headers": self.headers, "body": self.body}
        return botocore.parsers.create_parser(protocol).parse(response, shape)


@dataclass
class Asker:
    """Signs anything, and sends it over one connection, which it opens again when it was closed."""

    url: str
    key_id: str = KEY_ID
    secret: str = field(default=SECRET, repr=False)
    token: str | None = None
    region: str = REGION
    _connection: http.client.HTTPConnection | None = None

    def ask(self, protocol: str, service: str, operation: str, body: bytes, **headers: str) -> Answer:
        """The answer to this body, as the input of this operation. Headers' underscores stand for dashes."""
        path, own = heading(protocol, service, operation)
        return self.send("POST", path, own | {name.replace("_", "-"): value for name, value in headers.items()}, body,
                         service_model(service).signing_name)  # fmt: skip

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes, signing_name: str) -> Answer:
        request = botocore.awsrequest.AWSRequest(method, self.url + path, headers, body)
        credentials = botocore.credentials.Credentials(self.key_id, self.secret, self.token)
        botocore.auth.SigV4Auth(credentials, signing_name, self.region).add_auth(request)
        return self.raw(method, path, dict(request.headers.items()), body)

    def raw(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Unsigned."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, named, response.read())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def heading(protocol: str, service: str, operation: str) -> tuple[str, dict[str, str]]:
    """The path and the headers that name an operation; the query protocol has it in the form."""
    prefix = service_model(service).metadata.get("targetPrefix")
    if protocol == CBOR:
        types = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return f"/service/{prefix}/operation/{operation}", types
    if protocol == JSON:
        return "/", {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{prefix}.{operation}"}
    return "/", {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
