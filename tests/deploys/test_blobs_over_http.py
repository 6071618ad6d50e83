"""Blobs that are fetched when they are first asked for: only what is missing, whole, and what their digests say."""

import http.server
import io
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from codeyard.artifacts import Digest, Entry, Holder, Kind
from codeyard.artifacts.disk import DiskStore
from codeyard.artifacts.tree import make, render
from codeyard.deploys.blobs_over_http import FetchedBlobs
from codeyard.deploys.door import Door, Shut, Unreachable, is_loopback
from codeyard.deploys.packing import packed
from codeyard.errors import Fault, Invalid, NotFound

ID = "d-AAAAAAAAA"


class Server:
    """Which sends the blobs of a store, and what `bend` makes of each answer."""

    def __init__(self, store: DiskStore) -> None:
        self.store, self.asked = store, []  # type: ignore[var-annotated]
        self.sizes: dict[str, int] = {}
        self.bend: Callable[[bytes], bytes] = lambda body: body
        self.over = ""  # a deployment that is
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer([])

            def do_POST(self) -> None:
                told = self.rfile.read(int(self.headers["content-length"])).decode()
                self.answer(re.findall(r"[0-9a-f]{64}", told))

            def answer(self, digests: list[str]) -> None:
                outer.asked.append(digests)
                if not digests:
                    with outer.store.open(outer.tree) as file:
                        body = file.read()
                else:
                    body = b"".join(packed(outer.store, [(Digest(each), outer.sizes[each]) for each in digests]))
                self.send_response(403 if outer.over and outer.over in self.path else 200)
                self.end_headers()
                self.wfile.write(outer.bend(body))

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def keep(self, *contents: bytes) -> list[Digest]:
        """Store a tree of these; the digests of its blobs."""
        blobs = [self.store.put(io.BytesIO(content)) for content in contents]
        self.sizes = {blob.digest: blob.size for blob in blobs}
        tree = make(Entry(str(n), Kind.FILE, blob.size, blob.digest) for n, blob in enumerate(blobs))
        self.tree = self.store.put(io.BytesIO(render(tree))).digest
        return [blob.digest for blob in blobs]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(DiskStore(tmp_path / "far"))
    yield made
    made.close()


@pytest.fixture
def blobs(server: Server, tmp_path: Path) -> FetchedBlobs:
    return FetchedBlobs(DiskStore(tmp_path / "near"), Door(server.url), patience=1.0)


def content(blobs: FetchedBlobs, digest: Digest) -> bytes:
    with blobs.open(digest) as file:
        return file.read()


def placed(blobs: FetchedBlobs, digest: Digest, directory: Path, name: str) -> None:
    """For a reader, who may have the store's own file."""
    place = os.open(directory, os.O_RDONLY)
    try:
        blobs.place(digest, name, directory=place, holder=Holder.READER)
    finally:
        os.close(place)


def test_all_that_is_missing_comes_in_one_request_and_once(server: Server, blobs: FetchedBlobs) -> None:
    here, small, large = server.keep(b"here", b"small", os.urandom(3_000_000))
    blobs.put(io.BytesIO(b"here"))

    with blobs.of(ID, server.tree):
        assert content(blobs, small) == b"small"
        assert len(content(blobs, large)) == 3_000_000
        assert content(blobs, here) == b"here"
    with blobs.of(ID, server.tree):
        content(blobs, large)

    assert [sorted(each) for each in server.asked] == [[], sorted([small, large])]


def test_what_is_of_no_assigned_tree_is_not_asked_for(server: Server, blobs: FetchedBlobs) -> None:
    (one,) = server.keep(b"one")

    with pytest.raises(NotFound):
        content(blobs, one)
    with blobs.of(ID, server.tree), pytest.raises(NotFound):
        content(blobs, Digest("0" * 64))


def test_a_connection_that_breaks_is_made_again_and_what_came_is_not_asked_for_again(
    server: Server, blobs: FetchedBlobs
) -> None:
    digests = server.keep(*(os.urandom(1000) for _ in range(9)))
    left = [2500, 5, 2000, 0]
    server.bend = lambda body: body[: left.pop(0)] if left and body[:8] != b"codeyard" else body

    with blobs.of(ID, server.tree):
        for digest in digests:
            content(blobs, digest)

    assert [len(each) for each in server.asked] == [0, 9, 7, 7, 6, 6]  # 1000 bytes and 40 before them, of each
    assert left == []


@pytest.mark.parametrize("size", [100, 2_000_000])
def test_bytes_that_were_changed_on_the_way_are_refused(server: Server, blobs: FetchedBlobs, size: int) -> None:
    (one,) = server.keep(os.urandom(size))
    server.bend = lambda body: body if body[:8] == b"codeyard" else body[:-1] + bytes([body[-1] ^ 1])

    with blobs.of(ID, server.tree), pytest.raises(Fault, match="not those of this digest"):
        content(blobs, one)
    assert not blobs.has(one)


def test_what_the_own_disk_refuses_is_not_taken_for_the_connections_fault(server: Server, tmp_path: Path) -> None:
    (one,) = server.keep(os.urandom(2_000_000))
    blobs = FetchedBlobs(DiskStore(tmp_path / "near"), Door(server.url), scratch=tmp_path / "none", patience=60)

    with blobs.of(ID, server.tree), pytest.raises(Invalid, match="keeping a blob"):
        content(blobs, one)


def test_a_deployment_that_is_over_does_not_keep_another_from_its_tree(server: Server, blobs: FetchedBlobs) -> None:
    (one,) = server.keep(b"one")
    server.over = "d-OVER00000"

    with blobs.of(ID, server.tree), blobs.of(server.over, server.tree):
        assert content(blobs, one) == b"one"
        with pytest.raises(NotFound):
            content(blobs, Digest("0" * 64))


def test_a_manifest_that_was_changed_is_refused(server: Server, blobs: FetchedBlobs) -> None:
    (one,) = server.keep(b"one")
    server.bend = lambda body: body.replace(b"f 3", b"x 3")

    with blobs.of(ID, server.tree), pytest.raises(Fault, match="not those of this digest"):
        content(blobs, one)


def test_what_the_server_has_lost_is_said(server: Server, blobs: FetchedBlobs) -> None:
    (one,) = server.keep(b"one")
    server.store.sweep(lambda digest: digest != one, older_than=-10)

    with blobs.of(ID, server.tree), pytest.raises(Fault, match="lost it"):
        content(blobs, one)


def test_what_was_not_asked_for_is_not_kept(server: Server, blobs: FetchedBlobs) -> None:
    (one,) = server.keep(b"one")
    other = server.store.put(io.BytesIO(b"two"))
    server.bend = lambda body: (
        body if body[:8] == b"codeyard" else b"".join(packed(server.store, [(other.digest, other.size)]))
    )

    with blobs.of(ID, server.tree), pytest.raises(Fault, match="not asked for"):
        content(blobs, one)
    assert not blobs.has(other.digest)


def test_a_blob_that_is_damaged_here_is_fetched_anew(server: Server, blobs: FetchedBlobs, tmp_path: Path) -> None:
    (one,) = server.keep(b"one")
    with blobs.of(ID, server.tree):
        content(blobs, one)
        file = tmp_path / "near" / "blobs" / one[:2] / one[2:]
        file.chmod(0o644)
        file.write_bytes(b"two")
        place = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        blobs.place(one, "placed", directory=place)
        os.close(place)

    assert (tmp_path / "placed").read_bytes() == b"one"


def test_a_blob_that_was_altered_by_the_name_that_it_shares_with_a_release_is_fetched_anew(
    server: Server, blobs: FetchedBlobs, tmp_path: Path
) -> None:
    (one,) = server.keep(b"one")
    with blobs.of(ID, server.tree):
        placed(blobs, one, tmp_path, "first")
        (tmp_path / "first").chmod(0o644)
        (tmp_path / "first").write_bytes(b"two")
        placed(blobs, one, tmp_path, "second")

    assert (tmp_path / "second").read_bytes() == b"one"
    assert server.asked.count([one]) == 2


def test_where_the_servers_store_is_here_its_files_are_taken_and_only_what_is_damaged_there_is_asked_for(
    server: Server, tmp_path: Path
) -> None:
    one, two = server.keep(b"one", b"two")
    blobs = FetchedBlobs(DiskStore(tmp_path / "own"), Door(server.url), patience=1.0, near=DiskStore(tmp_path / "far"))
    with blobs.of(ID, server.tree):
        assert content(blobs, server.tree).startswith(b"codeyard")
        placed(blobs, one, tmp_path, "one")
        assert (server.asked, (tmp_path / "one").stat().st_nlink) == ([], 2)
        file = tmp_path / "far" / "blobs" / two[:2] / two[2:]
        file.chmod(0o644)
        file.write_bytes(b"2")
        with pytest.raises(Fault):
            placed(blobs, two, tmp_path, "two")

    assert server.asked == [[two]]
    assert not (tmp_path / "two").exists()


def test_a_server_that_stays_away_is_given_up_and_a_closed_door_at_once(tmp_path: Path) -> None:
    door = Door("http://127.0.0.1:9")
    blobs = FetchedBlobs(DiskStore(tmp_path), door, patience=0.2)
    tree = Digest("0" * 64)

    with blobs.of(ID, tree), pytest.raises(Unreachable):
        content(blobs, tree)
    blobs.close()
    with blobs.of(ID, tree), pytest.raises(Unreachable, match="the agent ends"):
        content(blobs, tree)


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://10.0.0.1:4599", "ftp://127.0.0.1", "127.0.0.1", "https://"]
)
def test_a_door_is_opened_by_https_or_to_this_machine(url: str) -> None:
    with pytest.raises(Invalid):
        Door(url)


def test_it_may_be_opened_in_clear_where_that_is_asked_for() -> None:
    assert Door("http://example.com/", insecure=True).url == "http://example.com"
    assert Door("https://example.com").url == "https://example.com"
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "10.0.0.1", "localhost.example.com")] == [
        True, True, True, False, False,
    ]  # fmt: skip


def test_who_is_not_known_is_told_apart_from_a_server_that_is_away(server: Server) -> None:
    server.keep(b"one")
    assert issubclass(Shut, Exception)
    with pytest.raises(Unreachable, match="not as a Codeyard server"):
        Door(server.url).post("poll", {"digests": []})
