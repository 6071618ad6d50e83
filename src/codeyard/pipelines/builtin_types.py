"""The action types that are there from the start: AWS's, its partners', and ours. Pure.

Keys and counts are those of the User Guide, "Action structure reference", and of "Valid input and output artifacts for
each action type". Many kinds of action that Codeyard cannot do are here too, so that a definition that AWS takes is
taken: such an action fails when its turn comes (`runs`).
"""

from dataclasses import replace

from codeyard.pipelines.action_types import ActionTypeSpec, Catalogue, Counts, Kind, Property
from codeyard.pipelines.model import ActionType

NONE, ONE = Counts(0, 0), Counts(1, 1)
_ARTIFACT_FORMAT = ("CODE_ZIP", "CODEBUILD_CLONE_REF")


def _aws(
    category: str, provider: str, inputs: Counts, outputs: Counts, *properties: Property, v2: bool = False
) -> ActionTypeSpec:
    return ActionTypeSpec(ActionType(category, "AWS", provider), properties, inputs, outputs, v2=v2)


def _partner(
    category: str, provider: str, inputs: Counts, outputs: Counts, *properties: Property, open: bool = False
) -> ActionTypeSpec:
    return ActionTypeSpec(ActionType(category, "ThirdParty", provider), properties, inputs, outputs, open=open)


def _needed(*names: str) -> tuple[Property, ...]:
    return tuple(Property(name, required=True) for name in names)


def _optional(*names: str) -> tuple[Property, ...]:
    return tuple(Property(name) for name in names)


def _one_of(name: str, *allowed: str, required: bool = False) -> Property:
    return Property(name, required, allowed=allowed)


def _flag(name: str, required: bool = False) -> Property:
    return Property(name, required, kind=Kind.BOOLEAN)


def _number(name: str) -> Property:
    return Property(name, kind=Kind.NUMBER)


def _secret(name: str, required: bool = True) -> Property:
    return Property(name, required, secret=True)


_POLL = _flag("PollForSourceChanges")

_SOURCES = (
    _aws("Source", "S3", NONE, ONE, *_needed("S3Bucket", "S3ObjectKey"), _POLL, _flag("AllowOverrideForS3ObjectKey")),
    _aws(
        "Source", "CodeCommit", NONE, ONE,
        *_needed("RepositoryName", "BranchName"), _POLL, _one_of("OutputArtifactFormat", *_ARTIFACT_FORMAT),
    ),
    _aws(
        "Source", "CodeStarSourceConnection", NONE, ONE,
        *_needed("ConnectionArn", "FullRepositoryId", "BranchName"),
        _one_of("OutputArtifactFormat", *_ARTIFACT_FORMAT), _flag("DetectChanges"),
    ),
    _aws("Source", "ECR", NONE, ONE, *_needed("RepositoryName"), *_optional("ImageTag")),
    _partner("Source", "GitHub", NONE, ONE, *_needed("Owner", "Repo", "Branch"), _secret("OAuthToken"), _POLL),
)  # fmt: skip

_CODEBUILD = (
    *_needed("ProjectName"), *_optional("PrimarySource", "EnvironmentVariables"),
    _flag("BatchEnabled"), _flag("CombineArtifacts"),
)  # fmt: skip

_BUILDS = (
    _aws("Build", "CodeBuild", Counts(1, 5), Counts(0, 5), *_CODEBUILD),
    _aws("Test", "CodeBuild", Counts(1, 5), Counts(0, 5), *_CODEBUILD),
    _aws(
        "Compute", "Commands", Counts(1, 10), Counts(0, 1),
        _one_of("EnvironmentType", "LINUX_CONTAINER", "WINDOWS_SERVER_2022_CONTAINER"),
        *_optional("ComputeType", "VpcId", "Subnets", "SecurityGroupIds"),
        v2=True,
    ),
)  # fmt: skip

_MODES = ("CHANGE_SET_REPLACE", "CHANGE_SET_EXECUTE", "CREATE_UPDATE", "DELETE_ONLY", "REPLACE_ON_FAILURE")
_IMAGES = tuple(Property(f"Image{at}{what}") for at in range(1, 5) for what in ("ArtifactName", "ContainerName"))

_DEPLOYS = (
    _aws(
        "Deploy", "CloudFormation", Counts(0, 10), Counts(0, 1),
        _one_of("ActionMode", *_MODES, required=True), *_needed("StackName"),
        *_optional("ChangeSetName", "RoleArn", "TemplatePath", "TemplateConfiguration", "ParameterOverrides"),
        *_optional("Capabilities", "OutputFileName"),
    ),
    _aws("Deploy", "CodeDeploy", ONE, NONE, *_needed("ApplicationName", "DeploymentGroupName")),
    _aws(
        "Deploy", "ECS", ONE, NONE,
        *_needed("ClusterName", "ServiceName"), *_optional("FileName"), _number("DeploymentTimeout"),
    ),
    _aws(
        "Deploy", "CodeDeployToECS", Counts(1, 5), NONE,
        *_needed("ApplicationName", "DeploymentGroupName", "TaskDefinitionTemplateArtifact"),
        *_needed("AppSpecTemplateArtifact"), *_optional("TaskDefinitionTemplatePath", "AppSpecTemplatePath"), *_IMAGES,
    ),
    _aws(
        "Deploy", "S3", ONE, NONE,
        *_needed("BucketName"), _flag("Extract", required=True),
        *_optional("ObjectKey", "KMSEncryptionKeyARN", "CannedACL", "CacheControl"),
    ),
)  # fmt: skip

_OTHERS = (
    _aws(
        "Approval", "Manual", NONE, NONE, *_optional("NotificationArn", "CustomData", "ExternalEntityLink"),
    ),
    _aws("Invoke", "Lambda", Counts(0, 5), Counts(0, 5), *_needed("FunctionName"), *_optional("UserParameters")),
    _aws(
        "Invoke", "StepFunctions", Counts(0, 1), Counts(0, 1),
        *_needed("StateMachineArn"), *_optional("ExecutionNamePrefix", "Input"),
        _one_of("InputType", "Literal", "FilePath"),
    ),
    _aws(
        "Invoke", "CodePipeline", NONE, NONE,
        *_needed("PipelineName"), *_optional("SourceRevisions", "Variables"), v2=True,
    ),
)  # fmt: skip

# ── what is known, and cannot be done here ──

_STACK_SETS = (
    _aws(
        "Deploy", "CloudFormationStackSet", Counts(1, 3), NONE,
        *_needed("StackSetName", "TemplatePath"),
        *_optional("Description", "Parameters", "Capabilities", "AdministrationRoleArn", "ExecutionRoleName"),
        _one_of("PermissionModel", "SELF_MANAGED", "SERVICE_MANAGED"),
        _one_of("OrganizationsAutoDeployment", "Disabled", "Enabled", "EnabledWithStackRetention"),
        *_optional("DeploymentTargets", "Regions"), _number("FailureTolerancePercentage"),
        _number("MaxConcurrentPercentage"), _one_of("CallAs", "SELF", "DELEGATED_ADMIN"),
    ),
    _aws(
        "Deploy", "CloudFormationStackInstances", Counts(0, 2), NONE,
        *_needed("StackSetName", "DeploymentTargets", "Regions"), *_optional("ParameterOverrides"),
        _number("FailureTolerancePercentage"), _number("MaxConcurrentPercentage"),
        _one_of("CallAs", "SELF", "DELEGATED_ADMIN"),
    ),
)  # fmt: skip

_RADIOS = tuple(_flag(f"Radio{radio}Enabled") for radio in ("Bluetooth", "Wifi", "Nfc", "Gps"))

_ELSEWHERE = (
    _aws("Deploy", "ElasticBeanstalk", ONE, NONE, *_needed("ApplicationName", "EnvironmentName")),
    _aws("Deploy", "OpsWorks", ONE, NONE, *_needed("Stack", "App"), *_optional("Layer")),
    _aws(
        "Deploy", "ServiceCatalog", ONE, NONE,
        *_needed("ProductId"), *_optional("ConfigurationFilePath", "TemplateFilePath", "ProductVersionName"),
        *_optional("ProductType", "ProductVersionDescription"),
    ),
    _aws(
        "Deploy", "AppConfig", ONE, NONE,
        *_needed("Application", "Environment", "ConfigurationProfile", "InputArtifactConfigurationPath"),
        *_optional("DeploymentStrategy"),
    ),
    _aws(
        "Deploy", "EC2", ONE, NONE,
        *_needed("InstanceTagKey"), _one_of("InstanceType", "EC2", "SSM_MANAGED_NODE", required=True),
        *_optional("InstanceTagValue", "TargetDirectory", "PreScript", "PostScript", "DeploySpec", "MaxBatch"),
        *_optional("MaxError", "TargetGroupNameList"),
        v2=True,
    ),
    _aws(
        "Deploy", "EKS", ONE, NONE,
        *_needed("ClusterName"), *_optional("HelmReleaseName", "HelmChartLocation", "HelmValuesFiles"),
        *_optional("ManifestFiles", "Namespace", "Subnets", "SecurityGroupIds"),
        v2=True,
    ),
    _aws(
        "Deploy", "Lambda", Counts(0, 1), NONE,
        *_needed("FunctionName"), *_optional("FunctionAlias", "PublishedTargetVersion", "DeployStrategy", "Alarms"),
        v2=True,
    ),
    _aws(
        "Build", "ECRBuildAndPublish", ONE, NONE,
        *_needed("ECRRepositoryName"), *_optional("DockerFilePath", "ImageTags"),
        _one_of("RegistryType", "private", "public"),
        v2=True,
    ),
    _aws(
        "Test", "DeviceFarm", ONE, NONE,
        *_needed("ProjectId", "App"), _one_of("AppType", "iOS", "Android", "Web", required=True),
        *_needed("DevicePoolArn", "TestType"), *_optional("AppiumVersion", "Test"),
        _flag("RecordVideo"), _flag("RecordAppPerformanceData"), *_RADIOS,
        *(_number(name) for name in ("FuzzEventCount", "FuzzEventThrottle", "FuzzRandomizerSeed")),
        *_optional("CustomHostMachineArtifacts", "CustomDeviceArtifacts"), _flag("UnmeteredDevicesOnly"),
        *(_number(name) for name in ("JobTimeoutMinutes", "Latitude", "Longitude")),
    ),
    _aws(
        "Invoke", "InspectorScan", Counts(0, 1), ONE,
        _one_of("InspectorRunMode", "SourceCodeScan", "ECRImageScan", required=True),
        *_optional("ECRRepositoryName", "ImageTag"),
        *(_number(f"{level}Threshold") for level in ("Critical", "High", "Medium", "Low")),
    ),
    _partner(
        "Deploy", "AlexaSkillsKit", Counts(1, 2), NONE,
        *_needed("ClientId"), _secret("ClientSecret"), _secret("RefreshToken"), *_needed("SkillId"),
    ),
    _partner("Invoke", "Snyk", ONE, ONE, open=True),
    *(
        _partner(category, provider, Counts(0, 5), Counts(0, 5), open=True)
        for category, provider in (
            ("Test", "BlazeMeter"), ("Test", "GhostInspector"), ("Test", "Nouvola"), ("Test", "Runscope"),
            ("Test", "StormRunner"), ("Build", "CloudBees"), ("Build", "TeamCity"), ("Deploy", "XebiaLabs"),
        )
    ),
)  # fmt: skip

# ── ours ──


def _ours(category: str, provider: str, inputs: Counts, *properties: Property) -> ActionTypeSpec:
    return ActionTypeSpec(ActionType(category, "Custom", provider), properties, inputs, NONE)


RELEASE = _ours(
    "Deploy", "Codeyard-Release", ONE,
    *_needed("Targets", "Path"), _number("Keep"), *_optional("MinimumHealthy", "BeforeSwitch", "AfterSwitch"),
    *_optional("HealthCheck"), _number("HealthCheckSeconds"), _number("HookTimeout"), _flag("RollBack"),
)  # fmt: skip

HTTP = _ours(
    "Invoke", "Codeyard-HTTP", Counts(0, 5),
    *_needed("Url"), _one_of("Method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    *_optional("Headers", "Body", "Expect"), _number("TimeoutSeconds"), _secret("Secret", required=False),
)  # fmt: skip

BUILTIN: tuple[ActionTypeSpec, ...] = (
    *_SOURCES,
    *_BUILDS,
    *_DEPLOYS,
    *_OTHERS,
    RELEASE,
    HTTP,
    *(replace(spec, runs=False) for spec in (*_STACK_SETS, *_ELSEWHERE)),
)


def catalogue(custom: tuple[ActionTypeSpec, ...] = ()) -> Catalogue:
    """All that is built in, and these of the account."""
    return Catalogue(BUILTIN, custom)
