"""What conditions of policies may ask of a request, whoever sent it. Pure.

Source: "AWS global condition context keys" in the IAM user guide. What they may ask of the caller is added by who knows
the caller.
"""

from datetime import datetime

from codeyard.aws.signing import Request


def request_context(
    request: Request, region: str, now: datetime, client: str | None, *, secure: bool
) -> dict[str, str]:
    """Values by key. `client` is the address that it came from; `secure`: by TLS."""
    found = {
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true" if secure else "false",
        "aws:UserAgent": request.header("user-agent") or "",
    }
    return found | ({"aws:SourceIp": client} if client else {})
