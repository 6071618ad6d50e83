"""Workflows on DBOS Transact: their steps are rows in SQLite or PostgreSQL, written as each step ends.

A process has a name (`executor_id`), the same each time it starts: what it left unfinished is taken up again when it
starts, in the event loop that called `launch`. What one process began, no other takes up: its sandboxes are there.

DBOS numbers steps; ours have names. So the answers are kept by name for as long as a workflow runs, and a body that
begins again after an error finds those that are done; and a number that another step had is passed over, for a body
that finds its work done by a process before leaves steps out.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbos import DBOS, Serializer, SetWorkflowID, error
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

from codeyard.durable import Answer, Steps

Body = Callable[[str, Steps], Awaitable[None]]
# By hand: by default it is a hash of our source, and an edit to that would strand the builds in flight.
_VERSION = "1"
# Seconds between looks for what was left unfinished: at first, for so long, and then.
_RECOVERING, _RECOVERS_FOR, _RECOVERED = 0.1, 30.0, 10.0
_AT_ONCE = 500  # workflows of one look
_AGAIN = 5.0  # seconds until a body that broke begins again
_AWAITED = 1.0  # seconds until a database that was away is tried again
_BUSY = 20.0  # seconds for another process that writes
_log = logging.getLogger(__name__)


class DbosWorkflows:
    """Made once for a process: DBOS itself is one for each process."""

    def __init__(self, url: str, executor_id: str, bodies: Mapping[str, Body], *, look: float = 5.0) -> None:
        """`url` is that of SQLAlchemy; each body is called with the workflow's id and its steps. `look`: seconds until
        it is looked whether a body's end was written down, and between such looks.

        A body's name is stored with each workflow that began: renamed, those are not found any more.
        """
        self._url, self._executor_id, self._bodies, self._look = url, executor_id, bodies, look
        self._ended: dict[str, float] = {}  # when the bodies did of those workflows that may not be over
        self._looking: asyncio.Task[None] | None = None
        self._make()

    def _make(self) -> None:
        # Its warnings tell of what is as it should be: versions that differ, workflows that are asked for twice.
        logging.getLogger("dbos").setLevel(logging.ERROR)
        config: dict[str, Any] = {
            "name": "codeyard",
            # With our name: DBOS takes up what was left unfinished by way of a queue, from which any process of the
            # same version takes, and the sandboxes are here.
            "application_version": f"{_VERSION}/{self._executor_id}",
            "executor_id": self._executor_id,
            "serializer": _Json(),
            "log_level": "ERROR",
            "use_listen_notify": False,  # nothing here waits for DBOS's messages
            "notification_listener_polling_interval_sec": 5.0,
            "scheduler_polling_interval_sec": 3600.0,
        }
        if self._url.startswith("sqlite"):
            config |= {"system_database_url": self._url, "system_database_engine": _sqlite(self._url)}
        else:
            config |= {"system_database_url": self._url, "sys_db_pool_size": 5}
        self._dbos = DBOS(config=config)  # type: ignore[arg-type] # a TypedDict, of which we give a part
        self._workflows = {name: self._workflow(name, body) for name, body in self._bodies.items()}

    async def launch(self) -> None:
        """Connect, and take up what this process's namesake left unfinished. It waits for a database that is away."""
        while True:
            self._calm(_RECOVERING)
            try:
                DBOS.launch()
                break
            except DBAPIError as away:
                _log.warning("journal_awaited error=%s", str(away.orig).partition("\n")[0])
            DBOS.destroy(destroy_registry=True)  # half launched, it cannot be again
            await asyncio.sleep(_AWAITED)
            self._make()
        asyncio.get_running_loop().call_later(_RECOVERS_FOR, self._calm, _RECOVERED)
        self._looking = asyncio.create_task(self._look_after())

    def _calm(self, queue: float) -> None:
        """Have DBOS look less often for what is never there: timers, and workflows in queues (each `queue` seconds).

        It asks its database several times a second otherwise, which is most of what an idle server would do. There is
        no setting for it; where a version of DBOS has other names for these, it stays as lively as it likes.
        """
        with suppress(AttributeError):
            self._dbos._background_jobs_stop_event.set()  # no workflow here has a timeout or a delay
        with suppress(AttributeError):
            self._dbos._registry.get_internal_queue()._polling_interval_sec = queue

    async def start(self, name: str, id: str) -> None:
        """Begin it, and answer once that is written down.

        Of one that has begun before no step is done again, though its body may be gone through once more.
        """
        with SetWorkflowID(id):
            await DBOS.start_workflow_async(self._workflows[name], id)

    async def close(self) -> None:
        """Let go of the database. What still runs is taken up by the next process of this name."""
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.to_thread(DBOS.destroy)

    def _workflow(self, name: str, body: Body) -> Callable[[str], Coroutine[Any, Any, None]]:
        @DBOS.workflow(name=name, max_recovery_attempts=None)  # however often we are killed
        async def run(id: str) -> None:
            steps = _DbosSteps()
            while True:
                try:
                    await body(id, steps)
                    self._ended[id] = time.monotonic()
                    return
                except Exception:  # noqa: BLE001 - the next try may go better
                    # Never to DBOS: for it a workflow that raised is over, and its build would be waited for in vain.
                    _log.exception("workflow_broke name=%s id=%s", name, id)
                await asyncio.sleep(_AGAIN)

        return run

    async def _look_after(self) -> None:
        """Go again through those that DBOS could not write down as over, be it as failed: it tries no third time."""
        while True:
            await asyncio.sleep(self._look)
            latest = time.monotonic() - self._look
            ended = [(id, at) for id, at in self._ended.items() if at < latest][:_AT_ONCE]
            try:
                for left in await self._not_over([id for id, _ in ended]) if ended else ():
                    await DBOS.resume_workflow_async(left)
            except Exception as failed:  # noqa: BLE001 - a disk that is still full, a database that is away
                _log.warning("journal_awaited error=%s", str(failed).partition("\n")[0])
                continue
            for id, at in ended:
                if self._ended[id] == at:  # else it has ended again
                    del self._ended[id]

    async def _not_over(self, ids: list[str]) -> list[str]:
        found = await DBOS.list_workflows_async(
            workflow_ids=ids, status="PENDING", load_input=False, load_output=False, limit=_AT_ONCE
        )
        return [each.workflow_id for each in found]


class _DbosSteps:
    """The steps of one workflow as it runs in this process."""

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}

    async def step(self, name: str, work: Callable[[], Awaitable[Answer]]) -> Answer:
        while name not in self._answers:
            with suppress(error.DBOSUnexpectedStepError):  # told before `work` begins; the next try has the next number
                self._answers[name] = await DBOS.run_step_async({"name": name}, _doing(work))
        return self._answers[name]


def _doing(work: Callable[[], Awaitable[Answer]]) -> Callable[[], Any]:
    async def do() -> Answer:
        # As a process that finds it written down will have it.
        answer: Answer = json.loads(json.dumps(await work()))
        return answer

    return do


class _Json(Serializer):
    """JSON, and for errors their text: no pickle, so that whoever can write a row cannot run code here."""

    def name(self) -> str:
        return "codeyard_json"

    def serialize(self, data: Any) -> str:
        return json.dumps(data, default=lambda odd: {"error": f"{type(odd).__name__}: {odd}"})

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data)


def _sqlite(url: str) -> Engine:
    Path(make_url(url).database or "").parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(url, connect_args={"timeout": _BUSY, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # NORMAL: after a power cut the last steps may be done again, which they bear.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"busy_timeout = {int(_BUSY * 1000)}"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
