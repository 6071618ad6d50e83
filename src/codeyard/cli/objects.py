"""`codeyard objects`: files into the server's buckets and out of them, as any client of S3 does it."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import click

from codeyard.cli.endpoint import client as client_of
from codeyard.cli.group import Group
from codeyard.cli.summary import size as in_words
from codeyard.errors import CodeyardError, Denied, Fault, Invalid, NotFound

_PART = 16 << 20  # bytes; what is larger is sent in parts, which grow so that there are at most 10,000
_PARTS = 10_000
_PIECE = 1 << 20
_JSON = click.option("--json", "as_json", is_flag=True, help="A JSON object for each, on a line.")
_RECURSIVE = click.option("--recursive", "-r", is_flag=True, help="All that lies below.")


class Address(NamedTuple):
    """`s3://bucket/key`; the key may be empty, or a prefix."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"


@click.group(cls=Group)
def objects() -> None:
    """Put files into the server's buckets, and get them out.

    Any other client of S3 does as well: aws s3 cp, boto3. The server is the one that AWS_ENDPOINT_URL names, by the
    keys of the environment; else the one that was started here.
    """


@objects.command()
@click.argument("files", metavar="FILE|DIR|-...", nargs=-1, required=True)
@click.argument("to", metavar="S3URL")
@click.option("--content-type", metavar="TYPE", help="What the object is, such as text/html.")
@_JSON
def put(files: tuple[str, ...], to: str, content_type: str | None, as_json: bool) -> None:
    """Store FILE at S3URL; several, or the files of DIR, below S3URL. - is the standard input.

    \b
      codeyard objects put app.zip s3://artifacts/app.zip
      codeyard objects put app.zip docs s3://artifacts/release/
      tar c . | codeyard objects put - s3://backup/work.tar
    """
    target, wanted = address(to), [found for file in files for found in _sources(file, many=len(files) > 1)]
    below = len(files) > 1 or Path(files[0]).is_dir() or not target.key or target.key.endswith("/")
    client = _client()
    with _told(to), _progress(sum(size for _, _, size in wanted)) as advance:
        for path, name, size in wanted:
            key = f"{target.key.rstrip('/')}/{name}".lstrip("/") if below else target.key
            with _opened(path) as file:
                done = _upload(client, target.bucket, key, file, size, content_type, advance)
            _say(as_json, "Stored", Address(target.bucket, key), done)


@objects.command()
@click.argument("source", metavar="S3URL")
@click.argument("to", metavar="[FILE|DIR|-]", default=".")
@_RECURSIVE
@_JSON
def get(source: str, to: str, recursive: bool, as_json: bool) -> None:
    """Fetch an object into FILE or DIR, or to the standard output if that is -; with -r all below S3URL into DIR."""
    found, client = address(source), _client()
    with _told(source):
        if not recursive:
            if not found.key or found.key.endswith("/"):
                raise Invalid(source, "it names no object.", "Name one, or add --recursive.")
            name = found.key.rpartition("/")[2]
            target = Path(to) / name if to != "-" and (Path(to).is_dir() or to.endswith("/")) else Path(to)
            answer = client.get_object(Bucket=found.bucket, Key=found.key)
            with _progress(answer["ContentLength"]) as advance:
                done = _download(answer["Body"], None if to == "-" else target, advance)
            if to != "-":
                _say(as_json, "Fetched", found, done, str(target))
            return
        listed = [one for one in _listed(client, found) if not one["Key"].endswith("/")]
        with _progress(sum(one["Size"] for one in listed)) as advance:
            for one in listed:
                target = _inside(Path(to), one["Key"].removeprefix(found.key).lstrip("/"), one["Key"])
                answer = client.get_object(Bucket=found.bucket, Key=one["Key"])
                done = _download(answer["Body"], target, advance)
                _say(as_json, "Fetched", Address(found.bucket, one["Key"]), done, str(target))


@objects.command("ls")
@click.argument("source", metavar="[S3URL]", default="s3://")
@_RECURSIVE
@_JSON
def list_(source: str, recursive: bool, as_json: bool) -> None:
    """List the buckets, or what lies in one, below a prefix."""
    client = _client()
    with _told(source):
        if source in ("s3://", "s3:"):
            for bucket in client.list_buckets()["Buckets"]:
                told = {"bucket": bucket["Name"], "created": bucket["CreationDate"].isoformat()}
                click.echo(
                    json.dumps(told) if as_json else f"{bucket['CreationDate']:%Y-%m-%d %H:%M}  {told['bucket']}"
                )
            return
        place = address(source)
        for page in _pages(client, place, "" if recursive else "/"):
            for prefix in page.get("CommonPrefixes", ()):
                told = {"prefix": prefix["Prefix"]}
                click.echo(json.dumps(told) if as_json else f"{'':16}  {'folder':>10}  {_plain(told['prefix'])}")
            for one in page.get("Contents", ()):
                _list_one(one, as_json)


@objects.command("rm")
@click.argument("sources", metavar="S3URL...", nargs=-1, required=True)
@_RECURSIVE
@_JSON
def remove(sources: tuple[str, ...], recursive: bool, as_json: bool) -> None:
    """Remove objects, or empty buckets; with -r all below, and of a bucket all and itself."""
    client = _client()
    for source in sources:
        found = address(source)
        with _told(source):
            if recursive:
                for one in _listed(client, found):
                    client.delete_object(Bucket=found.bucket, Key=one["Key"])
                    _say(as_json, "Removed", Address(found.bucket, one["Key"]))
            elif found.key:
                client.delete_object(Bucket=found.bucket, Key=found.key)
                _say(as_json, "Removed", found)
            if not found.key:
                client.delete_bucket(Bucket=found.bucket)
                _say(as_json, "Removed", found)


@objects.command("mb")
@click.argument("bucket", metavar="S3URL")
@_JSON
def make_bucket(bucket: str, as_json: bool) -> None:
    """Make a bucket."""
    found, client = address(bucket), _client()
    if found.key:
        raise Invalid(bucket, "it names more than a bucket.", "Write s3://bucket.")
    region = client.meta.region_name
    placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with _told(bucket):
        client.create_bucket(Bucket=found.bucket, **placed)
    _say(as_json, "Made", found)


@objects.command()
@click.argument("source", metavar="S3URL")
@click.option("--expires", metavar="SECONDS", type=click.IntRange(1, 604_800), default=3600, show_default=True)
@_JSON
def link(source: str, expires: int, as_json: bool) -> None:
    """Print a link that downloads an object, for whoever has it, until it expires."""
    found, client = address(source), _client()
    with _told(source):
        client.head_object(Bucket=found.bucket, Key=found.key)
        url = client.generate_presigned_url(
            "get_object", Params={"Bucket": found.bucket, "Key": found.key}, ExpiresIn=expires
        )
    click.echo(json.dumps({"url": url, "expires": expires}) if as_json else url)


def address(text: str) -> Address:
    """What an S3 URL names. Invalid."""
    bucket, _, key = text.removeprefix("s3://").partition("/")
    if not text.startswith("s3://") or not bucket:
        raise Invalid(f"address {text!r}", "it is not s3://bucket/key.", "Write s3://bucket/key.")
    return Address(bucket, key)


def _client() -> Any:
    """A client of the server's S3. NotFound if there is no server."""
    return client_of("s3")


# ── files ──


def _sources(text: str, *, many: bool) -> list[tuple[str, str, int]]:
    """Paths, the names that they get below a prefix, and their sizes; -1 where that is not known."""
    if text == "-":
        if many:
            raise Invalid("-", "the standard input has no name.", "Put it alone, to s3://bucket/key.")
        return [("-", "stdin", -1)]
    path = Path(text)
    if path.is_dir():
        files = sorted(found for found in path.rglob("*") if found.is_file() and not found.is_symlink())
        return [(str(file), file.relative_to(path).as_posix(), file.stat().st_size) for file in files]
    if not path.is_file():
        raise Invalid(text, "there is no such file.", "Name a file or a directory.")
    return [(text, path.name, path.stat().st_size)]


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - closed below; only opening it is explained
    except OSError as error:
        raise Invalid(path, f"{error.strerror}.", "Name a file that you can read.") from error
    with file:
        yield cast(BinaryIO, file)


def _inside(root: Path, path: str, key: str) -> Path:
    """Where the object goes below a directory. Invalid for a key that leads elsewhere."""
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise Invalid(f"object {key!r}", "its key is not a path that stays inside.", "Get it alone, into a file.")
    target = root.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


# ── over the wire ──


def _upload(
    client: Any,
    bucket: str,
    key: str,
    file: BinaryIO,
    size: int,
    content_type: str | None,
    advance: Callable[[int], None],
) -> int:
    """One file, in parts if it is large or nobody knows; its size in bytes."""
    told = {"ContentType": content_type} if content_type else {}
    first = file.read(_PART)
    if len(first) < _PART:
        client.put_object(Bucket=bucket, Key=key, Body=first, **told)
        advance(len(first))
        return len(first)
    step = max(_PART, -(-size // _PARTS))
    upload = client.create_multipart_upload(Bucket=bucket, Key=key, **told)["UploadId"]
    named = {"Bucket": bucket, "Key": key, "UploadId": upload}
    parts: list[dict[str, Any]] = []
    done = 0
    piece = first + file.read(step - len(first))
    try:
        while piece:
            number = len(parts) + 1
            answer = client.upload_part(**named, PartNumber=number, Body=piece)
            sums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
            parts.append({"PartNumber": number, "ETag": answer["ETag"], **sums})
            advance(len(piece))
            done += len(piece)
            piece = file.read(step)
        client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**named)
        raise
    return done


def _download(body: Any, target: Path | None, advance: Callable[[int], None]) -> int:
    """Into a file, which is there when it is complete, or to the standard output; the size."""
    if target is None:
        return _pour(body, sys.stdout.buffer, advance)
    draft = target.with_name(f".{target.name[:100]}.{os.urandom(4).hex()}.part")
    try:
        with draft.open("xb") as file:
            done = _pour(body, cast(BinaryIO, file), advance)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    return done


def _pour(body: Any, file: BinaryIO, advance: Callable[[int], None]) -> int:
    done = 0
    while piece := body.read(_PIECE):
        file.write(piece)
        advance(len(piece))
        done += len(piece)
    file.flush()
    return done


def _pages(client: Any, place: Address, delimiter: str) -> Iterator[Any]:
    pages = client.get_paginator("list_objects_v2")
    yield from pages.paginate(Bucket=place.bucket, Prefix=place.key, Delimiter=delimiter)


def _listed(client: Any, place: Address) -> list[Any]:
    """All below a prefix, which is a folder: `a` does not mean `ab`."""
    folder = f"{place.key.rstrip('/')}/" if place.key else ""
    return [one for page in _pages(client, Address(place.bucket, folder), "") for one in page.get("Contents", ())]


@contextmanager
def _told(what: str) -> Iterator[None]:
    """The server's errors as ours. NotFound, Denied, Invalid, Fault."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError

    try:
        yield
    except ClientError as error:
        raise _in_words(what, error.response) from None
    except (NoCredentialsError, PartialCredentialsError):
        why = "there are no credentials here."
        raise Denied(
            what, why, 'Run eval "$(codeyard env)", or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.'
        ) from None
    except BotoCoreError as error:
        raise Fault(what, f"{str(error).rstrip('.')}.", "Is the server running? See AWS_ENDPOINT_URL.") from None


def _in_words(what: str, answer: Any) -> CodeyardError:
    code, status = answer["Error"].get("Code", ""), answer["ResponseMetadata"]["HTTPStatusCode"]
    why = f"{answer['Error'].get('Message', code).rstrip('.')} ({code})."
    if status == 404:
        return NotFound(what, why, "See what there is: codeyard objects ls")
    if status == 403:
        return Denied(what, why, "Check the keys, and the policies of who has them.")
    if status < 500:
        return Invalid(what, why, "Change the request.")
    return Fault(what, why, "Look into the server's log.")


# ── what is shown ──


def _say(as_json: bool, verb: str, at: Address, size: int | None = None, to: str | None = None) -> None:
    if as_json:
        told = {"action": verb.lower(), "bucket": at.bucket, "key": at.key, "bytes": size, "file": to}
        click.echo(json.dumps({name: value for name, value in told.items() if value is not None}))
        return
    where = f" as {to}" if to is not None else ""
    click.echo(f"{verb} {_plain(str(at))}{where}" + (f", {in_words(size)}" if size is not None else "") + ".")


def _list_one(one: Any, as_json: bool) -> None:
    if as_json:
        told = {"key": one["Key"], "bytes": one["Size"], "modified": one["LastModified"].isoformat()}
        click.echo(json.dumps({**told, "etag": one["ETag"].strip('"')}))
        return
    click.echo(f"{one['LastModified']:%Y-%m-%d %H:%M}  {in_words(one['Size']):>10}  {_plain(one['Key'])}")


def _plain(text: str) -> str:
    """For a terminal: a key may hold what moves its cursor."""
    return "".join(c if c.isprintable() else "?" for c in text)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on the standard error, if that is a terminal and there is something to wait for."""
    if not sys.stderr.isatty() or 0 <= total < _PIECE or shutil.get_terminal_size().columns < 40:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total if total >= 0 else None)
        yield lambda done: bar.advance(task, done)
