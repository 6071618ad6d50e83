"""What a project is made of: its source, artifacts, cache, environment, logs and the lesser parts. Pure values.

The names are those of AWS's shapes (ProjectSource, ProjectArtifacts, …) and of their members. None is "not given";
what AWS shows as a default is the default here. What may go together is in `project_rules`.
"""

from dataclasses import dataclass
from enum import StrEnum

from codeyard.builds.model import Variable


class SourceType(StrEnum):
    """Where the source is (SourceType)."""

    CODECOMMIT = "CODECOMMIT"
    CODEPIPELINE = "CODEPIPELINE"
    GITHUB = "GITHUB"
    GITLAB = "GITLAB"
    GITLAB_SELF_MANAGED = "GITLAB_SELF_MANAGED"
    S3 = "S3"
    BITBUCKET = "BITBUCKET"
    GITHUB_ENTERPRISE = "GITHUB_ENTERPRISE"
    NO_SOURCE = "NO_SOURCE"


class ArtifactsType(StrEnum):
    """What becomes of the artifacts (ArtifactsType)."""

    CODEPIPELINE = "CODEPIPELINE"
    S3 = "S3"
    NO_ARTIFACTS = "NO_ARTIFACTS"


class Namespace(StrEnum):
    """Whether the build's id is part of the path (ArtifactNamespace)."""

    NONE = "NONE"
    BUILD_ID = "BUILD_ID"


class Packaging(StrEnum):
    """A folder of files, or one zip (ArtifactPackaging)."""

    NONE = "NONE"
    ZIP = "ZIP"


class OwnerAccess(StrEnum):
    """What the bucket's owner may do with an object (BucketOwnerAccess)."""

    NONE = "NONE"
    READ_ONLY = "READ_ONLY"
    FULL = "FULL"


class CacheType(StrEnum):
    """Where the cache is kept (CacheType)."""

    NO_CACHE = "NO_CACHE"
    S3 = "S3"
    LOCAL = "LOCAL"


class CacheMode(StrEnum):
    """What a local cache keeps (CacheMode)."""

    DOCKER_LAYER = "LOCAL_DOCKER_LAYER_CACHE"
    SOURCE = "LOCAL_SOURCE_CACHE"
    CUSTOM = "LOCAL_CUSTOM_CACHE"


class PullCredentials(StrEnum):
    """Who pulls the image (ImagePullCredentialsType)."""

    CODEBUILD = "CODEBUILD"
    SERVICE_ROLE = "SERVICE_ROLE"


class LogStatus(StrEnum):
    """Whether logs go there (LogsConfigStatusType)."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"


class AuthType(StrEnum):
    """How one source is let in (SourceAuthType)."""

    OAUTH = "OAUTH"
    CODECONNECTIONS = "CODECONNECTIONS"
    SECRETS_MANAGER = "SECRETS_MANAGER"


class Visibility(StrEnum):
    """Who may see the builds (ProjectVisibilityType)."""

    PUBLIC_READ = "PUBLIC_READ"
    PRIVATE = "PRIVATE"


@dataclass(frozen=True, slots=True)
class GitSubmodules:
    """GitSubmodulesConfig."""

    fetch_submodules: bool


@dataclass(frozen=True, slots=True)
class SourceAuth:
    """SourceAuth. `resource` is the ARN of the secret or connection."""

    type: AuthType
    resource: str | None = None


@dataclass(frozen=True, slots=True)
class BuildStatusConfig:
    """How a build shows at the source's provider (BuildStatusConfig)."""

    context: str | None = None
    target_url: str | None = None


@dataclass(frozen=True, slots=True)
class ProjectSource:
    """ProjectSource. `buildspec` is inline text, a path in the source, or an S3 ARN; "" is as none."""

    type: SourceType
    location: str | None = None
    git_clone_depth: int | None = None
    git_submodules_config: GitSubmodules | None = None
    buildspec: str | None = None
    auth: SourceAuth | None = None
    report_build_status: bool | None = None
    build_status_config: BuildStatusConfig | None = None
    insecure_ssl: bool = False
    source_identifier: str | None = None


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """The version of one secondary source (ProjectSourceVersion)."""

    source_identifier: str
    source_version: str


@dataclass(frozen=True, slots=True)
class ProjectArtifacts:
    """ProjectArtifacts. `location` is a bucket, keys are as in reference 5.2, and a `name` of None is the project's."""

    type: ArtifactsType
    location: str | None = None
    path: str | None = None
    namespace_type: Namespace | None = None
    name: str | None = None
    packaging: Packaging | None = None
    override_artifact_name: bool | None = None
    encryption_disabled: bool | None = None
    artifact_identifier: str | None = None
    bucket_owner_access: OwnerAccess | None = None


@dataclass(frozen=True, slots=True)
class ProjectCache:
    """ProjectCache. `location` is `bucket` or `bucket/prefix`; `modes` are of LOCAL."""

    type: CacheType = CacheType.NO_CACHE
    location: str | None = None
    modes: tuple[CacheMode, ...] | None = None
    cache_namespace: str | None = None


NO_CACHE = ProjectCache()


@dataclass(frozen=True, slots=True)
class ComputeConfiguration:
    """What ATTRIBUTE_BASED_COMPUTE and CUSTOM_INSTANCE_TYPE ask for (ComputeConfiguration)."""

    v_cpu: int | None = None
    memory: int | None = None
    disk: int | None = None
    machine_type: str | None = None
    instance_type: str | None = None


@dataclass(frozen=True, slots=True)
class Fleet:
    """ProjectFleet."""

    fleet_arn: str | None = None


@dataclass(frozen=True, slots=True)
class RegistryCredential:
    """The name or ARN of a secret with `username` and `password` (RegistryCredential)."""

    credential: str
    credential_provider: str


@dataclass(frozen=True, slots=True)
class DockerServer:
    """DockerServer, as it was asked for."""

    compute_type: str
    security_group_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ProjectEnvironment:
    """ProjectEnvironment. The value of a variable that is not PLAINTEXT is a reference."""

    type: str
    image: str
    compute_type: str
    compute_configuration: ComputeConfiguration | None = None
    fleet: Fleet | None = None
    environment_variables: tuple[Variable, ...] = ()
    privileged_mode: bool = False
    certificate: str | None = None
    registry_credential: RegistryCredential | None = None
    image_pull_credentials_type: PullCredentials = PullCredentials.CODEBUILD
    docker_server: DockerServer | None = None
    host_kernel: str | None = None


@dataclass(frozen=True, slots=True)
class CloudWatchLogs:
    """CloudWatchLogsConfig. `stream_name` is a prefix (reference 10.1)."""

    status: LogStatus = LogStatus.ENABLED
    group_name: str | None = None
    stream_name: str | None = None


@dataclass(frozen=True, slots=True)
class S3Logs:
    """S3LogsConfig. `location` is `bucket[/prefix]`, or that as an ARN."""

    status: LogStatus = LogStatus.DISABLED
    location: str | None = None
    encryption_disabled: bool = False
    bucket_owner_access: OwnerAccess | None = None


@dataclass(frozen=True, slots=True)
class LogsConfig:
    """LogsConfig: CloudWatch unless told otherwise, a bucket only if told so."""

    cloud_watch_logs: CloudWatchLogs = CloudWatchLogs()
    s3_logs: S3Logs = S3Logs()


DEFAULT_LOGS = LogsConfig()


@dataclass(frozen=True, slots=True)
class Tag:
    """Tag."""

    key: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class VpcConfig:
    """VpcConfig."""

    vpc_id: str | None = None
    subnets: tuple[str, ...] | None = None
    security_group_ids: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class FileSystemLocation:
    """ProjectFileSystemLocation."""

    type: str | None = None
    location: str | None = None
    mount_point: str | None = None
    identifier: str | None = None
    mount_options: str | None = None


@dataclass(frozen=True, slots=True)
class BatchRestrictions:
    """BatchRestrictions."""

    maximum_builds_allowed: int | None = None
    compute_types_allowed: tuple[str, ...] | None = None
    fleets_allowed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BuildBatchConfig:
    """ProjectBuildBatchConfig."""

    service_role: str | None = None
    combine_artifacts: bool | None = None
    restrictions: BatchRestrictions | None = None
    timeout_in_mins: int | None = None
    batch_report_mode: str | None = None
