"""What AWS answers to a signature that is not right: each service family has codes and texts of its own.

Taken from the pages "Common Errors" of CodeBuild, STS and IAM, "Error responses" of S3, and "Troubleshoot Signature
Version 4 signing" in the IAM user guide.
"""

from enum import StrEnum

from codeyard.aws import Refused
from codeyard.aws.signing import Dialect


class Problem(StrEnum):
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    BAD_LINK = "bad link"  # a presigned URL's parameters
    SCOPE = "scope"
    STALE = "stale"
    LINK_STALE = "link stale"
    UNSIGNED_HEADER = "unsigned header"
    UNKNOWN_KEY = "unknown key"
    BAD_SESSION = "bad session"
    EXPIRED_SESSION = "expired session"
    MISMATCH = "mismatch"
    BODY = "body"  # S3: not what x-amz-content-sha256 announced


_MISMATCH = "The request signature we calculated does not match the signature you provided. Check your "
_SIGNATURE = f"{_MISMATCH}AWS Secret Access Key and signing method. Consult the service documentation for details."
_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"

# Code, HTTP status, and the text where there is only one.
_ANSWERS: dict[Dialect, dict[Problem, tuple[str, int, str]]] = {
    Dialect.JSON: {
        Problem.MISSING: ("MissingAuthenticationTokenException", 403, "Missing Authentication Token"),
        Problem.INCOMPLETE: ("IncompleteSignatureException", 400, ""),
        Problem.BAD_LINK: ("IncompleteSignatureException", 400, ""),
        Problem.SCOPE: ("InvalidSignatureException", 400, ""),
        Problem.STALE: ("InvalidSignatureException", 400, ""),
        Problem.LINK_STALE: ("InvalidSignatureException", 400, ""),
        Problem.UNSIGNED_HEADER: ("InvalidSignatureException", 400, ""),
        Problem.UNKNOWN_KEY: ("UnrecognizedClientException", 400, _INVALID),
        Problem.BAD_SESSION: ("UnrecognizedClientException", 400, _INVALID),
        Problem.EXPIRED_SESSION: ("ExpiredTokenException", 400, _EXPIRED),
        Problem.MISMATCH: ("InvalidSignatureException", 400, _SIGNATURE),
        Problem.BODY: ("InvalidSignatureException", 400, _SIGNATURE),
    },
    Dialect.QUERY: {
        Problem.MISSING: ("MissingAuthenticationToken", 403, "Request is missing Authentication Token"),
        Problem.INCOMPLETE: ("IncompleteSignature", 400, ""),
        Problem.BAD_LINK: ("IncompleteSignature", 400, ""),
        Problem.SCOPE: ("SignatureDoesNotMatch", 403, ""),
        Problem.STALE: ("SignatureDoesNotMatch", 403, ""),
        Problem.LINK_STALE: ("SignatureDoesNotMatch", 403, ""),
        Problem.UNSIGNED_HEADER: ("SignatureDoesNotMatch", 403, ""),
        Problem.UNKNOWN_KEY: ("InvalidClientTokenId", 403, _INVALID),
        Problem.BAD_SESSION: ("InvalidClientTokenId", 403, _INVALID),
        Problem.EXPIRED_SESSION: ("ExpiredToken", 403, _EXPIRED),
        Problem.MISMATCH: ("SignatureDoesNotMatch", 403, _SIGNATURE),
        Problem.BODY: ("SignatureDoesNotMatch", 403, _SIGNATURE),
    },
    Dialect.S3: {
        Problem.MISSING: ("AccessDenied", 403, "Access Denied"),
        Problem.INCOMPLETE: ("AuthorizationHeaderMalformed", 400, ""),
        Problem.BAD_LINK: ("AuthorizationQueryParametersError", 400, ""),
        Problem.SCOPE: ("AuthorizationHeaderMalformed", 400, ""),
        Problem.STALE: (
            "RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large."
        ),
        Problem.LINK_STALE: ("AccessDenied", 403, ""),
        Problem.UNSIGNED_HEADER: (
            "AccessDenied", 403, "There were headers present in the request which were not signed"
        ),
        Problem.UNKNOWN_KEY: (
            "InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."
        ),
        Problem.BAD_SESSION: ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
        Problem.EXPIRED_SESSION: ("ExpiredToken", 400, "The provided token has expired."),
        Problem.MISMATCH: ("SignatureDoesNotMatch", 403, f"{_MISMATCH}key and signing method."),
        Problem.BODY: (
            "XAmzContentSHA256Mismatch", 400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        ),
    },
}  # fmt: skip


def refused(dialect: Dialect, problem: Problem, text: str = "") -> Refused:
    """AWS's error. `text` is for those problems that have more than one."""
    code, status, fixed = _ANSWERS[dialect][problem]
    return Refused(code, fixed or text, status)
