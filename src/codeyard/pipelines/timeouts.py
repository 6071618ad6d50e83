"""How long an action may take (User Guide, "Quotas in AWS CodePipeline"). Pure."""

from datetime import timedelta

from codeyard.pipelines.model import Action

_WEEK = timedelta(days=7)
# By provider of AWS's own types; all others have an hour.
_BY_PROVIDER = {
    "CloudFormation": timedelta(days=3),
    "CodeDeploy": timedelta(days=5),
    "CodeDeployToECS": timedelta(days=5),
    "Lambda": timedelta(hours=24),
    "S3": timedelta(minutes=90),
    "StepFunctions": _WEEK,
    "Commands": timedelta(minutes=55),
    "CodeBuild": timedelta(hours=36),
}


def timeout_of(action: Action) -> timedelta:
    """Of an action, or of a rule."""
    if action.timeout_minutes is not None:
        return timedelta(minutes=action.timeout_minutes)
    category, owner, provider = action.type.category, action.type.owner, action.type.provider
    if category == "Approval":
        return _WEEK
    if owner != "AWS":
        return timedelta(hours=24)
    if category == "Test":
        return timedelta(hours=8)
    if category == "Source":
        return timedelta(hours=1)
    if provider == "ECS":
        minutes = action.configuration.get("DeploymentTimeout", "")
        return timedelta(minutes=min(int(minutes), 60) if minutes.isdigit() and int(minutes) > 0 else 60)
    return _BY_PROVIDER.get(provider, timedelta(hours=1))
