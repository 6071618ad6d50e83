"""What acts outside is registered under the types that definitions name."""

from datetime import UTC, datetime
from typing import Any

from codeyard.errors import Denied
from codeyard.pipelines.actions.outside import registry
from codeyard.pipelines.builtin_types import BUILTIN
from codeyard.pipelines.rule_types import RULES


def nobody(*_: Any) -> Any:
    raise Denied("asking", "nothing outside is asked.", "Set it.")


def test_every_one_is_of_a_known_type() -> None:
    known = {(each.id.category, each.id.owner, each.id.provider) for each in (*BUILTIN, *RULES)}

    assert registry(nobody, lambda: datetime.now(UTC)).keys() <= known
