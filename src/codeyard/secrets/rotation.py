"""A new key for all that is stored: every value is opened by the old one and sealed by the new."""

from collections.abc import Mapping

from codeyard.secrets import parameters_table, secrets_table
from codeyard.secrets.sealed import Place, Sealed, seal, unseal
from codeyard.secrets.sealing import Key
from codeyard.store import Database, Tx


async def change_key(db: Database, old: tuple[Key, ...], new: Key) -> int:
    """Seal every value anew, all or none of them; answers how many. DoesNotOpen, Fault.

    A value that `new` sealed stays, so it may be done again, after a crash at any moment. While it runs, no server may
    write: what is sealed by an old key afterwards does not open for one that has the new key.
    """
    by_id = {key.id: key for key in old}

    def change(tx: Tx) -> int:
        count = 0
        for stored in parameters_table.all_sealed(tx):
            if stored.sealed.key != new.id:
                sealed = _anew(by_id, new, stored.sealed, stored.parameter.place)
                parameters_table.reseal(tx, stored.parameter, sealed)
                count += 1
        for secret, held in secrets_table.all_sealed(tx):
            if held.sealed.key != new.id:
                sealed = _anew(by_id, new, held.sealed, secret.place(held.id, held.form))
                secrets_table.reseal(tx, secret, held.id, sealed)
                count += 1
        return count

    return await db.write(change)


def _anew(keys: Mapping[str, Key], new: Key, sealed: Sealed, place: Place) -> Sealed:
    # A key that is not at hand is as good as a wrong one: `unseal` says so.
    return seal(new, unseal(keys.get(sealed.key, new), sealed, place), place)
