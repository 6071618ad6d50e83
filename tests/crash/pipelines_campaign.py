"""A crash campaign: pipelines' executions are started while servers, workers and agents are killed; then all that
they did is looked at.

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
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crash import pipelines_story as story
from tests.crash.history import History
from tests.crash.pipelines_checking import mistakes
from tests.crash.pipelines_killer import PipelinesKiller
from tests.crash.pipelines_people import People, receiving
from tests.crash.pipelines_places import Places, sampling
from tests.crash.pipelines_story import Order
from tests.crash.servers import Shape, own_postgresql
from tests.machines import EXECUTORS, Machine

_LIVE = ("InProgress", "Stopping")
_AT_ONCE = {"super": 3, "queue": 4, "parallel": 4}  # executions under way
_END = 90.0  # seconds for what is left, once nobody is killed any more


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
                    prepare(places, receiver)
                    places.enrol()
                    self._disturb(people)
                return mistakes(places, history, self.place / "sampled.json"), history
            finally:
                people.stopping.set()
                places.stop()

    def _disturb(self, people: People) -> None:
        """Start all executions while the killer is about, and wait until all have ended."""
        chance = random.Random(f"{self.seed} {self.machine.name} {self.shape} pipelines")
        orders = [self._order(chance, number) for number in range(self.executions - 2 * len(story.MODES))]
        helping = people.working(people.approve, people.work)
        for name in story.MODES:
            await_end(people, name, 0, 60.0, first=True)
        killer = PipelinesKiller(people.places, random.Random(chance.random()), people)
        with ThreadPoolExecutor(len(story.MODES) + 1) as pool:
            killing = pool.submit(killer.go_on, self.kills if self.kills is not None else max(6, self.executions // 4))
            mine = {name: [each for each in orders if each.pipeline == name] for name in story.MODES}
            starting = [pool.submit(_start_all, people, name, some) for name, some in mine.items()]
            try:
                for started in starting:
                    started.result()
                for name in story.MODES:
                    await_end(people, name, 1, 45.0)
            finally:
                killer.stopping.set()
                killing.result()
        for name in story.MODES:  # what is cut off last is cleared up by the next one, and nothing cuts that off
            await_end(people, name, 0, _END)
            _start_all(people, name, [Order(name, f"last-{name}")])
        left = [id for name in story.MODES for id in await_end(people, name, 0, _END)]
        people.history.write("over", left=left)
        people.stopping.set()
        for each in helping:
            each.join(30)

    def _order(self, chance: random.Random, number: int) -> Order:
        return Order(
            pipeline=chance.choice(tuple(story.MODES)),
            mark=f"{number}-{chance.getrandbits(32):08x}",
            nap=f"{chance.choice((0, 0, 0, 0.05)):g}",
            bad=number % 10 == 7,
            rejected=number % 14 == 3,
            rounds=chance.choice((1, 1, 2)),
        )


def prepare(places: Places, receiver: str) -> None:
    """A role, buckets, a repository, projects, a custom action type, and the pipelines."""
    iam, codebuild, codepipeline = (places.client(name) for name in ("iam", "codebuild", "codepipeline"))
    principal = {"Service": ["codebuild.amazonaws.com", "codepipeline.amazonaws.com"]}
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
    for name in story.MODES:
        codepipeline.create_pipeline(pipeline=story.definition(name, role, places.place / "srv", receiver))


def _policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _repository(path: Path) -> None:
    path.mkdir(parents=True)
    for name, text in story.SOURCE.items():
        (path / name).write_text(text)
    git = ["git", "-C", str(path), "-c", "user.name=Campaign", "-c", "user.email=campaign@example.com"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "All of it"]):
        subprocess.run([*git, *arguments], check=True)


def _start_all(people: People, name: str, orders: list[Order]) -> None:
    client = people.places.client("codepipeline")
    for order in orders:
        await_end(people, name, _AT_ONCE[name] - 1, 60.0)
        start = lambda order=order: client.start_pipeline_execution(  # noqa: E731
            name=name, variables=order.variables(), clientRequestToken=order.mark
        )["pipelineExecutionId"]
        people.history.write("wanted", mark=order.mark)
        id = people.insist(f"StartPipelineExecution {order.mark}", start)
        people.history.write(
            "acknowledged", id=id, pipeline=name, mark=order.mark, bad=order.bad, rejected=order.rejected,
            rounds=order.rounds, nap=order.nap,
        )  # fmt: skip
        people.orders[id] = order
        people.counts["acknowledged"] += 1


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
