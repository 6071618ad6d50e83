"""CodeDeploy's operations that are not answered yet, each with the reason that a caller is told."""

_COMES = "It comes with CodeDeploy itself: pipelines deploy already, by their Deploy actions."
_ENROL = "Machines enrol by themselves here: codeyard agent token, then codeyard agent there."
_TAGS = "A machine has the tags that it enrolled with: remove it and enrol it anew to change them."
_NO_FLEET = "There are no blue/green deployments here, so nothing waits for traffic or for instances' end."
_NO_GITHUB = "No GitHub tokens are kept for deployments: a pipeline's source brings the revision."
_NO_LAMBDA = "Deployments here are to servers: there are no hooks that are Lambda functions."
_NO_CLOUDFORMATION = "CloudFormation makes no resources here, so there are none of an external id."

# What a newer botocore knows. The tests have every operation of theirs decided; a server starts nonetheless.
OTHER = "This version of Codeyard does not know it: AWS has added it since."

DECLINED = {
    **dict.fromkeys(
        (
            "BatchGetApplicationRevisions",
            "BatchGetApplications",
            "BatchGetDeploymentGroups",
            "BatchGetDeploymentInstances",
            "BatchGetDeployments",
            "BatchGetOnPremisesInstances",
            "CreateDeployment",
            "CreateDeploymentConfig",
            "DeleteDeploymentConfig",
            "GetApplicationRevision",
            "GetDeploymentInstance",
            "GetDeploymentTarget",
            "ListApplicationRevisions",
            "ListDeploymentInstances",
            "RegisterApplicationRevision",
            "UpdateApplication",
        ),
        _COMES,
    ),
    "RegisterOnPremisesInstance": _ENROL,
    **dict.fromkeys(("AddTagsToOnPremisesInstances", "RemoveTagsFromOnPremisesInstances"), _TAGS),
    **dict.fromkeys(("ContinueDeployment", "SkipWaitTimeForInstanceTermination"), _NO_FLEET),
    **dict.fromkeys(("DeleteGitHubAccountToken", "ListGitHubAccountTokenNames"), _NO_GITHUB),
    "PutLifecycleEventHookExecutionStatus": _NO_LAMBDA,
    "DeleteResourcesByExternalId": _NO_CLOUDFORMATION,
}
