"""What a job is about, as it is stored, and as a worker or a function is told it. Pure.

The shapes are the API's JobData, and the event of "Invoke an AWS Lambda function in a pipeline". What is stored has no
secret and no credentials: those are fetched whenever somebody is told, and forgotten.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from codeyard.pipelines.action_types import ActionTypeSpec
from codeyard.pipelines.actions import Artifact, Work
from codeyard.pipelines.jobs import Job
from codeyard.pipelines.model import ActionType


@dataclass(frozen=True, slots=True)
class Location:
    """An artifact, and its object."""

    name: str
    bucket: str
    key: str
    revision: str | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:::{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class About:
    """What an action execution has its jobs do. `configuration` is resolved, and lacks the keys of `secrets`."""

    account: str
    pipeline: str
    pipeline_arn: str
    execution: str
    stage: str
    action: str
    role: str  # whose credentials reach the artifacts
    configuration: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    inputs: tuple[Location, ...] = ()
    outputs: tuple[Location, ...] = ()
    encryption_key: str | None = None  # of the artifact store, where it has one


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a session that reaches a job's artifacts and nothing else."""

    id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


# A session of the role that reaches these objects: ARNs of those it reads, and of those it writes (`session_policy`).
GiveCredentials = Callable[[str, Sequence[str], Sequence[str]], Awaitable[Credentials]]


def about(work: Work, inputs: Iterable[Artifact], secrets: Collection[str], encryption_key: str | None) -> About:
    """What this action is about; the inputs as they lie in the bucket, `secrets` the keys that are stored nowhere."""
    place, given = work.place, work.declared.configuration
    return About(
        place.owner.account,
        place.pipeline,
        place.pipeline_arn,
        place.execution,
        place.stage,
        place.action,
        work.role,
        {key: value for key, value in given.items() if key not in secrets},
        tuple(sorted(key for key in given if key in secrets)),
        tuple(_location(each) for each in inputs),
        tuple(_location(each) for each in work.outputs),
        encryption_key,
    )


def queue(spec: ActionTypeSpec, configuration: Mapping[str, str]) -> str:
    """What jobs of this configuration are asked for by: `key=value` if the type has a queryable key, else ""."""
    asked = spec.queryable
    return f"{asked.name}={configuration.get(asked.name, '')}" if asked is not None else ""


def to_json(about: About) -> dict[str, Any]:
    return asdict(about)


def from_json(shape: Mapping[str, Any]) -> About:
    """What `to_json` made this of."""
    lists = {name: tuple(Location(**each) for each in shape[name]) for name in ("inputs", "outputs")}
    return About(**{**shape, **lists, "secrets": tuple(shape["secrets"])})


def data(job: Job, about: About, secrets: Mapping[str, str], credentials: Credentials | None) -> dict[str, Any]:
    """The shape JobData."""
    context = {
        "pipelineName": about.pipeline,
        "stage": {"name": about.stage},
        "action": {"name": about.action, "actionExecutionId": job.run},
        "pipelineArn": about.pipeline_arn,
        "pipelineExecutionId": about.execution,
    }
    configuration = {**about.configuration, **{key: secrets[key] for key in about.secrets if key in secrets}}
    return {
        "actionTypeId": _type(job.type),
        "actionConfiguration": {"configuration": configuration},
        "pipelineContext": context,
        **_artifacts(about, credentials),
        **_told(job, about),
    }


def event(job: Job, about: About, credentials: Credentials | None) -> dict[str, Any]:
    """What a function is called with."""
    told = {
        "actionConfiguration": {"configuration": dict(about.configuration)},
        **_artifacts(about, credentials),
        **_told(job, about),
    }
    return {"CodePipeline.job": {"id": job.id, "accountId": about.account, "data": told}}


def session_policy(read: Sequence[str], written: Sequence[str]) -> str:
    """What a session that has the objects of these ARNs to read and to write is limited to: a policy document."""
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": list(arns)}
        for actions, arns in (
            (["s3:GetObject", "s3:GetObjectVersion"], read),
            (["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], written),
        )
        if arns
    ]
    # A policy has at least one statement; one that allows nothing is said by denying.
    nothing = [{"Effect": "Deny", "Action": "*", "Resource": "*"}]
    return json.dumps({"Version": "2012-10-17", "Statement": statements or nothing})


def _artifacts(about: About, credentials: Credentials | None) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "inputArtifacts": [_artifact(each) for each in about.inputs],
        "outputArtifacts": [_artifact(each) for each in about.outputs],
    }
    if credentials is not None:
        shape["artifactCredentials"] = {
            "accessKeyId": credentials.id,
            "secretAccessKey": credentials.secret,
            "sessionToken": credentials.token,
        }
    return shape


def _told(job: Job, about: About) -> dict[str, Any]:
    key = about.encryption_key
    return {
        **({"continuationToken": job.continuation} if job.continuation is not None else {}),
        **({"encryptionKey": {"id": key, "type": "KMS"}} if key is not None else {}),
    }


def _artifact(place: Location) -> dict[str, Any]:
    location = {"bucketName": place.bucket, "objectKey": place.key}
    return {"name": place.name, "revision": place.revision, "location": {"type": "S3", "s3Location": location}}


def _location(artifact: Artifact) -> Location:
    return Location(artifact.name, artifact.bucket, artifact.key, artifact.revision)


def _type(type: ActionType) -> dict[str, str]:
    return {"category": type.category, "owner": type.owner, "provider": type.provider, "version": type.version}
