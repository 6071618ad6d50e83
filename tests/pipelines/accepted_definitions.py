"""Definitions that AWS accepts, each with the section of the reference and the User Guide's page that says so."""

from typing import NamedTuple

from tests.pipelines.documents import (
    ALARM,
    ON_MAIN,
    PUSH,
    RETRY,
    STORE,
    TOPIC,
    VARIABLES,
    Shape,
    action,
    approval,
    build,
    cloudformation,
    commands,
    condition,
    env,
    git,
    http,
    pipeline,
    release,
    rule,
    s3,
    says,
    second,
    stage,
    then,
    triggered,
    whole,
)

FORM = "reference-pipeline-structure"  # pages of the User Guide that many rows name
VARS = "reference-variables"
FLOW = "welcome-introducing-artifacts"
COUNTS = "reference-action-artifacts"
BUILD = "action-reference-CodeBuild"
COMMANDS = "action-reference-Commands"
CONDITIONS = "stage-conditions"


class Good(NamedTuple):
    section: str
    page: str
    what: str
    definition: Shape


ACCEPTED = [
    Good("B.1", FORM, "a source and a build", then(build())),
    Good("1.1", FORM, "every character of a name", then(build("a.B@c-d_9"), name="a.B@c-d_9")),
    Good("1.1", FORM, "a version that is ignored", then(build(), version=7)),
    Good("1.1", "actions-create-cross-region", "stores by region",
         then(build(region="eu-west-1"), artifactStore=None, artifactStores={"us-east-1": STORE, "eu-west-1": STORE})),
    Good("1.1", FORM, "a key of the store",
         then(build(), artifactStore={**STORE, "encryptionKey": {"id": "alias/mine", "type": "KMS"}})),
    Good("1.1", "execution-modes", "QUEUED makes it V2", then(build(), executionMode="QUEUED")),
    Good("1.1", "execution-modes", "PARALLEL in V2", then(build(), executionMode="PARALLEL", pipelineType="V2")),
    Good("1.2", FORM, "50 stages",
         pipeline(*[stage(f"S{number}", build()) for number in range(49)])),
    Good("1.2", "limits", "50 actions in a stage", then(*[build(f"A{number}") for number in range(50)])),
    Good("1.2", FORM, "the same action name in two stages",
         pipeline(stage("One", build("Same")), stage("Two", build("Same")))),
    Good("1.2", FORM, "no blockers", second(blockers=[])),
    Good("1.2", FORM, "stage names that differ by case",
         pipeline(stage("one", build()), stage("One", build()))),
    Good("1.3", FORM, "gaps in runOrder",
         then(build("A", outputs="X", runOrder=3), build("B", "X", runOrder=999))),
    Good("1.3", FORM, "runOrder against the order of the list",
         then(build("B", "X", runOrder=2), build("A", outputs="X", runOrder=1))),
    Good("1.3", FORM, "a role of the action's own",
         then(build(roleArn="arn:aws:iam::111122223333:role/less"))),
    Good("1.3", FORM, "the pipeline's region is no other",
         whole(stage("Source", s3(region="us-east-1")), stage("Second", build(region="us-east-1")))),
    Good("1.3", COMMANDS, "commands, environment, outputs",
         then(commands("make", "make test", outputVariables=["VERSION"],
                       environmentVariables=[{"name": "A", "value": "1"},
                                             {"name": "B", "value": "token:key", "type": "SECRETS_MANAGER"}],
                       outputArtifacts=[{"name": "Out", "files": ["dist/**/*"]}]))),
    Good("1.3", "approvals-action-add", "an approval with everything",
         then(approval(timeoutInMinutes=5, configuration={
             "NotificationArn": TOPIC, "CustomData": "Look at #{Git.ETag}", "ExternalEntityLink": "https://us"}))),
    Good("1.3", "action-reference-StepFunctions", "a file as input",
         then(action("Go", "Invoke/AWS/StepFunctions", "Source", "Out", configuration={
             "StateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:m", "InputType": "FilePath",
             "Input": "in.json"}))),
    Good("1.4", FLOW, "an artifact of two stages before",
         pipeline(stage("A", build()), stage("B", build()))),
    Good("1.4", FLOW, "one artifact for two actions", then(build("A"), build("B"))),
    Good("1.4", FLOW, "an artifact that nobody takes", then(build(outputs="Unused"))),
    Good("1.5", COUNTS, "five inputs, of which one is primary", whole(
        stage("Source", *[s3(f"S{number}", f"In{number}") for number in range(5)]),
        stage("Second", build("B", "In0 In1 In2 In3 In4", "A B C D E", {"PrimarySource": "In3"})))),
    Good("1.5", COUNTS, "an approval has none", then(approval())),
    Good("1.5", "action-reference-ECR", "two sources",
         whole(stage("Source", s3(), action("Image", "Source/AWS/ECR", "", "Image",
                                            configuration={"RepositoryName": "app", "ImageTag": "latest"})),
               stage("Second", build("B", "Source Image", "", {"PrimarySource": "Source"})))),
    Good("1.6", VARS, "a variable of an earlier action", says("#{Git.VersionId}")),
    Good("1.6", VARS, "the execution's variable", says("#{codepipeline.PipelineExecutionId}")),
    Good("1.6", VARS, "the execution's variable in a source",
         whole(stage("Source", s3(configuration={"S3Bucket": "b", "S3ObjectKey": "#{codepipeline.x}"})),
               stage("Second", build()))),
    Good("1.6", "pipelines-variables", "a variable of the pipeline",
         says("to #{variables.TARGET}", variables=VARIABLES)),
    Good("1.6", VARS, "an earlier action of the same stage",
         then(build("A", namespace="Made"), approval(runOrder=2, configuration={"CustomData": "#{Made.ANYTHING}"}))),
    Good("5.1", VARS, "what only looks like a reference", says("${HOME} #{ and # {a.b}")),
    Good("5.3", "pipelines-variables", "a variable with no default", then(build(), variables=[{"name": "TARGET"}])),
    Good("5.3", VARS, "an action's namespace `variables`, if the pipeline has none",
         pipeline(stage("A", build(namespace="variables")),
                  stage("B", approval(configuration={"CustomData": "#{variables.x}"})))),
    Good("1.7", "pipeline-types", "V2 with nothing of V2", then(build(), pipelineType="V2")),
    Good("1.7", "pipeline-types", "V1 with empty lists of V2's",
         then(build(), pipelineType="V1", variables=[], triggers=[])),
    Good("4.1", "action-reference-CodestarConnectionSource", "a connection", whole(
        stage("Source", git()), stage("Second", build()))),
    Good("4.1", "action-reference-GitHub", "GitHub by a token", whole(
        stage("Source", action("Hub", "Source/ThirdParty/GitHub", "", "Source", configuration={
            "Owner": "us", "Repo": "app", "Branch": "main", "OAuthToken": "token", "PollForSourceChanges": "false"})),
        stage("Second", build()))),
    Good("4.2", BUILD, "environment variables",
         env('[{"name":"A","value":"#{Git.ETag}"},{"name":"B","value":"/b","type":"PARAMETER_STORE"}]')),
    Good("4.2", BUILD, "a reference that JSON needs", env('[{"name":"A","value":#{Git.ETag}}]')),
    Good("4.2", BUILD, "CodeBuild that tests",
         then(action("T", "Test/AWS/CodeBuild", "Source", configuration={"ProjectName": "p", "BatchEnabled": "true"}))),
    Good("4.6", "action-reference-Lambda", "a function", then(action("Call", "Invoke/AWS/Lambda", configuration={
        "FunctionName": "f", "UserParameters": "{}"}))),
    Good("4.8", "action-reference-PipelineInvoke", "another pipeline", then(action(
        "Next", "Invoke/AWS/CodePipeline", configuration={
            "PipelineName": "next", "Variables": '[{"name":"A","value":"#{Git.ETag}"}]'}))),
    Good("4.9", "action-reference-CloudFormation", "a stack", cloudformation(
        ActionMode="CREATE_UPDATE", StackName="s", RoleArn="arn:aws:iam::111122223333:role/cfn",
        TemplatePath="Source::template.yml", Capabilities="CAPABILITY_IAM,CAPABILITY_AUTO_EXPAND")),
    Good("4.9", "action-reference-CloudFormation", "a change set carried out", cloudformation(
        "", ActionMode="CHANGE_SET_EXECUTE", StackName="s", ChangeSetName="c")),
    Good("4.9", "action-reference-CloudFormation", "what its mode needs is missed when it runs", cloudformation(
        ActionMode="REPLACE_ON_FAILURE", StackName="s", TemplatePath="Source::template.yml")),
    Good("4.11", "action-reference-CodeDeploy", "a deployment", then(action(
        "Out", "Deploy/AWS/CodeDeploy", "Source", configuration={"ApplicationName": "a", "DeploymentGroupName": "g"}))),
    Good("4.12", "action-reference-ECS", "a service", then(action(
        "Out", "Deploy/AWS/ECS", "Source", configuration={"ClusterName": "c", "ServiceName": "s"}))),
    Good("4.14", "action-reference-S3Deploy", "files to a bucket", then(action(
        "Out", "Deploy/AWS/S3", "Source", configuration={"BucketName": "b", "Extract": "true"}))),
    Good("4.15", "action-reference-EKS", "what cannot be done here", then(action(
        "Out", "Deploy/AWS/EKS", "Source", environmentVariables=[{"name": "A", "value": "1"}],
        configuration={"ClusterName": "c", "ManifestFiles": "m.yml"}))),
    Good("4.16", "action-reference-ElasticBeanstalk", "a type that cannot be done here", then(action(
        "Out", "Deploy/AWS/ElasticBeanstalk", "Source",
        configuration={"ApplicationName": "a", "EnvironmentName": "e"}))),
    Good("4.16", "integrations-action-type", "a partner's type with keys of its own", then(action(
        "Load", "Test/ThirdParty/BlazeMeter", "Source", configuration={"Anything": "x"}))),
    Good("ours", "aws-differences", "a release", release(Keep="5", MinimumHealthy="50%", RollBack="false")),
    Good("ours", "aws-differences", "a request",
         http(Method="PUT", Headers='{"X-A": "b"}', Expect="200,202-299", Secret="s")),
    Good("6.4", "pipelines-triggers", "a trigger", triggered(PUSH)),
    Good("6.4", "pipelines-filter", "pull requests", triggered({"pullRequest": [
        {"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}]})),
    Good("8.1", CONDITIONS, "an entry that skips", second(beforeEntry=condition("SKIP", ON_MAIN))),
    Good("8.1", CONDITIONS, "an end that rolls back", second(onSuccess=condition("ROLLBACK", ALARM))),
    Good("8.1", CONDITIONS, "a failure that rolls back", second(onFailure=condition("ROLLBACK", ALARM))),
    Good("8.1", CONDITIONS, "a result outside of the condition", second(
        onFailure={"result": "ROLLBACK", "conditions": [{"rules": [ALARM]}]})),
    Good("8.1", "stage-rollback-auto", "a failure that rolls back at once", second(onFailure={"result": "ROLLBACK"})),
    Good("8.1", "stage-retry", "a source stage that is retried", whole(
        stage("Source", s3(), onFailure=RETRY), stage("Second", build()))),
    Good("8.2", CONDITIONS, "five rules", second(beforeEntry=condition(
        "FAIL", *[rule("CloudWatchAlarm", {"AlarmName": "a"}, f"R{number}") for number in range(5)]))),
    Good("8.3", "rule-reference-Commands", "commands on what the stage has made", second(onSuccess=condition(
        "FAIL", rule("Commands", {}, commands=["make check"], inputArtifacts=[{"name": "Built"}])))),
    Good("8.3", "rule-reference-DeploymentWindow", "a window", second(beforeEntry=condition(
        "FAIL", rule("DeploymentWindow", {"Cron": "* * 9-17 ? * MON-FRI *", "TimeZone": "UTC"})))),
]  # fmt: skip
