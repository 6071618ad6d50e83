"""AWS's own policies, of which a role may have any of these by its ARN."""

import json
from functools import cache

from codeyard.aws import policy
from codeyard.aws.policy import Kind, Policy

PREFIX = "arn:aws:iam::aws:policy/"


def _document(*actions: str, but: tuple[str, ...] = ()) -> str:
    statement = {"Effect": "Allow", **({"NotAction": but} if but else {"Action": actions}), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _power_user() -> str:
    some = [
        "iam:ListRoles",
        "iam:CreateServiceLinkedRole",
        "iam:DeleteServiceLinkedRole",
        "organizations:DescribeOrganization",
    ]
    statements = [
        {"Effect": "Allow", "NotAction": ["iam:*", "organizations:*", "account:*"], "Resource": "*"},
        {"Effect": "Allow", "Action": some, "Resource": "*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


# By what follows PREFIX. Only actions of services that are answered here, where AWS's document names dozens.
DOCUMENTS = {
    "AdministratorAccess": _document("*"),
    "PowerUserAccess": _power_user(),
    "ReadOnlyAccess": _document(
        "codebuild:BatchGet*", "codebuild:DescribeTestCases", "codebuild:DescribeCodeCoverages",
        "codebuild:GetResourcePolicy", "codebuild:GetReportGroupTrend", "codebuild:List*", "codedeploy:BatchGet*",
        "codedeploy:Get*", "codedeploy:List*", "codepipeline:Get*", "codepipeline:List*",
        "iam:Get*", "iam:List*", "logs:Describe*", "logs:FilterLogEvents", "logs:Get*", "logs:ListTags*",
        "s3:Get*", "s3:List*", "secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy",
        "secretsmanager:List*", "ssm:Describe*", "ssm:Get*", "ssm:List*", "sts:GetCallerIdentity",
    ),
    "AWSCodeBuildAdminAccess": _document("codebuild:*", "logs:GetLogEvents", "logs:DeleteLogGroup", "s3:GetObject",
                                         "s3:List*", "s3:GetBucketLocation", "iam:GetRole", "iam:ListRoles"),
    "AWSCodeBuildDeveloperAccess": _document(
        "codebuild:StartBuild", "codebuild:StopBuild", "codebuild:StartBuildBatch", "codebuild:StopBuildBatch",
        "codebuild:RetryBuild", "codebuild:RetryBuildBatch", "codebuild:BatchGet*", "codebuild:GetResourcePolicy",
        "codebuild:DescribeTestCases", "codebuild:DescribeCodeCoverages", "codebuild:List*", "logs:GetLogEvents",
        "s3:GetObject", "s3:List*", "s3:GetBucketLocation",
    ),
    "AWSCodeBuildReadOnlyAccess": _document(
        "codebuild:BatchGet*", "codebuild:GetResourcePolicy", "codebuild:List*", "codebuild:DescribeTestCases",
        "codebuild:DescribeCodeCoverages", "logs:GetLogEvents",
    ),
    "AWSCodeDeployDeployerAccess": _document(
        "codedeploy:Batch*", "codedeploy:CreateDeployment", "codedeploy:Get*", "codedeploy:List*",
        "codedeploy:RegisterApplicationRevision",
    ),
    "AWSCodeDeployFullAccess": _document("codedeploy:*"),
    "AWSCodeDeployReadOnlyAccess": _document("codedeploy:Batch*", "codedeploy:Get*", "codedeploy:List*"),
    "AWSCodePipelineApproverAccess": _document(
        "codepipeline:GetPipeline", "codepipeline:GetPipelineState", "codepipeline:GetPipelineExecution",
        "codepipeline:ListPipelineExecutions", "codepipeline:ListPipelines", "codepipeline:PutApprovalResult",
    ),
    "AWSCodePipelineCustomActionAccess": _document(
        "codepipeline:AcknowledgeJob", "codepipeline:GetJobDetails", "codepipeline:PollForJobs",
        "codepipeline:PutJobFailureResult", "codepipeline:PutJobSuccessResult",
    ),
    "AWSCodePipeline_FullAccess": _document(
        "codepipeline:*", "codebuild:BatchGetProjects", "codebuild:CreateProject",
        "codebuild:ListCuratedEnvironmentImages", "codebuild:ListProjects", "codedeploy:GetApplication",
        "codedeploy:GetDeploymentGroup", "codedeploy:ListApplications", "codedeploy:ListDeploymentGroups",
        "iam:GetRole", "iam:ListRoles", "s3:ListAllMyBuckets",
    ),
    "AWSCodePipeline_ReadOnlyAccess": _document(
        "codepipeline:GetPipeline", "codepipeline:GetPipelineState", "codepipeline:GetPipelineExecution",
        "codepipeline:ListPipelineExecutions", "codepipeline:ListActionExecutions", "codepipeline:ListActionTypes",
        "codepipeline:ListPipelines", "codepipeline:ListTagsForResource", "s3:ListAllMyBuckets",
    ),
    # What CodeDeploy asks of the services of AWS's machines, which are not here.
    "service-role/AWSCodeDeployRole": _document("sns:Publish", "cloudwatch:DescribeAlarms", "tag:GetResources"),
    "AmazonS3FullAccess": _document("s3:*", "s3-object-lambda:*"),
    "AmazonS3ReadOnlyAccess": _document("s3:Get*", "s3:List*", "s3:Describe*", "s3-object-lambda:Get*",
                                        "s3-object-lambda:List*"),
    "AmazonSSMFullAccess": _document("ssm:*"),
    "AmazonSSMReadOnlyAccess": _document("ssm:Describe*", "ssm:Get*", "ssm:List*"),
    "CloudWatchLogsFullAccess": _document("logs:*", "cloudwatch:GenerateQuery"),
    "CloudWatchLogsReadOnlyAccess": _document(
        "logs:Describe*", "logs:Get*", "logs:List*", "logs:StartQuery", "logs:StopQuery", "logs:TestMetricFilter",
        "logs:FilterLogEvents", "logs:StartLiveTail", "logs:StopLiveTail",
    ),
    "IAMFullAccess": _document("iam:*"),
    "IAMReadOnlyAccess": _document("iam:GenerateCredentialReport", "iam:Get*", "iam:List*", "iam:Simulate*"),
    "SecretsManagerReadWrite": _document("secretsmanager:*"),
}  # fmt: skip


def name_of(arn: str) -> str:
    """Its PolicyName: what follows its path."""
    return arn.rpartition("/")[2]


@cache
def parsed(arn: str) -> Policy | None:
    """The policy of this ARN, if it is one of those."""
    document = DOCUMENTS.get(arn.removeprefix(PREFIX)) if arn.startswith(PREFIX) else None
    return policy.parse(document, Kind.IDENTITY, arn) if document is not None else None
