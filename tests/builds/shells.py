"""The shells that a sandbox may have: each is tried on every text that we give to one."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Shell:
    """One shell, and the directory of its programs that goes before the machine's; None: none does."""

    name: str
    path: str

    def require(self) -> None:
        if shutil.which(self.path) is None:
            pytest.skip(f"{self.path} is not here")

    def command(self, bin: Path) -> list[str]:
        """How it is started; `bin` is an empty directory for its programs."""
        if self.name != "busybox":
            return [self.path]
        bin.mkdir(exist_ok=True)
        if not (bin / "sh").exists():
            # Its own find, awk and sed, as in an image of nothing else.
            subprocess.run([self.path, "--install", "-s", str(bin)], check=True)
        return [str(bin / "sh")]

    def run(
        self, script: Path, *arguments: str, bin: Path, cwd: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        path = os.environ["PATH"]
        command = [*self.command(bin), str(script), *arguments]
        if self.name == "busybox":
            path = f"{bin}:{path}"
        return subprocess.run(
            command,
            cwd=cwd,
            env={"PATH": path, "HOME": str(cwd), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            timeout=20,
        )


SHELLS = (Shell("dash", "dash"), Shell("bash", "bash"), Shell("busybox", "busybox"))
