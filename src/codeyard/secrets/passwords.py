"""Random passwords, as GetRandomPassword makes them (Secrets Manager API reference)."""

import string
from random import SystemRandom

from codeyard.aws import Refused, Shape

_TYPES = {
    "ExcludeLowercase": string.ascii_lowercase,
    "ExcludeUppercase": string.ascii_uppercase,
    "ExcludeNumbers": string.digits,
    "ExcludePunctuation": string.punctuation,
}


def random_password(given: Shape) -> str:
    """A password of the length and the kinds of characters that are asked for. Refused."""
    chance = SystemRandom()
    length = given["PasswordLength"] if given.get("PasswordLength") is not None else 32
    excluded = set(given.get("ExcludeCharacters") or "")
    kinds = [letters for member, letters in _TYPES.items() if not given.get(member)]
    if given.get("IncludeSpace"):
        kinds.append(" ")
    left = ["".join(letter for letter in letters if letter not in excluded) for letters in kinds]
    left = [letters for letters in left if letters]
    if not left:
        raise _invalid("No characters are left to make a password of.")
    required = left if given.get("RequireEachIncludedType", True) else []
    if length < len(required):
        raise _invalid("Password length is too short based on the required types.")
    chosen = [chance.choice(letters) for letters in required]
    chosen += chance.choices("".join(left), k=length - len(chosen))
    chance.shuffle(chosen)
    return "".join(chosen)


def _invalid(message: str) -> Refused:
    return Refused("InvalidParameterException", message)
