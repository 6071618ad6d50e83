"""Pipelines that start pipelines: a chain that came back to where it was would never end, so it is refused."""

from functools import partial

from codeyard.aws import Refused
from codeyard.pipelines import executions_table
from codeyard.pipelines.actions import Place
from codeyard.store import Database

_LONGEST = 50  # executions that began each other
_ARN = "arn:aws:codepipeline:"


async def check_chain(db: Database, place: Place, name: str) -> None:
    """Nothing, if an action at this place may start the pipeline of this name.

    An execution that another began has, as its trigger's detail, `ARN of the pipeline/execution`. Refused: the chain of
    executions that began each other leads back to this pipeline, or is too long.
    """
    seen, pipeline, id = {place.pipeline}, place.pipeline, place.execution
    for _ in range(_LONGEST):
        if name in seen:
            text = f"Pipelines that start each other in a circle would never end: {name} is in the chain already"
            raise Refused("ConflictException", text, 409)
        detail = await db.read(partial(executions_table.trigger_detail, owner=place.owner, pipeline=pipeline, id=id))
        before = (detail or "").rpartition(":")[2]
        if "/" not in before or not (detail or "").startswith(_ARN):
            return
        pipeline, _, id = before.partition("/")
        seen.add(pipeline)
    raise Refused("ConflictException", "The chain of pipelines that start each other is too long", 409)
