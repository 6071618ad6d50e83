"""Definitions that AWS rejects, each with the rule that it breaks, and AWS's words where they are known."""

from typing import Any, NamedTuple

from tests.pipelines.documents import (
    ALARM,
    ON_MAIN,
    PUSH,
    RETRY,
    STORE,
    TOPIC,
    VARIABLES,
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
TYPES = "actions-valid-providers"
BUILD = "action-reference-CodeBuild"
COMMANDS = "action-reference-Commands"
CONDITIONS = "stage-conditions"
STRUCTURE = "InvalidStructureException"
STAGE = "InvalidStageDeclarationException"
ACTION = "InvalidActionDeclarationException"
BLOCKER = "InvalidBlockerDeclarationException"
VALIDATION = "ValidationException"


class Bad(NamedTuple):
    section: str
    page: str
    what: str
    error: str
    definition: Any
    text: str = ""


REJECTED = [
    # 1.1 and 1.8: what the model says
    Bad("1.1", FORM, "a name with a space", VALIDATION, then(build(), name="a b"),
        "1 validation error detected: Value 'a b' at 'pipeline.name' failed to satisfy constraint: Member must satisfy "
        r"regular expression pattern: [A-Za-z0-9.@\-_]+"),
    Bad("1.1", FORM, "no name", VALIDATION, then(build(), name=None)),
    Bad("1.1", FORM, "a name that is too long", VALIDATION, then(build(), name="n" * 101)),
    Bad("1.1", FORM, "a role that is none", VALIDATION, then(build(), roleArn="me")),
    Bad("1.1", FORM, "an unknown mode", VALIDATION, then(build(), executionMode="FAST")),
    Bad("1.1", FORM, "a store that is not S3", VALIDATION,
        then(build(), artifactStore={"type": "FTP", "location": "artifacts"})),
    Bad("1.1", FORM, "a bucket with a prefix", VALIDATION,
        then(build(), artifactStore={"type": "S3", "location": "artifacts/here"})),
    Bad("1.3", FORM, "runOrder 0", VALIDATION, then(build(runOrder=0))),
    Bad("1.3", FORM, "runOrder 1000", VALIDATION, then(build(runOrder=1000))),
    Bad("1.3", "limits", "a value of 1001 characters", VALIDATION, says("x" * 1001)),
    Bad("1.3", "limits", "a key of 51 characters", VALIDATION, then(approval(configuration={"k" * 51: "v"}))),
    Bad("1.3", "limits", "an empty value", VALIDATION, says("")),
    Bad("1.3", FORM, "an unknown category", VALIDATION, then(action("A", "Dance/AWS/Manual"))),
    Bad("1.3", FORM, "a timeout of 4 minutes", VALIDATION, then(approval(timeoutInMinutes=4))),
    Bad("1.3", FORM, "a timeout beyond 60 days", VALIDATION,
        then(approval(timeoutInMinutes=86401))),
    Bad("1.3", COMMANDS, "51 commands", VALIDATION, then(commands(*["true"] * 51))),
    Bad("1.1", FORM, "no document", VALIDATION, {}),
    # 1.1
    Bad("1.1", FORM, "no store", STRUCTURE, then(build(), artifactStore=None)),
    Bad("1.1", FORM, "both kinds of store", STRUCTURE,
        then(build(), artifactStores={"us-east-1": STORE})),
    Bad("1.1", "actions-create-cross-region", "no store in its own region", STRUCTURE,
        then(build(), artifactStore=None, artifactStores={"eu-west-1": STORE})),
    Bad("1.1", "actions-create-cross-region", "no store in an action's region", STRUCTURE,
        then(build(region="eu-west-1"), artifactStore=None, artifactStores={"us-east-1": STORE})),
    Bad("1.1", "actions-create-cross-region", "one store for two regions", STRUCTURE, then(build(region="eu-west-1"))),
    Bad("1.1", "actions-create-cross-region", "a region that is none", VALIDATION,
        then(build(), artifactStore=None, artifactStores={"us-east-1": STORE, "nowhere": STORE}),
        "The region nowhere specified in 'pipeline.artifactStores' is not a valid AWS Region."),
    # 1.2
    Bad("1.2", FORM, "one stage", STRUCTURE, whole(stage("Source", s3())),
        "Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline"),
    Bad("1.2", FORM, "no stage", STRUCTURE, whole(),
        "Pipeline has only 0 stage(s). There should be a minimum of 2 stages in a pipeline"),
    Bad("1.2", "limits", "51 stages", STRUCTURE, pipeline(*[stage(f"S{number}", build()) for number in range(50)])),
    Bad("1.2", "limits", "1001 actions", STRUCTURE,
        pipeline(*[stage(f"S{at}", *[build(f"A{number}") for number in range(50)]) for at in range(20)])),
    Bad("1.2", FORM, "two stages of one name", STAGE,
        pipeline(stage("Same", build()), stage("Same", build()))),
    Bad("1.2", FORM, "a stage with no action", STAGE, pipeline(stage("Empty"))),
    Bad("1.2", "limits", "51 actions in a stage", STAGE, then(*[build(f"A{number}") for number in range(51)])),
    Bad("1.2", FORM, "a build in the first stage", STRUCTURE,
        whole(stage("Source", s3(), build()), stage("Second", build())),
        "Pipeline should start with a stage that only contains source actions"),
    Bad("1.2", FORM, "a first stage without a source", STRUCTURE,
        whole(stage("First", approval()), stage("Second", approval())),
        "Pipeline should start with a stage that only contains source actions"),
    Bad("1.2", FORM, "a source in the second stage", STRUCTURE,
        pipeline(stage("Second", build(), s3("Late", "More")))),
    Bad("1.2", FORM, "a blocker", BLOCKER,
        second(blockers=[{"name": "Wait", "type": "Schedule"}])),
    # 1.3
    Bad("1.3", FORM, "two actions of one name", STAGE, then(build(), build())),
    Bad("1.3", TYPES, "an unknown provider", ACTION, then(action("A", "Build/AWS/Magic", "Source")),
        "ActionType (Category: 'Build', Provider: 'Magic', Owner: 'AWS', Version: '1') in action 'A' is not available "
        "in region 'US_EAST_1'"),
    Bad("1.3", TYPES, "a custom type that was not created", ACTION,
        then(action("Jenkins", "Build/Custom/MyJenkins", "Source", configuration={"ProjectName": "p"}))),
    Bad("1.3", TYPES, "another version", ACTION,
        then({**build(), "actionTypeId": {**build()["actionTypeId"], "version": "2"}})),
    Bad("1.3", BUILD, "a missing key", ACTION, then(action("Make", "Build/AWS/CodeBuild", "Source")),
        "Action configuration for action 'Make' is missing required configuration 'ProjectName'"),
    Bad("1.3", BUILD, "an unknown key", ACTION, then(build(configuration={"Speed": "9"})),
        "Action configuration for action 'Make' contains unknown configuration 'Speed'"),
    Bad("1.3", "action-reference-S3", "a truth that is neither", ACTION, whole(stage("Source", s3(configuration={
        "S3Bucket": "b", "S3ObjectKey": "k", "PollForSourceChanges": "maybe"})), stage("Second", build()))),
    Bad("1.3", "actions-create-cross-region", "a source in another region", ACTION, whole(
        stage("Source", s3(region="eu-west-1")), stage("Second", build()),
        artifactStore=None, artifactStores={"us-east-1": STORE, "eu-west-1": STORE})),
    Bad("1.3", "actions-create-cross-region", "a custom action in another region", ACTION, then(
        action("Tell", "Invoke/Custom/Codeyard-HTTP", configuration={"Url": "https://us"}, region="eu-west-1"),
        artifactStore=None, artifactStores={"us-east-1": STORE, "eu-west-1": STORE})),
    Bad("1.3", VARS, "two actions of one namespace", ACTION,
        then(build("A", namespace="Same"), build("B", namespace="Same")),
        "Namespaces must be unique across the pipeline definition. The following occur more than once in the pipeline. "
        "StageName=[Second], ActionName=[B], Namespace=[Same]"),
    Bad("1.3", VARS, "a namespace that is an artifact", ACTION, then(build(namespace="Source"))),
    Bad("1.3", VARS, "a reserved namespace", ACTION, then(build(namespace="codepipeline"))),
    Bad("5.3", "pipelines-variables", "the namespace of the pipeline's variables", ACTION,
        then(build(namespace="variables"), variables=VARIABLES)),
    Bad("1.3", "approvals-action-add", "a timeout of a build", ACTION, then(build(timeoutInMinutes=60))),
    Bad("1.3", COMMANDS, "commands of a build", ACTION, then(build(commands=["make"]))),
    Bad("1.3", COMMANDS, "output variables of a build", ACTION, then(build(outputVariables=["A"]))),
    Bad("1.3", COMMANDS, "files of a build's output", ACTION,
        then(build(outputArtifacts=[{"name": "Out", "files": ["**/*"]}]))),
    Bad("1.3", COMMANDS, "no commands", ACTION,
        then(action("Run", "Compute/AWS/Commands", "Source")), "Action Run must have a non-empty commands field"),
    Bad("1.3", COMMANDS, "a command of two lines", ACTION, then(commands("make\nmake test"))),
    Bad("1.3", FORM, "an environment of an approval", ACTION,
        then(approval(environmentVariables=[{"name": "A", "value": "1"}]))),
    Bad("1.3", "action-reference-EKS", "a secret for EKS", ACTION, then(action(
        "Out", "Deploy/AWS/EKS", "Source", configuration={"ClusterName": "c"},
        environmentVariables=[{"name": "A", "value": "s:k", "type": "SECRETS_MANAGER"}]))),
    Bad("1.3", COMMANDS, "a variable twice", ACTION,
        then(commands("make", environmentVariables=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]))),
    # 1.4
    Bad("1.4", FLOW, "an input that nobody makes", ACTION, then(build("Make", "Nothing")),
        "Input Artifact Bundle Nothing in action Make is not declared as Output Artifact Bundle in any of the "
        "preceding actions"),
    Bad("1.4", FLOW, "an input of the same runOrder", ACTION,
        then(build("A", outputs="X"), build("B", "X"))),
    Bad("1.4", FLOW, "an input of a later stage", ACTION,
        pipeline(stage("One", build("A", "X")), stage("Two", build("B", outputs="X")))),
    Bad("1.4", FLOW, "an action's own output", ACTION, then(build("A", "X", "X"))),
    Bad("1.4", FORM, "one output twice", ACTION,
        pipeline(stage("One", build(outputs="X")), stage("Two", build(outputs="X")))),
    Bad("1.4", FORM, "one input twice", ACTION,
        then(build("A", "Source Source", "", {"PrimarySource": "Source"}))),
    Bad("1.4", FORM, "an artifact's name with a dot", VALIDATION, then(build(outputs="a.b"))),
    # 1.5
    Bad("1.5", COUNTS, "a build without input", ACTION, then(build("Make", "")),
        "Action Make declares 0 input artifacts which is less than the minimum count (1)"),
    Bad("1.5", COUNTS, "a source without output", ACTION,
        whole(stage("Source", s3("Fetch", "")), stage("Second", approval())),
        "Action Fetch declares 0 output artifacts which is less than the minimum count (1)"),
    Bad("1.5", COUNTS, "a source with input", ACTION,
        whole(stage("Source", s3("A", "X"), s3("B", "Y", runOrder=2, inputArtifacts=[{"name": "X"}])),
              stage("Second", approval()))),
    Bad("1.5", COUNTS, "an approval with input", ACTION,
        then(action("Ask", "Approval/AWS/Manual", "Source")),
        "Action Ask declares 1 input artifacts which is greater than the maximum count (0)"),
    Bad("1.5", COUNTS, "six outputs", ACTION, then(build(outputs="A B C D E F"))),
    Bad("1.5", COUNTS, "a deployment with output", ACTION, then(action(
        "Out", "Deploy/AWS/S3", "Source", "Out", configuration={"BucketName": "b", "Extract": "true"}))),
    # 1.6
    Bad("1.6", VARS, "an unknown namespace", ACTION, says("#{Nobody.x}"),
        "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). "
        "The following pipeline execution variables are referencing a namespace that does not exist. "
        "StageName=[Second], ActionName=[Ask], ActionConfigurationKey=[CustomData], "
        "VariableReferenceText=[#{Nobody.x}]"),
    Bad("1.6", VARS, "no key", ACTION, says("#{Git}")),
    Bad("1.6", VARS, "two dots", ACTION, says("#{Git.a.b}")),
    Bad("1.6", VARS, "nothing in it", ACTION, says("#{}")),
    Bad("1.6", VARS, "an action of the same runOrder", ACTION,
        then(build("A", namespace="Made"), approval(configuration={"CustomData": "#{Made.x}"}))),
    Bad("1.6", VARS, "an action that comes later", ACTION,
        pipeline(stage("One", approval(configuration={"CustomData": "#{Made.x}"})),
                 stage("Two", build(namespace="Made")))),
    Bad("1.6", VARS, "its own variables", ACTION,
        then(build(namespace="Made", configuration={"PrimarySource": "#{Made.x}"}))),
    Bad("1.6", VARS, "a namespace in other letters", ACTION, says("#{git.ETag}")),
    Bad("1.6", "pipelines-variables", "an undeclared variable", ACTION, says("#{variables.OTHER}", variables=VARIABLES),
        "The referenced variables haven't been declared."),
    Bad("1.6", "pipelines-variables", "a variable where none is declared", ACTION, says("#{variables.TARGET}")),
    Bad("1.6", "pipelines-variables", "a variable in a source", ACTION, whole(
        stage("Source", s3(configuration={"S3Bucket": "b", "S3ObjectKey": "#{variables.TARGET}"})),
        stage("Second", build()), variables=VARIABLES),
        "Variables at the pipeline level cannot be used in source actions. StageName=[Source]"),
    Bad("1.6", VARS, "a reference in a command", ACTION, then(commands("echo #{Nobody.x}"))),
    Bad("1.6", VARS, "a reference in an environment", ACTION,
        then(commands("make", environmentVariables=[{"name": "A", "value": "#{Nobody.x}"}]))),
    Bad("5.3", "pipelines-variables", "a variable twice", STRUCTURE, then(build(), variables=VARIABLES * 2),
        "Variable names must be unique. The following variable name is already in use: TARGET"),
    Bad("5.3", "pipelines-variables", "an empty default", VALIDATION,
        then(build(), variables=[{"name": "TARGET", "defaultValue": ""}])),
    Bad("5.3", "limits", "51 variables", VALIDATION, then(build(), variables=[{"name": f"V{n}"} for n in range(51)])),
    # 1.7
    Bad("1.7", "pipeline-types", "variables in V1", STRUCTURE, then(build(), pipelineType="V1", variables=VARIABLES),
        "Pipeline variable can only be used with V2 pipelines"),
    Bad("1.7", "pipeline-types", "QUEUED in V1", STRUCTURE, then(build(), pipelineType="V1", executionMode="QUEUED")),
    Bad("1.7", "pipeline-types", "a trigger on tags in V1", STRUCTURE,
        triggered({"push": [{"tags": {"includes": ["v*"]}}]}, pipelineType="V1"),
        "Triggers on tag can only be used with V2 pipelines"),
    Bad("1.7", "pipeline-types", "Commands in V1", STRUCTURE, then(commands("make"), pipelineType="V1")),
    Bad("1.7", "pipeline-types", "another pipeline in V1", STRUCTURE, then(action(
        "Next", "Invoke/AWS/CodePipeline", configuration={"PipelineName": "p"}), pipelineType="V1")),
    Bad("1.7", "pipeline-types", "a condition in V1", STRUCTURE,
        {**second(beforeEntry=condition("FAIL", ALARM)), "pipelineType": "V1"}),
    Bad("1.7", "pipeline-types", "a retry in V1", STRUCTURE, {**second(onFailure=RETRY), "pipelineType": "V1"}),
    # 4
    Bad("4.1", "action-reference-CodestarConnectionSource", "no connection", ACTION, whole(
        stage("Source", git(configuration={"FullRepositoryId": "us/app", "BranchName": "main"})),
        stage("Second", build()))),
    Bad("4.1", "action-reference-CodestarConnectionSource", "an unknown format", ACTION, whole(
        stage("Source", git(configuration={"ConnectionArn": "arn:c", "FullRepositoryId": "us/app", "BranchName": "main",
                                           "OutputArtifactFormat": "TAR"})), stage("Second", build()))),
    Bad("4.1", "action-reference-ECR", "polling of ECR, which has no such key", ACTION, whole(
        stage("Source", action("I", "Source/AWS/ECR", "", "Source",
                               configuration={"RepositoryName": "app", "PollForSourceChanges": "true"})),
        stage("Second", build()))),
    Bad("4.2", BUILD, "two inputs, none primary", ACTION,
        whole(stage("Source", s3("A", "X"), s3("B", "Y")), stage("Second", build("Make", "X Y"))),
        "Action configuration for action 'Make' is missing required configuration 'PrimarySource'"),
    Bad("4.2", BUILD, "a primary source that is no input", ACTION,
        whole(stage("Source", s3("A", "X"), s3("B", "Y")),
              stage("Second", build("Make", "X Y", "", {"PrimarySource": "Z"})))),
    Bad("4.2", BUILD, "an environment that is not JSON", ACTION, env("A=1")),
    Bad("4.2", BUILD, "an environment that is an object", ACTION, env('{"A": "1"}')),
    Bad("4.2", BUILD, "a variable of an unknown type", ACTION,
        env('[{"name":"A","value":"1","type":"FILE"}]')),
    Bad("4.2", BUILD, "a variable whose value is a number", ACTION, env('[{"name":"A","value":1}]')),
    Bad("4.5", "approvals-action-add", "a topic that is none", ACTION,
        then(approval(configuration={"NotificationArn": "reviews"}))),
    Bad("4.5", "approvals-action-add", "a topic of another service", ACTION,
        then(approval(configuration={"NotificationArn": TOPIC.replace(":sns:", ":sqs:")}))),
    Bad("4.5", "approvals-action-add", "a topic of another region", ACTION,
        then(approval(configuration={"NotificationArn": TOPIC.replace("us-east-1", "eu-west-1")}))),
    Bad("4.7", "action-reference-StepFunctions", "a file of no artifact", ACTION, then(action(
        "Go", "Invoke/AWS/StepFunctions", configuration={
            "StateMachineArn": "arn:m", "InputType": "FilePath", "Input": "in.json"}))),
    Bad("4.7", "action-reference-StepFunctions", "no file of the artifact", ACTION, then(action(
        "Go", "Invoke/AWS/StepFunctions", "Source", configuration={
            "StateMachineArn": "arn:m", "InputType": "FilePath"}))),
    Bad("4.8", "action-reference-InspectorScan", "no sources to scan", ACTION, then(action(
        "Scan", "Invoke/AWS/InspectorScan", "", "Bill", configuration={"InspectorRunMode": "SourceCodeScan"}))),
    Bad("4.8", "action-reference-PipelineInvoke", "variables that are no list", ACTION, then(action(
        "Next", "Invoke/AWS/CodePipeline", configuration={"PipelineName": "p", "Variables": "A=1"}))),
    Bad("4.9", "action-reference-CloudFormation", "an unknown mode", ACTION, cloudformation(
        ActionMode="IMPROVE", StackName="s")),
    Bad("4.9", "action-reference-CloudFormation", "no stack", ACTION, cloudformation(
        ActionMode="CREATE_UPDATE", RoleArn="arn:r", TemplatePath="Source::t.yml")),
    Bad("4.9", "action-reference-CloudFormation", "a template of no input", ACTION, cloudformation(
        ActionMode="CREATE_UPDATE", StackName="s", RoleArn="arn:r", TemplatePath="Other::t.yml")),
    Bad("4.14", "action-reference-S3Deploy", "a zip without a key", ACTION, then(action(
        "Out", "Deploy/AWS/S3", "Source", configuration={"BucketName": "b", "Extract": "false"}))),
    Bad("4.15", "action-reference-Lambda-deploy", "neither input nor version", ACTION, then(action(
        "Out", "Deploy/AWS/Lambda", configuration={"FunctionName": "f"}))),
    Bad("ours", "aws-differences", "targets that are no tags", ACTION, release(Targets="everything")),
    Bad("ours", "aws-differences", "a path that climbs", ACTION, release(Path="/srv/../etc")),
    Bad("ours", "aws-differences", "a share of more than all", ACTION, release(MinimumHealthy="101%")),
    Bad("ours", "aws-differences", "one tag twice", ACTION, release(Targets="a=1,a=2")),
    Bad("ours", "aws-differences", "a script outside of the release", ACTION, release(AfterSwitch="../../bin/sh")),
    Bad("ours", "aws-differences", "nothing kept", ACTION, release(Keep="0")),
    Bad("ours", "aws-differences", "a URL of files", ACTION, http(Url="file:///etc/passwd")),
    Bad("ours", "aws-differences", "headers that are no object", ACTION, http(Headers='["a"]')),
    Bad("ours", "aws-differences", "a status that is none", ACTION, http(Expect="all")),
    # 6
    Bad("6.4", "pipelines-triggers", "a trigger of nobody", STRUCTURE,
        triggered({"sourceActionName": "Nobody", **PUSH})),
    Bad("6.4", "pipelines-triggers", "a trigger of S3", STRUCTURE, {
        **triggered(PUSH), "stages": [stage("Source", s3()), stage("Second", build())]}),
    Bad("6.4", "pipelines-filter", "tags and branches in one filter", STRUCTURE,
        triggered({"push": [{"tags": {"includes": ["v*"]}, "branches": {"includes": ["main"]}}]}),
        "The trigger configuration for the source action is not valid. Make sure to choose valid filter combinations."),
    # 8
    Bad("8.1", CONDITIONS, "a condition of the first stage", STAGE, whole(
        stage("Source", s3(), beforeEntry=condition("FAIL", ALARM)), stage("Second", build()))),
    Bad("8.1", "stage-rollback-auto", "a rollback of the first stage", STAGE, whole(
        stage("Source", s3(), onFailure={"result": "ROLLBACK"}), stage("Second", build()))),
    Bad("8.1", CONDITIONS, "an entry that rolls back", STAGE, second(beforeEntry=condition("ROLLBACK", ALARM))),
    Bad("8.1", CONDITIONS, "an end that skips", STAGE, second(onSuccess=condition("SKIP", ON_MAIN))),
    Bad("8.1", CONDITIONS, "a failure that fails", STAGE, second(onFailure=condition("FAIL", ALARM))),
    Bad("8.1", CONDITIONS, "a failure that leads to nothing", STAGE, second(onFailure={"result": "SKIP"})),
    Bad("8.1", CONDITIONS, "a skip by an alarm", STAGE, second(beforeEntry=condition("SKIP", ALARM))),
    Bad("8.1", CONDITIONS, "a skip by an alarm among others", STAGE,
        second(beforeEntry=condition("SKIP", ON_MAIN, ALARM))),
    Bad("8.1", "stage-retry", "a retry with conditions", STAGE,
        second(onFailure={**RETRY, **condition("ROLLBACK", ALARM)})),
    Bad("8.1", "stage-retry", "how to retry, and no retry", STAGE, second(onFailure={
        "result": "ROLLBACK", "retryConfiguration": {"retryMode": "ALL_ACTIONS"}})),
    Bad("2.4", "execution-modes", "a failure that rolls back in PARALLEL mode", STAGE, second(
        onFailure={"result": "ROLLBACK"}) | {"executionMode": "PARALLEL"}),
    Bad("2.4", "execution-modes", "an end that rolls back in PARALLEL mode", STAGE, second(
        onSuccess=condition("ROLLBACK", ALARM)) | {"executionMode": "PARALLEL"}),
    Bad("8.1", CONDITIONS, "a condition without result", STAGE,
        second(beforeEntry={"conditions": [{"rules": [ALARM]}]})),
    Bad("8.1", CONDITIONS, "a condition without rules", STAGE,
        second(beforeEntry={"conditions": [{"result": "FAIL"}]})),
    Bad("8.1", "limits", "two conditions", VALIDATION,
        second(beforeEntry={"conditions": condition("FAIL", ALARM)["conditions"] * 2})),
    Bad("8.2", "limits", "six rules", VALIDATION, second(beforeEntry=condition(
        "FAIL", *[rule("CloudWatchAlarm", {"AlarmName": "a"}, f"R{number}") for number in range(6)]))),
    Bad("8.2", CONDITIONS, "two rules of one name", STAGE, second(beforeEntry=condition("FAIL", ALARM, ALARM))),
    Bad("8.3", "rule-reference", "an unknown rule", STAGE, second(beforeEntry=condition("FAIL", rule("Coin", {})))),
    Bad("8.3", "rule-reference-CloudWatchAlarm", "a missing key", STAGE,
        second(beforeEntry=condition("FAIL", rule("CloudWatchAlarm", {})))),
    Bad("8.3", "rule-reference-CloudWatchAlarm", "an unknown key", STAGE,
        second(beforeEntry=condition("FAIL", rule("CloudWatchAlarm", {"AlarmName": "a", "Colour": "red"})))),
    Bad("8.3", "rule-reference-VariableCheck", "an unknown operator", STAGE, second(beforeEntry=condition(
        "FAIL", rule("VariableCheck", {"Variable": "#{Git.ETag}", "Operator": "GT", "Value": "1"})))),
    Bad("8.3", "rule-reference-VariableCheck", "no variable to check", STAGE, second(beforeEntry=condition(
        "FAIL", rule("VariableCheck", {"Variable": "ETag", "Operator": "EQ", "Value": "1"})))),
    Bad("8.3", "rule-reference-VariableCheck", "a variable of a stage to come", ACTION, second(beforeEntry=condition(
        "FAIL", rule("VariableCheck", {"Variable": "#{Made.X}", "Operator": "EQ", "Value": "1"})))),
    Bad("8.3", "rule-reference-DeploymentWindow", "five fields", STAGE, second(beforeEntry=condition(
        "FAIL", rule("DeploymentWindow", {"Cron": "0 9 * * MON"})))),
    Bad("8.3", "rule-reference-DeploymentWindow", "an hour that is none", STAGE, second(beforeEntry=condition(
        "FAIL", rule("DeploymentWindow", {"Cron": "* * 25 ? * MON-FRI"})))),
    Bad("8.3", "rule-reference-CloudWatchAlarm", "an input of an alarm", STAGE,
        second(beforeEntry=condition("FAIL", {**ALARM, "inputArtifacts": [{"name": "Source"}]}))),
    Bad("8.3", "rule-reference-Commands", "a command of two lines", STAGE,
        second(beforeEntry=condition("FAIL", rule("Commands", {}, commands=["a\nb"])))),
    Bad("8.3", "rule-reference-Commands", "no commands", STAGE,
        second(beforeEntry=condition("FAIL", rule("Commands", {})))),
    Bad("8.3", "rule-reference-CloudWatchAlarm", "commands of an alarm", STAGE,
        second(beforeEntry=condition("FAIL", {**ALARM, "commands": ["true"]}))),
    Bad("8.3", "rule-reference-Commands", "what the stage has not made yet", STAGE, second(beforeEntry=condition(
        "FAIL", rule("Commands", {}, commands=["true"], inputArtifacts=[{"name": "Built"}])))),
]  # fmt: skip
