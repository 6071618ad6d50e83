"""What a person writes for a source."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codeyard.errors import Invalid
from codeyard.sources import SourceKind, SourceSpec, not_found, parse_location

GIT, S3_ZIP, S3_FOLDER = SourceKind.GIT, SourceKind.S3_ZIP, SourceKind.S3_FOLDER
HERE = Path("/nowhere")


@pytest.mark.parametrize(
    ("text", "kind", "location", "version"),
    [
        ("https://github.com/o/r", GIT, "https://github.com/o/r", None),
        ("https://github.com/o/r.git#main", GIT, "https://github.com/o/r.git", "main"),
        ("https://github.com/o/r#refs/heads/a/b", GIT, "https://github.com/o/r", "refs/heads/a/b"),
        ("http://localhost:3000/o/r", GIT, "http://localhost:3000/o/r", None),
        ("git+https://h/o/r.zip#v1", GIT, "https://h/o/r.zip", "v1"),
        ("git+ssh://git@h/o/r", GIT, "ssh://git@h/o/r", None),
        ("ssh://git@h:22/o/r#v1", GIT, "ssh://git@h:22/o/r", "v1"),
        ("git@github.com:o/r.git", GIT, "git@github.com:o/r.git", None),
        ("git@github.com:o/r.git#v1", GIT, "git@github.com:o/r.git", "v1"),
        ("host.example:r.git", GIT, "host.example:r.git", None),
        ("file:///srv/git/r.git#v1", GIT, "file:///srv/git/r.git", "v1"),
        ("s3://bucket/a/b.zip", S3_ZIP, "s3://bucket/a/b.zip", None),
        ("s3://bucket/a#b", S3_ZIP, "s3://bucket/a#b", None),
        ("s3://bucket/a/", S3_FOLDER, "s3://bucket/a/", None),
        ("s3://bucket/", S3_FOLDER, "s3://bucket/", None),
        ("s3://bucket", S3_FOLDER, "s3://bucket/", None),
    ],
)
def test_a_location_is_understood(text: str, kind: SourceKind, location: str, version: str | None) -> None:
    assert parse_location(text, HERE) == SourceSpec(kind, location, version)


def test_what_lies_on_disk_is_found_from_the_current_directory(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "a#b:c").mkdir()
    (tmp_path / "src.zip").write_bytes(b"whatever")
    (tmp_path / "packed").write_bytes(b"PK\x03\x04")

    found = [parse_location(text, tmp_path) for text in (".", "app", str(tmp_path), "./a#b:c", "src.zip", "packed")]

    assert [(spec.kind.value, Path(spec.location).relative_to(tmp_path).as_posix()) for spec in found] == [
        ("DIRECTORY", "."),
        ("DIRECTORY", "app"),
        ("DIRECTORY", "."),
        ("DIRECTORY", "a#b:c"),
        ("ZIP", "src.zip"),
        ("ZIP", "packed"),
    ]


@pytest.mark.parametrize(
    "text",
    ["", "\n", "a\0b", "nothing", "ftp://h/x", "git://h/x", "ext::sh -c x", "ext::sh", "https://", "https:///x",
     "https://h:port/x", "https://[::1/x", "https://h/app.zip", "file://host/x", "git+/srv/r", "git+nothing",
     "ssh://u:p@h/x", "s3://", "s3://B/x", "s3://../x", "https://h/x#-v", "https://h/x#a\tb", "-x", "--upload-pack=x",
     "git+-x", "git+ext::x", "https://u%0a:p@h/x", "git@h:"],
)  # fmt: skip
def test_what_is_no_source_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as error:
        parse_location(text, tmp_path)

    assert all(error.value.args)


def test_what_means_two_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host:path").mkdir()
    (tmp_path / "text").write_text("no zip")
    for part in ("objects", "refs"):
        (tmp_path / "bare.git" / part).mkdir(parents=True)
    (tmp_path / "bare.git/HEAD").touch()

    for text, why in (("host:path", "reads as a host"), ("text", "not a zip"), ("bare.git", "bare git repository")):
        with pytest.raises(Invalid, match=why):
            parse_location(text, tmp_path)


@pytest.mark.parametrize("text", [".", "src.zip", "s3://bucket/dir/"])
def test_what_has_no_versions_takes_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "src.zip").write_bytes(b"PK\x03\x04")

    with pytest.raises(Invalid, match="version"):
        parse_location(text, tmp_path, version="v1")


def test_a_version_may_stand_beside_the_location_but_not_contradict_it() -> None:
    assert parse_location("https://h/x", HERE, version="v1").version == "v1"
    assert parse_location("https://h/x#v1", HERE, version="v1").version == "v1"
    assert parse_location("s3://bucket/x.zip", HERE, version="3L4kq").version == "3L4kq"
    with pytest.raises(Invalid, match="two versions"):
        parse_location("https://h/x#v1", HERE, version="v2")


def test_a_credential_is_taken_out_of_the_location() -> None:
    spec = parse_location("https://ann:s%40crt@h:8443/x#v1", HERE)

    assert spec.location == "https://h:8443/x"
    assert spec.credential is not None
    assert spec.credential.password is not None
    assert (spec.credential.username.reveal(), spec.credential.password.reveal()) == ("ann", "s@crt")
    assert "s@crt" not in repr(spec)
    assert "ann" not in repr(spec)


@given(st.text(max_size=20), st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=20))
def test_an_error_never_tells_a_password(before: str, word: str) -> None:
    password = f"S3CR3T{word}"
    try:
        said = repr(parse_location(f"https://{before}:{password}@h/x", HERE))
    except Invalid as error:
        said = repr(error.args)

    assert password not in said


def test_a_spec_holds_no_credential_in_its_location() -> None:
    with pytest.raises(Invalid, match="user name or a password") as error:
        SourceSpec(SourceKind.GIT, "https://u:s3cr3t@h/x")

    assert "s3cr3t" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [{"identifier": "a-b"}, {"identifier": ""}, {"identifier": "x" * 128}, {"depth": -1}, {"version": "-x"},
     {"version": ""}, {"version": "a\nb"}, {"location": ""}, {"location": "-x"}],
)  # fmt: skip
def test_a_spec_that_is_wrong_cannot_be_held(change: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        replace(SourceSpec(SourceKind.GIT, "https://h/x"), **change)  # type: ignore[arg-type]


def test_the_texts_of_a_missing_version_are_those_of_aws() -> None:
    primary, secondary = SourceSpec(GIT, "https://h/x"), SourceSpec(GIT, "https://h/x", identifier="tools")

    assert not_found(primary, "a.", "b.").what == "reference not found for primary source"
    assert not_found(secondary, "a.", "b.").what == "reference not found for secondary source tools"
    assert pickle.loads(pickle.dumps(not_found(primary, "a.", "b."))).fix == "b."


def test_the_cover_is_light() -> None:
    import subprocess

    code = (
        "import sys, codeyard.sources; print(*[m for m in ('asyncio','obstore','zipfile','ssl') if m in sys.modules])"
    )
    out = subprocess.check_output([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, text=True)

    assert out == "\n"


def test_a_version_of_a_path_is_told_to_be_a_file_url(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    with pytest.raises(Invalid, match=rf"file://{tmp_path}/app#feature/x"):
        parse_location("app#feature/x", tmp_path)


def test_an_unknown_kind_of_url_is_named() -> None:
    with pytest.raises(Invalid, match="ftp:// is no kind of URL"):
        parse_location("ftp://host/x", Path("/"))
