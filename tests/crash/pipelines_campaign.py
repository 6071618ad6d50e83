"""A crash campaign: pipelines' executions are started, stopped, tried again and gone back from, and pipelines updated,
closed and opened, while servers, workers and agents are killed; then all that they did is looked at.

usage: python -m tests.crash.pipelines_campaign [--executor NAME] [--shape one|apart] [--executions N] [--seed S]
       [--rounds N]

Each round prints its seed; the same seed wants the same executions and draws the same moments, though no two runs meet
them at the same instruction.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.history import History
from tests.crash.pipelines_checking import mistakes
from tests.crash.pipelines_killer import PipelinesKiller
from tests.crash.pipelines_people import People, receiving
from tests.crash.pipelines_places import Places, sampling
from tests.crash.pipelines_story import Order
from tests.crash.pipelines_verbs import Verbs
from tests.crash.servers import Shape, own_postgresql
from tests.machines import EXECUTORS, Machine

_LIVE = ("InProgress", "Stopping")
_AT_ONCE = {"super": 3, "queue": 4, "parallel": 4}  # executions under way
_END = 90.0  # seconds for what is left, once nobody is killed any more
# By an order's number, over and over: what is done to its execution, and to its pipeline.
_STOPS = {4: "wait", 9: "abandon", 13: "both"}  # of 16
_VERBS = {2: "update", 5: "close", 10: "back", 12: "close", 14: "back"}  # of 15
_MODES = ("FAILED_ACTIONS", "ALL_ACTIONS")


@dataclass(frozen=True, slots=True)
class PipelinesCampaign:
    """What is to be done, and where. SHAPE.APART is two `serve` and a worker over PostgreSQL."""

    machine: Machine
    shape: Shape
    executions: int
    seed: str
    place: Path
    kills: int | None = None  # at the most
    lease: float | None = None  # see Places; if it is short, whatever is away for too long is given up too

    def run(self) -> tuple[list[str], History]:
        """What is wrong afterwards, and what happened."""
        with own_postgresql() if self.shape is Shape.APART else nullcontext("") as url:
            places = Places(self.machine, self.shape, self.place, url, self.lease)
            history = History(self.place / "history.jsonl")
            history.write("campaign", machine=self.machine.name, shape=self.shape, seed=self.seed)
            people = People(places, history, pause=0.02)
            try:
                with sampling(places.targets, self.place / "sampled.json"), receiving(people) as receiver:
                    places.start_servers()
                    define = prepare(places, receiver)
                    places.enrol()
                    self._disturb(people, Verbs(people, define))
                return mistakes(places, history, self.place / "sampled.json"), history
            finally:
                people.stopping.set()
                places.stop()

    def _disturb(self, people: People, verbs: Verbs) -> None:
        """Start all executions while the killer is about, and wait until all have ended."""
        chance = random.Random(f"{self.seed} {self.machine.name} {self.shape} pipelines")
        orders = [self._order(chance, number) for number in range(self.executions - 2 * len(story.MODES))]
        people.wanted.update({order.mark: order for order in orders})
        helping = people.working(people.approve, people.work)
        for name in story.MODES:
            await_end(people, name, 0, 60.0, first=True)
        killer = PipelinesKiller(people.places, random.Random(chance.random()), people)
        with ThreadPoolExecutor(len(story.MODES) + 2) as pool:
            killing = pool.submit(killer.go_on, self.kills if self.kills is not None else max(6, self.executions // 4))
            tending = pool.submit(verbs.go_on)
            mine = {name: [each for each in orders if each.pipeline == name] for name in story.MODES}
            starting = [pool.submit(_start_all, people, verbs, name, some) for name, some in mine.items()]
            try:
                for started in starting:
                    started.result()
                for name in story.MODES:
                    await_end(people, name, 1, 45.0)
            finally:
                killer.stopping.set()
                verbs.stopping.set()
                killing.result()
                tending.result()
        for name in story.MODES:  # what is cut off last is cleared up by the next one, and nothing cuts that off
            await_end(people, name, 0, _END)
            _start_all(people, verbs, name, [Order(name, f"last-{name}")])
        left = [id for name in story.MODES for id in await_end(people, name, 0, _END)]
        people.history.write("over", left=left)
        await_rest(people)
        people.stopping.set()
        for each in helping:
            each.join(30)

    def _order(self, chance: random.Random, number: int) -> Order:
        flaky, bad, stop = number % 6 == 1, number % 10 == 7, _STOPS.get(number % 16, "")
        return Order(
            pipeline=chance.choice(tuple(story.MODES)),
            mark=f"{number}-{chance.getrandbits(32):08x}",
            nap=f"{chance.choice((0, 0, 0, 0.05)):g}",
            bad=bad,
            rejected=number % 14 == 3,
            rounds=chance.choice((1, 1, 2)),
            flaky=flaky,
            again=chance.choice(_MODES) if flaky or stop or number % 20 == 7 else "",
            stop=stop,
            verb=_VERBS.get(number % 15, ""),
            after=chance.uniform(0.0, 8.0),
        )


def prepare(places: Places, receiver: str) -> Callable[[str, int], dict[str, Any]]:
    """A role, buckets, a repository, projects, a custom action type, applications, and the pipelines, whose
    definitions are given by name and revision."""
    iam, codebuild, codepipeline = (places.client(name) for name in ("iam", "codebuild", "codepipeline"))
    principal = {"Service": [f"{name}.amazonaws.com" for name in ("codebuild", "codedeploy", "codepipeline")]}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    role = iam.create_role(RoleName="campaign", AssumeRolePolicyDocument=_policy(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName="campaign", PolicyName="all", PolicyDocument=_policy(allowed))
    s3 = places.client("s3")
    for bucket in (story.BUCKET, story.ARTIFACTS):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=story.BUCKET, Key="app.zip", Body=story.source_zip())
    _repository(places.place / "git" / story.REPOSITORY)
    for project in story.PROJECTS:
        codebuild.create_project(
            name=project, serviceRole=role, artifacts={"type": "CODEPIPELINE"},
            source={"type": "CODEPIPELINE", "buildspec": story.buildspec(project)},
            environment={
                "type": "LINUX_CONTAINER", "image": places.yard.image, "computeType": "BUILD_GENERAL1_SMALL",
            },
        )  # fmt: skip
    counter = {name: story.COUNTER[name] for name in ("category", "provider", "version")}
    properties = [{"name": name, "required": True, "key": False, "secret": False} for name in ("Mark", "Rounds")]
    counts: Any = {"minimumCount": 0, "maximumCount": 5}
    codepipeline.create_custom_action_type(
        **counter, configurationProperties=properties, inputArtifactDetails=counts, outputArtifactDetails=counts
    )

    def define(name: str, revision: int) -> dict[str, Any]:
        return story.definition(name, role, places.place / "srv", receiver, revision)

    for name in story.MODES:
        _application(places, name, role)
        codepipeline.create_pipeline(pipeline=define(name, 0))
    return define


def _application(places: Places, name: str, role: str) -> None:
    """What the pipeline installs in place, on all targets."""
    codedeploy, application = places.client("codedeploy"), story.application(name)
    codedeploy.create_application(applicationName=application, computePlatform="Server")
    codedeploy.create_deployment_group(
        applicationName=application, deploymentGroupName=story.GROUP, serviceRoleArn=role,
        deploymentConfigName=f"CodeDeployDefault.{story.CONFIGURATIONS[name]}",
        onPremisesInstanceTagFilters=[{"Key": "role", "Value": "web", "Type": "KEY_AND_VALUE"}],
        autoRollbackConfiguration={"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
    )  # fmt: skip


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _repository(path: Path) -> None:
    path.mkdir(parents=True)
    for name, text in story.SOURCE.items():
        (path / name).write_text(text)
    git = ["git", "-C", str(path), "-c", "user.name=Campaign", "-c", "user.email=campaign@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "All of it"]):
        subprocess.run([*git, *arguments], check=True)


def _start_all(people: People, verbs: Verbs, name: str, orders: list[Order]) -> None:
    client = people.places.client("codepipeline")
    for order in orders:
        await_end(people, name, _AT_ONCE[name] - 1, 60.0)
        start = lambda order=order: client.start_pipeline_execution(  # noqa: E731
            name=name, variables=order.variables(), clientRequestToken=order.mark
        )["pipelineExecutionId"]
        people.history.write("wanted", mark=order.mark)
        id = people.insist(f"StartPipelineExecution {order.mark}", start)
        people.history.write("acknowledged", id=id, order=asdict(order))
        people.orders[id] = order
        people.counts["acknowledged"] += 1
        verbs.began(id, order)
        _use(verbs, name, order)
        if order.again and not order.stop and name != "parallel":  # who comes next would make it too late for that
            _await_tended(people, verbs, id)


def _use(verbs: Verbs, name: str, order: Order) -> None:
    chance = random.Random(order.mark)
    match order.verb:
        case "update":
            verbs.update(name)
        case "close":
            verbs.close(name, chance)
        case "back" if name != "parallel":
            verbs.back(name, chance)


def _await_tended(people: People, verbs: Verbs, id: str) -> None:
    deadline = time.monotonic() + 15.0
    while id not in verbs.tended and time.monotonic() < deadline and not people.broken.is_set():
        time.sleep(0.1)


def await_rest(people: People) -> None:
    """What abandoned actions had begun goes on without them, and comes to its end."""
    codebuild, codedeploy = people.places.client("codebuild"), people.places.client("codedeploy")
    under_way = ["Created", "Queued", "InProgress"]
    deadline = time.monotonic() + _END
    while time.monotonic() < deadline:
        newest = (codebuild.list_builds_for_project(projectName=name)["ids"][:50] for name in story.PROJECTS)
        builds = codebuild.batch_get_builds(ids=[id for some in newest for id in some])["builds"]
        deployments = codedeploy.list_deployments(includeOnlyStatuses=under_way)["deployments"]
        if not deployments and all(each["buildComplete"] for each in builds):
            return
        time.sleep(0.2)


def await_end(people: People, name: str, most: int, seconds: float, *, first: bool = False) -> list[str]:
    """Until no more than so many executions of the pipeline are under way, or it took too long. Those that are."""
    client = people.places.client("codepipeline")
    deadline = time.monotonic() + seconds
    while True:
        ask = lambda: client.list_pipeline_executions(  # noqa: E731
            pipelineName=name, maxResults=40
        )["pipelineExecutionSummaries"]
        found = people.insist("ListPipelineExecutions", ask)
        if first and found:
            people.orders.setdefault(found[-1]["pipelineExecutionId"], story.first(name))
        left = [each["pipelineExecutionId"] for each in found if each["status"] in _LIVE]
        if len(left) <= most or time.monotonic() > deadline:
            return left
        time.sleep(0.15)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill whatever runs pipelines again and again; see what was lost.")
    parser.add_argument("--executor", choices=[machine.name for machine in EXECUTORS], default="process")
    parser.add_argument("--shape", choices=[Shape.ONE, Shape.APART], action="append")
    parser.add_argument("--executions", type=int, default=200)
    parser.add_argument("--kills", type=int, default=None)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--lease", type=float, default=None, help="Seconds: what is away longer is given up.")
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    (machine,) = [each for each in EXECUTORS if each.name == given.executor]
    failed = 0
    for _ in range(given.rounds):
        for shape in given.shape or (Shape.ONE,):
            seed = given.seed or f"{random.SystemRandom().getrandbits(32):08x}"
            place = Path(tempfile.mkdtemp(prefix=f"crash-pipelines-{machine.name}-{shape}-"))
            began = time.monotonic()
            try:
                campaign = PipelinesCampaign(
                    machine, Shape(shape), given.executions, seed, place, given.kills, given.lease
                )
                wrong, history = campaign.run()
            except Exception:  # noqa: BLE001 - the next round may tell more
                print(f"{machine.name} {shape} seed {seed}: it broke, {place}", flush=True)
                traceback.print_exc()
                failed += 1
                continue
            strikes = len(history.of("struck"))
            print(
                f"{machine.name} {shape} seed {seed}: {given.executions} executions, {strikes} kills, "
                f"{time.monotonic() - began:.0f} s, {len(wrong)} mistakes {place}", flush=True,
            )  # fmt: skip
            print(f"  {history.of('counted')[0]['counted']}")
            for each in wrong[:20]:
                print(f"  {each}", flush=True)
            failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
