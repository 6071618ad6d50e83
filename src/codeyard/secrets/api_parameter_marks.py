"""Parameter Store's operations on what a parameter bears: the labels of its versions, and its tags."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.secrets import parameter_names as names
from codeyard.secrets import parameters_table as table
from codeyard.secrets import tags
from codeyard.secrets.parameters import label, unlabel
from codeyard.store import Database, Tx

Labels = Mapping[str, int]


def _resource(call: Call) -> str:
    return names.named_arn(call.owner, call.input["ResourceId"])


class MarkOperations:
    """Labels and tags."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @operation("LabelParameterVersion", names.one)
    async def label_parameter_version(self, call: Call) -> Shape:
        asked = call.input["Labels"]
        version, invalid = await self._db.write(
            lambda tx: _relabelled(tx, call, lambda labels, version: label(labels, version, asked))
        )
        return {"InvalidLabels": invalid, "ParameterVersion": version}

    @operation("UnlabelParameterVersion", names.one)
    async def unlabel_parameter_version(self, call: Call) -> Shape:
        asked = call.input["Labels"]
        _, removed = await self._db.write(
            lambda tx: _relabelled(tx, call, lambda labels, version: unlabel(labels, version, asked))
        )
        return {"RemovedLabels": removed, "InvalidLabels": [text for text in asked if text not in removed]}

    @operation("AddTagsToResource", _resource)
    async def add_tags_to_resource(self, call: Call) -> Shape:
        added = call.input["Tags"]
        await self._db.write(
            lambda tx: _retagged(
                tx, call, lambda held: tags.tagged(held, added, "ValidationException", "TooManyTagsError")
            )
        )
        return {}

    @operation("RemoveTagsFromResource", _resource)
    async def remove_tags_from_resource(self, call: Call) -> Shape:
        await self._db.write(lambda tx: _retagged(tx, call, lambda held: tags.untagged(held, call.input["TagKeys"])))
        return {}

    @operation("ListTagsForResource", _resource)
    async def list_tags_for_resource(self, call: Call) -> Shape:
        found = await self._db.read(lambda tx: table.attached(tx, call.owner, _tagged_name(tx, call)))
        return {"TagList": tags.to_wire(found.tags)}


def _relabelled(
    tx: Tx, call: Call, change: Callable[[Labels, int], tuple[dict[str, int], list[str]]]
) -> tuple[int, list[str]]:
    """The version that was meant, and what `change` says besides."""
    name = names.known_name(call.input["Name"])
    locked = table.lock(tx, call.owner, name)
    if locked is None:
        raise Refused("ParameterNotFound", f"Parameter {name} not found.")
    newest, borne = locked
    version = call.input.get("ParameterVersion") or newest
    if not 0 < version <= newest or not table.has_version(tx, call.owner, name, version):
        raise Refused(
            "ParameterVersionNotFound",
            f"Systems Manager could not find version {version} of {name}. Verify the version and try again.",
        )
    labels, said = change(borne.labels, version)
    table.attach(tx, call.owner, name, replace(borne, labels=labels))
    return version, said


def _retagged(tx: Tx, call: Call, change: Callable[[tags.Tags], tags.Tags]) -> None:
    name = _tagged_name(tx, call)
    locked = table.lock(tx, call.owner, name)
    if locked is None:
        raise _no_resource()
    table.attach(tx, call.owner, name, replace(locked[1], tags=change(locked[1].tags)))


def _tagged_name(tx: Tx, call: Call) -> str:
    """The parameter that the ResourceId names. Refused."""
    if call.input["ResourceType"] != "Parameter":
        message = "The resource type is not valid. Codeyard has one that bears tags here: Parameter."
        raise Refused("InvalidResourceType", message)
    try:
        wanted = names.reference(call.input["ResourceId"], call.owner)
    except Refused:
        raise _no_resource() from None
    name = None if wanted.selector else table.exists(tx, call.owner, wanted.names)
    if name is None:
        raise _no_resource()
    return name


def _no_resource() -> Refused:
    message = "The resource ID is not valid. Verify that you entered the correct ID and try again."
    return Refused("InvalidResourceId", message)
