"""The server that a command speaks to, and clients for it: the same as any AWS client's.

`AWS_ENDPOINT_URL` names it, with the credentials of the environment; else it is the one that was started here last
(`codeyard up`), with its root key, which only whoever may read its data directory has.
"""

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codeyard.cli.paths import state_directory
from codeyard.errors import CodeyardError, Conflict, Denied, Fault, Invalid, NotFound

_CLOCK = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_UNKNOWN = (
    "ExpiredToken", "ExpiredTokenException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "UnrecognizedClientException",
)  # fmt: skip
# Of pipelines: what the errors that people meet are, and what helps.
_PIPELINES: dict[str, tuple[type[CodeyardError], str]] = {
    "PipelineNotFoundException": (NotFound, "See what there is: codeyard pipelines"),
    "PipelineVersionNotFoundException": (NotFound, "See the newest: codeyard pipeline show NAME"),
    "PipelineExecutionNotFoundException": (NotFound, "See what there is: codeyard pipeline executions NAME"),
    "StageNotFoundException": (NotFound, "See its stages: codeyard pipeline status NAME"),
    "ActionNotFoundException": (NotFound, "See its actions: codeyard pipeline status NAME"),
    "PipelineNameInUseException": (Conflict, "Change it with codeyard pipeline update, or choose another name."),
    "InvalidApprovalTokenException": (Conflict, "Somebody was faster: codeyard pipeline status NAME"),
    "ApprovalAlreadyCompletedException": (Conflict, "Somebody was faster: codeyard pipeline status NAME"),
    "StageNotRetryableException": (Conflict, "Start a new execution: codeyard pipeline start NAME"),
    "NotLatestPipelineExecutionException": (Conflict, "A newer execution is there; see codeyard pipeline status NAME"),
    "DuplicatedStopRequestException": (Conflict, "Wait for it to stop, or add --abandon."),
    "PipelineExecutionNotStoppableException": (Conflict, "See how it ended: codeyard pipeline status NAME EXECUTION"),
    "ConditionNotOverridableException": (Conflict, "See how its conditions stand: codeyard pipeline status NAME"),
    "PipelineExecutionOutdatedException": (Conflict, "Choose one of the definition that there is now, or start one."),
    "UnableToRollbackStageException": (Conflict, "Choose another execution: codeyard pipeline executions NAME"),
    "ConcurrentPipelineExecutionsLimitExceededException": (Conflict, "Wait until executions have ended, or stop some."),
    "ConcurrentModificationException": (Conflict, "Try again."),
    "ConflictException": (Conflict, "Try again."),
}
_START = "Start one with `codeyard up`, or set AWS_ENDPOINT_URL and credentials."


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is, and who we are to it. Empty credentials: boto's usual places are looked at."""

    url: str
    region: str
    key_id: str = ""
    secret: str = field(default="", repr=False)


def data_directory(chosen: Path | None = None) -> Path:
    """What `--data` names, else `$CODEYARD_DATA`, else `server` in the state directory."""
    if chosen is not None:
        return chosen.absolute()
    told = os.environ.get("CODEYARD_DATA")
    return Path(told).absolute() if told else state_directory() / "server"


def endpoint() -> Endpoint:
    """The server to speak to. NotFound if there is none; Invalid."""
    url = os.environ.get("AWS_ENDPOINT_URL")
    if url:
        if not url.startswith(("http://", "https://")):
            raise Invalid(f"AWS_ENDPOINT_URL {url!r}", "it is no URL.", "Set it as in http://127.0.0.1:4599.")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return Endpoint(url, region)
    return local_endpoint(data_directory())


def local_endpoint(data: Path) -> Endpoint:
    """The server that keeps its things in `data`. NotFound, Denied."""
    try:
        told = json.loads((data / "server.json").read_text())
        root = json.loads((data / "keys" / "root").read_text())
        return Endpoint(told["url"], told["region"], root["id"], root["secret"])
    except PermissionError as error:
        raise Denied(
            f"the server in {data}", f"{error.filename} is for its owner alone.", "Ask them for a key."
        ) from None
    except (OSError, ValueError, KeyError, TypeError):  # or the files are no server's
        raise NotFound(f"a server in {data}", "none was started there.", _START) from None


def console_link(data: Path) -> str:
    """A new address that opens the console of the server that keeps its things in `data`. NotFound, Denied."""
    from codeyard.console.session import login_link

    try:
        told = json.loads((data / "keys" / "console").read_text())
        return login_link(told["url"], told["key"], datetime.now(UTC))
    except PermissionError as error:
        why = f"{error.filename} is for its owner alone."
        raise Denied(f"the console of {data}", why, "Ask them for the link.") from None
    except (OSError, ValueError, KeyError, TypeError):  # or the file is no server's
        raise NotFound(f"a console in {data}", "no server was started there.", _START) from None


def client(service: str) -> Any:
    """A botocore client of this service."""
    import botocore.session
    from botocore.config import Config

    found = endpoint()
    config = Config(
        connect_timeout=5, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="codeyard-cli", s3={"addressing_style": "path"}, parameter_validation=False,
        signature_version="s3v4" if service == "s3" else None,  # of links: else boto3 makes older ones
    )  # fmt: skip
    # Buckets may be elsewhere (the setting `objects`), with keys of their own.
    url = (os.environ.get("AWS_ENDPOINT_URL_S3") if service == "s3" else None) or found.url
    own = found.key_id and url == found.url
    keys = {"aws_access_key_id": found.key_id, "aws_secret_access_key": found.secret} if own else {}
    session = botocore.session.get_session()
    session.register_component("data_loader", _models())
    return session.create_client(service, region_name=found.region, endpoint_url=url, config=config, **keys)


@functools.cache
def _models() -> Any:
    """What reads and keeps botocore's data: one for all clients of a command, for much of it is for all services."""
    import botocore.session

    return botocore.session.get_session().get_component("data_loader")


@contextmanager
def asking() -> Iterator[None]:
    """What a client raises, in our words: by kind what the server refused, Fault if it cannot be reached."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, text = told.get("Code", "?"), told.get("Message", "")
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            raise Fault("the server", f"{code}: {text}", "See its log; then try again.") from None
        raise _refused(code, text) from None
    except NoCredentialsError:
        raise Denied("the server", "no credentials are set.", 'Run: eval "$(codeyard env)"') from None
    except BotoCoreError as error:
        raise Fault("the server", f"{error}.", f"See that it runs. {_START}") from None


def _refused(code: str, text: str) -> CodeyardError:
    """What the server answered with the error `code`, and what helps."""
    what, why = text or code, f"the server answered {code}."
    if code in _CLOCK or "Signature expired" in text or "Signature not yet current" in text:
        return Denied("the time", f"this machine's clock and the server's differ: {text}", "Set them right.")
    if code in _UNKNOWN:
        return Denied(what, why, 'The keys of this environment are not that server\'s: eval "$(codeyard env)"')
    if code.startswith("AccessDenied"):
        return Denied(what, why, "Ask whoever keeps the server for a policy that allows it.")
    if code == "ResourceNotFoundException":
        return NotFound(what, why, "See what there is: codeyard projects; codeyard builds")
    if code == "AccountLimitExceededException":
        return Conflict(what, why, "Wait until builds have ended: codeyard builds")
    kind, fix = _PIPELINES.get(code, (Invalid, "Correct the request."))
    return kind(what, why, fix)
