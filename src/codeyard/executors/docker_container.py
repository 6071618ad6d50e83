"""What a sandbox is to a container engine, and what the engine's words about it mean; it speaks to none itself.

The shapes are those of https://docs.docker.com/engine/api/v1.41/.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from codeyard.errors import CodeyardError, Fault, Invalid
from codeyard.executors import Ability, Network, SandboxLost, SandboxSpec, SandboxTaken
from codeyard.executors.docker_images import unable_to_pull

ROOT = "/codebuild"

_ID, _HOME = "codeyard.sandbox", "codeyard.home"  # labels
_FILES = 65_536
_REMEMBERED = 256  # events
# Or git refuses to work in a repository that is another user's ("dubious ownership"); since git 2.31 and 2.36.
_TRUSTING = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}

# AWS's own images start a Docker daemon from here, and then whatever they are given:
# https://github.com/aws/aws-codebuild-docker-images/blob/master/al/x86_64/standard/5.0/dockerd-entrypoint.sh
_WITH_DAEMON = """entry=/usr/local/bin/dockerd-entrypoint.sh
[ -x "$entry" ] && exec "$entry" /bin/sh "$@"
exec /bin/sh "$@"
"""


@dataclass(frozen=True, slots=True)
class State:
    """What the engine knows of a container."""

    id: str
    home: str
    status: str  # created, running, paused, restarting, removing, exited or dead
    pid: int  # its first process's, on the engine's machine; 0 if there is none
    code: int
    out_of_memory: bool
    error: str
    unplugged: bool  # on the bridge in name only

    @property
    def running(self) -> bool:
        return self.status in {"running", "paused", "restarting"}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """From the engine's answer to GET /containers/{id}/json."""
        state, settings = told.get("State") or {}, told.get("NetworkSettings") or {}
        bridge = (settings.get("Networks") or {}).get("bridge")
        return cls(
            id=str(told.get("Id", "")),
            home=str(((told.get("Config") or {}).get("Labels") or {}).get(_HOME, "")),
            status=str(state.get("Status", "")),
            pid=int(state.get("Pid") or 0),
            code=int(state.get("ExitCode") or 0),
            out_of_memory=bool(state.get("OOMKilled")),
            error=str(state.get("Error") or ""),
            unplugged=isinstance(bridge, dict) and not bridge.get("EndpointID"),
        )


def judge(info: Mapping[str, Any], kernel: str) -> Ability:
    """Whether an engine that says this of itself (GET /info) can run builds for a machine with this kernel."""

    def no(detail: str, fix: str) -> Ability:
        return Ability("docker", False, detail, fix)

    version, options = f"engine {info.get('ServerVersion', '?')}", str(info.get("SecurityOptions") or "")
    if info.get("OSType", "linux") != "linux":
        return no(f"{version} runs {info.get('OSType')} containers", "Switch it to Linux containers.")
    if info.get("KernelVersion", kernel) != kernel:
        return no(
            f"{version} runs in another machine than this (kernel {info.get('KernelVersion')}, here {kernel})",
            "Run codeyard where the engine runs, or an engine here: builds share files with it.",
        )
    if "name=userns" in options:
        return no(
            f"{version} maps root to another user (userns-remap), who cannot write to workspaces",
            "Use a rootless engine instead, or remove userns-remap from /etc/docker/daemon.json.",
        )
    lacking = [
        name
        for name, key in (("CPUs", "CpuCfsQuota"), ("memory", "MemoryLimit"), ("processes", "PidsLimit"))
        if info.get(key) is False
    ]
    limits = f"cannot limit {', '.join(lacking)}" if lacking else "limits CPUs, memory and processes"
    rootless = ", rootless" if "name=rootless" in options else ""
    return Ability("docker", True, f"{version}{rootless}; any image; {limits}")


def container(
    spec: SandboxSpec, image: str, *, open_files: int = _FILES, relabel: bool = False, foreign: bool = False
) -> dict[str, Any]:
    """The body of POST /containers/create.

    `open_files`: how many a process may have open. `relabel`: give the workspace SELinux's label for the container.
    `foreign`: the workspace belongs to another user than the container's root.
    """
    control, host = f"{ROOT}/control", spec.home / "codebuild"
    environment = {"HOME": "/root", **(_TRUSTING if foreign else {}), **spec.environment}
    supervise = [f"{control}/commands/supervisor", control]
    mounts = (
        (spec.output, f"{ROOT}/output", False),
        (spec.readonly, f"{ROOT}/readonly", True),
        (spec.bin, f"{ROOT}/user/bin", True),
        (host / "control" / "commands", f"{control}/commands", True),
        (host / "control" / "status", f"{control}/status", False),
    )
    return {
        "Image": image,
        "User": "0",
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", _WITH_DAEMON, "sh", *supervise] if spec.privileged else supervise,
        "WorkingDir": f"{ROOT}/output",
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {_ID: spec.id, _HOME: str(spec.home)},
        "HostConfig": {**_host_config(spec, open_files), **_mounts(mounts, relabel=relabel)},
    }


def _host_config(spec: SandboxSpec, open_files: int) -> dict[str, Any]:
    limits = spec.limits
    config: dict[str, Any] = {
        "NetworkMode": "none" if spec.network is Network.NONE else "default",
        "LogConfig": {"Type": "none"},
        "RestartPolicy": {"Name": "no"},
        "PidsLimit": limits.processes or -1,
        "Ulimits": [
            {"Name": "nofile", "Soft": open_files, "Hard": open_files},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
    }
    if limits.cpus is not None:
        # A quota may be larger than the machine, which NanoCpus may not.
        config |= {"CpuPeriod": 100_000, "CpuQuota": max(1000, round(limits.cpus * 100_000))}
    if limits.memory is not None:
        config |= {"Memory": limits.memory, "MemorySwap": limits.memory}
    if spec.privileged:
        config["Privileged"] = True
    else:
        config["SecurityOpt"] = ["no-new-privileges"]
    return config


def _mounts(mounts: Iterable[tuple[Path, str, bool]], *, relabel: bool) -> dict[str, Any]:
    if relabel:  # only this form can give the files the container's label
        return {"Binds": [f"{source}:{target}:{'ro' if only_read else 'rw'},Z" for source, target, only_read in mounts]}
    return {
        "Mounts": [
            {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": only_read}
            for source, target, only_read in mounts
        ]
    }


def restarted(events: bytes, id: str) -> bool:
    """Whether an engine that remembers these events (GET /events, a JSON line each) is another than started it.

    It keeps the last 256 in memory alone: https://github.com/moby/moby/blob/v20.10.24/daemon/events/events.go
    """
    lines = events.splitlines()
    began = any(line for line in lines if f'"{id}"'.encode() in line and b'"Action":"start"' in line)
    return not began and len(lines) < _REMEMBERED


def cannot_make(spec: SandboxSpec, said: str) -> CodeyardError:
    """What the engine's refusal to create or start the container means."""
    low = said.lower()
    if "/bin/sh" in said and any(sign in low for sign in ("no such file", "not found", "not a directory")):
        return Invalid(
            f"image {spec.image} cannot run a build",
            "Build container found dead before completing the build: it has no /bin/sh.",
            "Use an image with a shell, such as the -debug or -slim kind of this one.",
        )
    if "exec format error" in low:
        return Invalid(
            f"image {spec.image} cannot run a build",
            "Build container found dead before completing the build: it is made for another processor.",
            "Use an image for this machine's architecture.",
        )
    if "bind source path does not exist" in low or "bind mount source" in low:
        return Fault(
            "the container engine does not see this machine's files",
            f"it runs elsewhere, or in a container with other paths. It said: {said}.",
            "Let the workspaces have the same path on both sides.",
        )
    if "rlimit" in low:
        return Fault(
            "the container engine may not open as many files as this process may",
            f"it said: {said}.",
            f"Raise the engine's limit to {_FILES} (LimitNOFILE), or lower this process's (`ulimit -Hn`).",
        )
    if "invalid reference format" in low:
        return Invalid(unable_to_pull(said), "that is no image's name.", "Write it as registry/name:tag.")
    if "apply caps" in low and spec.privileged:
        return Fault(
            "cannot start a privileged container",
            f"this machine may not give what --privileged asks for; the container engine said: {said}.",
            "Leave --privileged out, or build on a machine that is no container itself.",
        )
    if "network" in low and ("not found" in low or "bridge" in low):
        return Fault(
            "the container engine has no bridge network",
            f"it said: {said}.",
            "Restart the engine, without `--bridge=none`, or run builds without a network.",
        )
    return Fault(
        f"cannot start a container of {spec.image}", f"the container engine said: {said}.", "Try `codeyard doctor`."
    )


def lost(spec: SandboxSpec, state: State | None, *, restarted: bool = False) -> SandboxLost:
    """Why the container no longer runs, as far as can be told; `restarted`: the engine was, since it began."""
    what, fix = f"Build container found dead before completing the build {spec.id}", "Start the build again."
    if restarted and not (state is not None and state.out_of_memory):
        why = "the container engine was started again, or the machine was, and that ended its containers."
        return SandboxTaken(what, why, 'Start the build again. Set "live-restore" in the engine\'s daemon.json.')
    if state is None:
        why = "its container is gone: closed, or removed by somebody."
    elif state.out_of_memory:
        why = "it ran out of memory."
        fix = "Give it more memory with a larger compute type."
    elif state.error:
        why = f"{state.error}."
    else:
        why = (
            f"its first process ended (status {state.code}): killed from outside, or the container engine or the "
            "machine was started again."
        )
    return SandboxLost(what, why, fix)
