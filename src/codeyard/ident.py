"""ARNs and ids: parsed, formatted, minted. See reference 2.1."""

import re
import uuid
from dataclasses import dataclass
from typing import Self

from codeyard.errors import Invalid

_PROJECT = r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}"
_RUN = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def project_name(text: str) -> str:
    """The text itself, if CodeBuild would take it as a project's name. Invalid."""
    if re.fullmatch(_PROJECT, text) is None:
        raise Invalid(
            f"project name {text!r}",
            "it is not 2 to 150 letters, digits, dashes and underscores, of which the first is a letter or digit.",
            "Choose another with --project.",
        )
    return text


@dataclass(frozen=True, slots=True)
class BuildId:
    """`project:uuid`. Holding one proves it was checked."""

    project: str
    run: str

    @classmethod
    def parse(cls, text: str) -> Self:
        match = re.fullmatch(rf"({_PROJECT}):({_RUN})", text)
        if match is None:
            raise Invalid(f"build id {text!r}", "it is not project:uuid.", "Copy it from where the build was started.")
        return cls(*match.groups())

    @classmethod
    def mint(cls, project: str) -> Self:
        return cls(project_name(project), str(uuid.uuid4()))

    def __str__(self) -> str:
        return f"{self.project}:{self.run}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The account and region that a resource belongs to."""

    account: str = "000000000000"
    region: str = "us-east-1"

    def arn(self, resource: str) -> str:
        """The ARN of a CodeBuild resource, such as `build/project:uuid`."""
        return f"arn:aws:codebuild:{self.region}:{self.account}:{resource}"
