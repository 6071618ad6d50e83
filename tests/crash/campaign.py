"""A crash campaign: builds are started while the server's processes are killed; then its history is checked.

usage: python -m tests.crash.campaign [--executor NAME] [--shape one|beside|apart] [--builds N] [--seed S] [--rounds N]

Each round prints its seed; the same seed wants the same builds and draws the same moments, though no two runs meet
them at the same instruction.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from tests.crash import story
from tests.crash.checking import mistakes
from tests.crash.history import History
from tests.crash.killer import Killer
from tests.crash.servers import Shape, Yard, own_postgresql
from tests.crash.story import Wanted
from tests.machines import EXECUTORS, Machine

T = TypeVar("T")
_CLIENTS = 4
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "codebuild.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["logs:*", "s3:*"], "Resource": "*"}],
}


@dataclass(frozen=True, slots=True)
class Campaign:
    """What is to be done, and where."""

    machine: Machine
    shape: Shape
    builds: int
    seed: str
    place: Path

    def run(self) -> tuple[list[str], History]:
        """What is wrong afterwards, and what happened."""
        database = own_postgresql() if self.shape is Shape.APART else nullcontext("")
        with database as url:
            yard = Yard(self.machine, self.shape, self.place / "data", url)
            history = History(self.place / "history.jsonl")
            history.write("campaign", executor=self.machine.name, shape=self.shape, seed=self.seed, builds=self.builds)
            try:
                yard.start_all()
                prepare(yard)
                self._disturb(yard, history)
                self._finish(yard, history)
                return mistakes(yard, history), history
            finally:
                yard.stop()

    def _disturb(self, yard: Yard, history: History) -> None:
        """Start all builds while the killer is about, and wait until most of them have ended."""
        chance = random.Random(f"{self.seed} {self.machine.name} {self.shape}")
        wanted = [self._wanted(chance, number) for number in range(self.builds)]
        killer = Killer(yard, random.Random(chance.random()), history)
        with ThreadPoolExecutor(_CLIENTS + 1) as pool, _stopped(killer.stopping):
            killing = pool.submit(killer.go_on, max(8, self.builds // 3))
            slots = threading.Semaphore(16)  # no more wait and run at a time, so that kills meet all of them
            started = [pool.submit(_start, yard, history, each, killer, slots) for each in wanted]
            watching = threading.Thread(target=_release, args=(yard, history, slots, killer.stopping), daemon=True)
            watching.start()
            for future in started:
                future.exception()
            if killer.broken.is_set():
                killing.result()
            for future in started:
                future.result()
            _await_end(yard, history, 60.0, at_most=2)
            killer.stopping.set()
            killing.result()

    def _wanted(self, chance: random.Random, number: int) -> Wanted:
        return Wanted(
            project=chance.choice(story.PROJECTS),
            mark=f"{number}-{chance.getrandbits(32):08x}",
            nap=f"{chance.choice((0, 0, 0, 0.05, 0.1, 0.25)):g}",
            fails=chance.random() < 0.08,
        )

    def _finish(self, yard: Yard, history: History) -> None:
        yard.start_all()
        left = _await_end(yard, history, 90.0)
        history.write("over", left=left)


@contextmanager
def _stopped(event: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def prepare(yard: Yard, **given: Any) -> None:
    """A role, a bucket and the projects; `given` goes over what is usual of a project."""
    iam, codebuild = yard.client("iam"), yard.client("codebuild")
    role = iam.create_role(RoleName="campaign", AssumeRolePolicyDocument=json.dumps(_TRUST))["Role"]["Arn"]
    iam.put_role_policy(RoleName="campaign", PolicyName="builds", PolicyDocument=json.dumps(_ALLOWED))
    yard.client("s3").create_bucket(Bucket=story.BUCKET)
    for name in story.PROJECTS:
        usual: dict[str, Any] = {
            "name": name,
            "source": {"type": "NO_SOURCE", "buildspec": story.buildspec()},
            "artifacts": {
                "type": "S3", "location": story.BUCKET, "name": "made.zip", "packaging": "ZIP",
                "namespaceType": "BUILD_ID",
            },
            "environment": {
                "type": "LINUX_CONTAINER", "image": yard.image, "computeType": "BUILD_GENERAL1_SMALL",
            },
            "serviceRole": role,
        }  # fmt: skip
        codebuild.create_project(**{**usual, **given})


def insist(
    work: Callable[[], T], history: History, what: str, seconds: float = 60.0, vain: threading.Event | None = None
) -> T:
    """What the call answers; again for as long as nobody answers, or the server says that it is its own fault.

    Not if it is in `vain`, nor for more than these seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return work()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise
            history.write("refused", what=what, code=error.response["Error"]["Code"], message=str(error))
        except (BotoCoreError, KeyError) as error:  # an answer that was cut short is, to boto3, one without members
            if time.monotonic() > deadline:
                raise AssertionError(f"nobody answers: {error}") from error
        if time.monotonic() > deadline or (vain is not None and vain.is_set()):
            raise AssertionError(f"{what} gets no good answer")
        time.sleep(0.03)


def _start(yard: Yard, history: History, wanted: Wanted, killer: Killer, slots: threading.Semaphore) -> None:
    slots.acquire(timeout=1.0 if killer.broken.is_set() else 30.0)
    client = yard.client("codebuild")
    call = wanted.call()
    history.write("wanted", mark=wanted.mark)
    build = insist(
        lambda: client.start_build(**call)["build"], history, f"StartBuild {wanted.mark}", vain=killer.broken
    )
    history.write(
        "acknowledged", id=build["id"], number=build["buildNumber"], project=wanted.project, mark=wanted.mark,
        nap=wanted.nap, fails=wanted.fails,
    )  # fmt: skip
    killer.acknowledged.set()


def _release(yard: Yard, history: History, slots: threading.Semaphore, stopping: threading.Event) -> None:
    """A slot for each build that has ended."""
    released = 0
    while not stopping.wait(0.2):
        try:
            ended = len(history.of("acknowledged")) - len(_unended(yard, history))
        except (AssertionError, ClientError):
            continue
        for _ in range(ended - released):
            slots.release()
        released = max(released, ended)


def _unended(yard: Yard, history: History) -> list[str]:
    client = yard.client("codebuild")
    ids = [entry["id"] for entry in history.of("acknowledged")]
    left: list[str] = []
    for first in range(0, len(ids), 100):
        part = ids[first : first + 100]
        found = insist(lambda: client.batch_get_builds(ids=part)["builds"], history, "BatchGetBuilds")  # noqa: B023
        over = {build["id"] for build in found if build["buildComplete"]}
        left += [id for id in part if id not in over]
    return left


def _await_end(yard: Yard, history: History, seconds: float, at_most: int = 0) -> list[str]:
    """Until no more than that have not ended. Those that have not."""
    deadline = time.monotonic() + seconds
    while len(left := _unended(yard, history)) > at_most and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill a server again and again, and see what it lost.")
    parser.add_argument("--executor", choices=[machine.name for machine in EXECUTORS], action="append")
    parser.add_argument("--shape", choices=list(Shape), action="append")
    parser.add_argument("--builds", type=int, default=200)
    parser.add_argument("--seed", default=None)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    failed = 0
    for _ in range(given.rounds):
        for machine in (each for each in EXECUTORS if not given.executor or each.name in given.executor):
            for shape in (each for each in Shape if not given.shape or each in given.shape):
                seed = given.seed or f"{random.SystemRandom().getrandbits(32):08x}"
                place = Path(tempfile.mkdtemp(prefix=f"crash-{machine.name}-{shape}-"))
                began = time.monotonic()
                try:
                    wrong, history = Campaign(machine, shape, given.builds, seed, place).run()
                except Exception:  # noqa: BLE001 - the next round may tell more
                    print(f"{machine.name} {shape} seed {seed}: it broke, {place}", flush=True)
                    traceback.print_exc()
                    failed += 1
                    continue
                strikes = len(history.of("struck"))
                print(
                    f"{machine.name} {shape} seed {seed}: {given.builds} builds, {strikes} kills, "
                    f"{time.monotonic() - began:.0f} s, {len(wrong)} mistakes {place}", flush=True,
                )  # fmt: skip
                for each in wrong[:20]:
                    print(f"  {each}", flush=True)
                failed += bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
