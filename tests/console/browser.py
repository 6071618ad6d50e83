"""A real Chromium, driven by its DevTools protocol through a pipe."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.console.yard import REGION, entry

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on the PATH")
ROWS = "document.querySelectorAll('#rows .l').length"
LAST = "document.querySelector('#rows .l:last-child code')?.textContent"
LIVE = "document.getElementById('log-state').textContent === 'live'"
_PATIENCE = 60.0  # seconds; what passes does not wait for it


class Browser:
    """One page of it."""

    def __init__(self, process: subprocess.Popen[bytes], reads: int, writes: int) -> None:
        self._process, self._reads, self._writes = process, reads, writes
        self._held = b""
        self._next = 0
        self.told: list[dict[str, Any]] = []  # what it said by itself: console messages, violations
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session: str | None = None
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")

    def size(self, width: int, height: int = 900, dark: bool = False, scale: float = 1) -> None:
        self._send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                   mobile=width < 600)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])

    def scripts(self, on: bool) -> None:
        self._send("Emulation.setScriptExecutionDisabled", value=not on)

    def go(self, url: str) -> None:
        """To a page, and until it was loaded."""
        self.told.clear()
        self._send("Page.navigate", url=url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def js(self, expression: str) -> Any:
        """What this expression gives; a promise is waited for."""
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, expression: str, seconds: float = _PATIENCE) -> Any:
        """Its value as soon as it is true."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if value := self.js(expression):
                    return value
            except AssertionError:  # the page is being replaced
                pass
            assert time.monotonic() < deadline, f"never true: {expression}; the browser said {self.problems()}"
            time.sleep(0.01)

    def key(self, name: str) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": name} if len(name) == 1 and kind == "keyDown" else {}
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else text
            self._send("Input.dispatchKeyEvent", type=kind, key=name, code=name,
                       windowsVirtualKeyCode={"Enter": 13, "Tab": 9}.get(name, 0), **text)  # fmt: skip

    def picture(self, path: Path, whole: bool = False) -> None:
        answer = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def problems(self) -> list[str]:
        """Errors and warnings that the page caused."""
        self.js("1")
        found = [str(each["params"]) for each in self.told if each["method"] == "Runtime.exceptionThrown"]
        return found + [
            each["params"]["entry"]["text"]
            for each in self.told
            if each["method"] == "Log.entryAdded" and each["params"]["entry"]["level"] in ("error", "warning")
        ]

    def _send(self, method: str, **parameters: Any) -> Any:
        self._next += 1
        message: dict[str, Any] = {"id": self._next, "method": method, "params": parameters}
        if getattr(self, "_session", None) is not None:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._next:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            if "method" in answer:
                self.told.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            ready, _, _ = select.select([self._reads], [], [], _PATIENCE)
            assert ready, "the browser does not answer"
            chunk = os.read(self._reads, 1 << 16)
            assert chunk, "the browser has ended"
            self._held += chunk
        message, _, self._held = self._held.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    """A browser with nothing in it, until the end."""
    assert CHROMIUM is not None
    into, writes = os.pipe()
    reads, out = os.pipe()
    into, out = _high(into), _high(out)
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
               "--disable-background-networking", "--disable-component-update", "--no-first-run", "--hide-scrollbars",
               "--disable-dev-shm-usage", "--force-color-profile=srgb", f"--user-data-dir={profile}"]  # fmt: skip
    # The protocol's ends are the descriptors 3 and 4.
    shell = f'exec 3<&{into} 4>&{out}; exec "$@"'
    process = subprocess.Popen(["bash", "-c", shell, "chromium", *command], pass_fds=(into, out),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    os.close(into)
    os.close(out)
    try:
        yield Browser(process, reads, writes)
    finally:
        os.close(writes)
        os.close(reads)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _high(descriptor: int) -> int:
    """The same, above those that the browser wants for itself."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved


def opened(browser: Browser, url: str, path: str, width: int = 1280, dark: bool = False) -> None:
    """A page of the console, logged in, as wide as this."""
    browser.size(width, 900, dark)
    browser.go(entry(url))
    browser.go(url + path)


def page(shape: dict[str, Any]) -> str:
    return f"/console/builds/{REGION}/{shape['id']}"
