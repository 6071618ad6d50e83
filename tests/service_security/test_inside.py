"""From inside a build: what it was not given is not within its reach."""

import json
import os

import pytest

from tests.service_security.spying import Yard

pytestmark = pytest.mark.slow


def test_the_data_directory_is_not_there_whatever_path_is_tried(yard: Yard) -> None:
    data = yard.server.data

    found = yard.run(f"""
        data = {str(data)!r}
        names = ["", "/keys", "/keys/root", "/keys/vault.key", "/codeyard.sqlite", "/journal.sqlite", "/objects",
                 "/builds", "/caches", "/mirrors", "/artifacts", "/server.json", "/streams"]
        tell("there", [name for name in names if os.path.lexists(data + name)])
        seen = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            for name in ("root", "cwd"):
                try:
                    seen += [f"{{process}}/{{name}}{{path}}" for path in names
                             if path and os.path.lexists(f"/proc/{{process}}/{{name}}{{data}}{{path}}")]
                except OSError:
                    pass
        tell("by_proc", seen)
    """)

    assert (data / "keys" / "root").exists()
    assert found == {"there": [], "by_proc": []}


def test_neither_key_of_the_server_is_in_any_file_or_process_that_a_build_can_read(yard: Yard) -> None:
    root = json.loads((yard.server.data / "keys" / "root").read_text())

    found = yard.run(f"""
        wanted = bytes.fromhex({root["secret"].encode().hex()!r})
        seen, readable = [], 0
        for process in filter(str.isdigit, os.listdir("/proc")):
            for name in ("environ", "cmdline"):
                try:
                    with open(f"/proc/{{process}}/{{name}}", "rb") as file:
                        content = file.read()
                        readable += 1
                        if wanted in content or b"CODEYARD_" in content:
                            seen.append(f"{{process}}/{{name}}")
                except OSError:
                    pass
        tops = "/etc /opt /tmp /var /run /codebuild /root /home /srv /mnt /dev/shm".split()
        seen += holding(wanted, *tops)
        tell("readable", readable > 0)
        tell("seen", seen)
    """)

    assert found == {"readable": True, "seen": []}


def test_the_environment_holds_an_address_and_a_token_and_no_credential(yard: Yard) -> None:
    found = yard.run("""
        tell("names", sorted(name for name in os.environ if "AWS" in name or "CODEYARD" in name or "SECRET" in name))
    """)

    # The three, and what CodeBuild itself sets for builds.
    assert set(found["names"]) <= {
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION", "AWS_REGION",
    }  # fmt: skip
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" in found["names"]


def test_no_descriptor_that_the_server_has_open_is_open_in_a_build(yard: Yard) -> None:
    found = yard.run("""
        targets = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                for name in os.listdir(f"/proc/{process}/fd"):
                    targets.append(os.readlink(f"/proc/{process}/fd/{name}"))
            except OSError:
                pass
        tell("data", [each for each in targets if "sqlite" in each or "keys" in each or "/builds/" in each])
        tell("sockets", [each for each in targets if each.startswith("socket:")])
    """)

    assert found == {"data": [], "sockets": []}


def test_no_process_of_the_host_or_of_another_build_is_seen_signalled_or_traced(yard: Yard) -> None:
    role = yard.role()
    other = yard.start("import time; print('other-build-here', flush=True); time.sleep(20)", role)

    found = yard.run(
        f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        lines = []
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                lines.append(open(f"/proc/{{process}}/cmdline").read())
            except OSError:
                pass
        tell("others", [line for line in lines if "codeyard" in line and "supervisor" not in line])
        outside = [int({os.getpid()}), int({yard.server.main.child.pid if yard.server.main.child else 0})]
        reached = []
        for process in outside:
            path = f"/proc/{{process}}/cmdline"
            if os.path.exists(path) and "spy.py" in open(path).read():
                continue  # one of ours, which has that number here
            try:
                os.kill(process, 0)
                reached.append(f"kill {{process}}")
            except (ProcessLookupError, PermissionError):
                pass
            if libc.ptrace(16, process, 0, 0) == 0:
                reached.append(f"ptrace {{process}}")
        tell("reached", reached)
    """,
        role,
    )
    yard.server.client("codebuild").stop_build(id=other)

    assert found["reached"] == []
    assert not [line for line in found["others"] if "up" in line.split("\0")], found


def test_the_workspace_and_log_of_another_build_are_not_within_reach(yard: Yard) -> None:
    role = yard.role()
    marker = "what-only-the-other-build-has-4711"
    other = yard.start(
        f"""
        import time
        open("mine.txt", "w").write("{marker[:10]}" + "{marker[10:]}")
        open("/tmp/mine.txt", "w").write("{marker[:10]}" + "{marker[10:]}")
        print("written", flush=True)
        time.sleep(30)
    """,
        role,
    )
    run = other.partition(":")[2]

    found = yard.run(
        f"""
        what = b"{marker[:10]}" + b"{marker[10:]}"
        tell("seen", holding(what, "/codebuild", "/tmp", "/var/tmp", "/dev/shm"))
        names = []
        for top in ("/codebuild", "/tmp", "/var", "/run"):
            for place, directories, files in os.walk(top):
                names += [os.path.join(place, name) for name in (*directories, *files) if {run!r} in name]
        tell("named", names)
    """,
        role,
    )
    yard.server.client("codebuild").stop_build(id=other)

    assert found == {"seen": [], "named": []}


def test_setting_up_mounts_devices_or_modules_gives_nothing_of_the_host(yard: Yard) -> None:
    found = yard.run("""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        os.makedirs("/tmp/m", exist_ok=True)
        tell("mounted", [kind for kind in ("proc", "sysfs", "cgroup", "cgroup2", "devtmpfs", "ext4")
                         if libc.mount(b"none", b"/tmp/m", kind.encode(), 0, None) == 0])
        def opens(path, flags=os.O_RDONLY):
            try:
                os.close(os.open(path, flags))
                return True
            except OSError:
                return False
        tell("devices", [path for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/nvme0n1",
                                           "/proc/kcore", "/proc/sysrq-trigger") if opens(path, os.O_RDWR)])
        made = []
        for kind in (0o060000, 0o020000):
            try:
                os.mknod("/tmp/node", kind | 0o600, os.makedev(254, 0) if kind == 0o060000 else os.makedev(1, 1))
                made.append(opens("/tmp/node"))
                os.unlink("/tmp/node")
            except OSError:
                pass
        tell("nodes", [each for each in made if each])
        tell("docker", [path for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock")
                        if os.path.exists(path)])
    """)

    assert found == {"mounted": [], "devices": [], "nodes": [], "docker": []}


def test_privileged_mode_is_refused_unless_the_server_allows_it(yard: Yard) -> None:
    environment = {
        "type": "LINUX_CONTAINER", "image": yard.image, "computeType": "BUILD_GENERAL1_SMALL", "privilegedMode": True,
    }  # fmt: skip
    build = yard.start("print('never')", yard.role(), environment=environment)

    ended = yard.server.wait(build)

    assert ended["buildStatus"] in ("FAILED", "FAULT")
    said = json.dumps([phase.get("contexts") for phase in ended["phases"]])
    assert "this server does not allow it" in said


def test_what_loads_programs_is_not_taken_from_a_projects_variables_on_the_host(yard: Yard) -> None:
    bad = yard.server.data.parent / "must-not-be-written"
    variables = [
        {"name": "BASH_ENV", "value": f"/tmp/$(touch {bad})"},
        {"name": "ENV", "value": f"$(touch {bad})"},
        {"name": "LD_PRELOAD", "value": "/codebuild/output/evil.so"},
        {"name": "PYTHONSTARTUP", "value": "/codebuild/output/evil.py"},
        {"name": "GIT_SSH_COMMAND", "value": f"touch {bad}"},
        {"name": "DOCKER_HOST", "value": "tcp://127.0.0.1:1"},
    ]  # fmt: skip
    environment = {
        "type": "LINUX_CONTAINER", "image": yard.image, "computeType": "BUILD_GENERAL1_SMALL",
        "environmentVariables": variables,
    }  # fmt: skip
    build = yard.start("print('went on')", yard.role(), environment=environment)

    ended = yard.server.wait(build)

    assert ended["buildComplete"]
    assert not bad.exists()


def test_the_name_of_an_image_is_a_name_and_no_option(yard: Yard) -> None:
    if yard.executor != "docker":
        pytest.skip("it has no images")
    names = [
        "--privileged",
        f"-v /:/host {yard.image}",
        f"{yard.image} --pid=host",
        "../../images/json",
        f"{yard.image}\n",
    ]
    role, codebuild = yard.role(), yard.server.client("codebuild")
    for name in names:
        environment = {"type": "LINUX_CONTAINER", "image": name, "computeType": "BUILD_GENERAL1_SMALL"}
        try:
            build = yard.start("print('never')", role, environment=environment)
        except codebuild.exceptions.InvalidInputException:
            continue

        assert yard.server.wait(build)["buildStatus"] == "FAILED", name
