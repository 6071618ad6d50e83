"""Links by which whoever has one may download an object until it expires, with no key of their own."""

from datetime import datetime, timedelta
from urllib.parse import quote

from codeyard.aws import Key
from codeyard.aws.sigv4 import presign


def download_link(
    endpoint: str,
    bucket: str,
    key: str,
    signer: Key,
    now: datetime,
    *,
    region: str = "us-east-1",
    expires: timedelta = timedelta(hours=1),
    file_name: str | None = None,
) -> str:
    """The URL, good for a second to seven days. `endpoint` is where the server answers, such as `http://host:port`;
    the signer must be allowed s3:GetObject when it is used. A browser saves the object as `file_name`."""
    url = f"{endpoint.rstrip('/')}/{bucket}/{quote(key, safe='/-._~')}"
    if file_name is not None:
        saved = f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"
        url += f"?response-content-disposition={quote(saved, safe='')}"
    return presign("GET", url, signer, region, "s3", now, expires)
