"""Every setting of a server: its default and its sentence, in one place.

A setting comes from the command line, else from `CODEYARD_<NAME>` in the environment, else from `DATA/codeyard.toml`,
else it is the default here. docs/settings.md lists them, and a test holds that to this.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from codeyard.errors import Invalid

# Who listens at every address of the machine, and what its own programs call that.
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
_MANY = {"true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False}
_FILE = "codeyard.toml"


class OverLimit(StrEnum):
    """What becomes of a build that is started beyond a limit."""

    QUEUE = "queue"  # it waits
    REFUSE = "refuse"  # AccountLimitExceededException, as AWS answers


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, checked."""

    data: Path = field(metadata={"about": "The directory of all that the server keeps."})
    listen: str = _setting("127.0.0.1:4599", "HOST:PORT of the API and the console. Port 0 takes a free one.")
    url: str = _setting("", "What clients call the server, if not http://LISTEN: behind a proxy, say.")
    api: str = _setting("", "http://HOST:PORT at which workers and builds reach the API, if not at URL.")
    database: str = _setting("", "sqlite:////FILE or postgresql://USER:PASSWORD@HOST/NAME; empty: a file in DATA.")
    workers: int = _setting(0, "Worker processes beside the server; 0 builds in the server's own process.")
    worker: str = _setting(
        "", "This worker's name, the same each time it starts; empty: the machine's, and its number."
    )
    worker_listen: str = _setting("127.0.0.1:0", "HOST:PORT of a worker process: live logs, /metrics, /healthz.")
    worker_url: str = _setting("", "What other machines call that, if not http://HOST:PORT.")
    account: str = _setting("000000000000", "The account that is made on first start: twelve digits.")
    region: str = _setting("us-east-1", "The region that `codeyard env` sets. Any other works too, with its own state.")
    vault_key: str = _setting("", "The file of the key that seals secrets; empty: DATA/keys/vault.key.")
    executor: str = _setting("auto", "auto, docker, bubblewrap or process: what builds run in.")
    unsafe_process: bool = _setting(
        False, "Allow builds with no isolation (executor process). They can do what we can."
    )
    privileged: bool = _setting(False, "Allow projects' privilegedMode. It gives a build the machine.")
    local_sources: bool = _setting(False, "Allow file:// git URLs as sources: whoever creates projects reads them.")
    host_git: bool = _setting(False, "Let git use our user's settings, passwords and ssh keys, for any project.")
    curated_images: str = _setting("machine", "What aws/codebuild/… images stand for: machine, or docker to pull them.")
    cpus: float = _setting(0.0, "CPUs that builds may share; 0: all of the machine.")
    memory: float = _setting(0.0, "GiB of memory that builds may share; 0: all of the machine.")
    builds: int = _setting(0, "Builds at the same time on this worker, at the most; 0: as CPUs and memory allow.")
    account_limit: int = _setting(0, "Builds at the same time in an account and region; 0: no limit.")
    over_limit: OverLimit = _setting(OverLimit.QUEUE, "Builds over a limit: queue, or refuse as AWS does.")  # noqa: RUF009
    objects: str = _setting("", "An S3-compatible endpoint for buckets; empty: the embedded store, in DATA/objects.")
    bucket: str = _setting("", "s3://BUCKET/PREFIX for artifacts and logs, where workers are on several machines.")
    lease: float = _setting(30.0, "Seconds until a worker that says nothing counts as gone.")
    poll: float = _setting(0.1, "Seconds between looks at the queue, where nobody wakes a worker.")
    repositories: str = _setting(
        "", "Where pipelines' repositories are: KEY=URL pairs, such as codecommit=https://git.example.com/{repository}."
    )
    poll_sources: float = _setting(60.0, "Seconds between looks for changes in pipelines' sources; 0: never.")
    console: bool = _setting(True, "Serve the console.")
    outside: str = _setting(
        "", "Where CloudFormation, ECS, Lambda and the like are asked: aws, or a URL; empty: nowhere."
    )
    approvals: str = _setting("", "A URL that every message about an approval is posted to, besides its SNS topic.")
    events: str = _setting("", "Where pipelines' events go: a URL to post each to, or outside: the event bus there.")
    agent: str = _setting(
        "", "Tags (Key=Value,…) of an agent that `up` runs here, as our user: a target of deployments."
    )
    outside_profile: str = _setting("", "The profile of the AWS configuration whose credentials are used there.")

    def __post_init__(self) -> None:
        wrong = list(_mistakes(self))
        if wrong:
            raise Invalid("the settings", "; ".join(wrong) + ".", "docs/settings.md says what each may be.")

    @classmethod
    def load(cls, data: Path, given: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> Self:
        """From the command line (`given`; None: not given), the environment and the file in `data`. Invalid."""
        told: dict[str, Any] = {}
        names = {each.name: each for each in fields(cls) if each.name != "data"}
        for name, value in _file(data / _FILE).items():
            if name not in names:
                fix = "Correct or remove it; docs/settings.md lists all."
                raise Invalid(f"{data / _FILE}: {name}", "there is no such setting.", fix)
            told[name] = value
        told |= {
            name: environment[f"CODEYARD_{name.upper()}"] for name in names if f"CODEYARD_{name.upper()}" in environment
        }
        told |= {name: value for name, value in given.items() if value is not None}
        values = {name: _converted(name, value, type(names[name].default)) for name, value in told.items()}
        return cls(data=data.absolute(), **values)

    @property
    def host_port(self) -> tuple[str, int]:
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.data / 'codeyard.sqlite'}"

    @property
    def journal_url(self) -> str:
        """Where workflows' steps are kept: beside the rows, in SQLite in a file of their own."""
        if not self.database or self.database.startswith("sqlite"):
            return f"sqlite:///{self.data / 'journal.sqlite'}"
        return re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql+psycopg://", self.database)

    @property
    def vault_key_file(self) -> Path:
        return Path(self.vault_key) if self.vault_key else self.data / "keys" / "vault.key"


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Invalid(f"{path}", f"it cannot be read: {error}.", "Correct it, or remove it.") from error


def _converted(name: str, value: Any, kind: type) -> Any:
    """A text of the environment, or a value of TOML, as the setting's type."""
    try:
        if kind is bool:
            return value if isinstance(value, bool) else _MANY[str(value).lower()]
        return kind(value)
    except (ValueError, KeyError):
        raise Invalid(
            f"setting {name}", f"{value!r} is no {kind.__name__}.", "docs/settings.md says what it may be."
        ) from None


def _mistakes(config: Config) -> list[str]:
    wrong = []
    for name in ("listen", "worker_listen"):
        host, colon, port = getattr(config, name).rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 65535:
            wrong.append(f"{name} {getattr(config, name)!r} is not HOST:PORT")
    urls = {name: getattr(config, name) for name in ("url", "api", "worker_url", "approvals")}
    urls["events"] = "" if config.events == "outside" else config.events
    urls["outside"] = "" if config.outside == "aws" else config.outside
    wrong += [
        f"{name} {url!r} does not begin with http:// or https://"
        for name, url in urls.items()
        if url and urlsplit(url).scheme not in ("http", "https")
    ]
    if re.fullmatch(r"\d{12}", config.account) is None:
        wrong.append(f"account {config.account!r} is not twelve digits")
    if re.fullmatch(r"[a-z]{2}(-[a-z0-9]+)+", config.region) is None:
        wrong.append(f"region {config.region!r} is no name of a region")
    if config.worker and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", config.worker) is None:
        wrong.append(f"worker {config.worker!r} is not 1 to 100 letters, digits and . _ -")
    if config.executor not in ("auto", "docker", "bubblewrap", "process"):
        wrong.append(f"executor {config.executor!r} is not auto, docker, bubblewrap or process")
    if config.executor == "process" and not config.unsafe_process:
        wrong.append("executor process isolates nothing, so it needs unsafe_process too")
    if config.curated_images not in ("machine", "docker"):
        wrong.append(f"curated_images {config.curated_images!r} is not machine or docker")
    for number, pair in enumerate(config.repositories.split(), 1):  # what a pair means, the pipelines check
        if re.fullmatch(r"[^=\s]+=[^=\s]\S*", pair) is None:
            wrong.append(f"repositories, pair {number}, is not KEY=URL")
    if config.poll_sources and not 1 <= config.poll_sources <= 86_400:
        wrong.append(f"poll_sources {config.poll_sources} is neither 0 nor 1 to 86400 seconds")
    if config.bucket and not config.objects:  # boto's own default would be AWS, with whatever keys are found
        wrong.append("bucket needs objects: the S3 endpoint where it is, for AWS https://s3.REGION.amazonaws.com")
    counts = ("workers", "cpus", "memory", "builds", "account_limit")
    wrong += [f"{name} is below zero" for name in counts if getattr(config, name) < 0]
    seconds = ("lease", "poll")
    wrong += [f"{name} is not 0.01 to 3600 seconds" for name in seconds if not 0.01 <= getattr(config, name) <= 3600]
    return wrong
