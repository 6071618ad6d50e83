"""Which targets a deployment is for: CodeDeploy's tag filters and tag sets. Pure.

One alternative is a list of lists of filters: any of the filters of a list, for all of the lists. A flat list of
filters is an alternative of one list. What any alternative selects is selected (User Guide, "Tagging instances").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MOST_LISTS = 3
MOST_FILTERS = 10
_LONGEST_KEY, _LONGEST_VALUE = 128, 256


class Match(StrEnum):
    """What of a tag a filter looks at."""

    KEY_ONLY = "KEY_ONLY"
    VALUE_ONLY = "VALUE_ONLY"
    KEY_AND_VALUE = "KEY_AND_VALUE"


@dataclass(frozen=True, slots=True)
class Filter:
    match: Match
    key: str = ""
    value: str = ""

    def selects(self, tags: Mapping[str, str]) -> bool:
        if self.match is Match.KEY_ONLY:
            return self.key in tags
        if self.match is Match.VALUE_ONLY:
            return self.value in tags.values()
        return tags.get(self.key) == self.value


Filters = tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Alternatives, each of lists, each of filters. The empty one selects nothing."""

    alternatives: tuple[tuple[Filters, ...], ...] = ()

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> "Selection":
        """Targets that have all of these tags; nothing for no tags."""
        lists = tuple((Filter(Match.KEY_AND_VALUE, key, value),) for key, value in sorted(tags.items()))
        return cls((lists,) if lists else ())

    def selects(self, tags: Mapping[str, str]) -> bool:
        return any(
            all(any(each.selects(tags) for each in filters) for filters in lists)
            for lists in self.alternatives
            if lists and all(lists)
        )


def filter_of(found: Mapping[str, Any]) -> Filter | None:
    """A shape TagFilter or EC2TagFilter: `Key`, `Value`, `Type`; None: it is none that selects anything."""
    key, value = str(found.get("Key") or ""), str(found.get("Value") or "")
    match = found.get("Type") or ("KEY_AND_VALUE" if key and "Value" in found else "KEY_ONLY" if key else "VALUE_ONLY")
    if match not in list(Match) or len(key) > _LONGEST_KEY or len(value) > _LONGEST_VALUE:
        return None
    kind = Match(match)
    if (kind is not Match.VALUE_ONLY and not key) or (kind is Match.VALUE_ONLY and not value):
        return None
    return Filter(kind, key, value)


def selection_json(selection: Selection) -> list[Any]:
    return [[[[str(f.match), f.key, f.value] for f in fs] for fs in lists] for lists in selection.alternatives]


def selection_of(found: list[Any]) -> Selection:
    """What `selection_json` wrote."""
    return Selection(tuple(tuple(tuple(Filter(Match(m), k, v) for m, k, v in fs) for fs in lists) for lists in found))
