"""Builds that look around: a real server on each executor, scripts that its builds run, and what they found."""

import base64
import io
import json
import shutil
import subprocess
import tarfile
import textwrap
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.docker_images import import_image
from tests.machines import busybox_root
from tests.service.servers import Server, allow, log_of, project

PYTHON = Path("/usr/bin/python3")
_LIBRARY = Path("/usr/lib") / PYTHON.resolve().name
_LEFT_OUT = frozenset({"test", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "__pycache__", "config-3"})

# What a build has at hand: the standard library alone, on the machine's python and on the image's.
SPY = '''
import datetime, hashlib, hmac, json, os, urllib.error, urllib.request

def http(url, data=None, headers={}, method=None):
    request = urllib.request.Request(url, data, dict(headers), method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()

def credentials(uri=None, token=None):
    uri = uri or os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
    token = os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"] if token is None else token
    status, body = http(uri, headers={"Authorization": token})
    return status, json.loads(body)

def ask(service, target, given, keys):
    """A signed JSON call, as keys may do."""
    url = os.environ["AWS_ENDPOINT_URL"]
    host, body = url.partition("://")[2], json.dumps(given).encode()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": now,
               "x-amz-security-token": keys["Token"], "x-amz-target": target}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
    canonical = "\\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
    scope = f"{now[:8]}/us-east-1/{service}/aws4_request"
    string = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + keys["SecretAccessKey"]).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, string.encode(), "sha256").hex()
    headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, "
                                f"SignedHeaders={names}, Signature={signature}")
    status, body = http(url + "/", body, headers)
    return status, json.loads(body)

def code(answer):
    return f"{answer[0]} {answer[1].get('__type', '').rpartition('#')[2]}"

def holding(what, *tops):
    """The regular files below that hold these bytes."""
    seen = []
    for top in tops:
        for place, _directories, names in os.walk(top):
            for path in (os.path.join(place, name) for name in names):
                try:
                    if os.path.isfile(path) and os.path.getsize(path) < 1 << 20:
                        with open(path, "rb") as file:
                            seen += [path] if what in file.read() else []
                except OSError:
                    pass
    return seen

def tell(name, value):
    print(f"{name}={json.dumps(value)}", flush=True)
'''


@dataclass(frozen=True, slots=True)
class Yard:
    """A server whose builds run in one kind of sandbox, with python inside."""

    server: Server
    executor: str
    image: str

    def role(self, *statements: Mapping[str, Any]) -> str:
        """The ARN of a new role that builds may have."""
        return allow(self.server, f"spy-{uuid.uuid4().hex[:12]}", *statements)

    def start(self, script: str, role: str, env: Mapping[str, Any] | None = None, **more: Any) -> str:
        """The id of a build that runs this script."""
        name = f"spy-{uuid.uuid4().hex[:12]}"
        spec = {**({"env": dict(env)} if env else {}), "phases": {"build": {"commands": _run(script)}}}
        environment = {"type": "LINUX_CONTAINER", "image": self.image, "computeType": "BUILD_GENERAL1_SMALL"}
        project(self.server, name, role, spec, **{"environment": environment, **more})
        started: str = self.server.client("codebuild").start_build(projectName=name)["build"]["id"]
        return started

    def found(self, build: str) -> dict[str, Any]:
        """What the script of a build told, once it has succeeded."""
        ended, log = self.server.wait(build), log_of(self.server, build)
        assert ended["buildStatus"] == "SUCCEEDED", log
        return told(log)

    def run(self, script: str, role: str | None = None, **more: Any) -> dict[str, Any]:
        """What this script told."""
        return self.found(self.start(script, role or self.role(), **more))


def told(log: str) -> dict[str, Any]:
    pairs = (line.partition("=") for line in log.splitlines())
    return {name: json.loads(value) for name, mark, value in pairs if mark and name.isidentifier() and _is_json(value)}


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _run(script: str) -> list[str]:
    packed = base64.b64encode((SPY + textwrap.dedent(script)).encode()).decode()
    return [f"echo {packed} | base64 -d > spy.py", "python3 spy.py"]


@cache
def python_image() -> str:
    """An image with busybox and the machine's python: nothing can be pulled where the tests run."""
    content = io.BytesIO(busybox_root())
    with tarfile.open(fileobj=content, mode="a") as tar:
        for library in _libraries():
            tar.add(library.resolve(), str(library).lstrip("/"), filter=_plain)
        tar.add(PYTHON.resolve(), "bin/python3", filter=_plain)
        tar.add(_LIBRARY, str(_LIBRARY).lstrip("/"), filter=_plain)
    return import_image("codeyard-test-python:latest", content.getvalue())


def _libraries() -> list[Path]:
    modules = [*map(str, (_LIBRARY / "lib-dynload").glob("_*.so"))]
    listed = subprocess.run(["ldd", str(PYTHON.resolve()), *modules], capture_output=True, text=True, check=True).stdout
    words = {word for line in listed.splitlines() for word in line.split() if word.startswith("/") and ".so" in word}
    return sorted(Path(word.rstrip(":")) for word in words if not word.rstrip(":").startswith(str(_LIBRARY)))


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if any(part in _LEFT_OUT or part.startswith("config-3") for part in Path(entry.name).parts):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def has_python() -> bool:
    """Whether builds without an image have a python, outside of homes."""
    return PYTHON.exists() and _LIBRARY.is_dir() and shutil.which("ldd") is not None
