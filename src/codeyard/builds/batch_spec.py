"""The `batch` block of a buildspec: which builds a batch is made of, and what each changes (reference 8.3 to 8.7).

Reads and checks; what may start when is decided elsewhere.
"""

import math
import re
from dataclasses import dataclass, field

from codeyard.located_yaml import Cursor, excerpt

IDENTIFIER = r"[A-Za-z0-9_-]{1,128}"
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
STATIC_ENVIRONMENT = ("compute-type", "image", "privileged-mode", "type", "variables")
TASK_ENVIRONMENT = ("fleet", *STATIC_ENVIRONMENT)
FORMS = ("build-list", "build-graph", "build-matrix", "build-fanout")
MAX_BUILDS = 100  # of one batch; the service's cap


@dataclass(frozen=True, slots=True)
class TaskEnvironment:
    """What a task changes of the project's environment; None leaves the project's value."""

    compute_type: str | None = None
    fleet: str | None = None
    image: str | None = None
    type: str | None = None
    privileged_mode: bool | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BatchTask:
    identifier: str
    buildspec: str | None = None
    environment: TaskEnvironment = TaskEnvironment()
    ignore_failure: bool = False
    debug_session: bool = False
    depend_on: tuple[str, ...] = ()  # of a graph; every one is another task, and there is no cycle


@dataclass(frozen=True, slots=True)
class BuildList:
    tasks: tuple[BatchTask, ...]


@dataclass(frozen=True, slots=True)
class BuildGraph:
    tasks: tuple[BatchTask, ...]


@dataclass(frozen=True, slots=True)
class BuildMatrix:
    """The product of all the lists that are not empty, one build for each combination."""

    ignore_failure: bool = False
    environment: TaskEnvironment = TaskEnvironment()
    buildspecs: tuple[str, ...] = ()
    compute_types: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    variables: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuildFanout:
    parallelism: int
    ignore_failure: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    form: BuildList | BuildGraph | BuildMatrix | BuildFanout
    fast_fail: bool = False


def read_batch(batch: Cursor) -> Batch | None:
    """The block, or None if it is absent or too wrong to be one; its mistakes are noted."""
    if not batch.given:
        return None
    keys = batch.block("fast-fail", *FORMS)
    fast_fail = keys["fast-fail"].flag(default=False)
    given = [keys[name] for name in FORMS if keys[name].given]
    if len(given) != 1:
        where = given[1].mistake_at_key if given else batch.mistake_at_key
        where(
            f"Expected one of {','.join(FORMS)} in batch: found {len(given)}",
            "Keep one of them." if given else "Say what to build with one of them.",
        )
        return None
    form: BuildList | BuildGraph | BuildMatrix | BuildFanout | None
    match given[0].name:
        case "build-list":
            form = BuildList(_tasks(given[0], graph=False))
        case "build-graph":
            form = BuildGraph(_tasks(given[0], graph=True))
        case "build-matrix":
            form = _matrix(given[0])
        case _:
            form = _fanout(given[0])
    return Batch(form, fast_fail) if form else None


def read_variables(variables: Cursor) -> dict[str, str]:
    """Names and literal values; a number or a boolean is the text that stood there, null is empty."""
    return {name: value.text() or "" for name, value in variables.pairs() if variable_name(name, value)}


def variable_name(name: str, value: Cursor) -> bool:
    """Whether a shell could hold a variable of this name; a mistake is noted if not."""
    if re.fullmatch(VARIABLE, name):
        return True
    what = f"Invalid environment variable name: {excerpt(name)}"
    value.mistake_at_key(what, "Use letters, digits and underscores, not starting with a digit.")
    return False


def _environment(env: Cursor, *allowed: str) -> TaskEnvironment:
    keys = env.block(*allowed)
    words = {name: keys[name].word() for name in ("compute-type", "fleet", "image", "type") if name in keys}
    privileged = keys["privileged-mode"]
    if words["compute-type"] and words.get("fleet"):
        keys["fleet"].mistake_at_key("compute-type and fleet cannot both be set on one task", "Keep one of the two.")
    return TaskEnvironment(
        compute_type=words["compute-type"],
        fleet=words.get("fleet"),
        image=words["image"],
        type=words["type"],
        privileged_mode=privileged.flag(default=False) if privileged.given else None,
        variables=read_variables(keys["variables"]),
    )


def _tasks(tasks: Cursor, *, graph: bool) -> tuple[BatchTask, ...]:
    items = tasks.list("task")
    if not items and tasks.given:
        tasks.mistake_at_key(f"{tasks.name} has no tasks", "Give it at least one task with an identifier.")
    if len(items) > MAX_BUILDS:
        items[MAX_BUILDS].mistake(f"More than {MAX_BUILDS} tasks in {tasks.name}", "Split the batch.")
        return ()
    depend_on: dict[str, Cursor] = {}
    read: dict[str, BatchTask] = {}
    for item in items:
        task, needs = _task(item, graph)
        if task is None:
            continue
        if task.identifier in read:
            item.mistake(f"Duplicate identifier in batch: {task.identifier}", "Give each task its own identifier.")
            continue
        read[task.identifier] = task
        if needs is not None:
            depend_on[task.identifier] = needs
    _check_graph(read, depend_on)
    return tuple(read.values())


def _task(item: Cursor, graph: bool) -> tuple[BatchTask | None, Cursor | None]:
    if not item.given:
        item.mistake("A task is empty", "Give it an identifier, or remove the dash.")
        return None, None
    extra = ("depend-on",) if graph else ()
    keys = item.block("identifier", "buildspec", "debug-session", "env", "ignore-failure", *extra)
    identifier = keys["identifier"].word()
    if not keys["identifier"].given:
        item.mistake("identifier is required for a task of a batch", "Add `identifier:` with a name of its own.")
    elif identifier is not None and not re.fullmatch(IDENTIFIER, identifier):
        what = f"Invalid identifier: {excerpt(identifier)}"
        keys["identifier"].mistake(what, "Use up to 128 letters, digits, underscores and dashes.")
    task = BatchTask(
        identifier=identifier or "",
        buildspec=keys["buildspec"].word(),
        environment=_environment(keys["env"], *TASK_ENVIRONMENT),
        ignore_failure=keys["ignore-failure"].flag(default=False),
        debug_session=keys["debug-session"].flag(default=False),
        depend_on=tuple(dict.fromkeys(keys["depend-on"].texts())) if graph else (),
    )
    return (task if identifier else None), keys.get("depend-on")


def _check_graph(tasks: dict[str, BatchTask], depend_on: dict[str, Cursor]) -> None:
    """Each dependency is a task, and following them never leads back (found by taking away what waits for nothing)."""
    waits: dict[str, set[str]] = {}
    for name, task in tasks.items():
        for needed in depend_on[name].items() if name in depend_on else ():
            text = needed.text()
            if text is not None and text not in tasks:
                fix = f"Name one of {', '.join(list(tasks)[:10])}."
                needed.mistake(f"depend-on names no task of this batch: {excerpt(text)}", fix)
        waits[name] = {needed for needed in task.depend_on if needed in tasks}
    while free := {name for name, needed in waits.items() if not needed}:
        waits = {name: needed - free for name, needed in waits.items() if name not in free}
    if waits:
        cycle = _cycle(waits)
        what = f"The tasks wait for each other: {' -> '.join(excerpt(name) for name in cycle[:10])}"
        depend_on[cycle[0]].mistake(what, "Remove one of these dependencies.")


def _cycle(waits: dict[str, set[str]]) -> list[str]:
    """One cycle of a graph in which every task waits for another one of it; it starts and ends with the same task."""
    path = [min(waits)]
    while (following := min(waits[path[-1]])) not in path:
        path.append(following)
    return [*path[path.index(following) :], following]


def _matrix(matrix: Cursor) -> BuildMatrix:
    keys = matrix.block("static", "dynamic")
    static = keys["static"].block("env", "ignore-failure")
    dynamic = keys["dynamic"].block("buildspec", "env")
    env = dynamic["env"].block("compute-type", "image", "variables")
    lists = (dynamic["buildspec"], env["compute-type"], env["image"])
    variables = {name: _values(cursor) for name, cursor in env["variables"].pairs() if variable_name(name, cursor)}
    if not any(cursor.given for cursor in (*lists, env["variables"])):
        fix = "Give `dynamic` a buildspec list, or env with compute-type, image or variables."
        keys["dynamic"].mistake_at_key("build-matrix has nothing to combine", fix)
    specs, compute_types, images = (_values(cursor) for cursor in lists)
    combinations = math.prod(max(len(values), 1) for values in (specs, compute_types, images, *variables.values()))
    if combinations > MAX_BUILDS:
        what = f"build-matrix makes {combinations if combinations < 10**9 else 'too many'} builds"
        keys["dynamic"].mistake_at_key(what, f"Keep it to {MAX_BUILDS}.")
    return BuildMatrix(
        ignore_failure=static["ignore-failure"].flag(default=False),
        environment=_environment(static["env"], *STATIC_ENVIRONMENT),
        buildspecs=specs,
        compute_types=compute_types,
        images=images,
        variables=variables,
    )


def _values(cursor: Cursor) -> tuple[str, ...]:
    values = cursor.texts()
    if cursor.given and not cursor.items():
        cursor.mistake_at_key(f"{cursor.name} has no values", "Give it at least one: no value makes no build.")
    return values


def _fanout(fanout: Cursor) -> BuildFanout | None:
    keys = fanout.block("parallelism", "ignore-failure")
    ignore_failure = keys["ignore-failure"].flag(default=False)
    text = keys["parallelism"].text()
    if not keys["parallelism"].given:
        fanout.mistake_at_key("parallelism is required in build-fanout", "Say how many builds share the work.")
        return None
    if text is None:
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text) or int(text) > MAX_BUILDS:
        what = f"Invalid parallelism: {excerpt(text)}"
        keys["parallelism"].mistake(what, f"Use a whole number from 1 to {MAX_BUILDS}.")
        return None
    return BuildFanout(int(text), ignore_failure)
