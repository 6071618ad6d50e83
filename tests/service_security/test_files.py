"""What a server leaves on the disk, in arguments, environments and error texts: open to its own user alone."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.servers import Server, process, up
from tests.service_security.spying import Yard

pytestmark = pytest.mark.slow

PASSWORD = "pa55w0rd-of-the-database"


def _open_to_others(root: Path) -> Iterator[str]:
    """The paths from `root` on that others could come to and read, write or enter, with their modes."""
    for place, directories, files in os.walk(root):
        here = Path(place)
        closed = [name for name in directories if not stat.S_IMODE((here / name).lstat().st_mode) & 0o077]
        for name in (*files, *directories):
            status = (here / name).lstat()
            if stat.S_IMODE(status.st_mode) & 0o077 and not stat.S_ISLNK(status.st_mode):
                yield f"{stat.S_IMODE(status.st_mode):o} {here / name}"
        directories[:] = [name for name in directories if name not in closed or root in (here, here.parent)]


def test_all_that_is_kept_is_open_to_the_servers_user_alone(yard: Yard) -> None:
    s3 = yard.server.client("s3")
    s3.create_bucket(Bucket=f"files-{yard.executor}")
    s3.put_object(Bucket=f"files-{yard.executor}", Key="a/b", Body=b"x")
    yard.server.client("logs").create_log_group(logGroupName="files")
    yard.server.client("logs").create_log_stream(logGroupName="files", logStreamName="one")
    yard.run("print('x')")
    running = yard.start("import time; time.sleep(30)", yard.role())
    while yard.server.client("codebuild").batch_get_builds(ids=[running])["builds"][0]["currentPhase"] != "BUILD":
        pass

    found = list(_open_to_others(yard.server.data))
    yard.server.client("codebuild").stop_build(id=running)

    assert stat.S_IMODE(yard.server.data.stat().st_mode) == 0o700
    assert found == []


def test_what_tells_where_the_server_is_tells_no_secret(yard: Yard) -> None:
    root = json.loads((yard.server.data / "keys" / "root").read_text())

    assert set(json.loads((yard.server.data / "server.json").read_text())) == {"url", "region", "pid"}
    assert root["secret"] not in yard.server.main.said()
    assert root["id"] not in yard.server.main.said()


def test_a_directory_that_others_could_enter_is_closed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o755)
    (tmp_path / "data").chmod(0o755)

    with up(tmp_path) as server:
        mode = stat.S_IMODE(server.data.stat().st_mode)

    assert mode == 0o700


def test_workers_have_no_secret_in_their_arguments(tmp_path: Path) -> None:
    with up(tmp_path, "--workers", "1") as server:
        arguments = _arguments_of_children(server)
        root = json.loads((server.data / "keys" / "root").read_text())

    assert [each for each in arguments if "worker" in each]
    assert not [each for each in arguments if root["secret"] in each or "sqlite:" in each]


def _arguments_of_children(server: Server) -> list[str]:
    assert server.main.child is not None
    found: list[str] = []
    while not [each for each in found if "worker" in each]:
        children = Path(f"/proc/{server.main.child.pid}/task/{server.main.child.pid}/children").read_text().split()
        found = [Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace") for child in children]
    return found


@pytest.mark.parametrize("command", ["up", "serve", "worker"])
@pytest.mark.parametrize(
    "url",
    [f"postgresql://ann:{PASSWORD}@127.0.0.1:1/x", f"postgresql://ann:{PASSWORD}@127.0.0.1:notaport/x",
     f"nosuch://ann:{PASSWORD}@127.0.0.1/x", f"postgresql://ann:{PASSWORD}@no-such-host.invalid/x"],
)  # fmt: skip
def test_no_error_shows_the_databases_password(tmp_path: Path, command: str, url: str) -> None:
    settings = {"database": url, "listen": "127.0.0.1:0", "worker_listen": "127.0.0.1:0"}
    made = process(tmp_path, "data", command, **settings)
    made.start()
    try:
        made.wait(4)
    except subprocess.TimeoutExpired:
        pass  # it waits for the database, and may say so
    finally:
        made.kill()

    assert PASSWORD not in made.said()
    assert "Traceback" not in made.said()
    kept = (path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    assert not [each for each in kept if PASSWORD.encode() in each]


def test_two_servers_do_not_share_a_root_key(tmp_path: Path) -> None:
    secrets = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        with up(tmp_path / name) as server:
            secrets.append(json.loads((server.data / "keys" / "root").read_text())["secret"])

    assert len(set(secrets)) == 2
    assert all(len(each) == 40 for each in secrets)
