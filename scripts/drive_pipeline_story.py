"""What scripts/drive_pipeline.py does with its pipeline, from the first release to the last deletion."""

import copy
import io
import os
import time
import zipfile
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drive_places import Repository, Target, until

if TYPE_CHECKING:
    from drive_pipeline import Greeter

_ONLY_PROD = {
    "name": "OnlyProd",
    "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1"},
    "configuration": {"Variable": "#{variables.STAGE_NAME}", "Operator": "EQ", "Value": "prod"},
}


class Story:
    """Each chapter begins where the one before ended."""

    def __init__(self, greeter: "Greeter", repository: Repository, targets: list[Target]) -> None:
        self.greeter, self.repository, self.targets = greeter, repository, targets
        self.check = greeter.check

    def all(self) -> None:
        self.first()
        self.second()
        self.broken()
        self.rolled_back()
        self.superseded()
        self.stopped()
        self.conditions()
        self.queued()
        self.parallel()
        self.in_place()
        self.delete()

    def live(self) -> list[str]:
        return self.greeter.greets(*self.targets)

    def released(self, id: str) -> None:
        """Approve it, and wait for its good end."""
        self.greeter.answer(self.greeter.asked(id))
        self.greeter.ended(id, "Succeeded")

    # ── SUPERSEDED, as pipelines are at first ──

    def first(self) -> None:
        """From the definition to the release on both targets."""
        greeter, commit = self.greeter, self.repository.commit()
        names = sorted(target.name for target in self.targets)
        until("both agents enrol", lambda: self._enrolled() == names)
        self.check("two agents have enrolled", True)
        created = greeter.pipeline("create-pipeline", pipeline=greeter.plan)["pipeline"]
        greeter.plan = created
        self.check("the pipeline was created", (created["version"], created["executionMode"]) == (1, "SUPERSEDED"))
        self.one = greeter.executions()[0]["pipelineExecutionId"]
        token = greeter.asked(self.one)
        state = greeter.stage("Approve")["actionStates"][0]["latestExecution"]
        self.check("it began by itself, built, and asks for approval", state["token"] == token, state)
        self._built(commit)
        self.check("nothing is live before", not any((each.own / "current").exists() for each in self.targets))
        greeter.answer(token)
        greeter.ended(self.one, "Succeeded")
        self.check("approved, it is live on both", self.live() == [f"Hello test-{commit[:7]}"] * 2, self.live())
        greeter.refused("an answer twice is refused", "ApprovalAlreadyCompletedException", "put-approval-result",
                        **greeter.answered(token))  # fmt: skip

    def _enrolled(self) -> list[str]:
        found = self.greeter.client.call("codedeploy", "list-on-premises-instances", registrationStatus="Registered")
        return sorted(name for name in found["instanceNames"] if name.startswith(self.greeter.name))

    def _built(self, commit: str) -> None:
        """Variables, and both outputs."""
        greeter = self.greeter
        built = greeter.action(self.one, "TestAndBuild")
        version = built["output"]["outputVariables"]["VERSION"]
        self.check("variables went into the build and out of it", version == f"test-{commit[:7]}", version)
        outputs = {each["name"]: each["s3location"] for each in built["output"]["outputArtifacts"]}
        self.check("the build has two outputs", sorted(outputs) == ["App", "Bundle"], outputs)
        if "AWS_ENDPOINT_URL_S3" in os.environ:
            greeter.say("  buckets are elsewhere: nothing is put there that no action needs")
        else:
            self._read(outputs["Bundle"])
        asked = greeter.action(self.one, "Ask")["input"]["resolvedConfiguration"]["CustomData"]
        self.check("the question names the version", asked.startswith(f"Release {version}: All of it"), asked)

    def _read(self, location: Any) -> None:
        file = self.targets[0].own.parent / "bundle.zip"
        self.greeter.client.get_object(location["bucket"], location["key"], file)
        with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as archive:
            self.check("one is read from its bucket, a zip", "appspec.yml" in archive.namelist(), archive.namelist())

    def second(self) -> None:
        greeter, commit = self.greeter, self.repository.commit("settings.json", '{"word": "Good morning"}\n')
        self.two = greeter.start(STAGE_NAME="prod")
        self.released(self.two)
        self.said = [f"Good morning prod-{commit[:7]}"] * 2
        self.check("a second commit is live, with a variable of its own", self.live() == self.said, self.live())
        found = greeter.execution(self.two)
        revision = found["artifactRevisions"][0]["revisionId"]
        variables = {each["name"]: each["resolvedValue"] for each in found["variables"]}
        self.check("the execution says of what", (revision, variables) == (commit, {"STAGE_NAME": "prod"}), found)

    def broken(self) -> None:
        greeter = self.greeter
        self.repository.commit("settings.json", '{"word": ""}\n')
        bad = greeter.start()
        greeter.answer(greeter.asked(bad))
        greeter.ended(bad, "Failed")
        failed = greeter.action(bad, "Everywhere")
        told = failed["output"]["executionResult"]["errorDetails"]["message"]
        self.check("a bad commit fails its health check", "HealthCheck" in told, told)
        self.check("it went back by itself: both say what they said", self.live() == self.said, self.live())
        id = failed["actionExecutionId"]
        found = greeter.pipeline(
            "list-deploy-action-execution-targets", pipelineName=greeter.name, actionExecutionId=id
        )
        statuses = sorted(each["status"] for each in found["targets"])
        self.check("one target was tried, the other was spared", statuses == ["Failed", "Skipped"], found)

        retried = {"pipelineName": greeter.name, "stageName": "Release", "pipelineExecutionId": bad}
        greeter.pipeline("retry-stage-execution", **retried, retryMode="FAILED_ACTIONS")
        until("the retry fails", lambda: len(self._tries(bad)) == 2 and greeter.status(bad) == "Failed")
        self.check("a retry is another try of the same execution", self._tries(bad) == ["Failed", "Failed"])
        self.check("and changes nothing", self.live() == self.said, self.live())

    def _tries(self, id: str) -> list[str]:
        return [each["status"] for each in self.greeter.actions(id) if each["actionName"] == "Everywhere"]

    def rolled_back(self) -> None:
        greeter = self.greeter
        succeeded = greeter.pipeline(
            "list-pipeline-executions", pipelineName=greeter.name,
            filter={"succeededInStage": {"stageName": "Release"}},
        )["pipelineExecutionSummaries"]  # fmt: skip
        candidates = [each["pipelineExecutionId"] for each in succeeded]
        self.check("two executions can be gone back to", candidates == [self.two, self.one], succeeded)
        given = {"pipelineName": greeter.name, "stageName": "Release", "targetPipelineExecutionId": self.one}
        asked = time.monotonic()
        back = greeter.pipeline("rollback-stage", **given)["pipelineExecutionId"]
        until("both say Hello", lambda: all(said.startswith("Hello test-") for said in self.live()))
        took = time.monotonic() - asked
        greeter.ended(back, "Succeeded")
        found = greeter.execution(back)
        kind = found["executionType"], found["trigger"]["triggerType"], found["rollbackMetadata"]
        wanted = "ROLLBACK", "ManualRollback", {"rollbackTargetPipelineExecutionId": self.one}
        self.check("rolled back by hand, both say what they said at first", kind == wanted, found)
        greeter.say(f"  from the call to both switched {took:.2f} s; the switches alone {self._switches(back)}")

    def _switches(self, id: str) -> str:
        """How long each target's switch took, which is to be below a second."""
        greeter = self.greeter
        action = greeter.action(id, "Everywhere")["actionExecutionId"]
        given = {"pipelineName": greeter.name, "actionExecutionId": action}
        took = []
        for target in greeter.pipeline("list-deploy-action-execution-targets", **given)["targets"]:
            event = next(each for each in target["events"] if each["name"] == "Switch")
            took.append((_time(event["endTime"]) - _time(event["startTime"])).total_seconds())
        self.check("each switched in less than a second", bool(took) and max(took) < 1, took)
        return ", ".join(f"{each * 1000:.0f} ms" for each in took)

    def superseded(self) -> None:
        greeter = self.greeter
        greeter.transition("Approve", False)
        self.repository.commit("settings.json", '{"word": "Hey"}\n')
        first = greeter.start()
        until(
            "it waits", lambda: greeter.stage("Approve").get("inboundExecution", {}).get("pipelineExecutionId") == first
        )
        reason = greeter.stage("Approve")["inboundTransitionState"]
        self.check("where a transition is disabled, it waits", not reason["enabled"] and bool(reason["disabledReason"]))
        second = greeter.start()
        greeter.ended(first, "Superseded")
        self.check("a later one supersedes it", greeter.status(second) == "InProgress")
        greeter.transition("Approve", True)
        token = greeter.asked(second)
        greeter.answer(token, "Rejected")
        greeter.ended(second, "Failed")
        self.check("enabled again, the later one asks; rejected, it has failed", True)
        given = {"pipelineName": greeter.name, "stageName": "Approve", "pipelineExecutionId": second}
        greeter.pipeline("retry-stage-execution", **given, retryMode="FAILED_ACTIONS")
        again = until("it asks anew", lambda: self._other_token(second, token))
        greeter.refused("a token of before the retry is refused", "InvalidApprovalTokenException",
                        "put-approval-result", **greeter.answered(token))  # fmt: skip
        greeter.answer(again)
        greeter.ended(second, "Succeeded")
        self.check("the retry's own is good", all(said.startswith("Hey ") for said in self.live()), self.live())

    def _other_token(self, id: str, old: str) -> str | None:
        found = self.greeter.asked(id)
        return None if found == old else found

    def stopped(self) -> None:
        greeter = self.greeter
        id = greeter.start()
        token = greeter.asked(id)
        given = {"pipelineName": greeter.name, "pipelineExecutionId": id}
        greeter.pipeline("stop-pipeline-execution", **given, abandon=False, reason="to see it wait")
        self.check("stopped, it waits for the action in progress", greeter.status(id) == "Stopping")
        greeter.refused("a second stop is refused", "DuplicatedStopRequestException", "stop-pipeline-execution",
                        **given, abandon=False)  # fmt: skip
        greeter.answer(token)
        greeter.ended(id, "Stopped")
        self.check("that one ends, and no stage begins", greeter.action(id, "Everywhere") is None)
        id = greeter.start()
        greeter.asked(id)
        greeter.pipeline("stop-pipeline-execution", pipelineName=greeter.name, pipelineExecutionId=id, abandon=True)
        greeter.ended(id, "Stopped")
        self.check("or its action is abandoned", greeter.action(id, "Ask")["status"] == "Abandoned")

    def conditions(self) -> None:
        """A condition that skips the approval, and a roll back by itself."""
        greeter = self.greeter
        stages = copy.deepcopy(greeter.plan["stages"])
        stages[2]["beforeEntry"] = {"conditions": [{"result": "SKIP", "rules": [_ONLY_PROD]}]}
        stages[3]["onFailure"] = {"result": "ROLLBACK"}
        greeter.update(stages=stages)
        self.check("the definition was updated", greeter.plan["version"] == 2)
        good = greeter.start()
        greeter.ended(good, "Succeeded")
        skipped = greeter.stage("Approve")
        found = skipped["latestExecution"]["status"], skipped["beforeEntryConditionState"]["latestExecution"]["status"]
        self.check(
            "a condition skips the approval", found[0] == "Skipped" and greeter.action(good, "Ask") is None, found
        )
        said = self.live()
        self.repository.commit("settings.json", '{"word": ""}\n')
        bad = greeter.start()
        greeter.ended(bad, "Failed")
        back = until("it is rolled back", self._automatic)
        greeter.ended(back["pipelineExecutionId"], "Succeeded")
        target = back["rollbackMetadata"]["rollbackTargetPipelineExecutionId"]
        self.check("a stage that fails rolls back by itself", (target, self.live()) == (good, said), back)
        self.repository.commit("settings.json", '{"word": "Good evening"}\n')

    def _automatic(self) -> Any:
        found = self.greeter.executions()[0]
        return found if found.get("trigger", {}).get("triggerType") == "AutomatedRollback" else None

    # ── the other modes ──

    def queued(self) -> None:
        greeter = self.greeter
        greeter.update(executionMode="QUEUED")
        greeter.transition("Release", False)
        ids = [greeter.start() for _ in range(3)]
        until("three wait", lambda: len(greeter.stage("Release").get("inboundExecutions", ())) == 3)
        waiting = [each["pipelineExecutionId"] for each in greeter.stage("Release")["inboundExecutions"]]
        self.check("QUEUED: three wait in their order", waiting == ids, waiting, ids)
        greeter.transition("Release", True)
        for id in ids:
            greeter.ended(id, "Succeeded")
        begun = {id: _time(greeter.action(id, "Everywhere")["startTime"]) for id in ids}
        self.check("and go on in it", sorted(ids, key=begun.__getitem__) == ids, begun)
        self.check("what they released is live", all(said.startswith("Good evening") for said in self.live()))

    def parallel(self) -> None:
        greeter = self.greeter
        stages = copy.deepcopy(greeter.plan["stages"])
        stages[3].pop("onFailure")
        greeter.update(executionMode="PARALLEL", stages=stages)
        ids = [greeter.start(STAGE_NAME="prod") for _ in range(2)]
        tokens = [greeter.asked(id) for id in ids]
        self.check("PARALLEL: two ask at once, each for itself", len(set(tokens)) == 2)
        state = greeter.stage("Approve")
        self.check("the pipeline's state says nothing of them", "latestExecution" not in state, state)
        for token in reversed(tokens):
            greeter.answer(token)
        for id in ids:
            greeter.ended(id, "Succeeded")
        self.check("both went through", all(said.startswith("Good evening prod-") for said in self.live()), self.live())
        greeter.refused(
            "rolling back is refused", "UnableToRollbackStageException", "rollback-stage",
            pipelineName=greeter.name, stageName="Release", targetPipelineExecutionId=ids[0],
        )  # fmt: skip

    # ── CodeDeploy ──

    def in_place(self) -> None:
        """By an application and a group, to both."""
        from drive_pipeline import definition

        greeter, call, name = self.greeter, self.greeter.client.call, self.greeter.name
        call("codedeploy", "create-application", applicationName=name, computePlatform="Server")
        call(
            "codedeploy", "create-deployment-group", applicationName=name, deploymentGroupName=name,
            serviceRoleArn=greeter.role, deploymentConfigName="CodeDeployDefault.OneAtATime",
            onPremisesInstanceTagFilters=[{"Key": "role", "Value": name, "Type": "KEY_AND_VALUE"}],
        )  # fmt: skip
        greeter.plan = definition("codedeploy.json", name, greeter.role, str(greeter.place), greeter.repository_url)
        greeter.update()
        self.check("CodeDeploy: an application, a group, and the pipeline changed to them", greeter.plan["version"] > 3)
        id = greeter.start()
        self.released(id)
        versions = {(target.own / "VERSION").read_text() for target in self.targets}
        self.check("both have the files in place", len(versions) == 1, versions)
        deployment = greeter.action(id, "InPlace")["output"]["executionResult"]["externalExecutionId"]
        ids = call("codedeploy", "list-deployment-targets", deploymentId=deployment)["targetIds"]
        found = call("codedeploy", "batch-get-deployment-targets", deploymentId=deployment, targetIds=ids)
        for target in found["deploymentTargets"]:
            events = {
                each["lifecycleEventName"]: each["status"] for each in target["instanceTarget"]["lifecycleEvents"]
            }
            ran = [events.get(name) for name in ("BeforeInstall", "Install", "AfterInstall", "ValidateService")]
            self.check(f"{target['instanceTarget']['targetId'][-3:]} ran its hooks", ran == ["Succeeded"] * 4, events)

    def delete(self) -> None:
        greeter, call, name = self.greeter, self.greeter.client.call, self.greeter.name
        greeter.pipeline("delete-pipeline", name=name)
        greeter.refused("the pipeline was deleted", "PipelineNotFoundException", "get-pipeline", name=name)
        call("codedeploy", "delete-deployment-group", applicationName=name, deploymentGroupName=name)
        call("codedeploy", "delete-application", applicationName=name)
        for target in self.targets:
            call("codedeploy", "deregister-on-premises-instance", instanceName=target.name)
        call("codebuild", "delete-project", name=name)
        call("iam", "delete-role-policy", RoleName=name, PolicyName="all")
        call("iam", "delete-role", RoleName=name)


def _time(at: Any) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromisoformat(at)
