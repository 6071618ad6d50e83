"""CodeBuild's operations that are not answered yet, each with the reason that a caller is told."""

_BATCHES = "Build batches are not run here yet: start builds one by one."
_FLEETS = "There are no reserved capacity fleets here: builds run on the machines of this server and its workers."
_REPORTS = "Reports are not kept by the server yet: a build's log says what its tests did."
_SANDBOXES = "Sandboxes are not here yet: `codeyard run` runs a buildspec without a project."
_WEBHOOKS = "Webhooks are not here yet: call StartBuild from your git server's own."

# What a newer botocore knows. The tests have every operation of theirs decided; a server starts nonetheless.
OTHER = "This version of Codeyard does not know it: AWS has added it since."

DECLINED = {
    **dict.fromkeys(
        (
            "BatchGetBuildBatches",
            "DeleteBuildBatch",
            "ListBuildBatches",
            "ListBuildBatchesForProject",
            "RetryBuildBatch",
            "StartBuildBatch",
            "StopBuildBatch",
        ),
        _BATCHES,
    ),
    **dict.fromkeys(("BatchGetFleets", "CreateFleet", "DeleteFleet", "ListFleets", "UpdateFleet"), _FLEETS),
    **dict.fromkeys(
        (
            "BatchGetReportGroups",
            "BatchGetReports",
            "CreateReportGroup",
            "DeleteReport",
            "DeleteReportGroup",
            "DescribeCodeCoverages",
            "DescribeTestCases",
            "GetReportGroupTrend",
            "ListReportGroups",
            "ListReports",
            "ListReportsForReportGroup",
            "ListSharedReportGroups",
            "UpdateReportGroup",
        ),
        _REPORTS,
    ),
    **dict.fromkeys(
        (
            "BatchGetCommandExecutions",
            "BatchGetSandboxes",
            "ListCommandExecutionsForSandbox",
            "ListSandboxes",
            "ListSandboxesForProject",
            "StartCommandExecution",
            "StartSandbox",
            "StartSandboxConnection",
            "StopSandbox",
        ),
        _SANDBOXES,
    ),
    **dict.fromkeys(("CreateWebhook", "DeleteWebhook", "UpdateWebhook"), _WEBHOOKS),
}
