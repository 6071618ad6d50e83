"""Parameter Store's operations on parameters and their values."""

import base64
from collections.abc import Callable
from datetime import datetime
from functools import partial

from codeyard.aws import Call, Refused, Shape, operation
from codeyard.aws.paging import Pages
from codeyard.errors import Conflict
from codeyard.secrets import parameter_filters as filters
from codeyard.secrets import parameter_names as names
from codeyard.secrets import parameters_table as table
from codeyard.secrets import tags
from codeyard.secrets.allowed_pattern import Patterns
from codeyard.secrets.listing import scan
from codeyard.secrets.parameters import Attached, Parameter, Type, oldest_kept, put
from codeyard.secrets.sealed import seal, unseal
from codeyard.secrets.sealing import Key
from codeyard.store import Database, Tx

_TRIES = 5  # of a write that others get ahead of
Found = tuple[table.Stored, Attached]


class ParameterOperations:
    """PutParameter, and all that reads and deletes."""

    def __init__(self, db: Database, key: Key, now: Callable[[], datetime], pages: Pages) -> None:
        self._db, self._key, self._now, self._pages = db, key, now, pages
        self._patterns = Patterns()

    @operation("PutParameter", names.one)
    async def put_parameter(self, call: Call) -> Shape:
        name = names.new_name(call.input["Name"])
        added = tags.tagged({}, call.input.get("Tags") or (), "ValidationException", "TooManyTagsError")
        for _ in range(_TRIES):
            found = await self._db.read(lambda tx: table.find(tx, call.owner, names.Reference((name,))))
            before = found.parameter if found else None
            made = put(name, before, call.input, call.owner, call.caller.arn, self._now())
            if made.allowed_pattern:
                await self._patterns.check(made.allowed_pattern, call.input["Value"])
            try:
                await self._db.write(partial(self._store, made=made, value=call.input["Value"], added=added))
            except Conflict:  # somebody else stored one just now
                continue
            return {"Version": made.version, "Tier": made.tier}
        message = "There are concurrent updates for a resource that supports one update at a time."
        raise Refused("TooManyUpdates", message)

    def _store(self, tx: Tx, made: Parameter, value: str, added: tags.Tags) -> None:
        sealed = seal(self._key, value.encode(), made.place)
        if made.version == 1:
            table.add(tx, made, sealed, added)
            return
        locked = table.lock(tx, made.owner, made.name)
        table.advance(tx, made, sealed, oldest_kept(made.version, locked[1].labels if locked else {}))

    @operation("GetParameter", names.one)
    async def get_parameter(self, call: Call) -> Shape:
        wanted = names.reference(call.input["Name"], call.owner)
        found, there = await self._db.read(lambda tx: _find(tx, call, wanted))
        if found is None:
            raise _missing(call.input["Name"], wanted, there)
        return {"Parameter": self._with_value(found, call) | {"Selector": wanted.selector}}

    @operation("GetParameters", names.several)
    async def get_parameters(self, call: Call) -> Shape:
        asked = {text: names.reference(text, call.owner) for text in call.input["Names"]}
        found = await self._db.read(
            lambda tx: {text: table.find(tx, call.owner, wanted) for text, wanted in asked.items()}
        )
        return {
            "Parameters": [
                self._with_value(stored, call) | {"Selector": asked[text].selector}
                for text, stored in found.items()
                if stored
            ],
            "InvalidParameters": [text for text, stored in found.items() if stored is None],
        }

    @operation("GetParametersByPath", names.below)
    async def get_parameters_by_path(self, call: Call) -> Shape:
        path, fits = names.path(call.input["Path"]), filters.of_a_path(call.input)
        deep = bool(call.input.get("Recursive"))
        found, next_token = await self._page(
            call, 10, fits, lambda tx, after, limit: table.below(tx, call.owner, path, after, limit, recursive=deep)
        )
        return {"Parameters": [self._with_value(stored, call) for stored, _ in found], "NextToken": next_token}

    @operation("DescribeParameters", names.listed)
    async def describe_parameters(self, call: Call) -> Shape:
        fits = filters.of_all(call.input)
        if call.input.get("Shared"):  # with us, by other accounts: there are none
            return {"Parameters": []}
        found, next_token = await self._page(
            call, 50, fits, lambda tx, after, limit: table.every(tx, call.owner, after, limit)
        )
        listed = [_about(stored.parameter) | {"ARN": stored.parameter.arn} for stored, _ in found]
        return {"Parameters": listed, "NextToken": next_token}

    @operation("GetParameterHistory", names.one)
    async def get_parameter_history(self, call: Call) -> Shape:
        wanted = names.reference(call.input["Name"], call.owner)
        after = int(self._begin(call) or 0)
        limit = call.input.get("MaxResults") or 50

        def read(tx: Tx) -> tuple[list[table.Stored], Attached] | None:
            name = table.exists(tx, call.owner, wanted.names)
            if name is None:
                return None
            return table.history(tx, call.owner, name, after, limit + 1), table.attached(tx, call.owner, name)

        found = await self._db.read(read)
        if found is None or wanted.selector:
            raise _missing(call.input["Name"], wanted, there=False)
        versions, borne = found
        listed = [
            _about(stored.parameter)
            | {"Value": self._value(stored, call)}
            | {"Labels": [label for label, on in borne.labels.items() if on == stored.parameter.version]}
            for stored in versions[:limit]
        ]
        beyond = str(versions[limit - 1].parameter.version) if len(versions) > limit else None
        return {"Parameters": listed, "NextToken": self._pages.seal(call, beyond)}

    @operation("DeleteParameter", names.one)
    async def delete_parameter(self, call: Call) -> Shape:
        name = names.known_name(call.input["Name"])
        if not await self._db.write(lambda tx: table.remove(tx, call.owner, name)):
            raise _missing(name, names.Reference((name,)), there=False)
        return {}

    @operation("DeleteParameters", names.several)
    async def delete_parameters(self, call: Call) -> Shape:
        asked = [names.known_name(name) for name in dict.fromkeys(call.input["Names"])]
        gone = await self._db.write(lambda tx: [name for name in asked if table.remove(tx, call.owner, name)])
        return {"DeletedParameters": gone, "InvalidParameters": [name for name in asked if name not in gone]}

    async def _page(
        self, call: Call, most: int, fits: filters.Test, read: Callable[[Tx, str, int], list[Found]]
    ) -> tuple[list[Found], str | None]:
        """A page of a list by name, and the token of the next."""
        after = self._begin(call) or ""
        limit = call.input.get("MaxResults") or most
        found, beyond = await self._db.read(
            lambda tx: scan(
                read, tx, after, limit, lambda row: row[0].parameter.name, lambda row: fits(row[0].parameter, row[1])
            )
        )
        return found, self._pages.seal(call, beyond)

    def _begin(self, call: Call) -> str | None:
        return self._pages.open(call, call.input.get("NextToken") or None, "InvalidNextToken")

    def _with_value(self, stored: table.Stored, call: Call) -> dict[str, object]:
        parameter = stored.parameter
        return {
            "Name": parameter.name, "Type": parameter.type, "Value": self._value(stored, call),
            "Version": parameter.version, "LastModifiedDate": parameter.modified, "ARN": parameter.arn,
            "DataType": parameter.data_type,
        }  # fmt: skip

    def _value(self, stored: table.Stored, call: Call) -> str:
        """The value; of a SecureString that is not asked for in clear, an opaque text, as AWS gives its ciphertext."""
        if stored.parameter.type is Type.SECURE_STRING and not call.input.get("WithDecryption"):
            return base64.b64encode(stored.sealed.sealed).decode()
        return unseal(self._key, stored.sealed, stored.parameter.place).decode()


def _find(tx: Tx, call: Call, wanted: names.Reference) -> tuple[table.Stored | None, bool]:
    """The version that is meant; and if it is not there, whether the parameter is."""
    found = table.find(tx, call.owner, wanted)
    there = found is not None or (wanted.selector is not None and bool(table.exists(tx, call.owner, wanted.names)))
    return found, there


def _about(parameter: Parameter) -> dict[str, object]:
    return {
        "Name": parameter.name, "Type": parameter.type, "KeyId": parameter.key_id,
        "LastModifiedDate": parameter.modified, "LastModifiedUser": parameter.modified_by,
        "Description": parameter.description, "AllowedPattern": parameter.allowed_pattern,
        "Version": parameter.version, "Tier": parameter.tier, "Policies": [], "DataType": parameter.data_type,
    }  # fmt: skip


def _missing(text: str, wanted: names.Reference, there: bool) -> Refused:
    if not there:
        return Refused("ParameterNotFound", f"Parameter {text} not found.")
    which = f"version {wanted.version}" if wanted.label is None else f"label {wanted.label}"
    return Refused(
        "ParameterVersionNotFound",
        f"Systems Manager could not find {which} of {text.removesuffix(wanted.selector or '')}. "
        f"Verify the {which.split()[0]} and try again.",
    )
