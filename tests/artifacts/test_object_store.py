"""What a person is told when a bucket refuses; the store itself is in the contract of blob stores."""

import pytest
from obstore import exceptions

from codeyard.artifacts.buckets import Note
from codeyard.artifacts.object_store import _answered, open_bucket
from codeyard.errors import CodeyardError, Denied
from tests.artifacts.servers import KEYS, s3_server


def test_a_bucket_that_is_not_there_is_told_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with s3_server() as address, pytest.raises(CodeyardError) as refused:
        open_bucket("s3://nosuchbucket", endpoint=address).write("key", b"x", Note())

    assert "NoSuchBucket: The specified bucket does not exist" in refused.value.why
    assert "<" not in refused.value.why


def test_no_credentials_are_told_as_such() -> None:
    """The last place that the library asks is the cloud's own, which only a machine there can answer."""
    with pytest.raises(Denied, match="there are no credentials here"), _answered("writing"):
        raise exceptions.GenericError("Error performing PUT http://169.254.169.254/latest/api/token in 3s")
