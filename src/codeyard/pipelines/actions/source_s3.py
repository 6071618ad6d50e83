"""The source that is an object of a bucket: copied as it is, and unpacked if it is a zip."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from codeyard.artifacts import Digest
from codeyard.artifacts.buckets import Bucket, Facts
from codeyard.durable import Answer
from codeyard.errors import Denied, Invalid, NotFound
from codeyard.pipelines.actions import ActionFailed, ErrorCode, Outcome, Revision, SourceOverride, Told, Work
from codeyard.pipelines.actions.importing import download, import_zip, is_zip, scratch
from codeyard.pipelines.model import Action as Declared
from codeyard.sources.copying import in_thread

PROVIDER = "S3"
SUMMARY = "codepipeline-artifact-revision-summary"  # user metadata of the object (action reference, S3 source)
NO_VERSION = "null"  # what S3 calls the version of an object whose bucket keeps none
_SUMMARY_LIMIT = 2048  # characters


@dataclass(frozen=True, slots=True)
class _Asked:
    bucket: str
    key: str
    version: str | None

    @property
    def what(self) -> str:
        return f"The object with key '{self.key}' of the Amazon S3 bucket {self.bucket}"


def revision_of(facts: Facts) -> str:
    """The id of a revision: the version; of a bucket that keeps none the ETag, which changes as well."""
    return facts.version or facts.etag


def location_of(declared: Declared) -> tuple[str, str]:
    """Bucket and key."""
    return declared.configuration["S3Bucket"], declared.configuration["S3ObjectKey"]


class S3Action:
    """Objects are unpacked in `beside` on their way to the store, best on the same disk."""

    def __init__(self, beside: Path | None = None) -> None:
        self._beside = beside

    async def run(self, work: Work) -> Outcome:
        """See Action. ActionFailed."""
        asked = _asked(work.declared, work.pinned)

        async def fetch() -> Answer:
            try:
                return await in_thread(lambda stopped: self._fetch(asked, work, stopped))
            except NotFound as error:
                raise _missing(asked, error) from None
            except Denied as error:
                text = f"Insufficient permissions. Unable to access the Amazon S3 object key '{asked.key}': {error.why}"
                raise ActionFailed(ErrorCode.PERMISSION, text) from None

        found = await work.step("object", fetch)
        await work.tell(Told(external_id=found["revision"], summary=found["summary"]))
        tree = found["tree"]
        output = replace(
            work.outputs[0],
            raw=Digest.parse(found["raw"]),
            tree=Digest.parse(tree) if tree else None,
            revision=found["revision"],
        )
        return Outcome(
            outputs=(output,),
            variables={
                "BucketName": asked.bucket,
                "ETag": found["etag"],
                "ObjectKey": asked.key,
                "VersionId": found["version"],
            },
            revision=Revision(
                found["revision"],
                found["summary"],
                created=datetime.fromisoformat(found["modified"]) if found["modified"] else None,
            ),
            summary=found["summary"],
            external_id=found["revision"],
        )

    def _fetch(self, asked: _Asked, work: Work, stopped: Callable[[], bool]) -> Answer:
        bucket = work.open_bucket(f"s3://{asked.bucket}")
        with scratch(self._beside) as place:
            target = place / "object"
            with bucket.read(asked.key, _version(asked, bucket)) as found:
                facts = found.facts
                if asked.version not in (None, NO_VERSION, revision_of(facts)):
                    raise NotFound(asked.what, "NoSuchVersion: The specified version does not exist.", "Check it.")
                download(found, target, asked.what, stopped)
            with target.open("rb") as content:
                raw = work.blobs.put(content)
            tree: Digest | None = None
            if is_zip(target):
                with suppress(Invalid):  # it is copied as it is; who needs it unpacked will say why it cannot be
                    tree = import_zip(target, work.blobs).digest
        return {
            "raw": str(raw.digest),
            "tree": tree and str(tree),
            "revision": revision_of(facts),
            "version": facts.version or NO_VERSION,
            "etag": facts.etag,
            "modified": facts.modified.isoformat() if facts.modified is not None else None,
            "summary": _summary(facts)[:_SUMMARY_LIMIT],
        }


def _summary(facts: Facts) -> str:
    """What whoever put the object says of it; else its version (User Guide, "View inbound execution status")."""
    said = facts.metadata.get(SUMMARY)
    return said or (f"Amazon S3 version id: {facts.version}" if facts.version else "")


def _asked(declared: Declared, pinned: SourceOverride | None) -> _Asked:
    """ActionFailed: another key is pinned than the action lets be pinned."""
    bucket, key = location_of(declared)
    if pinned is None:
        return _Asked(bucket, key, None)
    if pinned.object_key not in (None, key) and declared.configuration.get("AllowOverrideForS3ObjectKey") != "true":
        text = f"The source action {declared.name} does not allow an override of its S3 object key."
        raise ActionFailed(ErrorCode.CONFIGURATION, text)
    return _Asked(bucket, pinned.object_key or key, pinned.version_id)


def _version(asked: _Asked, bucket: Bucket) -> str | None:
    """The version to ask the bucket for. One that keeps none knows its object by its ETag."""
    if asked.version in (None, NO_VERSION):
        return None
    with suppress(NotFound):  # a version that is there is what was meant, whatever the newest is
        bucket.facts(asked.key, asked.version)
        return asked.version
    with suppress(NotFound):  # the newest may be a mark that it was deleted
        if bucket.facts(asked.key).version is None:
            return None
    return asked.version


def _missing(asked: _Asked, error: NotFound) -> ActionFailed:
    if "NoSuchBucket" in error.why:
        text = f"The Amazon S3 bucket {asked.bucket} does not exist."
        return ActionFailed(ErrorCode.CONFIGURATION, text)
    if asked.version is not None:
        text = f"The version '{asked.version}' of the object with key '{asked.key}' does not exist."
        return ActionFailed(ErrorCode.UNAVAILABLE_REVISION, text)
    return ActionFailed(ErrorCode.CONFIGURATION, f"The object with key '{asked.key}' does not exist.")
