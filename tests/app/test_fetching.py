"""How sources are brought: which way serves which kind, what git gets of the server, and buildspecs of buckets."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.app.fetching import fetcher, git_environment, object_reader
from codeyard.artifacts.buckets import Note, OpenBucket
from codeyard.errors import CodeyardError, Denied, NotFound
from codeyard.objects.buckets import embedded, permitted
from codeyard.sources import SourceKind, SourceSpec
from tests.objects.serving import ACCOUNT, directory
from tests.sources.servers import History, git_server, quiet, spec_of

NAMES = st.sampled_from(
    [
        "AWS_SECRET_ACCESS_KEY", "CODEYARD_DATABASE", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_SSH_COMMAND", "HOME",
        "HTTPS_PROXY", "PATH", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "XDG_CONFIG_HOME", "GIT_SSL_CAINFO",
    ]
)  # fmt: skip
ENVIRONMENTS = st.dictionaries(NAMES | st.text("ABC_", min_size=1), st.text(max_size=5))


@given(ENVIRONMENTS, st.booleans())
def test_git_gets_nothing_of_the_servers(base: Mapping[str, str], as_its_user: bool) -> None:
    found = git_environment(as_its_user, base)

    assert not [name for name in found if name.startswith(("CODEYARD_", "AWS_"))]
    assert {name: value for name, value in found.items() if name != "HOME"}.items() <= base.items()


@given(ENVIRONMENTS)
def test_unless_it_works_as_its_user_nothing_leads_to_what_is_theirs(base: Mapping[str, str]) -> None:
    found = git_environment(False, base)

    assert found["HOME"] == "/nonexistent"
    assert not found.keys() & {"SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "GIT_ASKPASS", "GIT_CONFIG_GLOBAL"}
    assert "GIT_SSH_COMMAND" not in found


@given(ENVIRONMENTS)
def test_the_machines_way_out_holds_for_both(base: Mapping[str, str]) -> None:
    machines = {name: value for name, value in base.items() if name in ("HTTPS_PROXY", "PATH", "SSL_CERT_FILE")}

    assert machines.items() <= git_environment(False, base).items()
    assert machines.items() <= git_environment(True, base).items()


def buckets(root: Path) -> OpenBucket:
    """One bucket, `code`, of which only what is not below private/ may be read."""
    store = directory(root)
    store.create(ACCOUNT, "code", "us-east-1")
    whole = embedded(store, ACCOUNT)("s3://code")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.c", "zipped")
    whole.write("app.zip", packed.getvalue(), Note())
    whole.write("app/main.c", b"folder", Note())
    whole.write("private/spec.yml", b"version: 0.2", Note())
    whole.write("spec.yml", "version: 0.2 # ü".encode(), Note())
    whole.write("binary", b"\xff\xfe", Note())
    whole.write("long", b"#" * ((1 << 20) + 1), Note())

    def permit(action: str, arn: str) -> None:
        if "/private/" in arn:
            raise Denied(f"{action} on {arn}", "the service role does not allow it.", "Allow it.")

    return permitted(embedded(store, ACCOUNT), permit)


@pytest.mark.parametrize(
    ("kind", "location", "content"),
    [
        (SourceKind.S3_ZIP, "s3://code/app.zip", "zipped"),
        (SourceKind.S3_FOLDER, "s3://code/app/", "folder"),
        (SourceKind.DIRECTORY, "{here}/tree", "local"),
        (SourceKind.ZIP, "{here}/local.zip", "local zip"),
    ],
)
async def test_each_kind_is_brought_its_own_way(tmp_path: Path, kind: SourceKind, location: str, content: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "main.c").write_text("local")
    with zipfile.ZipFile(tmp_path / "local.zip", "w") as archive:
        archive.writestr("main.c", "local zip")
    (tmp_path / "to").mkdir()
    fetch = fetcher(tmp_path / "mirrors", buckets(tmp_path), git_environment(False))

    fetched = await fetch(SourceSpec(kind, location.format(here=tmp_path)), tmp_path / "to", quiet)

    assert (tmp_path / "to" / "main.c").read_text() == content
    assert fetched.files == 1


async def test_a_git_repository_is_cloned_and_remembered(tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    history = History(tmp_path / "served" / "app")
    fetch = fetcher(tmp_path / "mirrors", buckets(tmp_path), git_environment(False))

    with git_server(tmp_path / "served") as server:
        fetched = await fetch(spec_of(server), tmp_path / "to", quiet)

    assert fetched.resolved_version == history.three
    assert (tmp_path / "to" / "file").read_text() == "three"
    assert list((tmp_path / "mirrors").iterdir())


async def test_no_source_is_an_empty_directory(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "left").touch()

    fetch = fetcher(tmp_path / "mirrors", buckets(tmp_path), {})
    await fetch(SourceSpec(SourceKind.NONE, ""), tmp_path / "to", quiet)

    assert list((tmp_path / "to").iterdir()) == []


async def test_what_may_not_be_read_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    fetch = fetcher(tmp_path / "mirrors", buckets(tmp_path), {})

    with pytest.raises(CodeyardError, match="AccessDenied"):
        await fetch(SourceSpec(SourceKind.S3_ZIP, "s3://code/private/spec.yml"), tmp_path / "to", quiet)
    assert list((tmp_path / "to").iterdir()) == []


async def test_a_buildspec_of_a_bucket_is_read(tmp_path: Path) -> None:
    assert await object_reader(buckets(tmp_path))("arn:aws:s3:::code/spec.yml") == "version: 0.2 # ü"


@pytest.mark.parametrize("name", ["code/gone", "gone/spec.yml", "code/private/spec.yml", "code/binary", "code/long"])
async def test_one_that_cannot_be_read_says_why_and_which(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound, match=name):
        await object_reader(buckets(tmp_path))(f"arn:aws:s3:::{name}")
