"""A registry of one image on localhost, where engines speak plain HTTP; with a password if one is given.

https://github.com/opencontainers/distribution-spec, as far as a pull needs it.
"""

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@contextmanager
def registry(root: bytes, *, login: str | None = None, tokens: bool = False) -> Iterator[str]:
    """Serves the root's tar as `<what this gives>/team/image:1`. `login` is `name:password`; with `tokens` it is
    shown at /token, which gives what the rest wants to see."""
    pieces, manifest = _image(root)
    wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            digest = self.path.rpartition("/")[2]
            if tokens and self.path.startswith("/token?"):
                right = wanted in (None, self.headers.get("Authorization"))
                right = right and "scope=repository%3Ateam%2Fimage%3Apull" in self.path and "service=test" in self.path
                self._answer(200 if right else 403, b'{"token":"good"}' if right else b"{}")
            elif tokens and self.headers.get("Authorization") != "Bearer good":
                self._answer(401, b"{}")
            elif not tokens and wanted is not None and self.headers.get("Authorization") != wanted:
                self._answer(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
            elif self.path == "/v2/":
                self._answer(200, b"{}")
            elif self.path == "/v2/team/image/manifests/1" or digest == _digest(manifest):
                self._answer(200, manifest, _MANIFEST)
            elif self.path.startswith("/v2/team/image/blobs/") and digest in pieces:
                self._answer(200, pieces[digest], "application/octet-stream")
            else:
                self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')

        do_HEAD = do_GET  # noqa: N815 - http.server looks for it

        def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Docker-Content-Digest", _digest(body))
            if status == 401:
                realm = f"http://localhost:{self.server.server_port}/token"  # type: ignore[attr-defined]
                bearer = f'Bearer realm="{realm}",service="test",scope="repository:team/image:pull"'
                self.send_header("WWW-Authenticate", bearer if tokens else 'Basic realm="test"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _image(root: bytes) -> tuple[dict[str, bytes], bytes]:
    layer = gzip.compress(root, 1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/bin/false"], "User": "1000", "Env": ["FROM_IMAGE=yes", "GIVEN=no"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(root)]},
        }
    ).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": _digest(config),
            },
            "layers": [
                {
                    "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "size": len(layer),
                    "digest": _digest(layer),
                }
            ],
        }
    ).encode()
    return {_digest(config): config, _digest(layer): layer}, manifest


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
